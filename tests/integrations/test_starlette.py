"""A Starlette application under a real uvicorn: which context and which snapshot each part of a request decides by."""

import contextlib
from collections.abc import AsyncIterator, Mapping

import anyio
import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect

from grayflow import Admin, Client, LifetimeError, MemoryStore
from grayflow.integrations.starlette import FlagsMiddleware, flags_of, health_endpoint, lifespan, request_context
from tests.ports import free_port

pytestmark = pytest.mark.anyio

FOR_ANNA = {"key": "f", "enabled": True, "otherwise": "off", "targets": {"on": ["anna"]}}


class Site:
    """The application of the tests, and what its parts saw."""

    def __init__(self, flags: Client) -> None:
        self.flags = flags
        self.seen: dict[str, object] = {}
        self.going, self.go = anyio.Event(), anyio.Event()
        self.app = Starlette(
            routes=[
                Route("/on", self.on),
                Route("/meet/{number}", self.meet),
                Route("/stream", self.stream),
                Route("/later", self.later),
                Route("/broken", self.broken),
                Route("/context", self.context),
                Route("/ready", health_endpoint(flags)),
                WebSocketRoute("/talk", self.talk),
            ],
            middleware=[Middleware(FlagsMiddleware, flags=flags, context=who)],
            exception_handlers={ZeroDivisionError: self.excused},
            lifespan=lifespan(flags),
        )
        self.waiting = 0

    async def on(self, request: Request) -> Response:
        return PlainTextResponse(str(await flags_of(request).is_enabled("f")))

    async def meet(self, _: Request) -> Response:
        """Answer when all fifty are here, so that they overlap."""
        self.waiting += 1
        if self.waiting == 50:
            self.go.set()
        await self.go.wait()
        return PlainTextResponse(str(self.flags.peek("f")))

    async def stream(self, _: Request) -> Response:
        async def lines() -> AsyncIterator[str]:
            yield f"{self.flags.peek('f')} "
            self.going.set()
            await self.go.wait()
            yield f"{await self.flags.is_enabled('f')}"

        return StreamingResponse(lines())

    async def later(self, _: Request) -> Response:
        async def work() -> None:
            self.going.set()
            await self.go.wait()
            self.seen["later"] = await self.flags.is_enabled("f")
            self.seen["done"] = True

        return PlainTextResponse("soon", background=BackgroundTask(work))

    async def broken(self, _: Request) -> Response:
        raise ZeroDivisionError

    async def excused(self, _: Request, __: Exception) -> Response:
        return PlainTextResponse(str(self.flags.peek("f")), 418)

    async def context(self, request: Request) -> Response:
        return PlainTextResponse(str(sorted(request_context(request).items())))

    async def talk(self, socket: WebSocket) -> None:
        await socket.accept()
        with contextlib.suppress(Exception):
            while True:
                await socket.receive_text()
                with self.flags.scope():
                    await socket.send_text(str(await self.flags.is_enabled("f")))


async def who(connection: HTTPConnection) -> dict[str, object]:
    return {**request_context(connection), "user_id": connection.query_params.get("user")}


@pytest.fixture
async def admin() -> AsyncIterator[Admin]:
    async with Admin(MemoryStore(), actor="test") as opened:
        await opened.put(FOR_ANNA)
        yield opened


@pytest.fixture
def site(admin: Admin) -> Site:
    return Site(Client(admin.store))


@pytest.fixture
async def base(site: Site) -> AsyncIterator[str]:
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(site.app, port=port, log_level="warning", ws="websockets-sansio"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        with anyio.fail_after(20):
            while not server.started:
                await anyio.lowlevel.checkpoint()
        yield f"127.0.0.1:{port}"
        server.should_exit = True


async def get(base: str, path: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=f"http://{base}", timeout=20) as client:
        return await client.get(path)


async def test_the_request_decides_for_its_user(base: str):
    assert (await get(base, "/on?user=anna")).text == "True"
    assert (await get(base, "/on?user=ben")).text == "False"


async def test_requests_at_the_same_time_never_mix_their_users(base: str):
    answers: dict[int, str] = {}

    async def ask(number: int) -> None:
        answers[number] = (await get(base, f"/meet/{number}?user={'anna' if number % 2 else 'ben'}")).text

    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(ask, number)

    assert answers == {number: str(bool(number % 2)) for number in range(50)}


async def test_a_streamed_body_keeps_the_snapshot_that_it_began_with(base: str, site: Site, admin: Admin):
    async with anyio.create_task_group() as tasks:
        answers = []

        async def ask() -> None:
            answers.append((await get(base, "/stream?user=anna")).text)

        tasks.start_soon(ask)
        await site.going.wait()
        saved = await admin.switch_off("f")
        await site.flags.wait_for(saved.token)
        site.go.set()

    assert answers == ["True True"]
    assert (await get(base, "/on?user=anna")).text == "False"


async def test_a_background_task_is_in_the_scope_of_its_request(base: str, site: Site, admin: Admin):
    assert (await get(base, "/later?user=anna")).text == "soon"
    await site.going.wait()
    saved = await admin.switch_off("f")
    await site.flags.wait_for(saved.token)
    site.go.set()
    with anyio.fail_after(20):
        while "done" not in site.seen:
            await anyio.lowlevel.checkpoint()

    assert site.seen["later"] is True


async def test_an_exception_handler_is_in_the_scope_and_the_next_request_is_not(base: str):
    answer = await get(base, "/broken?user=anna")

    assert (answer.status_code, answer.text) == (418, "True")
    assert (await get(base, "/on")).text == "False"


async def test_a_websocket_keeps_its_user_and_sees_changes_between_messages(base: str, site: Site, admin: Admin):
    async with connect(f"ws://{base}/talk?user=anna") as socket:
        await socket.send("?")
        before = await socket.recv()
        saved = await admin.switch_off("f")
        await site.flags.wait_for(saved.token)
        await socket.send("?")

        assert (before, await socket.recv()) == ("True", "False")


async def test_the_default_context_is_what_the_connection_says_of_itself(base: str):
    text = (await get(base, "/context")).text

    assert "('ip', '127.0.0.1')" in text
    assert "('path', '/context')" in text
    assert "python-httpx" in text


async def test_a_load_balancer_is_told_that_the_process_is_ready(base: str):
    answer = await get(base, "/ready")

    assert answer.status_code == 200
    assert answer.json()["ready"] is True
    assert answer.json()["state"] == "fresh"
    assert answer.json()["revision"] == 1


async def test_a_load_balancer_is_sent_away_before_the_first_flags():
    flags = Client(MemoryStore(), start_timeout=0)
    app = Starlette(routes=[Route("/ready", health_endpoint(flags))], lifespan=lifespan(flags))
    transport = httpx.ASGITransport(app)
    async with flags, httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get("/ready")

    assert answer.status_code == 503
    assert answer.json()["state"] == "starting"


async def test_the_applications_own_lifespan_runs_while_the_flags_are_there(admin: Admin):
    flags = Client(admin.store)
    seen: list[str] = []

    @contextlib.asynccontextmanager
    async def inner(_: object) -> AsyncIterator[dict[str, int]]:
        seen.append(flags.health.state)
        yield {"database": 7}
        seen.append(flags.health.state)

    async with lifespan(flags, inner)(None) as state:
        assert state == {"database": 7, "flags": flags}

    assert seen == ["fresh", "fresh"]
    assert flags.health.state == "closed"


async def test_an_application_may_start_again_with_a_client_of_its_own_each_time(admin: Admin):
    async def on(request: Request) -> Response:
        return PlainTextResponse(str(await flags_of(request).is_enabled("f")))

    opening = lifespan(lambda: Client(admin.store))
    app = Starlette(
        routes=[Route("/on", on), Route("/ready", health_endpoint())],
        middleware=[Middleware(FlagsMiddleware, context=who)],
    )
    used: list[object] = []
    for _ in range(2):
        async with opening(app) as state:
            used.append(state["flags"])

            async def served(
                scope: Scope, receive: Receive, send: Send, *, state: Mapping[str, object] = state
            ) -> None:
                await app({**scope, "state": dict(state)}, receive, send)

            transport = httpx.ASGITransport(served)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                assert (await client.get("/on?user=anna")).text == "True"
                assert (await client.get("/on?user=ben")).text == "False"
                assert (await client.get("/ready")).json()["state"] == "fresh"

    assert used[0] is not used[1]
    assert [one.health.state for one in used if isinstance(one, Client)] == ["closed", "closed"]


async def test_a_middleware_without_a_client_needs_the_lifespan_and_says_so():
    transport = httpx.ASGITransport(FlagsMiddleware(PlainTextResponse("never")))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        with pytest.raises(LifetimeError, match=r"which has to run: with TestClient\(app\) as client"):
            await client.get("/")


async def test_an_application_without_flags_says_how_to_get_them():
    with pytest.raises(LifetimeError, match="add FlagsMiddleware"):
        flags_of(HTTPConnection({"type": "http", "state": {}}))


async def test_an_error_of_the_context_is_the_requests_error(admin: Admin):
    def failing(_: HTTPConnection) -> dict[str, object]:
        raise KeyError("session")

    async with Client(admin.store) as flags:
        middleware = FlagsMiddleware(PlainTextResponse("never"), flags, failing)
        transport = httpx.ASGITransport(middleware)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            with pytest.raises(KeyError, match="session"):
                await client.get("/")
