"""
Seeing what other processes commit to a file, by looking often.

`PRAGMA data_version` costs microseconds and changes with every commit of another connection, so nothing is read until
there is something to read. A file that is gone, exchanged or unreadable is a `Gap`: the reader asks for the position
and hears why.
"""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from sqlite3 import Connection
from typing import Protocol, TypeVar

import msgspec

from grayflow.clock import Clock
from grayflow.core.position import Position
from grayflow.errors import NotInitializedError, StoreFormatError
from grayflow.store.port import Change, Changed, Event, Gap
from grayflow.store.sqlite.file import File
from grayflow.store.sqlite.verbs import Verbs

__all__ = ["Follower"]

T = TypeVar("T")

_POLL_S = 0.05
_MOST_CHANGES = 1000
"""Who is further behind is sent to load."""


class _Sight(msgspec.Struct, frozen=True):
    """What a follower saw when it last looked."""

    version: tuple[int, int] | str | None = None
    """Number of the connection and its data version, or why there was nothing to see."""
    position: Position | None = None


class _Run(Protocol):
    def __call__(self, work: Callable[[File], T]) -> Awaitable[T]: ...


class Follower:
    """
    The events of one block of `follow`.

    Args:
        verbs: Read the namespace.
        namespace: For messages.
        run: Runs work where the file may be touched.
        clock: Measures the pauses.
    """

    def __init__(self, verbs: Verbs, namespace: str, run: _Run, clock: Clock) -> None:
        self._verbs = verbs
        self._namespace = namespace
        self._run = run
        self._clock = clock
        self._sight = _Sight()
        self._events: deque[Event] = deque()

    async def begin(self) -> None:
        """Take what is there now as known."""
        self._sight, _ = await self._run(self._look)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            # Both or neither: a wait that is given up in the middle looks again and finds the same.
            self._sight, events = await self._run(self._look)
            self._events.extend(events)
            if not events:
                await self._clock.sleep(_POLL_S)
        return self._events.popleft()

    def _look(self, file: File) -> tuple[_Sight, Sequence[Event]]:
        sight = self._sight
        try:
            connection = file.connection(self._namespace)
            (data,) = connection.execute("PRAGMA data_version").fetchone()
            version = (file.opened, data)
            if version == sight.version:
                return sight, ()
            position = self._verbs.position(connection)
            if position == sight.position:
                return _Sight(version, position), ()
            changes = self._changes(connection, position)
        except (NotInitializedError, StoreFormatError) as error:
            told = str(error)
            return _Sight(told), () if told == sight.version else (Gap(told),)
        if not changes:
            return _Sight(version, position), (Gap(f"revision {position.revision} is not the next of what was seen"),)
        return _Sight(version, changes[-1].position), [Changed(change) for change in changes]

    def _changes(self, connection: Connection, position: Position) -> Sequence[Change] | None:
        known = self._sight.position
        if known is None or position.revision - known.revision > _MOST_CHANGES:
            return None
        return self._verbs.changes(connection, known)
