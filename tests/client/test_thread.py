"""A client in a thread of its own, for programs without an event loop."""

import contextvars
import sys
import threading
import time
from pathlib import Path

import anyio
import pytest

from grayflow import Admin, Client, ClientThread, LifetimeError, MemoryStore, StoreError
from tests.ports import free_port
from tests.servers import RedisServer

pytestmark = pytest.mark.anyio


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'flags.db'}"


async def put(url: str, *, on: bool) -> str:
    async with Admin(url, actor="test") as admin:
        return (await admin.put({"key": "f", "enabled": on})).token


def test_flags_are_asked_without_an_event_loop():
    flags = Client("memory://")
    with ClientThread(flags) as thread:
        assert (thread.running, flags.health.state, flags.peek("f", default=True)) == (True, "fresh", True)

    assert (thread.running, flags.health.state) == (False, "closed")
    assert not [each for each in threading.enumerate() if each.name == "grayflow client"]


async def test_changes_arrive(url: str):
    await put(url, on=False)
    flags = Client(url)
    with ClientThread(flags) as thread:
        assert not flags.peek("f")

        token = await put(url, on=True)
        thread.call(flags.wait_for, token)

        assert flags.peek("f")


async def test_a_scope_that_waited_in_the_loop_is_entered_in_the_thread_of_the_caller(url: str):
    token = await put(url, on=True)
    flags = Client(url)
    with ClientThread(flags) as thread, thread.call(flags.scope({"user_id": "u"}, at_least=token).wait):
        assert flags.peek("f")


def test_context_variables_of_the_caller_are_seen_in_the_loop():
    name = contextvars.ContextVar("name", default="nobody")

    async def who() -> str:
        return name.get()

    with ClientThread(Client("memory://")) as thread:
        name.set("anna")

        assert thread.call(who) == "anna"


def test_a_store_that_is_away_holds_up_the_start_no_longer_than_asked():
    flags = Client(f"redis://127.0.0.1:{free_port()}", start_timeout=30)
    began = time.monotonic()
    thread = ClientThread(flags).start(at_most=0.2)
    took_s = time.monotonic() - began

    assert took_s < 10
    assert flags.health.state == "starting"
    thread.stop()
    assert flags.health.state == "closed"


def test_flags_arrive_although_the_start_was_not_waited_for(redis_server: RedisServer):
    async def init() -> None:
        async with Admin(redis_server.url, namespace="thread", actor="test") as admin:
            await admin.init()
            await admin.put({"key": "f", "enabled": True})

    anyio.run(init)
    flags = Client(redis_server.url, namespace="thread")
    thread = ClientThread(flags).start(at_most=0)
    deadline = time.monotonic() + 20
    while not flags.peek("f"):
        assert time.monotonic() < deadline
    thread.stop()


def test_a_client_that_must_be_ready_raises_and_leaves_no_thread():
    flags = Client(f"redis://127.0.0.1:{free_port()}", start_timeout=0.1, require_ready=True)
    thread = ClientThread(flags)
    with pytest.raises(StoreError):
        thread.start()

    assert not thread.running


def test_it_is_started_once_and_stopped_any_number_of_times():
    thread = ClientThread(Client("memory://"))
    thread.stop()
    thread.start()
    with pytest.raises(LifetimeError, match="running already"):
        thread.start()
    thread.stop()
    thread.stop()


def test_without_a_thread_nothing_can_be_called():
    thread = ClientThread(Client(MemoryStore()))
    with pytest.raises(LifetimeError, match="with ClientThread"):
        thread.call(thread.flags.wait_for, "e:1:n")


@pytest.mark.parametrize("store", ["memory", "sqlite", "redis"])
async def test_a_process_that_forgets_to_stop_ends(store: str, url: str, redis_url: str):
    await put(url, on=True)
    urls = {"memory": "memory://", "sqlite": url, "redis": redis_url}
    code = "import sys; from grayflow import Client, ClientThread\n"
    code += "thread = ClientThread(Client(sys.argv[1], start_timeout=0.5)).start(); print(thread.running)"
    command = [sys.executable, "-c", code, urls[store]]
    with anyio.fail_after(30):
        done = await anyio.run_process(command)

    assert done.stdout == b"True\n"
    assert b"Traceback" not in done.stderr
