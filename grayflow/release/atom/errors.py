"""
What running an atom raises, grouped by what is true afterwards.

    ReleaseError
    └── AtomError                 a run did not succeed, or was asked for something that it cannot do
        ├── AtomRolledBack        everything is as it was before
        ├── AtomRollbackFailed    some steps could not be undone; somebody has to decide
        ├── AtomInDoubt           the code does not know the recorded steps; nothing was done, somebody has to decide
        ├── AtomRefusedError      the run is in no state for that; nothing was changed
        └── StepFailedError       only as a cause: what a step raised in another process
"""

from grayflow.errors import ReleaseError
from grayflow.release.atom.record import AtomResult, Trouble

__all__ = ["AtomError", "AtomInDoubt", "AtomRefusedError", "AtomRollbackFailed", "AtomRolledBack", "StepFailedError"]


class AtomError(ReleaseError):
    """A run did not succeed, or was asked for something that it cannot do."""


class _Ended(AtomError):  # noqa: N818 - never raised itself
    """A run that ended otherwise than well."""

    def __init__(self, result: AtomResult) -> None:
        super().__init__(result)
        self.result = result
        """How it ended, step by step."""

    @property
    def _name(self) -> str:
        return f"run {self.result.run_id!r} of atom {self.result.atom!r}"

    @property
    def _why(self) -> str:
        return str(self.result.error or "no reason is recorded")


class AtomRolledBack(_Ended):
    """A run was undone completely; its `__cause__` is what went wrong."""

    def __str__(self) -> str:
        skipped = [step.name for step in self.result.steps if step.state == "skipped"]
        kept = f", but for what somebody said need not be undone ({', '.join(skipped)})" if skipped else ""
        return (
            f"{self._name} was rolled back: {self._why}. Everything is as it was before{kept}; to try again, run it "
            "under a new run id"
        )


class AtomRollbackFailed(_Ended):
    """
    A run could not be undone completely.

    Its `__cause__` is an `ExceptionGroup` of what the undos raised, whose `__cause__` is what turned the run back.
    """

    def __str__(self) -> str:
        run_id = self.result.run_id
        errors = "; ".join(map(str, self.result.undo_errors))
        return (
            f"{self._name} could not be rolled back: {errors}. It was undone because of {self._why}. Left to undo, in "
            f"this order: {', '.join(self.result.remaining)}. When the cause is removed: grayflow atoms resume "
            f"{run_id}; for a step that need not be undone: grayflow atoms skip {run_id} STEP --reason WHY"
        )


class AtomInDoubt(_Ended):
    """A run was begun by other code than there is here; nothing was done with it."""

    def __str__(self) -> str:
        run_id = self.result.run_id
        left = ", ".join(self.result.remaining) or "nothing"
        return (
            f"{self._name} is in doubt: {self._why}. Nothing was done or undone since; done, or perhaps done, are: "
            f"{left}. Undo it with the code that began it (grayflow atoms resume {run_id}), or by hand, and then: "
            f"grayflow atoms skip {run_id} STEP --reason WHY"
        )


class AtomRefusedError(AtomError):
    """A run is in no state for what was asked; nothing was changed."""

    def __init__(self, message: str, *, run_id: str) -> None:
        super().__init__(message)
        self.message = message
        self.run_id = run_id

    def __str__(self) -> str:
        return self.message


class StepFailedError(AtomError):
    """What went wrong in a step, where the exception itself was raised in another process."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble)
        self.trouble = trouble

    def __str__(self) -> str:
        return str(self.trouble)
