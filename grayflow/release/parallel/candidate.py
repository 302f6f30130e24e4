"""
One candidate of one call: it runs in a task of the run's own, and its end is nobody's concern but the counters'.

It holds its slot until it has been compared, so that there are never more of them than were allowed, whatever a
candidate does with cancellations and time limits.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextvars import copy_context
from typing import Any, Protocol

import anyio
import msgspec

from grayflow.core.decision import Decision
from grayflow.release.parallel.answers import Heard, Late, Raised, Returned, asked
from grayflow.release.parallel.judge import Finding, Judge, Pair
from grayflow.release.parallel.outcome import ParallelOutcome
from grayflow.release.parallel.shadow import SHADOW
from grayflow.release.running import Running

__all__ = ["Candidate", "Case", "Desk", "Onlooker", "Question", "Uncompared"]

log = logging.getLogger("grayflow.release")


class Uncompared(Exception):  # noqa: N818 - says that nothing went wrong
    """Raised by a candidate that finds out that it is none; its text is the reason that is counted."""


class Onlooker(Protocol):
    """A part of grayflow that asks through a run, and goes by what comes of it: a migration counts what differs."""

    async def second_look(self) -> tuple[Any, Any]:
        """
        Return the answers of control and candidate anew: called before two values that differ count.

        Raises:
            Uncompared: they cannot be compared now.
        """
        ...

    def settled(self, outcome: ParallelOutcome) -> None:
        """Called once for each candidate, with what came of it."""


class Case(msgspec.Struct, frozen=True):
    """One call that was sampled."""

    candidates: Mapping[str, Callable[..., Any]]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    decision: Decision | None
    """What the flag said of it, if the fleet counts."""
    onlooker: Onlooker | None = None


class Desk(Protocol):
    """What candidates need of their run."""

    name: str
    timeout_s: float
    judge: Judge

    def monotonic(self) -> float:
        """Seconds, to measure by."""

    def settled(self, candidate: "Candidate", finding: Finding) -> None:
        """Called once for each candidate, with what came of it."""


class Question:
    """
    What the control and its candidates are asked, and what the control answered.

    Args:
        candidates: Who is asked beside it.
    """

    __slots__ = ("answer", "candidates", "settled")

    def __init__(self, candidates: "tuple[Candidate, ...]") -> None:
        self.candidates = candidates
        # Not anyio's: these are made in the caller's time, and anyio 4.16.0 takes 3 µs for one, asyncio 0.4.
        self.settled = asyncio.Event()
        self.answer: Returned | Raised | None = None
        """The control's; `None`: it cannot be kept, or is not there yet."""

    def settle(self, answer: Returned | Raised | None) -> None:
        """Let the candidates be compared; with `None` they are skipped."""
        self.answer = answer
        self.settled.set()

    def give_up(self, outcome: ParallelOutcome) -> None:
        """End all candidates."""
        for candidate in self.candidates:
            candidate.give_up(outcome)


class Candidate:
    """
    One candidate of one call.

    Args:
        desk: Its run.
        name: Of the candidate.
        function: What is called.
        args: Its own copy of the arguments.
        kwargs: Likewise.
        decision: What the flag said, if that is counted.
        onlooker: Looks on.
    """

    __slots__ = (
        "_args",
        "_desk",
        "_function",
        "_kwargs",
        "_scope",
        "_started",
        "decision",
        "done",
        "finding",
        "name",
        "onlooker",
        "ran",
    )

    def __init__(
        self,
        desk: Desk,
        name: str,
        function: Callable[..., Any],
        args: Any,
        kwargs: Mapping[str, Any],
        decision: Decision | None = None,
        onlooker: Onlooker | None = None,
    ) -> None:
        self.name, self.decision, self.onlooker = name, decision, onlooker
        self._desk, self._function, self._args, self._kwargs = desk, function, args, kwargs
        self._scope = anyio.CancelScope()
        self.ran, self.done = asyncio.Event(), asyncio.Event()
        self._started = False
        self.finding: Finding | None = None
        """What came of it, as soon as that is certain."""

    def start(self, running: Running, question: Question) -> None:
        """Run it in the block, in the caller's context with the mark of a candidate."""
        context = copy_context()
        context.run(SHADOW.set, self._desk.name)
        try:
            self._started = running.spawn_here(context, self._run, question, name=f"candidate {self.name}")
        except RuntimeError:  # the block ends at this very moment
            self._started = False
        if not self._started:
            self._finish(Finding(ParallelOutcome.ABANDONED))

    def give_up(self, outcome: ParallelOutcome) -> None:
        """End it, for a reason that is not its own."""
        if self.done.is_set() or self.finding is not None:
            return
        self.finding = Finding(outcome)
        self._scope.cancel()
        if not self._started:
            self._finish(self.finding)

    async def _run(self, question: Question) -> None:
        found = Finding(ParallelOutcome.ABANDONED)
        try:
            with self._scope:
                if self.finding is None:
                    found = await self._examined(question)
        except asyncio.CancelledError:
            # The block is being left; to raise it here would only end it once more.
            pass
        except Exception:
            log.exception("a defect of grayflow in parallel run %r; callers notice nothing", self._desk.name)
            found = Finding(ParallelOutcome.HARNESS_ERROR)
        finally:
            self._finish(self.finding or found)

    async def _examined(self, question: Question) -> Finding:
        heard = await self._asked()
        self.ran.set()
        if isinstance(heard, Late):
            return Finding(ParallelOutcome.TIMEOUT)
        if (none := _no_answer(heard)) is not None:
            return none
        await question.settled.wait()
        if question.answer is None:
            return Finding(ParallelOutcome.SKIPPED, "snapshot")
        found = await self._judged(question.answer, heard)
        if self.onlooker is None or found.outcome is not ParallelOutcome.MISMATCH:
            return found
        return await self._examined_again(self.onlooker, question.answer, heard.took_s)

    async def _examined_again(self, onlooker: Onlooker, control: Returned | Raised, took_s: float) -> Finding:
        heard = await asked(self._desk.timeout_s, onlooker.second_look)
        if isinstance(heard, Late):
            return Finding(ParallelOutcome.TIMEOUT)
        if isinstance(heard, Raised):
            return _no_answer(heard) or await self._judged(control, Raised(heard.error, took_s))
        first, second = heard.value
        return await self._judged(Returned(first, control.took_s), Returned(second, took_s))

    async def _judged(self, control: Returned | Raised, answer: Returned | Raised) -> Finding:
        pair = Pair(candidate=self.name, control=control, answer=answer, args=self._args, kwargs=self._kwargs)
        return await self._desk.judge.judge(pair)

    async def _asked(self) -> Heard:
        began = self._desk.monotonic()
        heard = await asked(self._desk.timeout_s, self._function, *self._args, **self._kwargs)
        if not isinstance(heard, Late):
            heard.took_s = self._desk.monotonic() - began
        return heard

    def _finish(self, finding: Finding) -> None:
        if self.done.is_set():
            return
        self.finding = finding
        self.ran.set()
        self.done.set()
        self._desk.settled(self, finding)


def _no_answer(heard: Returned | Raised) -> Finding | None:
    """Return what came of a candidate that has no answer to compare, `None` if it has one."""
    error = heard.error if isinstance(heard, Raised) else None
    if isinstance(error, Uncompared):
        return Finding(ParallelOutcome.SKIPPED, str(error))
    return Finding(ParallelOutcome.CANCELLED) if isinstance(error, asyncio.CancelledError) else None
