"""
Who watches the client: when did it notice, did it answer all the time, was anything it showed impossible?

Three eyes: around the store (errors and gaps, as they reach the client), on the client's views (each one has to follow
from the one before), and a task that asks for flags and measures how long it was kept from doing so.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import thread_time
from typing import TYPE_CHECKING, TypeVar

from grayflow import Client, Context
from grayflow.clock import SystemClock
from grayflow.errors import StoreError
from grayflow.replica.view import View
from grayflow.store.port import Change, Event, Gap, Store
from grayflow.store.wrappers import Call, Wrapper
from tests.faults.fill import ROCK

if TYPE_CHECKING:
    from grayflow.core.position import Position

__all__ = ["Watched", "Witness"]

T = TypeVar("T")

_clock = SystemClock()
_TICK_S = 0.002
_ASKED_PER_TICK = 10


class Watched(Wrapper):
    """Passes everything on, and notes what tells the client that something is wrong."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self.notices: list[tuple[float, str]] = []
        """When, by the monotonic clock, and what."""
        self.events: AsyncIterator[Event] | None = None
        """Of the newest link."""
        self.running = ""
        """The question that the client asks now; it asks one at a time."""

    async def around(self, call: Call, proceed: Callable[[], Awaitable[T]]) -> T:
        """See `Wrapper.around`."""
        self.running = call.verb
        try:
            return await proceed()
        except StoreError as error:
            if not call.verb.startswith("board."):  # what it writes there is for others
                self.note(f"{call.verb}: {error}")
            raise

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[AsyncIterator[Event]]:
        """See `Store.follow`."""
        try:
            async with super().follow() as events:
                self.events = events
                yield _Noting(events, self)
        except StoreError as error:
            self.note(f"link: {error}")
            raise

    def note(self, what: str) -> None:
        """Remember that the client heard of trouble now."""
        self.notices.append((_clock.monotonic(), what))


class _Noting:
    """Events of one link; gaps are noted."""

    def __init__(self, events: AsyncIterator[Event], store: Watched) -> None:
        self._events, self._store = events, store

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        event = await anext(self._events)
        if isinstance(event, Gap):
            self._store.note(f"gap: {event.cause}")
        return event


class Witness:
    """
    Asks for flags all the time, and keeps count.

    Args:
        flags: Running.
        store: What the client's store is wrapped in.
    """

    def __init__(self, flags: Client, store: Watched) -> None:
        self.decisions = 0
        self.wrong: list[str] = []
        """Answers and views that must not be."""
        self.longest_s = 0.0
        """The longest time for which the loop was busy and let nobody run."""
        self.seen: set[Position] = set()
        """Of every view."""
        self._flags, self._store = flags, store
        self._was = (flags.health.failovers, flags.health.incident)
        flags._replica.holder.listeners.append(self._see)

    async def run(self) -> None:
        """Ask until cancelled."""
        context = Context(user_id="anna")
        while True:
            before, busy_before = _clock.monotonic(), thread_time()
            await _clock.sleep(_TICK_S)
            # A loaded machine keeps us waiting without working here; a loop that stands still does both.
            late_s, busy_s = _clock.monotonic() - before - _TICK_S, thread_time() - busy_before
            self.longest_s = max(self.longest_s, min(late_s, busy_s))
            for _ in range(_ASKED_PER_TICK):
                if await self._flags.is_enabled(ROCK, context) is not True:
                    self._wrong(f"{ROCK} was not on: {await self._flags.evaluate(ROCK, context)}")
                self.decisions += 1
            self._look()

    def noticed_after(self, moment: float) -> float | None:
        """Return how many seconds after that moment the client first heard of trouble, `None` if it did not."""
        return next((at - moment for at, _ in self._store.notices if at >= moment), None)

    def _look(self) -> None:
        health = self._flags.health
        now = (health.failovers, health.incident)
        if now != self._was:
            self._store.note(f"health: {health.last_error or 'the store had gone back'}")
        self._was = now

    def _see(self, before: View, after: View, change: Change | None) -> None:
        old, new = before.position, after.position
        if new is not None:
            self.seen.add(new)
        if old is None or new is None or old.epoch != new.epoch or new.revision >= old.revision:
            return
        if after.breaks == before.breaks:
            self._wrong(f"revision {new.revision} was shown after {old.revision}, and nobody was told of the break")

    def _wrong(self, what: str) -> None:
        if len(self.wrong) < 5:
            self.wrong.append(what)
