"""From the result of a run that did not succeed to the exception that its caller gets, with what was raised inside."""

from collections.abc import Mapping

from grayflow.release.atom.errors import AtomError, AtomInDoubt, AtomRollbackFailed, AtomRolledBack, StepFailedError
from grayflow.release.atom.record import AtomResult, During, Trouble

__all__ = ["error_of"]

Failures = Mapping[tuple[str, During], BaseException]


def error_of(result: AtomResult, failures: Failures) -> AtomError | None:
    """
    Return what to raise, `None` if the run succeeded.

    Args:
        result: Of the run.
        failures: What was raised in this process. What another process raised is told by a `StepFailedError`.
    """
    if result.outcome == "succeeded":
        return None
    cause = None if result.error is None else _raised(result.error, failures)
    if result.outcome == "rolled_back":
        error: AtomError = AtomRolledBack(result)
        error.__cause__ = cause
    elif result.outcome == "in_doubt":
        error = AtomInDoubt(result)
    else:
        error = AtomRollbackFailed(result)
        error.__cause__ = _group(result, failures)
        if error.__cause__ is not None:
            error.__cause__.__cause__ = cause
    return error


def _group(result: AtomResult, failures: Failures) -> ExceptionGroup[Exception] | None:
    raised = [_raised(trouble, failures) for trouble in result.undo_errors]
    return ExceptionGroup(f"the undo of run {result.run_id!r} failed", raised) if raised else None


def _raised(trouble: Trouble, failures: Failures) -> Exception:
    """Return the exception itself if it was raised here, else one that tells of it."""
    error = failures.get((trouble.step, trouble.during))
    if isinstance(error, Exception) and type(error).__name__ == trouble.kind:
        return error
    return StepFailedError(trouble)
