"""
A store that breaks on command: a test double for what networks and servers do.

Real faults are tried on real servers; this one is for what comes after them, where a test has to say exactly when
an answer is late, lost or refused.
"""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio

from grayflow.clock import Clock, SystemClock
from grayflow.errors import StoreError, StoreUnavailableError
from grayflow.store.port import Event, Gap, Store
from grayflow.store.wrappers import Call, Wrapper

__all__ = ["Faulty"]

T = TypeVar("T")


class Faulty(Wrapper):
    """
    Passes everything on until a fault is switched on; `heal` switches all of them off.

    Faults are named by verb: `position`, `load`, `get`, `changes`, `follow`, `commit`, `history`, `oldest`, `at`,
    `init`, `replaced`, and of the board `board.put`, `board.claim` and so on. Blocks of `follow` that are open feel
    `down` and `deaf` at once.

    Args:
        inner: The store that does the work.
        clock: The time that `delays` take; the machine's if left out.
    """

    def __init__(self, inner: Store, *, clock: Clock | None = None) -> None:
        super().__init__(inner)
        self._clock = clock if clock is not None else SystemClock()
        self._links: set[_Link] = set()
        self._healed = anyio.Event()
        self._down = self._deaf = False
        self.errors: dict[str, StoreError] = {}
        """Verb -> what it raises, without doing anything."""
        self.lost: set[str] = set()
        """Verbs that are done and then raise `StoreUnavailableError`: the answer was lost."""
        self.hung: set[str] = set()
        """Verbs that never answer; those waiting go on when `heal` is called."""
        self.delays: dict[str, float] = {}
        """Verb -> seconds that pass before it is done."""

    @property
    def down(self) -> bool:
        """Whether nothing is reachable: every verb raises `StoreUnavailableError`, and blocks of `follow` end so."""
        return self._down

    @down.setter
    def down(self, value: bool) -> None:
        self._down = value
        self._interrupt()

    @property
    def deaf(self) -> bool:
        """Whether followers hear nothing and do not know it: what reaches one that waits is lost."""
        return self._deaf

    @deaf.setter
    def deaf(self, value: bool) -> None:
        self._deaf = value

    def cut(self) -> None:
        """End the open blocks of `follow` with `StoreUnavailableError`; new ones work."""
        for link in self._links:
            link.cut = True
        self._interrupt()

    def gap(self, cause: str = "injected") -> None:
        """Give every open block of `follow` a `Gap`."""
        for link in self._links:
            link.injected.append(Gap(cause))
        self._interrupt()

    def heal(self) -> None:
        """Switch all faults off and let hung verbs go on."""
        self._down = self._deaf = False
        for switches in (self.errors, self.lost, self.hung, self.delays):
            switches.clear()
        self._healed.set()
        self._healed = anyio.Event()

    async def around(self, call: Call, proceed: Callable[[], Awaitable[T]]) -> T:
        """See `Wrapper.around`."""
        verb = call.verb
        if verb in self.delays:
            await self._clock.sleep(self.delays[verb])
        while verb in self.hung:
            await self._healed.wait()
        if self._down:
            raise self._unavailable()
        if verb in self.errors:
            raise self.errors[verb]
        result = await proceed()
        if verb in self.lost:
            raise StoreUnavailableError(f"{self.place} did not answer in time; the {verb} may have been done")
        return result

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[AsyncIterator[Event]]:
        """See `Store.follow`."""
        async with super().follow() as events:
            link = _Link(self, events)
            self._links.add(link)
            try:
                yield link
            finally:
                self._links.discard(link)

    def _unavailable(self) -> StoreUnavailableError:
        return StoreUnavailableError(f"{self.place} cannot be reached; it is switched off for a test")

    def _interrupt(self) -> None:
        for link in self._links:
            link.interrupt()


class _Link:
    """The events of one block of `follow`, with the faults of its store."""

    def __init__(self, store: Faulty, events: AsyncIterator[Event]) -> None:
        self._store = store
        self._events = events
        self._wait = anyio.CancelScope()
        self.injected: deque[Event] = deque()
        self.cut = False

    def interrupt(self) -> None:
        """Make the reader look at its switches; waiting for an event may be cancelled without losing one."""
        self._wait.cancel()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while True:
            if self._store.down or self.cut:
                raise StoreUnavailableError(f"the link to {self._store.place} is lost; it was cut for a test")
            if self.injected:
                return self.injected.popleft()
            with anyio.CancelScope() as self._wait:
                event = await anext(self._events)
                if not self._store.deaf:
                    return event
