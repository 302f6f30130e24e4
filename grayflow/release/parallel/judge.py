"""
From two answers to an outcome: the table of what counts as what.

It decides nothing else: what the answers were is told by whoever asked, and what becomes of the outcome too.
"""

from typing import Any

import msgspec

from grayflow.release.parallel.answers import Raised, Returned
from grayflow.release.parallel.hooks import HookError, HookRunner
from grayflow.release.parallel.outcome import DIFFERENCES, Answer, Observation, ParallelOutcome
from grayflow.release.parallel.plan import Plan

__all__ = ["Finding", "Judge", "Pair"]


class Finding(msgspec.Struct, frozen=True):
    """What came of a candidate."""

    outcome: ParallelOutcome
    why: str = ""
    """Of a candidate that was skipped."""
    observation: Observation | None = None
    """What is to be published, if anything is."""


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Two answers to one question."""

    candidate: str
    """Whose the second is."""
    control: Returned | Raised
    answer: Returned | Raised
    args: Any = ()
    kwargs: Any = {}


class Judge:
    """
    Compares.

    Args:
        plan: Of the parallel run.
        runner: Calls the application's functions.
    """

    def __init__(self, plan: Plan, runner: HookRunner) -> None:
        self._run, self._hooks, self._runner = plan.name, plan.hooks, runner
        self._ignore_errors, self._tell_all = plan.ignore_errors, plan.publish_all

    async def judge(self, pair: Pair) -> Finding:
        """Compare two answers; raises nothing."""
        try:
            outcome = await self._outcome(pair.control, pair.answer)
            if not self._tell_all and outcome not in DIFFERENCES:
                return Finding(outcome)
            return Finding(outcome, observation=await self._observed(pair, outcome))
        except HookError:
            return Finding(ParallelOutcome.HARNESS_ERROR)

    async def _outcome(self, control: Returned | Raised, answer: Returned | Raised) -> ParallelOutcome:
        if isinstance(answer, Raised):
            return await self._of_error(control, answer.error)
        if isinstance(control, Raised):
            return ParallelOutcome.CONTROL_RAISED
        return await self._of_values(control.value, answer.value)

    async def _of_error(self, control: Returned | Raised, error: BaseException) -> ParallelOutcome:
        if isinstance(control, Raised) and await self._runner.holds(
            "compare_errors", self._hooks.compare_errors, control.error, error
        ):
            return ParallelOutcome.BOTH_RAISED_MATCH
        if isinstance(error, self._ignore_errors):
            return ParallelOutcome.IGNORED
        raised = isinstance(control, Raised)
        return ParallelOutcome.BOTH_RAISED_MISMATCH if raised else ParallelOutcome.CANDIDATE_RAISED

    async def _of_values(self, control: Any, answer: Any) -> ParallelOutcome:
        hooks, runner = self._hooks, self._runner
        left, right = control, answer
        if hooks.normalise is not None:
            left = await runner.call("normalise", hooks.normalise, control)
            right = await runner.call("normalise", hooks.normalise, answer)
        if await runner.holds("compare", hooks.compare, left, right):
            return ParallelOutcome.MATCH
        for predicate in hooks.ignore:
            if await runner.holds("ignore", predicate, control, answer):
                return ParallelOutcome.IGNORED
        return ParallelOutcome.MISMATCH

    async def _observed(self, pair: Pair, outcome: ParallelOutcome) -> Observation:
        about = self._hooks.about
        return Observation(
            run=self._run,
            candidate=pair.candidate,
            outcome=outcome,
            control=await self._cleaned(pair.control),
            answer=await self._cleaned(pair.answer),
            control_s=pair.control.took_s,
            candidate_s=pair.answer.took_s,
            about=None if about is None else await self._runner.call("about", about, *pair.args, **pair.kwargs),
        )

    async def _cleaned(self, heard: Returned | Raised) -> Answer:
        hooks, runner = self._hooks, self._runner
        if isinstance(heard, Raised):
            kind, error = type(heard.error).__qualname__, heard.error
            made = None if hooks.clean_error is None else await runner.call("clean_error", hooks.clean_error, error)
            return Answer(type=kind, raised=True, clean=made)
        made = None if hooks.clean is None else await runner.call("clean", hooks.clean, heard.value)
        return Answer(type=type(heard.value).__qualname__, clean=made)
