"""A writer whose answer was lost does the edit once, and says what it does not know."""

from contextlib import suppress

import anyio
import pytest

from grayflow.clock import SystemClock
from grayflow.core.position import Document
from grayflow.errors import StoreUnavailableError
from grayflow.store.port import Edit
from grayflow.store.redis import RedisStore
from grayflow.testing import FakeClock
from grayflow.testing.contract.kit import edit
from tests.servers import RedisServer
from tests.store.redis.kit import after, impatient

pytestmark = pytest.mark.anyio

sleep = SystemClock().sleep


async def test_a_write_whose_answer_came_too_late_is_made_once(server: RedisServer) -> None:
    async with impatient(server) as store:
        await store.init()
        server.freeze()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(after, 0.5, server.thaw)
            change = await store.commit(edit("a", b"1"), expected=0)

        assert change.revision == 1
        assert await store.position() == change.position
        assert len(await store.history()) == 1


async def test_a_paused_write_is_made_once(server: RedisServer) -> None:
    async with impatient(server) as store:
        await store.init()
        server.ask("CLIENT", "PAUSE", 500, "WRITE")

        change = await store.commit(edit("a", b"1"), expected=0)

        assert await store.position() == change.position
        assert change.revision == 1


async def test_a_write_without_any_answer_may_have_been_made(server: RedisServer) -> None:
    asked = edit("a", b"1")
    async with impatient(server) as store:
        await store.init()
        server.freeze()
        with anyio.fail_after(30), pytest.raises(StoreUnavailableError, match=r"may have been made or not.*is safe"):
            await store.commit(asked, expected=0)
        server.thaw()

        change = await store.commit(asked, expected=0)

        assert change.revision == 1
        assert (await store.load()).flags == {"a": Document(1, b"1")}


async def test_a_write_that_was_never_sent_changed_nothing(server: RedisServer) -> None:
    server.kill()
    async with impatient(server) as store:
        with anyio.fail_after(30), pytest.raises(StoreUnavailableError, match=r"refused.* Nothing was changed\.$"):
            await store.commit(edit(), expected=0)


async def test_time_that_runs_out_between_two_tries_changed_nothing(server: RedisServer) -> None:
    server.kill()
    # Nobody moves this clock, so the pause after the first try lasts until the time for all tries is over.
    async with RedisStore(server.url + "?timeout=0.3&connect_timeout=0.3", clock=FakeClock()) as store:
        with anyio.fail_after(30), pytest.raises(StoreUnavailableError, match=r"refused.* Nothing was changed\.$"):
            await store.commit(edit(), expected=0)


async def test_writers_whose_connections_are_killed_do_each_edit_once(server: RedisServer) -> None:
    made: list[int] = []

    async def write(store: RedisStore, key: str) -> None:
        revision = 0
        for number in range(15):
            revision = await insist(store, edit(key, b"%d" % number), revision)
            made.append(revision)

    async def insist(store: RedisStore, asked: Edit, expected: int) -> int:
        while True:
            with suppress(StoreUnavailableError):  # three tries in a row were killed: as a caller may, ask the same
                return (await store.commit(asked, expected=expected)).revision

    async with RedisStore(server.url) as store:
        await store.init()
        async with anyio.create_task_group() as killing:

            async def kill() -> None:
                while True:
                    server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                    await sleep(0.02)

            killing.start_soon(kill)
            async with anyio.create_task_group() as writing:
                for key in "abcd":
                    writing.start_soon(write, store, key)
            killing.cancel_scope.cancel()

        assert sorted(made) == list(range(1, 61))
        assert (await store.position()).revision == 60


async def test_init_whose_answer_came_too_late_is_done_once(server: RedisServer) -> None:
    async with impatient(server) as store:
        server.freeze()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(after, 0.5, server.thaw)
            position = await store.init()

        assert await store.position() == position
