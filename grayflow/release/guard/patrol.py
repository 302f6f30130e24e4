"""
One process's part in its fleet's breaker: it reports, it counts, and if enough are open it switches the flag off.

Everything here happens beside the calls. If the store cannot be reached nothing is reported and nothing trips, and the
breaker of this process goes on by itself.
"""

import logging
import os
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from typing import Protocol
from uuid import uuid4

import anyio
import msgspec
from msgspec import structs

from grayflow.admin.admin import Admin
from grayflow.client.client import Client
from grayflow.core.flag import Flag
from grayflow.errors import ConflictError, GrayflowError, LifetimeError, StoreError
from grayflow.release.guard.breaker import Breaker, BreakerState
from grayflow.release.guard.events import Herald
from grayflow.release.guard.quorum import (
    BREAKERS,
    Count,
    FleetTrip,
    Order,
    Report,
    count,
    order_name,
    read_told,
)
from grayflow.release.running import Running
from grayflow.release.switch.choice import reachable
from grayflow.replica.waiting import pause
from grayflow.store.board import Board, Records

__all__ = ["ACTOR", "Beat", "Patrol", "Station"]

log = logging.getLogger("grayflow.release")

ACTOR = "breaker"
"""Who the audit names for a fleet that has tripped."""

_PROMPT_S = 0.05
_LEAVE_S = 0.5
_OPEN = (BreakerState.OPEN, BreakerState.HALF_OPEN)


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """What is guarded."""

    flag: str
    new: str
    default: str
    """Of the switch."""
    breaker: Breaker
    herald: Herald
    random: Callable[[], float]


class Station(Protocol):
    """Whoever the patrol is of."""

    def take(self, patrol: "Patrol", flags: Client) -> None:
        """Called at the beginning; what it raises ends it."""

    def leave(self, patrol: "Patrol") -> None:
        """Called at the end."""


class Patrol:
    """
    What runs inside of `FallbackGuard.running`.

    Args:
        beat: What is guarded.
        flags: Has the flag, and the store's board.
        trip: When the flag is switched off; `None`: never, and nothing is reported.
        station: Told of the beginning and the end.
    """

    def __init__(self, beat: Beat, flags: Client, trip: FleetTrip | None, station: "Station") -> None:
        self._beat, self._flags, self._trip, self._station = beat, flags, trip, station
        self._id = uuid4().hex
        self._wake = anyio.Event()
        self._running: Running | None = None
        self._admin: Admin | None = None
        self._held = AsyncExitStack()
        self._reachable = True
        self._why = ""
        self._told_trip = False
        self._obeyed: int | None = None
        self._trouble: str | None = None

    # The part that runs

    async def open(self, running: Running) -> None:
        """See `grayflow.release.running.Part`."""
        self._station.take(self, self._flags)
        trip = self._trip
        if trip is not None and trip.action == "off" and trip.admin is not None:
            admin = Admin(trip.admin.store, actor=ACTOR, extensions=trip.admin.extensions, clock=self._flags.clock)
            self._admin = await self._held.enter_async_context(admin)
        self._running = running
        self.look()
        board = self._flags.store.board
        if trip is not None and board is None:
            log.warning("the guard of %r works in this process alone: %s", self._beat.flag, self._flags.store.no_board)
        elif trip is not None and board is not None:
            running.spawn(self._walk, board, trip, name=f"guard {self._beat.flag}")

    async def close(self) -> None:
        """See `grayflow.release.running.Part`."""
        board, self._running = self._flags.store.board, None
        if board is not None and self._trip is not None:
            with anyio.move_on_after(_LEAVE_S), suppress(StoreError, LifetimeError):
                await board.delete(BREAKERS, self._id)
        await self._held.aclose()

    def over(self, failure: Exception | None) -> None:
        """See `grayflow.release.running.Part`."""
        self._station.leave(self)
        if failure is not None:
            log.error("a defect ended the guard's part in its fleet; its breaker goes on by itself", exc_info=failure)

    # What it is told

    def moved(self, why: str) -> None:
        """The breaker has changed its state; from any thread."""
        self._why = why
        loop = None if self._running is None else self._running.loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._wake.set)

    def look(self) -> None:
        """
        The flag has changed: after a switch-off a breaker begins anew.

        A closed one as well: failures from before could open it as soon as the successes beside them are forgotten.
        """
        before, self._reachable = self._reachable, self._is_reachable()
        if self._reachable and not before and self._beat.breaker.state is not BreakerState.ISOLATED:
            self._beat.breaker.reset("the flag serves it again")

    async def order(self, *, isolate: bool) -> None:
        """
        Tell all breakers of this implementation to be isolated, or to be reset.

        Raises:
            LifetimeError: there is no board to tell them by.
            StoreError: it could not be written.
        """
        board = self._flags.store.board
        if board is None:
            raise LifetimeError(f"a fleet cannot be told anything: {self._flags.store.no_board}")
        order = Order(flag=self._beat.flag, variant=self._beat.new, isolate=isolate)
        await board.put(BREAKERS, order_name(order.flag, order.variant), msgspec.json.encode(order))

    # The fleet

    async def _walk(self, board: Board, trip: FleetTrip) -> None:
        clock, random = self._flags.clock, self._beat.random
        while True:
            self._wake = anyio.Event()
            try:
                await self._round(board, trip)
                self._trouble = None
            except GrayflowError as error:
                self._note(error)
            await pause(clock, trip.within_s / 3 * (0.8 + 0.2 * random()), self._wake)
            await clock.sleep(_PROMPT_S * random())

    async def _round(self, board: Board, trip: FleetTrip) -> None:
        report = msgspec.json.encode(self._report())
        await board.put(BREAKERS, self._id, report, ttl=trip.within_s)
        records = await board.list(BREAKERS)
        self._obey(records)
        told = (read_told(record.value) for record in records.records.values())
        counted = count((one for one in told if one is not None), self._beat.flag, self._beat.new)
        # Whoever serves it again may be told of only in a moment, and what is open now has reasons from before.
        self.look()
        if self._beat.breaker.state not in _OPEN or not trip.reached(counted):
            self._told_trip = False
        elif self._is_reachable():
            await self._trip_fleet(trip, counted)

    def _report(self) -> Report:
        state = self._beat.breaker.state
        return Report(
            flag=self._beat.flag,
            variant=self._beat.new,
            open=state in _OPEN,
            why=self._why if state in _OPEN else "",
            host=socket.gethostname(),
            pid=os.getpid(),
            service=self._flags.health.name,
        )

    async def _trip_fleet(self, trip: FleetTrip, counted: Count) -> None:
        why = f"open in {counted.open} of {counted.live} processes; in this one: {self._why}"
        if self._admin is None:
            if not self._told_trip:
                self._beat.herald.tell("fleet_would_trip", f"{why}. Nothing was switched: action={trip.action!r}")
            self._told_trip = True
            return
        found = self._document()
        if found is None:
            return
        flag, revision = found
        if (flag.off_variant or self._beat.default) == self._beat.new:
            if not self._told_trip:
                log.error("flag %r is not switched off: it would serve %r then, too", flag.key, self._beat.new)
            self._told_trip = True
            return
        try:
            # Not `switch_off`, which applies itself to whatever it meets: somebody who changed the flag at this moment
            # knew better. If it is still needed, the next round does it.
            saved = await self._admin.edit(structs.replace(flag, enabled=False), expected=revision, reason=why)
        except ConflictError:
            return
        if saved.changed:
            self._beat.herald.tell("fleet_tripped", f"{why}. Flag {flag.key!r} is switched off until somebody decides")

    def _obey(self, records: Records) -> None:
        """Do what somebody ordered all breakers to do, once for each order."""
        record = records.records.get(order_name(self._beat.flag, self._beat.new))
        first, version = self._obeyed is None, 0 if record is None else record.version
        if version == self._obeyed:
            return
        self._obeyed = version
        order = None if record is None else read_told(record.value)
        if isinstance(order, Order) and order.isolate:
            self._beat.breaker.isolate()
        elif isinstance(order, Order) and not first:
            self._beat.breaker.reset("reset by an order to the fleet")

    def _note(self, error: GrayflowError) -> None:
        told = str(error)
        if told != self._trouble:
            log.warning("the guard of %r has no part in its fleet at the moment: %s", self._beat.flag, told)
        self._trouble = told

    # The flag

    def _document(self) -> tuple[Flag, int] | None:
        snapshot = self._flags.snapshot
        return None if snapshot is None else snapshot.flag(self._beat.flag)

    def _is_reachable(self) -> bool:
        found = self._document()
        served = reachable(None if found is None else found[0], self._flags.clock.now(), self._beat.default)
        return self._beat.new in served
