"""
What runs inside of `ParallelRun.running`: the candidates that are alive, and the way out for what they showed.

Leaving the block ends the candidates; nobody waits for those of others.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from grayflow.client.asking import AnyContext
from grayflow.client.client import Client
from grayflow.core.decision import Decision
from grayflow.release.parallel.candidate import Candidate, Case
from grayflow.release.parallel.hooks import HookError, HookRunner
from grayflow.release.parallel.judge import Finding, Judge
from grayflow.release.parallel.outcome import DIFFERENCES, ParallelOutcome
from grayflow.release.parallel.outlet import Outlet
from grayflow.release.parallel.plan import Plan
from grayflow.release.parallel.tally import Tally
from grayflow.release.running import Running

__all__ = ["Stage"]

log = logging.getLogger("grayflow.release")


class Stage:
    """
    See the module.

    Args:
        plan: What to go by.
        tally: Where everything is counted.
        flags: Decides who is sampled.
        seat: Is told when it begins and when it is over.
    """

    def __init__(self, plan: Plan, tally: Tally, flags: Client, seat: "Callable[[Stage | None], None]") -> None:
        self.plan, self.name, self.timeout_s, self.flags = plan, plan.name, plan.timeout_s, flags
        self.monotonic: Callable[[], float] = flags.clock.monotonic
        self.runner = HookRunner(plan.name, plan.timeout_s, tally)
        self.judge = Judge(plan, self.runner)
        self.running: Running | None = None
        self._tally, self._seat = tally, seat
        self._alive: set[Candidate] = set()
        self._closing = False
        self._moved = asyncio.Event()
        self._outlet = Outlet(plan.hooks.publish, plan.max_unpublished, self.runner, tally, self._move)

    # The part that runs

    async def open(self, running: Running) -> None:
        """See `grayflow.release.running.Part`."""
        self._seat(self)
        self.running = running
        running.spawn(self._outlet.run, name=f"parallel run {self.name}")

    async def close(self) -> None:
        """See `grayflow.release.running.Part`."""
        self._closing = True
        for candidate in tuple(self._alive):
            candidate.give_up(ParallelOutcome.ABANDONED)
        await self._until(lambda: not self._alive)
        await self._outlet.end()

    def over(self, _: Exception | None) -> None:
        """See `grayflow.release.running.Part`."""
        if self.running is not None:
            self._closing, self.running = True, None
            self._seat(None)

    @property
    def in_flight(self) -> int:
        """How many candidates are not done."""
        return len(self._alive)

    @property
    def is_here(self) -> bool:
        """Whether it runs in the event loop of this place."""
        return self.running is not None and self.running.loop is asyncio.get_running_loop()

    async def idle(self) -> None:
        """Wait until no candidate is alive and everything is published."""
        await self._until(lambda: not self._alive and not self._outlet.busy)

    async def _until(self, met: Callable[[], bool]) -> None:
        while not met():
            await self._moved.wait()

    def _move(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    # Candidates

    def invited(self, case: Case) -> tuple[Candidate, ...]:
        """Return those that there is place for, each with a copy of the arguments; count the others."""
        found = (self._invited(name, function, case) for name, function in case.candidates.items())
        return tuple(one for one in found if one is not None)

    def _invited(self, name: str, function: Callable[..., Any], case: Case) -> Candidate | None:
        if self._closing:
            self.count(name, ParallelOutcome.ABANDONED, case)
            return None
        if len(self._alive) >= self.plan.max_in_flight:
            self.count(name, ParallelOutcome.DROPPED, case)
            return None
        try:
            own = tuple(self.copied(each) for each in case.args)
            named = {key: self.copied(each) for key, each in case.kwargs.items()}
        except HookError:
            self.count(name, ParallelOutcome.SKIPPED, case, "snapshot")
            return None
        candidate = Candidate(self, name, function, own, named, case.decision, case.onlooker)
        self._alive.add(candidate)
        return candidate

    def decided(self, context: AnyContext) -> Decision | None:
        """Return what the flag says of a call, if the fleet counts."""
        counters, flag = self.plan.counters, self.plan.flag
        return None if counters is None or flag is None else counters.decided(flag, context)

    def count(self, name: str, outcome: ParallelOutcome, of: Case | Candidate, why: str = "") -> int:
        """Count what came of a candidate, here and in the fleet; return how often that was so here."""
        if of.decision is not None and self.plan.counters is not None:
            self.plan.counters.enter_mark(of.decision, name, str(outcome), 1)
        if of.onlooker is not None:
            of.onlooker.settled(outcome)
        return self._tally.outcome(name, outcome, why)

    def copied(self, value: Any) -> Any:
        """
        Return a copy that nobody else changes.

        Raises:
            HookError: there is none.
        """
        snapshot = self.plan.hooks.snapshot
        return value if snapshot is None else self.runner.call_now("snapshot", snapshot, value)

    def settled(self, candidate: Candidate, finding: Finding) -> None:
        """See `grayflow.release.parallel.candidate.Desk`."""
        self._alive.discard(candidate)
        outcome = finding.outcome
        times = self.count(candidate.name, outcome, candidate, finding.why)
        if times == 1 and outcome in DIFFERENCES:
            told = "candidate %r of parallel run %r differs for the first time (%s); from now on it is only counted"
            log.info(told, candidate.name, self.name, outcome)
        if finding.observation is not None:
            self._outlet.put(finding.observation)
        self._move()
