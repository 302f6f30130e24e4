"""
What came of one candidate of one call, in the words that counters and people use, and what is told of it.

Pure. Whatever prevented a comparison has a word of its own, so that it is never taken for a match or a mismatch.
"""

from enum import StrEnum
from typing import Any

import msgspec

__all__ = ["DIFFERENCES", "Answer", "Observation", "ParallelOutcome"]


class ParallelOutcome(StrEnum):
    """What came of a candidate."""

    MATCH = "match"
    """Both returned, and `compare` holds."""
    MISMATCH = "mismatch"
    """Both returned, and it does not."""
    IGNORED = "ignored"
    """They differ in a way that is known and not to be counted."""
    CONTROL_RAISED = "control_raised"
    """The control raised, the candidate returned."""
    CANDIDATE_RAISED = "candidate_raised"
    """The candidate raised, the control returned."""
    BOTH_RAISED_MATCH = "both_raised_match"
    """Both raised, and `compare_errors` holds."""
    BOTH_RAISED_MISMATCH = "both_raised_mismatch"
    """Both raised, and it does not."""
    TIMEOUT = "timeout"
    """The candidate did not answer in time."""
    DROPPED = "dropped"
    """As many candidates as may were running; this one was not started."""
    SKIPPED = "skipped"
    """It could not be compared, and was not: `ParallelCounts.skipped` says why."""
    CANCELLED = "cancelled"
    """The caller went away, and the candidate with it."""
    ABANDONED = "abandoned"
    """The run's block was left before it was known."""
    HARNESS_ERROR = "harness_error"
    """A function that was given to the run raised: `ParallelCounts.harness_errors` says which."""


DIFFERENCES = frozenset(
    {
        ParallelOutcome.MISMATCH,
        ParallelOutcome.CONTROL_RAISED,
        ParallelOutcome.CANDIDATE_RAISED,
        ParallelOutcome.BOTH_RAISED_MISMATCH,
    }
)
"""The outcomes that say that a candidate is not the same as its control."""


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What may be told of an answer."""

    type: str
    """The class of what was returned or raised."""
    raised: bool = False
    """Whether it was raised."""
    clean: Any = None
    """What `clean`, or `clean_error`, made of it; `None` without that function."""

    def __str__(self) -> str:
        shown = self.type if self.clean is None else repr(self.clean)
        return f"raised {shown}" if self.raised else shown


class Observation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is published of one candidate of one call."""

    run: str
    """The name of the parallel run."""
    candidate: str
    outcome: ParallelOutcome
    control: Answer
    """What the caller got."""
    answer: Answer
    """What the candidate answered."""
    control_s: float
    """How long the control took."""
    candidate_s: float
    """How long the candidate took."""
    about: Any = None
    """What the function `about` made of the arguments."""
