"""Forked children, second loops, and tasks that are cancelled at any moment."""

import asyncio
import gc
import os
import random
import warnings
from collections.abc import Callable

import anyio
import pytest

from grayflow.clock import SystemClock
from grayflow.errors import LifetimeError
from grayflow.store import fork as module
from grayflow.store.address import RedisAddress
from grayflow.store.port import Gap
from grayflow.store.redis import RedisStore
from grayflow.store.redis.line import Line
from grayflow.testing.contract.kit import edit, put, seen
from tests.servers import RedisServer

pytestmark = pytest.mark.anyio


def fork(child: Callable[[], None]) -> int:
    """Run `child` in a forked process and return its exit code."""
    process = os.fork()
    if process == 0:
        code = 1
        try:
            child()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


async def parent_still_hears(store: RedisStore, events: object) -> None:
    """Fail unless a commit is answered and heard, both at once."""
    with anyio.fail_after(1.5):  # a deaf parent needs a time-out of 2 s to notice
        (change,) = await put(store, edit(f"k{random.randrange(10**9)}"))
        assert await seen(events, store, change.position) is not None


@pytest.mark.parametrize("parked", [True, False], ids=["parked", "not parked"])
async def test_a_child_that_drops_what_it_inherited_does_not_deafen_its_parent(redis_url: str, parked: bool) -> None:
    # Without the precaution the parent is deaf, since 3.11.5: before that, finalising a writer closed nothing.
    deaf = not parked and hasattr(asyncio.StreamWriter, "__del__")
    held = {"line": Line(RedisAddress.from_url(redis_url), "once", client_name="parent")}
    assert await held["line"].client.ping()

    def child() -> None:
        warnings.simplefilter("ignore")  # or the finalisers stop at their warning
        if not parked:
            module._parked.clear()
        held.clear()
        gc.collect()

    assert fork(child) == 0

    with anyio.move_on_after(1) as waited:
        await held["line"].client.ping()
    await held["line"].aclose()
    assert waited.cancelled_caught is deaf


async def test_a_child_may_use_a_store_of_its_own(server: RedisServer) -> None:
    async def mine() -> None:
        async with RedisStore(server.url) as own:
            await put(own, edit("child"))

    def child() -> None:
        asyncio._set_running_loop(None)
        asyncio.run(mine())

    async with RedisStore(server.url) as store:
        await store.init()
        async with store.follow() as events:
            assert fork(child) == 0

            await parent_still_hears(store, events)
            assert "child" in (await store.load()).flags


async def test_an_inherited_store_is_refused_and_left_alone(server: RedisServer) -> None:
    async with RedisStore(server.url) as store:
        await store.init()
        async with store.follow() as events:

            async def use() -> None:
                with pytest.raises(LifetimeError, match="forked"):
                    await store.position()
                with pytest.raises(LifetimeError, match="forked"):
                    await anext(events)
                with pytest.raises(LifetimeError, match="forked"):
                    async with store:
                        pass
                await store.__aexit__(None, None, None)

            def child() -> None:
                asyncio._set_running_loop(None)
                asyncio.run(use())
                gc.collect()

            assert fork(child) == 0

            await parent_still_hears(store, events)


async def test_a_child_that_unwinds_the_block_does_not_close_the_parents_connections(server: RedisServer) -> None:
    async with RedisStore(server.url) as store:
        await store.init()
        line = store._session().line("link")
        await line.client.ping()

        def child() -> None:
            asyncio._set_running_loop(None)
            asyncio.run(line.aclose())

        assert fork(child) == 0

        assert await line.client.ping()
        await line.aclose()
        assert isinstance(line, Line)


def test_one_store_in_one_loop_after_the_other(redis_url: str, namespace: str) -> None:
    store = RedisStore(redis_url, namespace)

    async def use() -> int:
        async with store:
            await store.init()
            async with store.follow() as events:
                (change,) = await put(store, edit(f"k{random.randrange(10**9)}"))
                await seen(events, store, change.position)
            return change.revision

    assert [asyncio.run(use()) for _ in range(3)] == [1, 2, 3]


async def test_reads_that_are_cancelled_leave_the_store_whole(server: RedisServer) -> None:
    rng = random.Random(5)
    async with RedisStore(server.url) as store:
        await store.init()
        await put(store, *(edit(f"f{number}", b"x" * 2000) for number in range(20)))
        whole = await store.load()
        verbs = [store.position, store.load, store.history, lambda: store.get("flag", "f1")]

        async def storm() -> None:
            for _ in range(100):
                with anyio.move_on_after(rng.random() * 0.003):
                    await rng.choice(verbs)()

        async with anyio.create_task_group() as tasks:
            for _ in range(6):
                tasks.start_soon(storm)

        for _ in range(20):
            assert await store.load() == whole
            assert await store.position() == whole.position
        with anyio.fail_after(5):
            while server.ask("CLIENT", "LIST").count(b"grayflow-load"):
                await SystemClock().sleep(0.01)


async def test_more_tasks_than_connections_wait_their_turn(server: RedisServer) -> None:
    async with RedisStore(server.url) as store:
        position = await store.init()
        answers = []

        async def ask() -> None:
            answers.append(await store.position())

        async with anyio.create_task_group() as tasks:
            for _ in range(200):
                tasks.start_soon(ask)

        assert answers == [position] * 200
        assert server.ask("CLIENT", "LIST").count(b"name=grayflow-read") <= 4


async def test_a_closed_store_leaves_no_connection(server: RedisServer) -> None:
    async with RedisStore(server.url) as store:
        await store.init()
        await store.load()
        async with store.follow() as events:
            with anyio.move_on_after(0.05):
                assert isinstance(await anext(events), Gap)

    with anyio.fail_after(5):
        while b"grayflow" in server.ask("CLIENT", "LIST"):
            await SystemClock().sleep(0.01)
