"""How often what happened, in this process since the run was made."""

from collections import Counter
from collections.abc import Mapping
from threading import Lock

import msgspec

from grayflow.release.parallel.outcome import ParallelOutcome

__all__ = ["ParallelCounts", "Tally"]


class ParallelCounts(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a parallel run has counted, in this process and since it was made.

    Each candidate of each sampled call is counted once in `outcomes`, once it is known.
    """

    calls: int
    """All calls, sampled or not."""
    sampled: int
    """Those that the flag chose."""
    outcomes: Mapping[str, Mapping[ParallelOutcome, int]]
    """By candidate."""
    skipped: Mapping[str, int]
    """
    Why candidates were skipped: `snapshot` (something could not be copied), `serves` (the candidate is what answers),
    `not_open` (it cannot be opened), `shadow` (the call was itself made by a candidate), `other_loop`, `announced` (a
    write of the row goes on, or waits for its repair; see `Migration`).
    """
    harness_errors: Mapping[str, int]
    """
    How often which function that was given to the run raised or was late. `publish` is counted here only: what was
    found out is not undone because it could not be told.
    """
    in_flight: int
    """Candidates that run, or are about to be compared, now."""
    published: int
    lost: int
    """What was not published, because too much waited already or the block was left."""

    def total(self, *outcomes: ParallelOutcome) -> int:
        """Return how often any of these outcomes came about, in all candidates."""
        return sum(counted.get(one, 0) for counted in self.outcomes.values() for one in outcomes)


class Tally:
    """Counts; from any thread."""

    def __init__(self) -> None:
        # Calls in other threads and loops are counted too, and `+=` is more than one step.
        self._lock = Lock()
        self._calls: Counter[str] = Counter()
        self._outcomes: dict[str, Counter[ParallelOutcome]] = {}
        self._skipped: Counter[str] = Counter()
        self._harness: Counter[str] = Counter()

    def note(self, what: str, times: int = 1) -> None:
        """Count a `calls`, `sampled`, `published` or `lost`."""
        with self._lock:
            self._calls[what] += times

    def outcome(self, candidate: str, outcome: ParallelOutcome, why: str = "") -> int:
        """
        Count what came of a candidate, and why if it was skipped.

        Returns:
            How often that came of it up to now.
        """
        with self._lock:
            counted = self._outcomes.setdefault(candidate, Counter())
            counted[outcome] += 1
            if outcome is ParallelOutcome.SKIPPED:
                self._skipped[why] += 1
            return counted[outcome]

    def harness(self, hook: str) -> int:
        """Count an error of a function that was given to the run; return how often that has raised."""
        with self._lock:
            self._harness[hook] += 1
            return self._harness[hook]

    def counts(self, in_flight: int) -> ParallelCounts:
        """Return everything as it is now."""
        with self._lock:
            return ParallelCounts(
                calls=self._calls["calls"],
                sampled=self._calls["sampled"],
                outcomes={name: dict(counted) for name, counted in self._outcomes.items()},
                skipped=dict(self._skipped),
                harness_errors=dict(self._harness),
                in_flight=in_flight,
                published=self._calls["published"],
                lost=self._calls["lost"],
            )
