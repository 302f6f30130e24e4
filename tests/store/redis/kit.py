"""What tests of the Redis store do alike: of several kinds of address, and of lost answers."""

from collections.abc import Callable

from grayflow.clock import SystemClock
from grayflow.core.position import Document
from grayflow.store.port import Store
from grayflow.store.redis import RedisStore
from grayflow.store.urls import open_store
from grayflow.testing.contract.kit import edit, put, seen
from tests.servers import RedisServer

__all__ = ["after", "assert_works", "impatient", "use"]


async def assert_works(url: str, reader_url: str | None = None) -> None:
    """Read, write and follow."""
    async with open_store(url, namespace="shop") as store, open_store(reader_url or url, namespace="shop") as reader:
        start = await store.init()
        async with reader.follow() as events:
            (change,) = await put(store, edit("a", b"1"))

            assert await seen(events, reader, change.position) is not None
        assert (await reader.load()).flags == {"a": Document(1, b"1")}
        assert len(await reader.changes(start) or ()) == 1
        assert len(await reader.history("a")) == 1
        await board_works(store)


async def board_works(store: Store) -> None:
    board = store.board
    assert board is not None
    claimed = await board.claim("jobs", "a", "ada", span=600)
    assert claimed is not None
    assert claimed == await board.get("jobs", "a")
    assert await board.count("hits", "w", 1, {"on": 1}, ttl=600)
    assert await board.add("dirty", ["a"]) == {"a"}


async def use(store: RedisStore, verb: str) -> None:
    if verb == "follow":
        async with store.follow():
            pass
    else:
        await store.position()


def impatient(server: RedisServer) -> RedisStore:
    """Return a store that waits 0.3 s for an answer, and 1.2 s in all."""
    return RedisStore(server.url + "?timeout=0.3&connect_timeout=0.3")


async def after(seconds: float, do: Callable[[], object]) -> None:
    await SystemClock().sleep(seconds)
    do()
