"""A board whose server is slow, deaf or gone: every verb may be repeated, and does once what it does."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio
import pytest

from grayflow.clock import SystemClock
from grayflow.errors import StoreUnavailableError
from grayflow.store.board import Board
from grayflow.store.redis import RedisStore
from grayflow.testing.contract.board.kit import LONG, held, leased
from tests.servers import RedisServer
from tests.store.redis.kit import after, impatient

pytestmark = pytest.mark.anyio

sleep = SystemClock().sleep

Verb = Callable[[Board], Awaitable[object]]


async def prepare(board: Board) -> int:
    """Make what the verbs below work on, and return the fence."""
    await board.put("jobs", "old", b"1")
    await board.add("dirty", ["old"])
    return (await held(board, "held", "ada")).fence


async def state(board: Board) -> object:
    """Return all that there is, without times."""
    records = (await board.list("jobs")).records
    return (
        {name: (one.value, one.version, one.lease and one.lease.owner) for name, one in records.items()},
        await board.counts(["hits"]),
        [member.text for member in await board.members("dirty")],
    )


VERBS: dict[str, Callable[[Board, int], Awaitable[object]]] = {
    "put": lambda board, _: board.put("jobs", "old", b"2", expected=1),
    "delete": lambda board, _: board.delete("jobs", "old", expected=1),
    "claim": lambda board, _: board.claim("jobs", "new", "ada", span=LONG),
    "renew": lambda board, fence: board.renew("jobs", "held", fence=fence, span=LONG),
    "release": lambda board, fence: board.release("jobs", "held", fence=fence),
    "count": lambda board, _: board.count("hits", "w", 1, {"on": 1}, ttl=LONG),
    "add": lambda board, _: board.add("dirty", ["new"]),
    "remove": lambda board, _: board.remove("dirty", ["old"]),
}


@pytest.fixture
async def expected(redis_url: str, namespace: str, verb: str) -> object:
    """Return what is there after the verb was done once, undisturbed."""
    async with RedisStore(redis_url, namespace) as store:
        await VERBS[verb](store.board, await prepare(store.board))
        return await state(store.board)


@pytest.mark.parametrize("verb", VERBS)
async def test_what_was_answered_too_late_is_done_once(server: RedisServer, verb: str, expected: object) -> None:
    async with impatient(server) as store:
        fence = await prepare(store.board)
        server.freeze()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(after, 0.5, server.thaw)
            with suppress(StoreUnavailableError):  # on a slow machine
                await VERBS[verb](store.board, fence)

        await VERBS[verb](store.board, fence)
        assert await state(store.board) == expected


@pytest.mark.parametrize("verb", VERBS)
async def test_what_was_not_answered_may_be_done_again(server: RedisServer, verb: str, expected: object) -> None:
    async with impatient(server) as store:
        fence = await prepare(store.board)
        server.freeze()
        with anyio.fail_after(10), pytest.raises(StoreUnavailableError, match=r"may have been done.* again is safe"):
            await VERBS[verb](store.board, fence)
        server.thaw()

        await VERBS[verb](store.board, fence)

        assert await state(store.board) == expected


async def test_what_was_never_sent_changed_nothing(server: RedisServer) -> None:
    server.kill()
    async with impatient(server) as store:
        with anyio.fail_after(10), pytest.raises(StoreUnavailableError, match=r"refused.* Nothing was changed\.$"):
            await store.board.put("jobs", "a", b"1")
        with anyio.fail_after(10), pytest.raises(StoreUnavailableError, match="refused"):
            await store.board.list("jobs")


async def test_a_server_that_comes_back_is_used(server: RedisServer) -> None:
    async with impatient(server) as store:
        await store.board.put("jobs", "a", b"1")
        server.restart(keep_data=True)

        assert leased(await store.board.claim("jobs", "a", "ada", span=LONG)).owner == "ada"


async def test_processes_whose_connections_are_killed_count_everything_once(server: RedisServer) -> None:
    async def insist(verb: Callable[[], Awaitable[object]]) -> None:
        while True:
            with suppress(StoreUnavailableError):  # three tries in a row were killed: as a caller may, ask the same
                await verb()
                return

    async def process(writer: str) -> None:
        async with RedisStore(server.url) as store:
            for number in range(1, 26):
                await insist(lambda number=number: store.board.count("hits", writer, number, {"on": 1}, ttl=LONG))
                value = f"{writer} {number}".encode()
                await insist(
                    lambda number=number, value=value: store.board.put("jobs", writer, value, expected=number - 1)
                )
                await insist(lambda number=number: store.board.add("dirty", [f"{writer} {number}"]))

    async with anyio.create_task_group() as killing:

        async def kill() -> None:
            while True:
                server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                await sleep(0.02)

        killing.start_soon(kill)
        async with anyio.create_task_group() as processes:
            for writer in "abcd":
                processes.start_soon(process, writer)
        killing.cancel_scope.cancel()

    async with RedisStore(server.url) as store:
        assert list(await store.board.counts(["hits"])) == [{"on": 100}]
        records = (await store.board.list("jobs")).records
        assert {name: record.version for name, record in records.items()} == dict.fromkeys("abcd", 25)
        assert await store.board.size("dirty") == 100
