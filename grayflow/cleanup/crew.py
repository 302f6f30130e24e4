"""
Looks after the jobs of one scope: reads them, plans, does what is planned, and waits until there is reason to look.

Everything is decided in `plan.py`. Reasons to look are a change of a flag that a handler follows, an edge of a window,
the end of a lease or a wait, the end of a job, and a timer, since messages promise nothing.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, MutableSequence
from functools import partial
from typing import TYPE_CHECKING

import anyio
import msgspec

from grayflow.cleanup.cases import Entries, Sight, foreign_cases, own_cases
from grayflow.cleanup.duty import Duty
from grayflow.cleanup.handlers import Handlers
from grayflow.cleanup.means import Means
from grayflow.cleanup.plan import Action, Case, Claim, Stop, Write, plan
from grayflow.cleanup.sites import next_edge
from grayflow.errors import ReadOnlyError, StoreAccessError, StoreError
from grayflow.replica.alarm import Alarm
from grayflow.replica.backoff import Backoff
from grayflow.replica.view import View
from grayflow.store.board import Records
from grayflow.store.fleet import read_fleet
from grayflow.store.jobs import HANDLERS, JOBS, JobState, read_registration

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

__all__ = ["Crew"]

log = logging.getLogger("grayflow.cleanup")

_BUSY_S, _QUIET_S = 5.0, 15.0
"""Between two looks at the latest, while something is unfinished and while nothing is."""
_APART_S = 0.05
"""Processes that hear of a change at the same moment spread their looks over so long."""
_REFUSED_S = 60.0
_SWEEP_S = 60.0
_UNSURE_S = 5.0
_EDGE_S = 0.001
"""A timer may wake a little before its time."""


class Crew:
    """
    The jobs of one scope.

    Args:
        means: What they are done with.
        handlers: Those of all scopes.
        births: What was served when each handler was there first; filled by the caller.
        breaks: What was served before each break of the chain of changes; filled by the caller, emptied here.
        orphan_after_s: How long a job of the fleet waits for a process that has its handler.
    """

    def __init__(
        self,
        means: Means,
        handlers: Handlers,
        *,
        births: Mapping[str, Sight],
        breaks: MutableSequence[Sight],
        orphan_after_s: float,
    ) -> None:
        self._means, self._handlers = means, handlers
        self._births, self._breaks = births, breaks
        self._orphan_after_s = orphan_after_s
        self._duties: dict[str, Duty] = {}
        self._unsure: dict[str, tuple[View, float]] = {}
        self._alarm = Alarm(means.clock)
        self._backoff = Backoff(means.random, first_s=0.5, cap_s=10.0)
        self._registered = 0
        self._sweep_at = 0.0
        self._touched: dict[tuple[str, str], int] = {}
        self.states: Counter[JobState] = Counter()
        """How many jobs of the handlers here were in which unfinished state at the last look."""
        self.unavailable: str | None = None
        """Why the board could not be worked with at the last look; `None` if it could."""

    @property
    def running(self) -> int:
        """How many jobs this process is at work on."""
        return len(self._duties)

    def wake(self) -> None:
        """Look soon. Only in the client's own loop."""
        self._alarm.ring()

    async def run(self) -> None:
        """Look after the jobs until cancelled; what is being done then is given back."""
        async with anyio.create_task_group() as tasks:
            while True:
                await self._alarm.sleep(await self._look(tasks))
                if self._means.shared:
                    await self._means.clock.sleep(_APART_S * self._means.random())

    async def _look(self, tasks: "TaskGroup") -> float:
        """Look once, and return how long to wait at most before the next look."""
        self._alarm.clear()
        view = self._means.holder.view
        if view.position is None:
            return _QUIET_S
        try:
            wait_s = await self._round(view, tasks)
        except StoreError as error:
            self._note(str(error))
            return _REFUSED_S if isinstance(error, StoreAccessError | ReadOnlyError) else self._backoff.wait_s()
        self._note(None)
        self._backoff.reset()
        return wait_s

    def _note(self, why: str | None) -> None:
        if why is not None and self.unavailable is None and self._handlers.of(self._means.scope):
            log.warning("cleanup handlers wait until the board can be worked with: %s", why)
        self.unavailable = why

    async def _round(self, view: View, tasks: "TaskGroup") -> float:
        own = self._handlers.of(self._means.scope)
        sweeping = self._means.shared and self._means.clock.monotonic() >= self._sweep_at
        if not own and not sweeping:
            return self._sweep_at - self._means.clock.monotonic() if self._means.shared else _QUIET_S
        if self._means.shared:
            await self._register()
        found = await self._means.board.list(JOBS)
        self._means.time.hear(found.now)
        sight = Sight(view, self._means.instant())
        befores = tuple(self._breaks)
        entries = Entries(found)
        cases = self._own(entries, sight, befores)
        self._count(cases)
        foreign = await self._foreign(entries, sight) if sweeping else ()
        if not await self._comparable(view, (*cases, *foreign)):
            return _UNSURE_S
        planned = plan((*cases, *foreign), found.now, orphan_after_ns=round(self._orphan_after_s * 1e9))
        # What was claimed under a break that is not settled yet would be stopped for it in the next round, which kept
        # the break unsettled in turn: with many jobs neither ever ended.
        settling = bool(befores) and any(isinstance(action, Stop | Write) for action in planned.actions)
        actions = [action for action in planned.actions if not (settling and isinstance(action, Claim))]
        changed = [await self._do(action, tasks) for action in actions]
        if any(changed):
            return 0.0
        if not any(isinstance(action, Stop) for action in planned.actions):
            del self._breaks[: len(befores)]
        return self._wait_s(planned.next, found, sight)

    def _own(self, entries: Entries, sight: Sight, befores: Iterable[Sight]) -> tuple[Case, ...]:
        return tuple(
            own_cases(
                self._handlers.of(self._means.scope),
                entries,
                sight,
                births=self._births,
                befores=befores,
                working=self._generation,
                owner=self._means.owner,
            )
        )

    def _generation(self, name: str) -> int | None:
        duty = self._duties.get(name)
        return None if duty is None else duty.generation

    def _count(self, cases: Iterable[Case]) -> None:
        self.states = Counter(case.job.state if case.job.unfinished else "pending" for case in cases if _is_open(case))
        for case in cases:
            variant, generation = (case.site.flag, case.site.variant), case.site.generation
            if case.due and generation % 2 and self._touched.get(variant) != generation:
                # By the clock: nothing changed that would make this process report by itself.
                self._touched[variant] = generation
                self._means.touch()

    async def _comparable(self, view: View, cases: Iterable[Case]) -> bool:
        """Whether numbers mean the same to the records and to us: the epoch of our flags is the store's."""
        if not self._means.shared or view.position is None:
            return True
        epoch = view.position.epoch
        if all(case.job.epoch == epoch for case in cases):
            return True
        if (await self._means.store.position()).epoch == epoch:
            return True
        self._means.doubt()
        return False

    async def _foreign(self, entries: Entries, sight: Sight) -> tuple[Case, ...]:
        """Return the jobs of handlers that this process does not have."""
        means = self._means
        span_s = min(_SWEEP_S, max(1.0, self._orphan_after_s / 4))
        found = await means.board.list(HANDLERS)
        fleet = await read_fleet(means.board)
        self._sweep_at = means.clock.monotonic() + span_s * (0.8 + 0.4 * means.random())
        registrations = (read_registration(record.value) for record in found.records.values())
        own = frozenset(self._handlers.fleet_names())
        if not own <= found.records.keys():
            self._registered = 0  # somebody emptied the board
        known = [one for one in registrations if one is not None]
        return tuple(foreign_cases(known, entries, sight, fleet=fleet, own=own))

    async def _register(self) -> None:
        """Tell the fleet which handlers there are."""
        own = self._handlers.of("fleet")
        if len(own) == self._registered:
            return
        found = await self._means.board.list(HANDLERS)
        for handler in own:
            record = found.records.get(handler.name)
            data = msgspec.json.encode(handler.registration)
            if record is None or record.value != data:
                await self._means.board.put(HANDLERS, handler.name, data)
        self._registered = len(own)
        self._means.touch()

    # What is planned

    async def _do(self, action: Action, tasks: "TaskGroup") -> bool:
        """Do it, and return whether there is reason to plan again at once."""
        match action:
            case Stop():
                duty = self._duties.get(action.case.job.name)
                if duty is not None:
                    duty.stop(action.why)
                return False
            case Write():
                return await self._write(action)
            case Claim():
                return await self._claim(action, tasks)

    async def _write(self, action: Write) -> bool:
        case, job = action.case, action.job
        data = msgspec.json.encode(job)
        written = await self._means.board.put(JOBS, job.name, data, expected=case.version)
        if written is not None and action.why == "orphaned":
            text = "handler %r is wanted for flag %r, variant %r, and no process has had it for %.0f s"
            log.error(text, job.handler, job.flag, job.variant, self._orphan_after_s)
        elif written is not None and action.why == "buried":
            text = "handler %r for flag %r, variant %r failed in attempt %d, the last: %s"
            log.error(text, job.handler, job.flag, job.variant, job.attempts, job.error)
        elif written is not None:
            log.debug("handler %r for flag %r, variant %r: %s", job.handler, job.flag, job.variant, action.why)
        return True

    async def _claim(self, action: Claim, tasks: "TaskGroup") -> bool:
        means, name = self._means, action.job.name
        handler = self._handlers.get(action.job.handler)
        if handler is None or self._is_unsure(name):
            return False
        record = await means.board.claim(JOBS, name, means.owner, span=means.lease_s, expected=action.case.version)
        if record is None or record.lease is None:
            return True
        duty = self._duties[name] = Duty(means, handler, action, fence=record.lease.fence)
        tasks.start_soon(partial(self._see_through, name, duty), name=f"grayflow {handler.name}")
        return False

    async def _see_through(self, name: str, duty: Duty) -> None:
        try:
            await duty.run()
        finally:
            del self._duties[name]
            self._alarm.ring()
        if duty.contradicted is not None:
            # Not what is known by now: a change that came meanwhile is reason enough to try again at once.
            self._unsure[name] = (duty.contradicted, self._means.clock.monotonic() + _UNSURE_S)
            self._means.doubt()

    def _is_unsure(self, name: str) -> bool:
        """Whether the store has just contradicted our snapshot, and no other has come since."""
        view, until = self._unsure.get(name, (None, 0.0))
        if view is self._means.holder.view and self._means.clock.monotonic() < until:
            return True
        self._unsure.pop(name, None)
        return False

    # When to look again

    def _wait_s(self, planned: int | None, found: Records, sight: Sight) -> float:
        limit_s = (_BUSY_S if self.states else _QUIET_S) * (0.8 + 0.4 * self._means.random())
        if self._means.shared:
            limit_s = min(limit_s, max(0.0, self._sweep_at - self._means.clock.monotonic()))
        if planned is not None:
            limit_s = min(limit_s, max(0.0, (planned - found.now) / 1e9))
        flags = {flag for handler in self._handlers.of(self._means.scope) for flag in handler.flags}
        edges = (next_edge(sight.view, flag, sight.instant) for flag in flags)
        edge = min((one for one in edges if one is not None), default=None)
        return limit_s if edge is None else min(limit_s, (edge - sight.instant) / 1e9 + _EDGE_S)


def _is_open(case: Case) -> bool:
    return case.due or case.job.unfinished
