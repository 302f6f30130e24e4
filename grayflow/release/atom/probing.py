"""
What one step's functions say: each call in the words of the journal, with what went wrong in place of an exception.

Nothing is decided here and nothing written. `engine.py` asks, `moves.py` draws the conclusions.
"""

from typing import Any, get_args

import msgspec
from msgspec import UNSET, UnsetType, structs

from grayflow.release.atom.calling import Answer, Caller
from grayflow.release.atom.model import Atom, Step, StepCall, StepFunction, Verdict
from grayflow.release.atom.moves import Facts
from grayflow.release.atom.record import During, Run, Trouble, plain

__all__ = ["Prober", "read_input"]

_STATES_LIMIT = 600_000
"""Bytes of all captured states together, which leaves room for the rest of a record of 1 MiB."""
_LEAST_S = 0.1
_VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


class Prober:
    """
    Calls the functions of an atom's steps.

    Args:
        atom: Whose steps.
        caller: Does the calls.
    """

    def __init__(self, atom: Atom, caller: Caller) -> None:
        self._steps, self._caller = atom.sequence, caller
        self.given: Any = None
        """The input, as the steps are to see it."""
        self._limit = _STATES_LIMIT // (2 * len(self._steps))
        self.failures: dict[tuple[str, During], BaseException] = {}
        """What was raised, by step and function: the newest."""

    async def before(self, run: Run, index: int, fence: int) -> tuple[Any | UnsetType, Trouble | None]:
        """Return the state before a step, unset without a `capture`."""
        return await self._capture(index, self._told(run, index, fence))

    async def do(self, run: Run, index: int, fence: int) -> Facts:
        """Do a step and find out what came of it."""
        step, told = self._steps[index], self._told(run, index, fence)
        answer = await self._caller.call(step.do, told, step.limit_s, interruptible=step.cancellable)
        if answer.error is None:
            return await self._confirmed(index, told, answer)
        self.failures[step.name, "do"] = answer.error
        error = Trouble.of(answer.error, step=step.name, during="do")
        found = await self.ask(run, index, fence)
        return Facts(error=error, verdict=found.verdict, after=found.after, stopped=answer.stopped)

    async def ask(self, run: Run, index: int, fence: int) -> Facts:
        """Find out how far a step came that did not say so itself."""
        told = self._told(run, index, fence)
        verdict, error = await self._verdict(index, told)
        if verdict != "applied" or self._steps[index].capture is None:
            return Facts(error=error, verdict=verdict)
        after, error = await self._capture(index, told)
        return Facts(after=after) if error is None else Facts(error=error, verdict="unknown")

    async def undo(self, run: Run, index: int, fence: int, now: int) -> Trouble | None:
        """Undo a step and look whether the state is as before; return what went wrong."""
        step = self._steps[index]
        if step.undo is not None:
            limit_s = max(_LEAST_S, (run.steps[index].undo_by - now) / 1e9)
            error = await self._called(index, "undo", step.undo, self._told(run, index, fence, undoing=True), limit_s)
            if isinstance(error, Trouble):
                return error
        before = run.steps[index].before
        if step.capture is None or before is UNSET:
            return None
        found, trouble = await self._capture(index, self._told(run, index, fence, undoing=True), during="verify")
        if trouble is not None or found == before:
            return trouble
        message = f"the state is not as before: {found!r:.200} instead of {before!r:.200}"
        return Trouble(kind="UndoUnverified", message=message, step=step.name, during="verify")

    async def _confirmed(self, index: int, told: StepCall, answer: Answer) -> Facts:
        """Return what came of a `do` that returned."""
        step = self._steps[index]
        after, error = await self._state_after(index, told, answer.value)
        if error is not None:
            return Facts(error=error, verdict="unknown")
        if step.check is None:
            return Facts(after=after)
        verdict, error = await self._verdict(index, _after(told, after))
        if error is not None:
            return Facts(error=error, verdict="unknown", after=after)
        if verdict not in ("wrong", "not_applied"):
            return Facts(after=after)
        message = "do returned, and check says that its effect is not there"
        error = Trouble(kind="NotApplied", message=message, step=step.name, during="check")
        return Facts(error=error, verdict=verdict, after=after)

    async def _state_after(self, index: int, told: StepCall, returned: Any) -> tuple[Any | UnsetType, Trouble | None]:
        if self._steps[index].capture is not None:
            return await self._capture(index, told)
        return self._kept(index, "do", returned)

    async def _capture(
        self, index: int, told: StepCall, during: During = "capture"
    ) -> tuple[Any | UnsetType, Trouble | None]:
        step = self._steps[index]
        if step.capture is None:
            return UNSET, None
        answer = await self._called(index, during, step.capture, told, step.check_s)
        return (UNSET, answer) if isinstance(answer, Trouble) else self._kept(index, during, answer.value)

    def _kept(self, index: int, during: During, value: Any) -> tuple[Any | UnsetType, Trouble | None]:
        """Return a state as the journal keeps it."""
        try:
            return plain(value, limit=self._limit), None
        except Exception as error:  # noqa: BLE001 - a foreign object's own methods; recorded as a failure of the step
            return UNSET, self._trouble(index, during, error)

    async def _verdict(self, index: int, told: StepCall) -> tuple[Verdict, Trouble | None]:
        step = self._steps[index]
        if step.check is None:
            return "unknown", None
        answer = await self._called(index, "check", step.check, told, step.check_s)
        if isinstance(answer, Trouble):
            return "unknown", answer
        if (verdict := _as_verdict(answer.value)) is not None:
            return verdict, None
        error = TypeError(f"check answered {answer.value!r:.200}; answer True, False, None or a Verdict")
        return "unknown", self._trouble(index, "check", error)

    async def _called(
        self, index: int, during: During, function: StepFunction, told: StepCall, limit_s: float
    ) -> Answer | Trouble:
        answer = await self._caller.call(function, told, limit_s)
        return answer if answer.error is None else self._trouble(index, during, answer.error)

    def _trouble(self, index: int, during: During, error: BaseException) -> Trouble:
        step: Step = self._steps[index]
        self.failures[step.name, during] = error
        return Trouble.of(error, step=step.name, during=during)

    def _told(self, run: Run, index: int, fence: int, *, undoing: bool = False) -> StepCall:
        step = run.steps[index]
        earlier = {one.name: one.after for one in run.steps[:index] if one.after is not UNSET}
        return StepCall(
            run_id=run.run_id,
            atom=run.atom,
            version=run.version,
            step=step.name,
            input=self.given,
            before=None if step.before is UNSET else step.before,
            after=None if step.after is UNSET else step.after,
            done=step.after is not UNSET,
            earlier=earlier,
            attempt=step.undos if undoing else max(1, step.attempts),
            undoing=undoing,
            fencing_token=fence,
        )


def read_input(atom: Atom, given: Any) -> Any:
    """
    Return a recorded input as the steps of an atom are to see it.

    Raises:
        msgspec.ValidationError: it is not what the atom's `input_type` says.
    """
    return given if atom.input_type is None else msgspec.convert(given, atom.input_type)


def _after(told: StepCall, after: Any | UnsetType) -> StepCall:
    return told if after is UNSET else structs.replace(told, after=after, done=True)


def _as_verdict(value: Any) -> Verdict | None:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "applied" if value else "wrong"
    return next((verdict for verdict in _VERDICTS if verdict == value), None)
