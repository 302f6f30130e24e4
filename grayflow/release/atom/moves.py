"""
What becomes of a run's record by each thing that happens to it.

Pure. Every change that is ever written to the journal is made here; `plan.py` reads the result.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType, structs

from grayflow.release.atom.model import Atom, Step, Verdict
from grayflow.release.atom.plan import BeginUndo, End, TurnBack, cancelled
from grayflow.release.atom.record import Cancel, Run, StepRecord, Trouble

__all__ = [
    "Facts",
    "asked",
    "begun",
    "cancelled_by",
    "done",
    "ended",
    "prepared",
    "resumed",
    "skipped",
    "taken_over",
    "turned_back",
    "undo_begun",
    "undone",
]

_DIED = "the process that ran it was gone"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt went, as far as it can be known."""

    error: Trouble | None = None
    verdict: Verdict = "applied"
    after: Any | UnsetType = UNSET
    stopped: bool = False
    """It was interrupted because somebody cancelled the run."""


def begun(atom: Atom, run_id: str, given: Any, *, actor: str, reason: str, now: int) -> Run:
    """Return a run of which nothing has been done yet."""
    return Run(
        run_id=run_id,
        atom=atom.name,
        version=atom.version,
        steps=tuple(StepRecord(name=name) for name in atom.names),
        input=given,
        actor=actor,
        reason=reason,
        created=now,
    )


def taken_over(run: Run, atom: Atom) -> Run:
    """
    Return a run whose process is gone, as another goes on with it.

    One that does not get any further, because it brings down every process that tries, is turned back, and parked if
    its undo does so too.
    """
    if run.outcome is not None:
        return run
    died = Trouble(kind="Interrupted", message=_DIED)
    run = structs.replace(run, recoveries=run.recoveries + 1, taken_over=run.taken_over + 1)
    tired = run.recoveries > atom.recoveries
    if run.direction == "forward" and (tired or atom.on_recover == "undo"):
        return structs.replace(turned_back(run, TurnBack(died)), recoveries=1)
    if run.direction == "back" and tired and run.remaining:
        trouble = Trouble(kind="Interrupted", message=f"{_DIED}, {run.recoveries} times at the same step")
        return _parked(run, trouble)
    return run


def _parked(run: Run, trouble: Trouble) -> Run:
    left = [index for index, step in enumerate(run.steps) if step.left]
    # What was being undone is at fault; later steps may have been given up before that.
    index = max([index for index in left if run.steps[index].state == "undoing"] or left)
    step = run.steps[index]
    told = structs.replace(trouble, step=step.name, during="undo")
    run = _with(run, index, state="undo_failed", undo_error=told)
    return structs.replace(run, outcome="rollback_failed")


def cancelled_by(run: Run, cancel: Cancel) -> Run:
    """Return a run that somebody cancelled; the first who does is the one who did."""
    return run if run.cancel is not None or run.outcome is not None else structs.replace(run, cancel=cancel)


def turned_back(run: Run, action: TurnBack) -> Run:
    """Return a run that goes backwards from here."""
    return structs.replace(run, direction="back", error=run.error or action.error)


def prepared(
    run: Run, step: Step, index: int, before: Any, error: Trouble | None, *, fence: int, now: int, wait_s: float
) -> Run:
    """
    Return a run whose next step is about to be done; or whose state before it could not be captured.

    Args:
        run: So far.
        step: The rules of the step.
        index: Its place.
        before: What was captured, unset without a `capture`.
        error: Why it was not captured.
        fence: Of this process.
        now: The instant.
        wait_s: Before another attempt, if there is one.
    """
    attempts = run.steps[index].attempts + 1
    if error is None:
        return _with(run, index, state="intent", before=before, attempts=attempts, fence=fence, next_at=0)
    run = _with(run, index, attempts=attempts, error=error, fence=fence, next_at=_later(now, wait_s))
    return run if attempts < step.retry.attempts else turned_back(run, TurnBack(error))


def done(run: Run, step: Step, index: int, facts: Facts, *, fence: int, now: int, wait_s: float) -> Run:
    """Return a run after an attempt at a step; `wait_s` comes before another, if there is one."""
    held = run.steps[index]
    if facts.error is None or _accepted(step, facts):
        verdict = "" if facts.error is None else facts.verdict
        run = _with(run, index, state="done", after=facts.after, error=facts.error, verdict=verdict, next_at=0)
        return structs.replace(run, recoveries=0)
    if not facts.stopped and facts.verdict != "applied" and held.attempts < step.retry.attempts:
        return _with(
            run,
            index,
            attempts=held.attempts + 1,
            error=facts.error,
            verdict=facts.verdict,
            fence=fence,
            next_at=_later(now, wait_s),
        )
    state = "not_applied" if facts.verdict == "not_applied" else "failed"
    run = _with(run, index, state=state, after=facts.after, error=facts.error, verdict=facts.verdict, next_at=0)
    return turned_back(run, TurnBack(cancelled(run) if facts.stopped and run.cancel is not None else facts.error))


def asked(run: Run, index: int, facts: Facts, *, fence: int) -> Run:
    """Return a run after the question how far a step came whose process is gone."""
    if run.direction == "back":
        state = "not_applied" if facts.verdict == "not_applied" else "failed"
        return _with(run, index, state=state, after=facts.after, verdict=facts.verdict)
    if facts.verdict == "applied" and facts.error is None:
        run = _with(run, index, state="done", after=facts.after, verdict="applied", next_at=0)
        return structs.replace(run, recoveries=0)
    # Not there, or nobody can tell: it is harmless when it runs again, and the state before it is the one recorded.
    attempts = run.steps[index].attempts + 1
    return _with(run, index, attempts=attempts, verdict=facts.verdict, fence=fence, next_at=0)


def undo_begun(run: Run, step: Step, action: BeginUndo, *, fence: int, now: int) -> Run:
    """Return a run one step of which is about to be undone."""
    undos = run.steps[action.index].undos + 1
    undo_by = _later(now, step.undo_s)
    return _with(run, action.index, state="undoing", undos=undos, undo_by=undo_by, fence=fence, next_at=0)


def undone(run: Run, step: Step, index: int, error: Trouble | None, *, now: int, wait_s: float) -> Run:
    """Return a run after an attempt to undo a step; `wait_s` comes before another, if there is one."""
    held = run.steps[index]
    if error is None:
        run = _with(run, index, state="undone", undo_error=None, next_at=0, undo_by=0)
        return structs.replace(run, recoveries=0)
    next_at = _later(now, wait_s)
    if held.undos < step.undo_retry.attempts and next_at < held.undo_by:
        return _with(run, index, undos=held.undos + 1, undo_error=error, next_at=next_at)
    return _with(run, index, state="undo_failed", undo_error=error, next_at=0)


def ended(run: Run, action: End, now: int) -> Run:
    """Return a run with its outcome."""
    return structs.replace(run, outcome=action.outcome, error=action.error, finished=now)


def resumed(run: Run, *, actor: str) -> Run:
    """Return a parked run that is undone from where it stopped, with all attempts."""
    steps = tuple(
        structs.replace(step, state="failed", undos=0, next_at=0) if step.state == "undo_failed" else step
        for step in run.steps
    )
    return structs.replace(run, steps=steps, outcome=None, direction="back", finished=0, recoveries=0, resumed_by=actor)


def skipped(run: Run, names: Sequence[str], *, actor: str, reason: str, now: int) -> Run:
    """Return a parked run some steps of which need not be undone; if that was all, it is rolled back."""
    for index, step in enumerate(run.steps):
        if step.name in names and step.left:
            run = _with(run, index, state="skipped", actor=actor, reason=reason)
    return run if run.remaining else structs.replace(run, outcome="rolled_back", direction="back", finished=now)


def _accepted(step: Step, facts: Facts) -> bool:
    return step.accept_applied and facts.verdict == "applied" and not facts.stopped


def _with(run: Run, index: int, **changes: Any) -> Run:
    steps = list(run.steps)
    steps[index] = structs.replace(steps[index], **changes)
    return structs.replace(run, steps=tuple(steps))


def _later(now: int, seconds: float) -> int:
    return now + round(seconds * 1e9)
