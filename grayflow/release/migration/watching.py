"""
What a process notices while it serves: reads that differ, and that the old store is still read; told to the fleet.

Comparisons are those of a parallel run: beside the request, a bounded number at once. A difference is looked at again
before it counts, and does not count while a write of the row is announced: that goes on, or is being repaired.
"""

import logging
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar
from uuid import uuid4

import anyio

from grayflow.errors import StoreError
from grayflow.release.migration.compass import ROUTE
from grayflow.release.migration.journal import Journal
from grayflow.release.migration.ledger import Ledger
from grayflow.release.migration.pair import Pair
from grayflow.release.migration.rules import Side, Stage
from grayflow.release.migration.setup import Setup
from grayflow.release.parallel.candidate import Uncompared
from grayflow.release.parallel.outcome import ParallelOutcome
from grayflow.release.parallel.run import ParallelRun
from grayflow.store.given import refused

__all__ = ["ROW", "Watch", "checked_run"]

log = logging.getLogger("grayflow.release")

R = TypeVar("R")

_TOLD = 10
"""So many rows that differ are named in the log; all are counted."""
ROW = "row"
"""The attribute by which the flag of a parallel run knows a row."""
_COMPARED = frozenset({ParallelOutcome.MATCH, ParallelOutcome.IGNORED, ParallelOutcome.MISMATCH})
_FAILED = frozenset(
    {
        ParallelOutcome.CANDIDATE_RAISED,
        ParallelOutcome.TIMEOUT,
        ParallelOutcome.SKIPPED,
        ParallelOutcome.HARNESS_ERROR,
    }
)


class Watch(Generic[R]):
    """
    Counts for one process.

    Args:
        setup: Of the migration.
        ledger: Where the fleet's sums are.
        journal: Knows which rows are being written.
        run: Compares.
    """

    def __init__(self, setup: Setup[R], ledger: Ledger, journal: Journal, run: ParallelRun[Any]) -> None:
        self.setup, self.journal, self.pair = setup, journal, Pair(setup)
        self._ledger, self._run = ledger, run
        self._writer, self._sequence = uuid4().hex, 0
        self._counted: dict[int, Counter[str]] = {}
        self._batches: deque[tuple[int, int, Counter[str]]] = deque()
        self._old_read = False
        self._differing = 0
        self._flushing = anyio.Lock()

    async def read(self, key: str, side: Side, subject: Any, revision: int) -> R | None:
        """Return a row from one store, and let the other's copy be compared with it."""
        comparison = _Comparison(self, key, side, revision)
        return await self._compare(comparison, comparison.read, comparison.read_other, subject)

    async def compare_listed(self, key: str, old: R, new: R, revision: int) -> None:
        """Compare what a list has found in both stores; what differs is looked at again before it counts."""
        if not self._run.samples(self._about(old)):
            return
        try:
            same = self.setup.same(old, new)
        except Exception:  # noqa: BLE001 - foreign code, which must not fail the list; told by the run
            same = False
        if same:
            self._count(revision, "compared")
            return
        comparison = _Comparison(self, key, Side.OLD, revision)
        comparison.found = True
        await self._compare(comparison, lambda _: old, lambda _: new, old)

    async def _compare(
        self, by: "_Comparison[R]", control: Callable[[Any], Any], candidate: Callable[[Any], Any], subject: Any
    ) -> R | None:
        candidates = {by.side.other.value: candidate}
        found: R | None = await self._run.ask(
            control, lambda: candidates, (subject,), {}, self._about(subject), onlooker=by
        )
        return found

    def _about(self, subject: Any) -> dict[str, Any]:
        return {ROUTE: self.setup.route(subject), ROW: self.setup.key(subject)}

    def settled(self, outcome: ParallelOutcome, key: str, revision: int, *, found: bool) -> None:
        """Count what came of a comparison; that two stores have no such row is no proof of anything."""
        if outcome in _COMPARED and (found or outcome is ParallelOutcome.MISMATCH):
            self._count(revision, "compared")
        if outcome is ParallelOutcome.DROPPED:
            self._count(revision, "dropped")
        if outcome in _FAILED:
            self._count(revision, "failed")
        if outcome is ParallelOutcome.MISMATCH:
            self._count(revision, "mismatched")
            self._differing += 1
            level = logging.WARNING if self._differing <= _TOLD else logging.DEBUG
            log.log(level, "migration %r: the two copies of row %r differ", self.setup.name, key)

    def spooled(self, revision: int, rows: int) -> None:
        """Count announcements that waited on the disk."""
        if rows:
            self._count(revision, "spooled", rows)

    def read_old(self, stage: Stage) -> None:
        """Note that a read of this process needed the old store."""
        if stage in {Stage.LIVE, Stage.RAMPDOWN}:
            self._old_read = True

    async def flush(self) -> None:
        """Tell the fleet what was counted since the last time; what cannot be told is kept."""
        async with self._flushing:
            try:
                await self._flush()
            except StoreError as error:
                log.info("the counts of migration %r are told later: %s", self.setup.name, error)

    async def _flush(self) -> None:
        if self._old_read:
            self._old_read = False  # at first: another read may come meanwhile
            try:
                await self._ledger.note_old_read(self._writer)
            except StoreError:
                self._old_read = True
                raise
        await self._send()  # first what is left: while nothing can be told, one batch waits, however long that lasts
        for revision, counts in self._counted.items():
            # One number for one batch, however often it is sent: the board adds each number once.
            self._sequence += 1
            self._batches.append((self._sequence, revision, counts))
        self._counted = {}
        await self._send()

    async def _send(self) -> None:
        while self._batches:
            sequence, revision, counts = self._batches[0]
            await self._ledger.add_counts(revision, self._writer, sequence, counts)
            self._batches.popleft()

    def _count(self, revision: int, what: str, times: int = 1) -> None:
        self._counted.setdefault(revision, Counter())[what] += times


class _Comparison(Generic[R]):
    """One row of one read; see `grayflow.release.parallel.candidate.Onlooker`."""

    def __init__(self, watch: Watch[R], key: str, side: Side, revision: int) -> None:
        self._watch, self._key, self.side, self._revision = watch, key, side, revision
        self.found = False
        """Whether the store that answers has the row."""

    async def read(self, _: Any) -> R | None:
        """Return what the store says that answers."""
        row = await self._get(self.side)
        self.found = row is not None
        return row

    async def read_other(self, _: Any) -> R | None:
        """Return what the other one says."""
        return await self._get(self.side.other)

    async def second_look(self) -> tuple[Any, Any]:
        """Return both copies; after a write that is over meanwhile they are looked at once more."""
        copies = await self._both()
        if _same_copies(self._watch.setup, *copies):
            return copies
        await self._pass_unless_announced()
        copies = await self._both()
        if not _same_copies(self._watch.setup, *copies):
            await self._pass_unless_announced()
        return copies

    async def _both(self) -> tuple[R | None, R | None]:
        return await self._get(self.side), await self._get(self.side.other)

    async def _pass_unless_announced(self) -> None:
        try:
            announced = await self._watch.journal.announced(self._key)
        except StoreError:
            announced = True  # nobody knows
        if announced:
            raise Uncompared("announced")

    def settled(self, outcome: ParallelOutcome) -> None:
        """Count it."""
        self._watch.settled(outcome, self._key, self._revision, found=self.found)

    async def _get(self, side: Side) -> R | None:
        return await self._watch.pair.within(self._watch.pair.store(side).get(self._key))


def _same_copies(setup: Setup[R], one: R | None, other: R | None) -> bool:
    """Tell whether two stores hold the same of a row, which may be nothing."""
    if one is None or other is None:
        return one is other
    return setup.same(one, other)


def checked_run(given: Any, setup: Setup[R]) -> ParallelRun[Any]:
    """
    Return what compares reads; where the application gives nothing, all of them, and nothing is published.

    Raises:
        ConfigurationError: it is no parallel run.
    """
    if isinstance(given, ParallelRun):
        return given
    if given is not None:
        raise refused("shadow", given, "give a grayflow.release.ParallelRun, or leave it out")
    most = setup.limits.compares
    return ParallelRun(
        f"migration {setup.name}",
        flag=None,
        compare=lambda one, other: _same_copies(setup, one, other),
        snapshot=None,  # the second look finds out about a caller that changes its row
        enabled=None if most else lambda _: False,
        timeout=2 * setup.limits.call_s,  # a look into both stores; each call has its own limit
        max_in_flight=max(most, 1),
    )
