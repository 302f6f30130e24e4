"""
Keeps one process's snapshot equal to the store.

Four loops share a task group: following (changes are pushed), asking (see `sync.py`), polling (asking even if nothing
is heard, because pushes promise nothing) and ageing (what was not proved for long is stale). Each of them alone
survives whatever a store raises; any other exception is a defect of ours and ends the replica, loudly.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import anyio
import msgspec
from anyio.lowlevel import checkpoint

from grayflow.clock import Clock
from grayflow.core.context import Context
from grayflow.core.extensions import Extensions
from grayflow.core.position import Position
from grayflow.core.snapshot import Builder, Snapshot
from grayflow.errors import StoreAccessError, StoreError, StoreUnavailableError
from grayflow.replica.backoff import Backoff
from grayflow.replica.holder import Holder
from grayflow.replica.inspection import Inspection
from grayflow.replica.saver import Saver
from grayflow.replica.sync import ACCESS_WAIT_S, Sync
from grayflow.replica.troubles import Troubles
from grayflow.replica.view import View
from grayflow.replica.waiting import either
from grayflow.store.port import Awaited, Change, Changed, Event, State, Store

__all__ = ["Replica", "ReplicaOptions"]

log = logging.getLogger("grayflow.replica")

_TICK_S = 1.0
"""
The longest sleep of the loop that watches the age. Timers of the event loop stand still while the machine sleeps and
the clock does not: so much of the time after waking may pass before decisions are marked stale.
"""
_STEADY_S = 5.0
_IN_A_ROW = 20


class ReplicaOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a replica follows; checked by whoever makes it."""

    ttl_s: float
    max_staleness_s: float
    last_good: Path | None = None
    last_good_max_age_s: float = 86_400.0
    context_type: type[Context] = Context
    extensions: Extensions = Extensions()
    resolvable: frozenset[str] = frozenset()


class Replica:
    """
    One process's copy of the flags.

    Args:
        store: Where they live; entered by the caller for as long as `run` runs.
        options: How to follow it.
        clock: Tells ages, and sleeps.
        random: Draws from `[0, 1)`: for jitter.
    """

    def __init__(self, store: Store, options: ReplicaOptions, *, clock: Clock, random: Callable[[], float]) -> None:
        self._store, self._options, self._clock, self._random = store, options, clock, random
        self.holder = Holder(clock, ttl_s=options.ttl_s, max_staleness_s=options.max_staleness_s)
        self.troubles = Troubles(store.place, store.namespace, lambda: self.holder.position)
        self.inspection = Inspection()
        self.link: Literal["up", "down"] = "down"
        """Whether changes are being pushed to us."""
        self.awaited: Callable[[Position], None] = lambda _: None
        """Called when somebody waits until every process has seen a position."""
        self.saver = self._make_saver()
        """Keeps the last good flags on disk; `None` if there is no file for them."""
        self.sync = Sync(
            store,
            self.holder,
            self.troubles,
            clock=clock,
            random=random,
            ttl_s=options.ttl_s,
            builder=self._builder,
            loaded=self._loaded,
        )
        self.holder.listeners += (self.inspection.see, self._tell)

    @property
    def view(self) -> View:
        """What is known now."""
        return self.holder.view

    async def run(self) -> None:
        """Follow the store until cancelled."""
        if self.saver is not None:
            await self.saver.recall(self._builder(None))
        async with anyio.create_task_group() as tasks:
            if self.saver is not None:
                tasks.start_soon(self.saver.run, name="grayflow save")
            tasks.start_soon(self.inspection.run, name="grayflow inspect")
            tasks.start_soon(self._age, name="grayflow age")
            tasks.start_soon(self._follow, name="grayflow follow")
            tasks.start_soon(self._poll, name="grayflow poll")
            tasks.start_soon(self.sync.run, name="grayflow sync")

    async def confirm(self) -> StoreError | None:
        """
        Prove that the snapshot is the store's state, or make it so.

        Returns:
            `None` when it is proved, by a question asked after this call; else why it could not be.
        """
        proof = self.sync.request(hurry=True)
        await proof.done.wait()
        return proof.error

    async def reach(self, position: Position) -> bool:
        """
        Return when the snapshot has that change; the store is asked once if it has not.

        Returns:
            False when it never will have it: the store was asked after this call, and it is in another epoch, or is
            past that revision without it.
        """
        if self.holder.reached(position):
            return True
        proof = self.sync.request(hurry=True)
        while not self.holder.reached(position):
            if not proof.done.is_set():
                await either(self.holder.moved, proof.done)
            elif self._has_gone(position, proof.error):
                return False
            else:
                await self.holder.moved.wait()
        return True

    def _has_gone(self, wanted: Position, error: StoreError | None) -> bool:
        """Tell whether a change that is not here has no way to come, given what the store answered."""
        held = self.holder.position
        if held is None or isinstance(error, StoreUnavailableError | StoreAccessError):
            return False
        if wanted.epoch != held.epoch:
            return True
        return error is None and wanted.revision <= held.revision

    async def settle(self) -> None:
        """Return with the first proof, or when there will be none without help and the last good flags are served."""
        while not self.holder.contacted.is_set():
            helpless = self.sync.error is not None and not isinstance(self.sync.error, StoreUnavailableError)
            if helpless and self.holder.position is not None:
                return
            await self.sync.asked.wait()

    def _builder(self, previous: Snapshot | None) -> Builder:
        options = self._options
        return Builder(
            extensions=options.extensions,
            context_type=options.context_type,
            resolvable=options.resolvable,
            previous=previous,
        )

    def _make_saver(self) -> Saver | None:
        options = self._options
        if options.last_good is None:
            return None
        saver = Saver(
            options.last_good,
            self._store.namespace,
            self.holder,
            self._clock,
            max_age_s=options.last_good_max_age_s,
        )
        self.holder.listeners.append(saver.see)
        return saver

    def _loaded(self, state: State, added: Sequence[Change]) -> None:
        if self.saver is not None:
            self.saver.see_state(state, added)

    def _tell(self, before: View, after: View, _: Change | None) -> None:
        """Log the moment from which flags are no longer decided by their rules."""
        if after.freshness == "expired" != before.freshness and after.snapshot is before.snapshot:
            text = "the flags of namespace %r have expired: no proof for %.0f s; each follows its failure policy now"
            log.error(text, self._store.namespace, self.holder.age_s)

    async def _follow(self) -> None:
        backoff, before = Backoff(self._random), False
        while True:
            entered_at = self._clock.monotonic()
            try:
                async with self._store.follow() as events:
                    self._linked(again=before)
                    before = True
                    heard = 0
                    async for event in events:
                        self._hear(event)
                        heard += 1
                        # A store that has many events at hand gives them without a pause.
                        if heard % _IN_A_ROW == 0:
                            await checkpoint()
                raise StoreUnavailableError(f"{self._store.place} ended the link")
            except StoreError as error:
                self._lost(error)
                if self._clock.monotonic() - entered_at > _STEADY_S:
                    backoff.reset()
                refused_s = ACCESS_WAIT_S * (0.8 + 0.4 * self._random())
                wait_s = refused_s if isinstance(error, StoreAccessError) else backoff.wait_s()
            await self._clock.sleep(wait_s)

    def _linked(self, *, again: bool) -> None:
        self.link = "up"
        self.troubles.clear("link")
        self.sync.request(herd=again)

    def _lost(self, error: StoreError) -> None:
        self.link = "down"
        self.holder.tick()
        self.troubles.report("link", error)

    def _hear(self, event: Event) -> None:
        self.holder.tick()
        if isinstance(event, Changed):
            self.sync.hear(event.change)
        elif isinstance(event, Awaited):
            self._hear_of_wait(event.position)
        else:
            self.sync.request()

    def _hear_of_wait(self, wanted: Position) -> None:
        held = self.holder.position
        if held is None or held.epoch != wanted.epoch or held.revision < wanted.revision:
            self.sync.request()  # it was published before, and not heard
        self.awaited(wanted)

    async def _poll(self) -> None:
        while True:
            self.sync.request()
            await self._clock.sleep(self._options.ttl_s * (0.8 + 0.4 * self._random()))
            self.holder.tick()
            self.inspection.look_again()

    async def _age(self) -> None:
        while True:
            # A moment later, because at the very bound nothing has changed yet.
            await self.holder.hastened.sleep(min(self.holder.flips_in + 0.001, _TICK_S))
            self.holder.hastened.clear()
            self.holder.tick()
