"""
What came of one call, in the words that breakers, counters and people use.

Pure. The point of the words is what they keep apart: an answer that the caller wanted to hear (`ignored`), a caller
that went away (`cancelled`) and an outage that the old side shares (`both_failed`) say nothing against the new side.
"""

from enum import StrEnum
from typing import Any

from grayflow.store.given import refused

__all__ = ["Errors", "Outcome", "checked_errors", "classify", "outcome_of"]

Errors = tuple[type[Exception], ...]
"""Classes of exceptions."""


class Outcome(StrEnum):
    """What came of a call of the new implementation."""

    SUCCESS = "success"
    SLOW = "slow"
    """It answered, and took longer than `slow_call`."""
    FAILURE = "failure"
    """It raised or took longer than its timeout, whether or not the old one answered in its place."""
    IGNORED = "ignored"
    """It raised something that is no failure: neither for nor against it."""
    CANCELLED = "cancelled"
    """The caller went away: neither for nor against it."""
    BOTH_FAILED = "both_failed"
    """The old one failed too: the cause is probably shared, so it is not held against the new one."""


def classify(error: Exception, failures: Errors, ignore: Errors) -> Outcome:
    """
    Say what an exception means.

    Args:
        error: What was raised.
        failures: What counts as a failure.
        ignore: What does not, even so.
    """
    return Outcome.FAILURE if isinstance(error, failures) and not isinstance(error, ignore) else Outcome.IGNORED


def outcome_of(error: BaseException | None, failures: Errors, ignore: Errors) -> Outcome:
    """Say what came of something that ended with that, or well: what is no `Exception` ended it from outside."""
    if error is None:
        return Outcome.SUCCESS
    return classify(error, failures, ignore) if isinstance(error, Exception) else Outcome.CANCELLED


def checked_errors(name: str, given: Any) -> Errors:
    """
    Return classes of exceptions; one alone may be given as it is.

    Raises:
        ConfigurationError: it is something else.
    """
    kinds = given if isinstance(given, tuple) else (given,)
    for kind in kinds:
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            which = f"one of {name}" if isinstance(given, tuple) else name
            raise refused(which, kind, "give classes of exceptions, such as (OSError, TimeoutError)")
    return kinds
