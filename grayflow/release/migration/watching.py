"""
What a process notices while it serves: reads that differ, and that the old store is still read; told to the fleet.

Comparisons happen beside the request, a bounded number at once; what does not fit is dropped and counted. A difference
is looked at again before it counts: most are writes on their way.
"""

import logging
from collections import Counter, deque
from typing import Generic, Protocol, TypeVar
from uuid import uuid4

import anyio

from grayflow.errors import StoreError
from grayflow.release.migration.ledger import Ledger
from grayflow.release.migration.pair import Pair
from grayflow.release.migration.rules import Side, Stage
from grayflow.release.migration.setup import Setup

__all__ = ["Spawner", "Watch"]

log = logging.getLogger("grayflow.release")

R = TypeVar("R")

_TOLD = 10
"""So many rows that differ are named in the log; all are counted."""


class Spawner(Protocol):
    """Runs something in the background of the migration's block."""

    def __call__(self, key: str, side: Side, row: object, revision: int, /) -> bool:
        """Return whether it was begun."""
        ...


class Watch(Generic[R]):
    """
    Counts for one process.

    Args:
        setup: Of the migration.
        ledger: Where the fleet's sums are.
        spawn: Runs `compare_now` in the background.
    """

    def __init__(self, setup: Setup[R], ledger: Ledger, spawn: Spawner) -> None:
        self._setup, self._ledger, self._spawn = setup, ledger, spawn
        self._pair = Pair(setup)
        self._writer, self._sequence = uuid4().hex, 0
        self._counted: dict[int, Counter[str]] = {}
        self._batches: deque[tuple[int, int, Counter[str]]] = deque()
        self._going, self._old_read = 0, False
        self._differing = 0
        self._flushing = anyio.Lock()

    def compare(self, key: str, side: Side, row: R, revision: int) -> None:
        """Compare what one store answered with the other's copy, in a moment."""
        if self._going >= self._setup.limits.compares or not self._spawn(key, side, row, revision):
            self._count(revision, "dropped")
            return
        self._going += 1

    def compare_listed(self, key: str, old: R, new: R, revision: int) -> None:
        """Compare what a list has found in both stores; what differs is looked at again before it counts."""
        try:
            same = self._setup.same(old, new)
        except Exception:  # noqa: BLE001 - foreign code, which must not fail the list; told by the second look
            same = False
        if same:
            self.compared(revision, same=True)
        else:
            self.compare(key, Side.OLD, old, revision)

    async def compare_now(self, key: str, side: Side, row: R, revision: int) -> None:
        """Compare; a store that fails is no difference."""
        try:
            _, other = await self._pair.look(side.other, key)
            same = other is not None and self._setup.same(row, other)
            if not same:  # perhaps a write is on its way
                (_, first), (_, second) = await self._pair.look(side, key), await self._pair.look(side.other, key)
                same = (first is None and second is None) or (
                    first is not None and second is not None and self._setup.same(first, second)
                )
        except Exception as error:  # noqa: BLE001 - foreign code, in nobody's request
            self._count(revision, "failed")
            log.info("migration %r: row %r could not be compared: %r", self._setup.name, key, error)
        else:
            self.compared(revision, same=same)
            if not same:
                self._differing += 1
                level = logging.WARNING if self._differing <= _TOLD else logging.DEBUG
                log.log(level, "migration %r: the two copies of row %r differ", self._setup.name, key)
        finally:
            self._going -= 1

    def compared(self, revision: int, *, same: bool) -> None:
        """Count a comparison."""
        self._count(revision, "compared")
        if not same:
            self._count(revision, "mismatched")

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
                log.info("the counts of migration %r are told later: %s", self._setup.name, error)

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
