"""An aiohttp application in a real runner: which context and which snapshot each part of a request decides by."""

from collections.abc import AsyncIterator
from contextvars import ContextVar

import aiohttp
import anyio
import pytest
from aiohttp import web

from grayflow import Admin, Client, MemoryStore
from grayflow.integrations.aiohttp import FLAGS, request_context, setup
from tests.ports import free_port

pytestmark = pytest.mark.anyio

FOR_ANNA = {"key": "f", "enabled": True, "otherwise": "off", "targets": {"on": ["anna"]}}
user: ContextVar[str | None] = ContextVar("user")


class Site:
    """The application of the tests."""

    def __init__(self, flags: Client) -> None:
        self.flags = flags
        self.going, self.go = anyio.Event(), anyio.Event()
        self.waiting = 0
        self.app = web.Application(middlewares=[login])
        setup(self.app, flags, context=who, health="/ready")
        self.app.add_routes(
            [
                web.get("/on", self.on),
                web.get("/meet", self.meet),
                web.get("/stream", self.stream),
                web.get("/broken", self.broken),
                web.get("/context", self.context),
                web.get("/talk", self.talk),
            ]
        )
        inner = web.Application()
        inner.add_routes([web.get("/on", self.on)])
        self.app.add_subapp("/inner", inner)

    async def on(self, request: web.Request) -> web.Response:
        return web.Response(text=str(await request.config_dict[FLAGS].is_enabled("f")))

    async def meet(self, _: web.Request) -> web.Response:
        """Answer when all fifty are here, so that they overlap."""
        self.waiting += 1
        if self.waiting == 50:
            self.go.set()
        await self.go.wait()
        return web.Response(text=str(self.flags.peek("f")))

    async def stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(f"{self.flags.peek('f')} ".encode())
        self.going.set()
        await self.go.wait()
        await response.write(f"{await self.flags.is_enabled('f')}".encode())
        return response

    async def broken(self, _: web.Request) -> web.Response:
        raise web.HTTPConflict(text=str(self.flags.peek("f")))

    async def context(self, request: web.Request) -> web.Response:
        return web.Response(text=str(sorted(request_context(request).items())))

    async def talk(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for _ in socket:
            with self.flags.scope():
                await socket.send_str(str(await self.flags.is_enabled("f")))
        return socket


@web.middleware
async def login(request: web.Request, handler: "web.Handler") -> web.StreamResponse:
    user.set(request.query.get("user"))
    return await handler(request)


async def who(request: web.Request) -> dict[str, object]:
    return {**request_context(request), "user_id": user.get()}


@pytest.fixture
async def admin() -> AsyncIterator[Admin]:
    async with Admin(MemoryStore(), actor="test") as opened:
        await opened.put(FOR_ANNA)
        yield opened


@pytest.fixture
def site(admin: Admin) -> Site:
    return Site(Client(admin.store))


@pytest.fixture
async def session(site: Site) -> AsyncIterator[aiohttp.ClientSession]:
    runner = web.AppRunner(site.app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as opened:
        yield opened
    await runner.cleanup()


async def text(session: aiohttp.ClientSession, path: str) -> str:
    async with session.get(path) as answer:
        return await answer.text()


async def test_the_request_decides_for_the_user_that_an_outer_middleware_found(session: aiohttp.ClientSession):
    assert await text(session, "/on?user=anna") == "True"
    assert await text(session, "/on?user=ben") == "False"


async def test_applications_inside_have_the_flags_too(session: aiohttp.ClientSession):
    assert await text(session, "/inner/on?user=anna") == "True"


async def test_requests_at_the_same_time_never_mix_their_users(session: aiohttp.ClientSession):
    answers: dict[int, str] = {}

    async def ask(number: int) -> None:
        answers[number] = await text(session, f"/meet?user={'anna' if number % 2 else 'ben'}")

    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(ask, number)

    assert answers == {number: str(bool(number % 2)) for number in range(50)}


async def test_a_streamed_body_keeps_the_snapshot_that_it_began_with(
    session: aiohttp.ClientSession, site: Site, admin: Admin
):
    answers = []
    async with anyio.create_task_group() as tasks:

        async def ask() -> None:
            answers.append(await text(session, "/stream?user=anna"))

        tasks.start_soon(ask)
        await site.going.wait()
        saved = await admin.switch_off("f")
        await site.flags.wait_for(saved.token)
        site.go.set()

    assert answers == ["True True"]
    assert await text(session, "/on?user=anna") == "False"


async def test_a_handler_that_raises_leaves_no_scope_behind(session: aiohttp.ClientSession):
    async with session.get("/broken?user=anna") as answer:
        assert (answer.status, await answer.text()) == (409, "True")

    assert await text(session, "/on") == "False"


async def test_a_websocket_keeps_its_user_and_sees_changes_between_messages(
    session: aiohttp.ClientSession, site: Site, admin: Admin
):
    async with session.ws_connect("/talk?user=anna") as socket:
        await socket.send_str("?")
        before = await socket.receive_str()
        saved = await admin.switch_off("f")
        await site.flags.wait_for(saved.token)
        await socket.send_str("?")

        assert (before, await socket.receive_str()) == ("True", "False")


async def test_the_default_context_is_what_the_request_says_of_itself(session: aiohttp.ClientSession):
    found = await text(session, "/context")

    assert "('ip', '127.0.0.1')" in found
    assert "('path', '/context')" in found
    assert "aiohttp" in found


async def test_a_load_balancer_is_told_that_the_process_is_ready(session: aiohttp.ClientSession):
    async with session.get("/ready") as answer:
        body = await answer.json()

    assert (answer.status, body["ready"], body["state"], body["revision"]) == (200, True, "fresh", 1)


async def test_a_load_balancer_is_sent_away_before_the_first_flags():
    app = web.Application()
    setup(app, Client(MemoryStore(), start_timeout=0), health="/ready")
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/ready") as answer:
        assert (answer.status, (await answer.json())["state"]) == (503, "starting")
    await runner.cleanup()


async def test_the_client_closes_with_the_application(site: Site):
    runner = web.AppRunner(site.app)
    await runner.setup()
    assert site.flags.health.state == "fresh"
    await runner.cleanup()

    assert site.flags.health.state == "closed"
