"""
What to do next: from what is recorded of a run, and the rules of its atom, to one action.

Pure. Each action is one effect at most, and is told to the journal before anything follows from it; so a process that
dies anywhere leaves a record from which the same function finds the way on, for whoever takes over.
"""

import msgspec

from grayflow.release.atom.model import Atom
from grayflow.release.atom.record import Outcome, Run, StepRecord, Trouble

__all__ = ["Action", "Ask", "BeginUndo", "Do", "End", "Prepare", "TurnBack", "Undo", "Wait", "cancelled", "plan"]


class Prepare(msgspec.Struct, frozen=True):
    """Capture the state before a step and record that it is about to be done."""

    index: int


class Do(msgspec.Struct, frozen=True):
    """Do a step whose intent this very process has recorded."""

    index: int


class Ask(msgspec.Struct, frozen=True):
    """Find out how far a step came whose process is gone."""

    index: int


class BeginUndo(msgspec.Struct, frozen=True):
    """Record that a step is about to be undone."""

    index: int


class Undo(msgspec.Struct, frozen=True):
    """Undo a step."""

    index: int


class Wait(msgspec.Struct, frozen=True):
    """Nothing before that instant."""

    until: int


class TurnBack(msgspec.Struct, frozen=True):
    """Go on backwards from here."""

    error: Trouble


class End(msgspec.Struct, frozen=True):
    """Nothing is left to do, or nothing can be done."""

    outcome: Outcome
    error: Trouble | None = None


Action = Prepare | Do | Ask | BeginUndo | Undo | Wait | TurnBack | End


def plan(run: Run, atom: Atom, *, fence: int, now: int) -> Action | None:
    """
    Return what comes next, `None` if the run has ended.

    Args:
        run: What is recorded.
        atom: The code of that name.
        fence: Of the process that asks. What another began is asked about before anything else.
        now: Nanoseconds since the epoch, by the journal's clock.
    """
    if run.outcome is not None:
        return None
    if (strange := _strange(run, atom)) is not None:
        return End("in_doubt", Trouble(kind="InDoubt", message=strange))
    if run.direction == "back":
        return _back(run, atom, fence, now)
    if run.cancel is not None and atom.on_cancel == "undo":
        return TurnBack(cancelled(run))
    return _forward(run, fence, now)


def cancelled(run: Run) -> Trouble:
    """Return why a run that somebody cancelled turned back."""
    if run.cancel is None:
        return Trouble(kind="Cancelled")
    why = f": {run.cancel.reason}" if run.cancel.reason else ""
    return Trouble(kind="Cancelled", message=f"by {run.cancel.actor}{why}")


def _strange(run: Run, atom: Atom) -> str | None:
    """Return why this code cannot go on with this record; `None` if it can."""
    recorded = tuple(step.name for step in run.steps)
    if run.version != atom.version:
        return f"the run is of version {run.version} of atom {run.atom!r}, and the code here is version {atom.version}"
    if recorded != atom.names:
        return (
            f"the run has the steps {', '.join(recorded)}, and version {atom.version} of atom {run.atom!r} has "
            f"{', '.join(atom.names)} here"
        )
    return None


def _forward(run: Run, fence: int, now: int) -> Action:
    for index, step in enumerate(run.steps):
        if step.state == "done":
            continue
        if step.state == "intent" and step.fence != fence:
            return Ask(index)
        if step.fence == fence and step.next_at > now:
            return Wait(step.next_at)
        return Do(index) if step.state == "intent" else Prepare(index)
    return End("succeeded")


def _back(run: Run, atom: Atom, fence: int, now: int) -> Action:
    failed: list[int] = []
    for index in reversed(range(len(run.steps))):
        step = run.steps[index]
        if not step.left or not _may_undo(atom, index, failed):
            continue
        if step.state == "undo_failed":
            failed.append(index)
            continue
        return _undo(index, step, fence, now)
    return End("rollback_failed" if failed else "rolled_back", run.error)


def _may_undo(atom: Atom, index: int, failed: list[int]) -> bool:
    """Whether a step may be undone although the undo of later ones has failed."""
    if not failed:
        return True
    steps = atom.sequence
    return atom.undo_failure == "continue" and all(
        steps[index].independent or steps[later].independent for later in failed
    )


def _undo(index: int, step: StepRecord, fence: int, now: int) -> Action:
    if step.state == "intent":
        return Ask(index)
    if step.state != "undoing" or step.fence != fence:
        return BeginUndo(index)
    return Wait(step.next_at) if step.next_at > now else Undo(index)
