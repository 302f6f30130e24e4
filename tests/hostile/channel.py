"""
What must hold of any bytes on the channel: they change nothing unless they are the very next change.

A real replica on virtual time hears them through `read_message`; the store beside it keeps the truth, at revision 7,
and gets it back into the replica when a forged next change was believed.
"""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.lowlevel import checkpoint

from grayflow.core.position import Position
from grayflow.core.snapshot import Snapshot
from grayflow.replica.replica import Replica, ReplicaOptions
from grayflow.store.memory import MemoryStore
from grayflow.store.port import Changed, Event
from grayflow.store.redis.wire import MESSAGE_LIMIT, read_message
from grayflow.store.wrappers import Wrapper
from grayflow.testing import FakeClock
from grayflow.testing.pools import EXTENSIONS
from tests.hostile.corpus import served
from tests.hostile.documents import answers_alike, decisions

__all__ = ["Listener", "listening"]

TTL_S = 10.0


class Channel(Wrapper):
    """The true flag set, followed by whoever believes what is published."""

    def __init__(self, inner: MemoryStore) -> None:
        super().__init__(inner)
        self.asked = 0
        self._messages: deque[bytes] = deque()
        self._wake = anyio.Event()
        self._idle = False

    async def position(self) -> Position:
        self.asked += 1
        return await super().position()

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[AsyncIterator[Event]]:
        yield self._heard()

    async def _heard(self) -> AsyncIterator[Event]:
        while True:
            while self._messages:
                yield read_message(self._messages.popleft())
            self._idle, self._wake = True, anyio.Event()
            await self._wake.wait()

    async def publish(self, *messages: bytes) -> None:
        """Return when the replica has heard them all."""
        self._messages.extend(messages)
        self._idle = False
        self._wake.set()
        while not self._idle:
            await checkpoint()


class Listener:
    """One replica that hears hostile messages; call it with each."""

    def __init__(self, channel: Channel, replica: Replica, clock: FakeClock) -> None:
        self.channel, self.replica, self.clock = channel, replica, clock
        self.heard = 0
        self._began = clock.monotonic()
        self._truth = decisions(self._snapshot)

    @property
    def _snapshot(self) -> Snapshot:
        snapshot = self.replica.view.snapshot
        assert snapshot is not None
        return snapshot

    async def __call__(self, data: bytes) -> bool:
        """Hear it. True if it was the next change."""
        before, event = self._snapshot, read_message(data)
        self.heard += 1
        await self.channel.publish(data)
        if not (isinstance(event, Changed) and follows(event)):
            assert self._snapshot is before
            if self.heard % 100 == 0:
                await self.clock.advance(0.05)
                assert self._snapshot is before
            return False
        assert len(data) <= MESSAGE_LIMIT
        assert self._snapshot.position == event.change.position
        answers_alike(self._snapshot)
        await self.restored()
        return True

    async def restored(self) -> None:
        """Whatever was believed, the next question to the store brings back what it holds."""
        assert await self.replica.confirm() is None
        assert decisions(self._snapshot) == self._truth
        assert self._snapshot.position == served().position

    @property
    def elapsed_s(self) -> float:
        """Virtual time since the first message."""
        return self.clock.monotonic() - self._began


def follows(event: Changed) -> bool:
    change = event.change
    return (change.position.epoch, change.revision, change.previous) == ("e1", 8, "n7")


@asynccontextmanager
async def listening() -> AsyncIterator[Listener]:
    """Run a replica that holds what is `served`."""
    clock, truth = FakeClock(), MemoryStore()
    state = served()
    truth._position = state.position
    truth._documents = {"flag": dict(state.flags), "segment": dict(state.segments)}
    truth._generations = dict(state.generations)
    channel = Channel(truth)
    options = ReplicaOptions(ttl_s=TTL_S, max_staleness_s=300.0, extensions=EXTENSIONS)
    replica = Replica(channel, options, clock=clock, random=lambda: 0.5)
    async with channel, anyio.create_task_group() as tasks:
        tasks.start_soon(replica.run)
        await clock.advance(0)
        yield Listener(channel, replica, clock)
        tasks.cancel_scope.cancel()
