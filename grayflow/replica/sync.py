"""
Asking the store: is this still the current position? If not, what happened since? And last, load it all.

Questions are asked one round at a time. Whoever wants one while a round runs shares the next round, so however many
reasons there are to ask, at most one round runs and at most one waits; and where there is always a reason, the next one
waits a little (`pace.py`).
"""

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio
from anyio.lowlevel import checkpoint

from grayflow.clock import Clock
from grayflow.core.position import Position
from grayflow.core.snapshot import Builder, Snapshot
from grayflow.errors import NotInitializedError, StoreAccessError, StoreError, StoreFormatError, StoreUnavailableError
from grayflow.replica.backoff import Backoff
from grayflow.replica.holder import Holder
from grayflow.replica.loading import Slices, assemble
from grayflow.replica.pace import Pace
from grayflow.replica.troubles import Troubles, foreign
from grayflow.replica.waiting import pause
from grayflow.store.port import Change, State, Store

__all__ = ["ACCESS_WAIT_S", "Round", "Sync"]

log = logging.getLogger("grayflow.replica")

T = TypeVar("T")

ACCESS_WAIT_S = 5.0
"""A refused password does not become right by trying often."""

_HERD_S = 5.0
_SLOW_S = 0.25
"""A question that has waited for so long when the link is renewed may have been sent before the link was lost."""
_ATTEMPTS = 3

_APART_S = 0.2
"""Between two rounds, when there is always a reason for another; less where the store is polled as often as that."""

_MEANWHILE = 1000
"""Changes that are kept while everything is loaded. A flood of them must not fill the memory; after it we ask again."""


class Round:
    """One round of asking; `done` when it is over, `error` says why it proved nothing."""

    def __init__(self) -> None:
        self.done, self.hurry = anyio.Event(), anyio.Event()
        self.error: StoreError | None = StoreUnavailableError("the client was closed before the store answered")
        self.herd = False
        """The link was lost before it: other processes may be asking at this very moment."""


class Sync:
    """
    Makes the held snapshot equal to the store's, and proves it.

    Args:
        store: Entered already.
        holder: What is brought up to date.
        troubles: Told of errors, and when they end.
        clock: For waits between rounds.
        random: Draws from `[0, 1)`.
        ttl_s: The wait after a store was refused.
        builder: Makes an empty builder from the snapshot that is held.
        loaded: Told of each state that was loaded, and of the changes that were added to it before it was shown.
    """

    def __init__(
        self,
        store: Store,
        holder: Holder,
        troubles: Troubles,
        *,
        clock: Clock,
        random: Callable[[], float],
        ttl_s: float,
        builder: Callable[[Snapshot | None], Builder],
        loaded: Callable[[State, Sequence[Change]], None],
    ) -> None:
        self._store, self._holder, self._troubles = store, holder, troubles
        self._clock, self._random, self._ttl_s = clock, random, ttl_s
        self._builder, self._loaded = builder, loaded
        self._backoff = Backoff(random)
        self._pace = Pace(min(_APART_S, ttl_s / 4))
        self._retry_s: float | None = None
        self._waiting: Round | None = None
        self._running: Round | None = None
        self._wake = anyio.Event()
        self._meanwhile: deque[Change] | None = None
        self._question: anyio.CancelScope | None = None
        self._asked_at = 0.0
        self._lost: Position | None = None
        # Adapters have shorter limits of their own; these are for a store that has none. Changes may be as many and as
        # large as everything: the second is for them, too.
        self.answer_limit_s, self.load_limit_s = 5.0, 150.0
        self.asked = anyio.Event()
        """Set, and replaced by a new one, whenever a round is over."""
        self.error: StoreError | None = None
        """Why the last round proved nothing; `None` if it did, and before the first."""
        self.loads = 0
        """Full loads so far."""
        self.failovers = 0
        """How often the store had gone back."""

    def request(self, *, herd: bool = False, hurry: bool = False) -> Round:
        """
        Ask for a round that begins after this call.

        Args:
            herd: Many processes have the same reason now, so a full load may wait a little.
            hurry: Somebody waits for the answer.
        """
        waiting = self._waiting = self._waiting or Round()
        waiting.herd |= herd
        if hurry:
            for each in (waiting, self._running or waiting):
                each.hurry.set()
        if herd and self._question is not None and self._clock.monotonic() - self._asked_at > _SLOW_S:
            self._question.cancel()
        self._wake.set()
        return waiting

    def hear(self, change: Change) -> None:
        """Take in a change that was pushed; anything but the next one or a known one makes a round."""
        full = self._meanwhile is not None and len(self._meanwhile) >= _MEANWHILE
        if self._meanwhile is not None and not full:
            self._meanwhile.append(change)
        if self._holder.apply(change) == "doubt" or full:
            self.request()

    async def run(self) -> None:
        """Do the rounds that are asked for, and those that a failure makes necessary; for ever."""
        while True:
            await self._due()
            current = self._running = self.request()
            self._waiting, self._wake = None, anyio.Event()
            try:
                await self._attempt(current)
            finally:
                self.error = current.error
                current.done.set()
                asked, self.asked = self.asked, anyio.Event()
                asked.set()

    async def _due(self) -> None:
        """Return when a round is asked for or has to be repeated, and either it is urgent or the last few are past."""
        if self._retry_s is None:
            await self._wake.wait()
        else:
            await pause(self._clock, self._retry_s, self._wake)
        if wait_s := self._pace.wait_s(self._clock.monotonic()):
            await pause(self._clock, wait_s, self.request().hurry)
        self._pace.asked(self._clock.monotonic())

    async def _attempt(self, current: Round) -> None:
        try:
            await self._round(current)
        except StoreError as error:
            current.error = error
            self._retry_s = self._wait_s(error)
            self._troubles.report("store", error)
        else:
            current.error = self._retry_s = None
            self._backoff.reset()
            self._troubles.clear("store")

    def _wait_s(self, error: StoreError) -> float:
        if isinstance(error, StoreAccessError):
            return ACCESS_WAIT_S * (0.8 + 0.4 * self._random())
        if isinstance(error, NotInitializedError | StoreFormatError):
            return self._ttl_s * (0.8 + 0.4 * self._random())
        return self._backoff.wait_s()

    async def _round(self, current: Round) -> None:
        """Prove that what is held is the store's state, or make it so."""
        for attempts_left in reversed(range(_ATTEMPTS)):
            before, asked_at = self._holder.position, self._clock.monotonic()
            found = await self._ask(self._store.position)
            if self._is_held(found, before):
                return self._holder.prove(asked_at)
            # Changes that were pushed while we asked may have moved us past what was found; then only a question
            # asked anew can tell that from a store that went back.
            moved = self._holder.position != before
            if moved and self._lies_behind(found) and attempts_left:
                continue
            if await self._become(found, current):
                return None
        raise StoreUnavailableError(f"{self._store.place} was set up anew while it was being read; asking again")

    def _is_held(self, found: Position, before: Position | None) -> bool:
        """Tell whether a store that is there has nothing that we lack; `before` was held when it was asked."""
        # A position that we had left before we asked is no proof: the store went back to it.
        return before is not None and found.revision >= before.revision and self._holder.includes(found)

    def _lies_behind(self, found: Position) -> bool:
        held = self._holder.position
        return held is not None and found.epoch == held.epoch and found.revision <= held.revision

    async def _become(self, found: Position, current: Round) -> bool:
        """Become what was found, by its changes or as a whole; false if the store was set up anew meanwhile."""
        held = self._holder.position
        if held is not None:
            if found.epoch != held.epoch:
                await self._check_replaced(held, found)
            elif found.revision <= held.revision:
                self._note_failover(held, f"went back from revision {held.revision} to {found.revision}")
            elif await self._catch_up(held):
                return True
            elif await self._is_gone(held):
                self._note_failover(held, f"has another revision {held.revision} than the one that was seen here")
        return await self._load(found, current)

    async def _check_replaced(self, held: Position, found: Position) -> None:
        replaced = await self._ask(self._store.replaced)
        if not {held.epoch, "*"} & set(replaced):
            raise foreign(self._store.place, self._store.namespace, held=held, found=found)
        log.info("epoch %s replaces %s, as its operator said; loading it", found.epoch, held.epoch)

    async def _is_gone(self, held: Position) -> bool:
        """Tell whether the held revision was lost and its number used again, as far as the store's history reaches."""
        try:
            newest = await self._ask(lambda: self._store.history(before=held.revision + 1, limit=1))
        except StoreError:
            return False  # it is only for the record; what is there now is loaded either way
        at = newest[0].position if newest else held
        return (at.epoch, at.revision) == (held.epoch, held.revision) and at.nonce != held.nonce

    def _note_failover(self, held: Position, what: str) -> None:
        if held == self._lost:
            return  # loading it failed, and this is the next try
        self._lost = held
        self.failovers += 1
        text = "%s %s: acknowledged changes were lost, as after a failover; loading it all"
        log.warning(text, self._store.place, what)

    async def _catch_up(self, since: Position) -> bool:
        asked_at = self._clock.monotonic()
        changes = await self._answer(self._store.changes(since), self.load_limit_s)
        if changes is None:
            return False
        slices = Slices()
        for change in changes:
            if self._holder.apply(change) == "doubt":
                return False
            await slices.after(change.document)
        self._holder.prove(asked_at)
        return True

    async def _load(self, found: Position, current: Round) -> bool:
        if current.herd and self._holder.position is not None:
            await pause(self._clock, self._random() * min(_HERD_S, self._ttl_s), current.hurry)
        asked_at = self._clock.monotonic()
        self._meanwhile = deque()
        try:
            state = await self._answer(self._store.load(), self.load_limit_s)
            held = self._holder.position
            if held is not None and state.position.epoch not in {held.epoch, found.epoch}:
                return False
            added: list[Change] = []
            whole = await assemble(state, self._builder(self._holder.view.snapshot), self._meanwhile, added)
        finally:
            self._meanwhile = None
        # In one step: readers in other threads must not find the new flags expired, or the old ones fresh.
        self._holder.replace(whole, continued=held is None, asked_at=asked_at)
        self.loads += 1
        self._loaded(state, added)
        await checkpoint()
        return True

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """Put a small question; once more if the link is renewed meanwhile: it may wait for a server that is gone."""
        while True:
            self._asked_at = self._clock.monotonic()
            try:
                with anyio.CancelScope() as self._question:
                    return await self._answer(question())
            finally:
                self._question = None

    async def _answer(self, question: Awaitable[T], limit_s: float | None = None) -> T:
        limit_s = self.answer_limit_s if limit_s is None else limit_s
        try:
            with anyio.fail_after(limit_s):
                return await question
        except TimeoutError as error:
            raise StoreUnavailableError(f"{self._store.place} did not answer within {limit_s:g} s") from error
