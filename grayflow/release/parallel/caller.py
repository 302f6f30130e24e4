"""
The caller's side of one call that was sampled: the control as ever, and whatever the mode adds to it.

What the control returns or raises is the caller's, the very object; all else is in the way of that only where the mode
says so.
"""

from collections.abc import Callable, Mapping
from typing import Any

from grayflow.errors import MismatchError
from grayflow.release.parallel.answers import Raised, Returned, called
from grayflow.release.parallel.candidate import Candidate, Question
from grayflow.release.parallel.hooks import HookError
from grayflow.release.parallel.outcome import DIFFERENCES, ParallelOutcome
from grayflow.release.parallel.stage import Stage
from grayflow.release.running import Running

__all__ = ["Caller"]


class Caller:
    """
    One call.

    Args:
        stage: Where candidates run.
        running: Its block.
        candidates: Who is asked beside the control.
        control: Answers.
        args: Of the call.
        kwargs: Likewise.
    """

    __slots__ = ("_args", "_control", "_kwargs", "_question", "_running", "_stage")

    def __init__(
        self,
        stage: Stage,
        running: Running,
        candidates: tuple[Candidate, ...],
        control: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> None:
        self._stage, self._running, self._question = stage, running, Question(candidates)
        self._control, self._args, self._kwargs = control, args, kwargs

    async def detached(self) -> Any:
        """Return as soon as the control has answered."""
        self._start_all()
        return await self._answer(kept=True)

    async def concurrent(self, *, told: bool = False) -> Any:
        """
        Return when all have been compared.

        Args:
            told: Whether a difference is raised.

        Raises:
            MismatchError: there is one; it has been published.
        """
        self._start_all()
        try:
            value = await self._answer(kept=False)
        except Exception as error:
            await self._compared()
            if told:
                await self._tell(error)
            raise
        await self._compared()
        if told:
            await self._tell(None)
        return value

    async def sequential(self, random: Callable[[], float]) -> Any:
        """Ask one after the other in random order, so that nobody's time is longer because of another."""
        turns: list[Candidate | None] = [None, *self._question.candidates]
        turns.sort(key=lambda _: random())
        value: Any = None
        failure: Exception | None = None
        try:
            for turn in turns:
                if turn is not None:
                    turn.start(self._running, self._question)
                    await turn.ran.wait()
                    continue
                try:
                    value = await self._answer(kept=True)
                except Exception as error:  # noqa: BLE001 - raised when the others had their turn
                    failure = error
        except BaseException:
            self._question.give_up(ParallelOutcome.CANCELLED)
            raise
        if failure is not None:
            raise failure
        return value

    def _start_all(self) -> None:
        for candidate in self._question.candidates:
            candidate.start(self._running, self._question)

    async def _answer(self, *, kept: bool) -> Any:
        """Ask the control; `kept`: the caller may change what it gets before it has been compared."""
        monotonic, question = self._stage.monotonic, self._question
        began = monotonic()
        try:
            value = await called(self._control, self._args, self._kwargs)
        except Exception as error:
            question.settle(Raised(error, monotonic() - began))
            raise
        except BaseException:
            question.give_up(ParallelOutcome.CANCELLED)
            raise
        took_s = monotonic() - began
        try:
            question.settle(Returned(self._stage.copied(value) if kept else value, took_s))
        except HookError:
            question.settle(None)
        return value

    async def _compared(self) -> None:
        try:
            for candidate in self._question.candidates:
                await candidate.done.wait()
        except BaseException:
            self._question.give_up(ParallelOutcome.CANCELLED)
            raise

    async def _tell(self, failure: Exception | None) -> None:
        """Raise the differences, if there are any; what the control raised is their cause."""
        seen = [one.finding.observation for one in self._question.candidates if one.finding is not None]
        told = [one for one in seen if one is not None and one.outcome in DIFFERENCES]
        if told:
            await self._stage.idle()
            outcomes = tuple((one.candidate, str(one.outcome), str(one.answer)) for one in told)
            raise MismatchError(self._stage.name, outcomes=outcomes, control=str(told[0].control)) from failure
