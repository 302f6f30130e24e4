"""
Cleanup of one client: hears of changes, and runs two crews, one for this process and one for the fleet.

The jobs of this process are recorded on a board in its memory, so both crews work alike; only the fleet's need a board
that others see.
"""

import asyncio
import os
import socket
from collections.abc import Callable
from uuid import uuid4

import anyio

from grayflow.cleanup.cases import Sight
from grayflow.cleanup.crew import Crew
from grayflow.cleanup.handlers import Handler, Handlers, Scope
from grayflow.cleanup.means import CleanupStatus, Means, Shelf, Tally, Time
from grayflow.cleanup.options import CleanupOptions
from grayflow.clock import Clock
from grayflow.core.position import Position
from grayflow.replica.holder import Holder
from grayflow.replica.view import View
from grayflow.store.fleet import Process
from grayflow.store.jobs import JobState
from grayflow.store.lifetime import Lifetime
from grayflow.store.memory_board import MemoryBoard
from grayflow.store.port import Change, Store

__all__ = ["Cleanup"]

_THREADS = 16
_BREAKS = 8


class Cleanup:
    """
    Runs the handlers of one client.

    It listens to the holder from the moment it is made, so that it knows what was served first.

    Args:
        store: Has the history, and perhaps a board for the jobs of the fleet. Entered by the caller for as long as
            `run` runs.
        holder: Has the current flags; told of changes by the replica.
        clock: The machine's.
        random: Draws from `[0, 1)`.
        name: Of this service, for people.
        here: Returns what this process still decides by, for a position that is being served.
        touch: Called when this process has something new to report.
        doubt: Called when the store seems to know of a change that has not come here.
        options: The caller's.
    """

    def __init__(  # noqa: PLR0913 - it stands between many parts, each named once, by the client
        self,
        store: Store,
        holder: Holder,
        *,
        clock: Clock,
        random: Callable[[], float],
        name: str,
        here: Callable[[Position], Process],
        touch: Callable[[], None],
        doubt: Callable[[], object],
        options: CleanupOptions,
    ) -> None:
        self.handlers = Handlers()
        """What is registered."""
        self.handlers.added = self._added
        self._store, self._holder, self._clock, self._random = store, holder, clock, random
        self._name, self._here, self._touch, self._doubt = name, here, touch, doubt
        self._options, self._id = options, uuid4().hex
        self._tally, self._fleet_time = Tally(), Time(clock)
        self._births: dict[str, Sight] = {}
        self._breaks: dict[Scope, list[Sight]] = {"process": [], "fleet": []}
        self._crews: tuple[Crew, ...] = ()
        self._loop: asyncio.AbstractEventLoop | None = None
        holder.listeners.append(self._see)

    async def run(self) -> None:
        """Run what is due, until cancelled. What is being done then is given back, to be done elsewhere or later."""
        self._loop = asyncio.get_running_loop()
        # Not when it is built: a pre-fork server builds it once for all its workers, which would share their leases.
        self._id = uuid4().hex
        lifetime, time = Lifetime("Cleanup"), Time(self._clock)
        lifetime.enter()
        shelves: dict[Scope, Shelf] = {"process": Shelf(MemoryBoard(lifetime, time), time)}
        if self._store.board is not None:
            shelves["fleet"] = Shelf(self._store.board, self._fleet_time)
        self._crews = tuple(self._crew(scope, shelf) for scope, shelf in shelves.items())
        async with anyio.create_task_group() as tasks:
            for crew in self._crews:
                tasks.start_soon(crew.run)

    @property
    def status(self) -> CleanupStatus:
        """How the handlers are doing."""
        tally, crews = self._tally, self._crews

        def count(*states: JobState) -> int:
            return sum(crew.states[state] for crew in crews for state in states)

        running = sum(crew.running for crew in crews)
        return CleanupStatus(
            handlers=len(self.handlers),
            pending=max(0, count("pending", "running") - running),
            running=running,
            failed=count("failed"),
            orphaned=count("orphaned"),
            done=tally.done,
            errors=tally.errors,
            superseded=tally.superseded,
            last_error=tally.last_error,
            unavailable=self._unavailable(),
            clock_offset_s=self._fleet_time.offset_s,
        )

    def _unavailable(self) -> str | None:
        if not self.handlers.of("fleet"):
            return None
        if self._store.board is None:
            return self._store.no_board
        return next((crew.unavailable for crew in self._crews if crew.unavailable is not None), None)

    def _crew(self, scope: Scope, shelf: Shelf) -> Crew:
        means = Means(
            store=self._store,
            holder=self._holder,
            shelf=shelf,
            fleet_time=self._fleet_time,
            scope=scope,
            clock=self._clock,
            random=self._random,
            who=f"{self._name} ({socket.gethostname()}, pid {os.getpid()})",
            owner=self._id,
            here=self._here,
            touch=self._touch,
            doubt=self._doubt,
            tally=self._tally,
            lease_s=self._options.lease_s,
            limiter=anyio.CapacityLimiter(_THREADS),
        )
        return Crew(
            means,
            self.handlers,
            births=self._births,
            breaks=self._breaks[scope],
            orphan_after_s=self._options.orphan_after_s,
        )

    def _added(self, handler: Handler) -> None:
        """Take note of what is served now; from any thread."""
        self._bear(handler, self._holder.view)
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._wake)

    def _see(self, before: View, after: View, change: Change | None) -> None:
        """Listen to the holder."""
        if after.snapshot is before.snapshot:
            return
        if after.breaks != before.breaks:
            for seen in self._breaks.values():
                seen[:] = [*seen[: _BREAKS - 1], Sight(before, self._clock.now())]
        if before.snapshot is None:
            for handler in self.handlers:
                self._bear(handler, after)
        if change is None or (change.kind == "flag" and any(change.key in one.flags for one in self.handlers)):
            self._wake()

    def _bear(self, handler: Handler, view: View) -> None:
        if view.position is not None and handler.name not in self._births:
            self._births[handler.name] = Sight(view, self._clock.now())

    def _wake(self) -> None:
        for crew in self._crews:
            crew.wake()
