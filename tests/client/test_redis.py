"""Clients on real servers and files: two processes, outages, incidents, and the rights of a reader."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import anyio
import pytest

from grayflow import Admin, Client, Context, ErrorCode, StoreAccessError
from tests.client.test_cancellation import natively
from tests.client.test_lifetime import tasks_of_grayflow
from tests.replica.kit import until
from tests.servers import RedisServer

pytestmark = pytest.mark.anyio

ANNA = Context(user_id="anna")

FOLLOW = """
import asyncio, sys
from grayflow import Client

async def main():
    async with Client(sys.argv[1], namespace=sys.argv[2]) as flags:
        seen = asyncio.Event()
        flags.on_change("f", lambda old, new: seen.set())
        print("ready", flags.peek("f"), flags.position.revision, flush=True)
        await asyncio.wait_for(seen.wait(), 20)
        print("changed", flags.peek("f"), flags.position.revision, flush=True)

asyncio.run(main())
"""


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@pytest.fixture
def namespace() -> str:
    return f"t-{uuid4().hex[:12]}"


@pytest.fixture(params=["redis", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "redis":
        found: str = request.getfixturevalue("redis_url")
        return found
    return f"sqlite:///{tmp_path}/flags.db"


@pytest.fixture
async def admin(url: str, namespace: str) -> AsyncIterator[Admin]:
    async with Admin(url, namespace=namespace, actor="ada") as opened:
        await opened.init()
        yield opened


@contextmanager
def process(url: str, namespace: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", FOLLOW, url, namespace]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            yield running
        finally:
            running.kill()


async def line(running: "subprocess.Popen[str]") -> str:
    assert running.stdout is not None
    with anyio.fail_after(20):
        return (await anyio.to_thread.run_sync(running.stdout.readline, abandon_on_cancel=True)).strip()


async def test_a_switch_flipped_here_is_seen_in_two_other_processes(admin: Admin, url: str, namespace: str):
    await admin.create({"key": "f"})
    with process(url, namespace) as one, process(url, namespace) as other:
        assert [await line(one), await line(other)] == ["ready False 1"] * 2

        await admin.switch_on("f", reason="go")

        assert [await line(one), await line(other)] == ["changed True 2"] * 2


async def test_a_client_sees_its_own_write(admin: Admin, url: str, namespace: str):
    async with Client(url, namespace=namespace) as flags:
        saved = await admin.create({"key": "f", "enabled": True})

        await flags.wait_for(saved.token)

        assert await flags.is_enabled("f", ANNA) is True
        assert flags.health.link == "up"


async def test_confirmed_and_scopes_and_at_least_work_on_real_stores(admin: Admin, url: str, namespace: str):
    async with Client(url, namespace=namespace) as flags:
        saved = await admin.create({"key": "f", "enabled": True})

        async with flags.scope(ANNA, at_least=saved.token):
            assert await flags.is_enabled("f") is True
        decision = await flags.evaluate("f", ANNA, freshness="confirmed")
        assert (decision.value, decision.stale) == (True, False)


async def test_a_file_that_does_not_exist_is_told_and_found_when_it_is_there(tmp_path: Path):
    url = f"sqlite:///{tmp_path}/later.db"
    async with Client(url, start_timeout=0.05) as flags:
        assert flags.health.state == "starting"
        assert "later.db" in (flags.health.last_error or "")
        assert (await flags.evaluate("f")).error is ErrorCode.PROVIDER_NOT_READY

        async with Admin(url, actor="ada") as admin:
            await admin.create({"key": "f", "enabled": True})
            await until(lambda: flags.peek("f", ANNA))


async def test_a_server_that_goes_and_comes_back_is_survived(server: RedisServer, namespace: str):
    async with Admin(server.url, namespace=namespace, actor="ada") as admin:
        await admin.init()
        await admin.create({"key": "f", "enabled": True})
    async with Client(server.url, namespace=namespace, ttl=0.2, max_staleness=60) as flags:
        assert flags.peek("f", ANNA) is True

        server.ask("SAVE")
        server.kill()
        await until(lambda: flags.health.state == "stale")
        assert flags.peek("f", ANNA) is True
        assert flags.health.link == "down"
        assert "still serving revision" in (flags.health.last_error or "")

        server.start()
        await until(lambda: flags.health.state == "fresh" and flags.health.link == "up")
        assert flags.health.last_error is None
        assert flags.health.loads == 1


async def test_a_server_that_comes_back_empty_is_refused_until_an_operator_says_so(server: RedisServer, namespace: str):
    async with Admin(server.url, namespace=namespace, actor="ada") as admin:
        await admin.init()
        await admin.create({"key": "f", "enabled": True})
    async with Client(server.url, namespace=namespace, ttl=0.2, max_staleness=60) as flags:
        server.restart(keep_data=False)
        await until(lambda: flags.health.incident)
        assert "grayflow init --replace" in (flags.health.last_error or "")
        assert flags.peek("f", ANNA) is True

        async with Admin(server.url, namespace=namespace, actor="ada") as admin:
            await admin.init()
            await until(lambda: "another flag set" in (flags.health.last_error or ""))
            assert flags.peek("f", ANNA) is True
            await admin.init(replaces="*")
            await admin.create({"key": "g", "enabled": True})
            await until(lambda: flags.peek("g", ANNA))

        assert flags.peek("f", ANNA) is False
        assert flags.health.incident is False


async def test_a_frozen_server_does_not_keep_the_client_from_closing(server: RedisServer, namespace: str):
    async with Admin(server.url, namespace=namespace, actor="ada") as admin:
        await admin.init()
    flags = await Client(server.url, namespace=namespace).start()
    server.freeze()
    try:
        with anyio.fail_after(8):
            await flags.aclose()
    finally:
        server.thaw()

    assert flags.health.state == "closed"


async def test_a_wrong_password_is_told_as_what_it_is(server: RedisServer, namespace: str):
    server.ask("ACL", "SETUSER", "anna", "on", ">right", "~*", "&*", "+@all")
    url = server.url.replace("redis://", "redis://anna:wrong@")

    with pytest.raises(StoreAccessError) as caught:
        async with Client(url, namespace=namespace, require_ready=True, start_timeout=1):
            pass

    assert "wrong@" not in str(caught.value)


async def test_no_socket_is_left_after_the_close(redis_server: RedisServer, namespace: str):
    async with Admin(redis_server.url, namespace=namespace, actor="ada") as admin:
        await admin.init()

    def connections() -> int:
        return redis_server.ask("CLIENT", "LIST").count(b"name=grayflow-leak")

    async with Client(redis_server.url, namespace=namespace, name="leak"):
        pass
    async with Client(redis_server.url, namespace=namespace, name="grayflow-leak"):
        assert connections() >= 1

    await until(lambda: connections() == 0)


@pytest.mark.parametrize("steps", range(0, 150, 6))
async def test_a_start_that_is_cancelled_leaves_no_socket(redis_server: RedisServer, namespace: str, steps: int):
    before = open_files()
    flags = Client(redis_server.url, namespace=namespace)

    await natively(flags.start, steps)
    await flags.aclose()

    assert open_files() <= before
    assert tasks_of_grayflow() == []


@pytest.mark.parametrize("steps", range(0, 30, 3))
async def test_a_close_that_is_cancelled_leaves_no_socket(redis_server: RedisServer, namespace: str, steps: int):
    async with Admin(redis_server.url, namespace=namespace, actor="ada") as admin:
        await admin.init()
    before = open_files()
    flags = await Client(redis_server.url, namespace=namespace).start()

    await natively(flags.aclose, steps)
    await flags.aclose()

    await until(lambda: open_files() <= before)
    assert tasks_of_grayflow() == []


def open_files() -> set[str]:
    """Return the numbers of all open files and sockets."""
    return {path.name for path in Path("/dev/fd").resolve().iterdir() if path.exists() or path.is_symlink()}
