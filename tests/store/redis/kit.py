"""What tests of several kinds of address do alike."""

from grayflow.core.position import Document
from grayflow.store.redis import RedisStore
from grayflow.store.urls import open_store
from grayflow.testing.contract.kit import edit, put, seen

__all__ = ["use", "works"]


async def works(url: str, reader_url: str | None = None) -> None:
    """Read, write and follow."""
    async with open_store(url, namespace="shop") as store, open_store(reader_url or url, namespace="shop") as reader:
        start = await store.init()
        async with reader.follow() as events:
            (change,) = await put(store, edit("a", b"1"))

            assert await seen(events, reader, change.position) is not None
        assert (await reader.load()).flags == {"a": Document(1, b"1")}
        assert len(await reader.changes(start) or ()) == 1
        assert len(await reader.history("a")) == 1


async def use(store: RedisStore, verb: str) -> None:
    if verb == "follow":
        async with store.follow():
            pass
    else:
        await store.position()
