"""
The same promise on a real channel: what a real server publishes changes nothing unless it is the very next change.

Messages are sent many at a time, as a flood would come, by somebody with all rights; a client hears them.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis.asyncio

from grayflow import Client
from grayflow.core.snapshot import Snapshot
from grayflow.store.port import Changed, Event, State
from grayflow.store.redis import RedisStore
from grayflow.store.redis.wire import pack, read_message
from grayflow.store.wrappers import Wrapper
from grayflow.testing.pools import EXTENSIONS
from tests.hostile.channel import follows
from tests.hostile.corpus import served
from tests.hostile.documents import decisions
from tests.replica.kit import until
from tests.servers import RedisServer

__all__ = ["Counting", "fill", "published"]

NAMESPACE = "hostile"
TAG = f"{{gf:{NAMESPACE}}}"
TOGETHER = 100


class Counting(Wrapper):
    """Counts what is heard, the links by which it is heard, and the questions about the position."""

    heard = 0
    links = 0
    asked = 0

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[AsyncIterator[Event]]:
        async with super().follow() as events:
            self.links += 1
            yield self._counted(events)

    async def _counted(self, events: AsyncIterator[Event]) -> AsyncIterator[Event]:
        async for event in events:
            yield event
            self.heard += 1

    async def position(self):
        self.asked += 1
        return await super().position()


class Audience:
    """One client that hears what is published; call it with each message."""

    def __init__(self, flags: Client, store: Counting, publisher: "redis.asyncio.Redis") -> None:
        self._flags, self._store, self._publisher = flags, store, publisher
        self._waiting: list[bytes] = []
        self._truth = decisions(self._snapshot)

    @property
    def _snapshot(self) -> Snapshot:
        snapshot = self._flags._replica.view.snapshot
        assert snapshot is not None
        return snapshot

    async def __call__(self, data: bytes) -> bool:
        """Publish it, together with others. True if it would be the next change."""
        self._waiting.append(data)
        if len(self._waiting) == TOGETHER:
            await self.flushed()
        event = read_message(data)
        return isinstance(event, Changed) and follows(event)

    async def flushed(self) -> None:
        """Publish what waits, and look at what it did."""
        waiting, self._waiting = self._waiting, []
        before = self._snapshot
        events = [read_message(data) for data in waiting]
        believed = any(isinstance(event, Changed) and follows(event) for event in events)
        while not await self._published(waiting):
            pass
        if believed:
            assert await self._flags._replica.confirm() is None
            assert decisions(self._snapshot) == self._truth
        else:
            assert self._snapshot is before
        assert self._snapshot.position == served().position

    async def _published(self, messages: list[bytes]) -> bool:
        """Whether all were heard: on a busy machine a link may be replaced meanwhile, which loses some."""
        await until(lambda: self._flags.health.link == "up")
        link, heard = self._store.links, self._store.heard
        pipe = self._publisher.pipeline(transaction=False)
        for data in messages:
            pipe.publish(f"{TAG}:ch", data)
        await pipe.execute()
        await until(lambda: self._store.links != link or self._store.heard >= heard + len(messages))
        return self._store.links == link


async def fill(client: "redis.asyncio.Redis", namespace: str, state: State) -> None:
    """Put a whole state into a namespace that is initialised, by hand: at a position that messages can be made for."""
    tag, position = f"{{gf:{namespace}}}", state.position
    for name, documents in (("flags", state.flags), ("segments", state.segments)):
        for key, document in documents.items():
            await client.hset(f"{tag}:{name}", key, b"%d:%b" % (document.revision, document.data))
    for key, generations in state.generations.items():
        parts = [part for name, each in generations.items() for part in (name, str(each.off), str(each.armed))]
        await client.hset(f"{tag}:offs", key, pack(part.encode() for part in parts))
    fields = {"epoch": position.epoch, "rev": position.revision, "nonce": position.nonce}
    count = len(state.flags) + len(state.segments)
    await client.hset(f"{tag}:meta", mapping={**fields, "start": position.revision, "count": count})


@asynccontextmanager
async def published() -> AsyncIterator[Audience]:
    """Run a server, and a client that holds what is `served`."""
    with RedisServer() as server:
        store = Counting(RedisStore(server.url, NAMESPACE))
        async with redis.asyncio.Redis(port=server.port, protocol=2) as publisher, store:
            await store.init()
            await fill(publisher, NAMESPACE, served())
            async with Client(store, extensions=EXTENSIONS, ttl=60) as flags:
                yield Audience(flags, store, publisher)
