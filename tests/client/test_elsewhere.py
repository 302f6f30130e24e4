"""The same client in other threads, other loops, forked children and other test plugins."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator

import anyio
import pytest
import pytest_asyncio
import uvloop
from anyio.from_thread import start_blocking_portal
from anyio.lowlevel import checkpoint

from grayflow import Client, Context, MemoryStore
from grayflow.testing import FakeClock
from tests.replica.kit import OFF, ON, put

ANNA = Context(user_id="anna")


# Threads and loops


@pytest.mark.anyio
async def test_eight_threads_peek_while_the_flags_change():
    async with MemoryStore() as store:
        await store.init()
        await put(store, "f", **ON)
        async with Client(store) as flags:
            stop = threading.Event()
            wrong: list[object] = []
            asked = [0] * 8

            def peek(number: int) -> None:
                while not stop.is_set():
                    decision = flags.peek_decision("f", ANNA, default=None)
                    # Even revisions are off and odd ones on: a mixture of two snapshots would show.
                    if decision.value is not (decision.revision % 2 == 1) or decision.error is not None:
                        wrong.append(decision)
                    if flags.peek("f", ANNA) not in {True, False} or flags.peek("missing", ANNA):
                        wrong.append("peek")
                    asked[number] += 1

            threads = [threading.Thread(target=peek, args=(number,)) for number in range(8)]
            for thread in threads:
                thread.start()
            while min(asked) < 50:
                for document in (OFF, ON):
                    await put(store, "f", **document)
                    await checkpoint()
            stop.set()
            for thread in threads:
                await anyio.to_thread.run_sync(thread.join)

            assert wrong == []


@pytest.mark.anyio
async def test_another_loop_evaluates_from_memory():
    async with MemoryStore() as store:
        await store.init()
        await put(store, "f", **ON)
        async with Client(store) as flags:

            async def ask() -> None:
                assert await flags.is_enabled("f", ANNA) is True
                with flags.scope(ANNA):
                    assert (await flags.evaluate("f")).stale is False
                with flags.override(f=False):
                    assert await flags.is_enabled("f", ANNA) is False

            await anyio.to_thread.run_sync(asyncio.run, ask())


@pytest.mark.anyio
async def test_handlers_may_be_registered_from_another_thread():
    heard = []
    async with MemoryStore() as store:
        await store.init()
        async with Client(store, clock=(clock := FakeClock())) as flags:
            await anyio.to_thread.run_sync(flags.on_change, "f", lambda old, new: heard.append(new))
            await put(store, "f", **ON)
            await clock.advance(0)

    assert len(heard) == 1


def test_it_runs_on_uvloop():
    async def main() -> None:
        async with MemoryStore() as store:
            await store.init()
            async with Client(store) as flags:
                change = await put(store, "f", **ON)
                await flags.wait_for(change.position)
                assert await flags.is_enabled("f", ANNA) is True

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def test_a_portal_thread_serves_programs_without_a_loop():
    """As in a Celery worker process: the client lives in a thread of its own, task bodies use `peek`."""
    store = MemoryStore()
    with start_blocking_portal() as portal:
        portal.call(store.__aenter__)
        portal.call(store.init)
        portal.call(lambda: put(store, "f", **ON))
        flags = Client(store)
        portal.call(flags.start)
        try:
            assert flags.peek("f", ANNA) is True
        finally:
            portal.call(flags.aclose)
            portal.call(store.__aexit__, None, None, None)

    assert flags.health.state == "closed"


# Forks

FORK = """
import asyncio, logging, os, sys, gc
from grayflow import Client, Context, LifetimeError, MemoryStore
from tests.replica.kit import ON, put

logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
ANNA = Context(user_id="anna")

def in_child(flags):
    assert flags.peek("f", ANNA) is True
    decision = flags.peek_decision("f", ANNA)
    assert decision.stale and "Start the client after the fork" in decision.detail, decision
    health = flags.health
    assert (health.state, health.link) == ("stale", "down"), health
    assert "after the fork" in health.last_error

    async def refused():
        for verb in (flags.start, lambda: flags.wait_for("e:1:n")):
            try:
                await verb()
            except LifetimeError as error:
                assert "after the fork" in str(error), error
            else:
                raise AssertionError("not refused")
        decision = await flags.evaluate("f", ANNA, freshness="confirmed")
        assert decision.stale and "after the fork" in decision.detail, decision
        await flags.aclose()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(refused())
    loop.close()
    del flags
    gc.collect()

async def main():
    async with MemoryStore() as store:
        await store.init()
        await put(store, "f", **ON)
        async with Client(store) as flags:
            flags.peek("f", ANNA)
            child = os.fork()
            if child == 0:
                asyncio._set_running_loop(None)
                status = 1
                try:
                    in_child(flags)
                    status = 0
                except BaseException:
                    import traceback
                    traceback.print_exc(file=sys.stdout)
                finally:
                    sys.stdout.flush()
                    os._exit(status)
            _, status = os.waitpid(child, 0)
            assert status == 0, status
            assert flags.health.state == "fresh"
            change = await put(store, "g", **ON)
            await flags.wait_for(change.position)
            assert not flags.peek_decision("f", ANNA).stale
    print("done")

asyncio.run(main())
"""


def script(text: str) -> str:
    command = [sys.executable, "-W", "error", "-c", text]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout + found.stderr


def test_a_forked_child_answers_from_memory_and_names_the_remedy_once():
    told = script(FORK)

    assert told.endswith("done\n")
    assert told.count("Start the client after the fork") == 1


def test_a_client_that_is_made_before_the_fork_is_started_after_it():
    told = script("""
import asyncio, os
from grayflow import Client, MemoryStore

store = MemoryStore()
flags = Client(store)
child = os.fork()

async def main():
    async with store:
        await store.init()
        async with flags:
            assert flags.health.state == "fresh"

asyncio.run(main())
if child:
    assert os.waitpid(child, 0)[1] == 0
    print("both")
""")

    assert told == "both\n"


# pytest-asyncio


@pytest_asyncio.fixture
async def asyncio_flags() -> AsyncIterator[Client]:
    async with MemoryStore() as store:
        await store.init()
        await put(store, "f", **ON)
        async with Client(store) as flags:
            yield flags


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def module_flags() -> AsyncIterator[Client]:
    store = MemoryStore()
    async with store:
        await store.init()
        await put(store, "f", **ON)
        flags = await Client(store).start()
        yield flags
        await flags.aclose()


@pytest.mark.asyncio
async def test_a_client_lives_in_a_fixture_of_pytest_asyncio(asyncio_flags: Client):
    assert await asyncio_flags.is_enabled("f", ANNA) is True
    assert (await asyncio_flags.evaluate("f", ANNA, freshness="confirmed")).stale is False


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("_", range(2))
async def test_a_fixture_may_live_as_long_as_the_module(module_flags: Client, _: int):
    assert await module_flags.is_enabled("f", ANNA) is True
    with module_flags.scope(ANNA):
        assert await module_flags.is_enabled("f") is True


# Importing


def test_importing_grayflow_imports_nothing_heavy():
    told = script("""
import sys
before = set(sys.modules)  # a measuring run has loaded some already
import grayflow
print({"redis", "anyio", "asyncio", "msgspec", "orjson", "sqlite3"} & (set(sys.modules) - before))
from grayflow import Client, Context
Client("memory://").peek("f", Context())
print("redis" in sys.modules)
""")

    assert told.splitlines()[0] == "set()"
    assert told.splitlines()[-1] == "False"


def test_every_public_name_can_be_had():
    import grayflow

    assert [name for name in grayflow.__all__ if getattr(grayflow, name) is None] == []
    assert set(grayflow.__all__) <= set(dir(grayflow))


def test_a_name_that_is_not_public_is_told():
    import grayflow

    with pytest.raises(AttributeError, match="nothing"):
        grayflow.nothing  # noqa: B018 - asking is the test
