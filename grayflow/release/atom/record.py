"""
What is known of one run: written to the journal before and after every effect, and read by whoever goes on with it.

A contract: other releases read these records, and pass over fields that they do not know. What changes them is in
`moves.py`. Instants are nanoseconds since the epoch, by the journal's clock.
"""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from grayflow.release.atom.model import Verdict

__all__ = [
    "LEFT_TO_UNDO",
    "AtomResult",
    "Cancel",
    "During",
    "Outcome",
    "Run",
    "StepRecord",
    "StepState",
    "Trouble",
    "plain",
    "read_run",
]

Outcome = Literal["succeeded", "rolled_back", "rollback_failed", "in_doubt"]
"""
How a run ended. `succeeded`: every step is done. `rolled_back`: everything is undone. `rollback_failed`: something
could not be undone, and waits for somebody to decide. `in_doubt`: the code does not know the steps of the record, and
nothing is done before somebody decides.
"""

StepState = Literal["pending", "intent", "done", "not_applied", "failed", "undoing", "undone", "undo_failed", "skipped"]
"""
`pending`: nothing was done. `intent`: `do` is about to run, runs, or died. `done`. `not_applied`: it failed, and its
`check` says that the effect is not there. `failed`: it failed, and the effect is there, or may be. `undoing`: `undo`
is about to run, runs, or died. `undone`. `undo_failed`: no more attempts. `skipped`: somebody said that it need not be
undone.
"""

LEFT_TO_UNDO: frozenset[StepState] = frozenset({"intent", "done", "failed", "undoing", "undo_failed"})
"""The states in which an effect is there, or may be."""

During = Literal["capture", "do", "check", "undo", "verify", "run"]

_ERROR_LIMIT = 500


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong, in which step."""

    kind: str
    """The name of the exception's class."""
    message: str = ""
    step: str = ""
    """Empty if it was no step."""
    during: During = "run"
    """What was being done: of the step's functions, `verify` for the comparison after an undo; `run` for the rest."""

    def __str__(self) -> str:
        what = f"{self.kind}: {self.message}" if self.message else self.kind
        return f"{self.during} of step {self.step!r}: {what}" if self.step else what

    @classmethod
    def of(cls, error: BaseException, *, step: str, during: During) -> "Trouble":
        """Describe an exception that foreign code raised; its own methods may raise again."""
        try:
            message = str(error)
        except Exception:  # noqa: BLE001 - nothing is left to ask it
            message = "its message cannot be read"
        message = message.encode(errors="replace").decode()  # JSON cannot hold a lone surrogate
        if len(message) > _ERROR_LIMIT:
            message = message[: _ERROR_LIMIT - 3] + "..."
        return cls(kind=type(error).__name__, message=message, step=step, during=during)


class StepRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of one step."""

    name: str
    state: StepState = "pending"
    before: Any | UnsetType = UNSET
    """What `capture` said before the step; unset before that, and without one."""
    after: Any | UnsetType = UNSET
    """What `capture` said after `do`, without one what `do` returned; unset where it is not known."""
    attempts: int = 0
    """How often it was begun."""
    undos: int = 0
    """How often the undo was begun."""
    next_at: int = 0
    """No attempt before this instant."""
    undo_by: int = 0
    """No attempt of the undo after this instant."""
    fence: int = 0
    """Whose attempt it was."""
    verdict: Verdict | Literal[""] = ""
    """What `check` said of an attempt that failed."""
    error: Trouble | None = None
    """Of the last attempt that failed."""
    undo_error: Trouble | None = None
    """Of the last undo that failed."""
    actor: str = ""
    """Who said that it need not be undone."""
    reason: str = ""
    """Why."""

    @property
    def left(self) -> bool:
        """Whether an effect is there, or may be."""
        return self.state in LEFT_TO_UNDO


class Cancel(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody wants the run not to go on."""

    actor: str
    reason: str = ""
    at: int = 0


class Run(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of one run."""

    run_id: str
    atom: str
    version: int
    steps: tuple[StepRecord, ...]
    """In the order in which they are done, `pre` and `post` included."""
    input: Any = None
    direction: Literal["forward", "back"] = "forward"
    outcome: Outcome | None = None
    """`None` while it runs."""
    error: Trouble | None = None
    """Why it turned back, or is parked."""
    cancel: Cancel | None = None
    actor: str = ""
    """Who began it."""
    reason: str = ""
    created: int = 0
    finished: int = 0
    recoveries: int = 0
    """How often it was taken over since it last got any further."""
    taken_over: int = 0
    """How often it was taken over at all."""
    resumed_by: str = ""
    """Who let it go on after it was parked."""

    @property
    def parked(self) -> bool:
        """Whether it waits for somebody to decide."""
        return self.outcome in ("rollback_failed", "in_doubt")

    @property
    def remaining(self) -> tuple[str, ...]:
        """The steps whose effects are there, or may be, in the order in which they are to be undone."""
        return tuple(step.name for step in reversed(self.steps) if step.left)

    def result(self) -> "AtomResult":
        """
        Return how it ended.

        Raises:
            ValueError: it has not.
        """
        if self.outcome is None:
            raise ValueError(f"run {self.run_id!r} has not ended")
        return AtomResult(
            run_id=self.run_id,
            atom=self.atom,
            version=self.version,
            outcome=self.outcome,
            steps=self.steps,
            error=self.error,
            undo_errors=tuple(
                step.undo_error for step in reversed(self.steps) if step.undo_error and step.state == "undo_failed"
            ),
        )


class AtomResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended: the same whoever asks, and whenever, for as long as the journal keeps it."""

    run_id: str
    atom: str
    version: int
    outcome: Outcome
    steps: tuple[StepRecord, ...]
    """In the order in which they are done, `pre` and `post` included."""
    error: Trouble | None = None
    """What turned the run back; `None` if nothing did."""
    undo_errors: tuple[Trouble, ...] = ()
    """Of the steps that could not be undone, in the order in which that was tried."""

    @property
    def remaining(self) -> tuple[str, ...]:
        """The steps that are left to undo, in that order; empty unless the run is parked."""
        if self.outcome not in ("rollback_failed", "in_doubt"):
            return ()
        return tuple(step.name for step in reversed(self.steps) if step.left)

    def step(self, name: str) -> StepRecord:
        """
        Return what is known of one step.

        Raises:
            KeyError: there is none of that name.
        """
        for one in self.steps:
            if one.name == name:
                return one
        raise KeyError(name)


def read_run(value: bytes) -> Run | None:
    """Return what a record holds, `None` if it is no run that this release can read."""
    try:
        return msgspec.json.decode(value, type=Run)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def plain(value: Any, *, limit: int) -> Any:
    """
    Return a value as it comes back from the journal: what JSON knows, and nothing else.

    Args:
        value: Anything that `msgspec.json` can write.
        limit: How many bytes it may take.

    Raises:
        TypeError, ValueError: JSON cannot hold it, or it is too large.
    """
    data = msgspec.json.encode(value)
    if len(data) > limit:
        raise ValueError(f"it takes {len(data)} bytes and may take {limit}; keep it elsewhere and return where it is")
    return msgspec.json.decode(data)
