"""
Copies the old store's rows to the new one, in key order, from a cursor that survives the process.

Every batch is copied before the cursor moves, and copying twice does no harm: a process that is killed anywhere leaves
the next one rows to copy again and never a gap. Rows that are written meanwhile are in both stores already, hence it
begins only when every process is known to write to both.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from grayflow.clock import Clock
from grayflow.release.migration.errors import MigrationBusyError
from grayflow.release.migration.ledger import BACKFILL, Backfilled, Ledger, read_cursor
from grayflow.release.migration.pair import Pair
from grayflow.release.migration.rules import Side
from grayflow.release.migration.scanning import Pace
from grayflow.release.migration.setup import Setup
from grayflow.store.board import Lease

__all__ = ["Backfill", "Progress"]

R = TypeVar("R")

Progress = Callable[[int], None]
"""Called with the number of rows done so far."""

_LEASE_S = 30.0


class Backfill(Generic[R]):
    """
    One process's run of it.

    Args:
        setup: Of the migration.
        ledger: Has the cursor.
        clock: For the rate.
        owner: Who this is.
    """

    def __init__(self, setup: Setup[R], ledger: Ledger, clock: Clock, owner: str) -> None:
        self._setup, self._ledger, self._clock, self._owner = setup, ledger, clock, owner
        self._pair = Pair(setup)

    async def run(self, began: int, batch: int, rate: float, progress: Progress | None) -> Backfilled:
        """
        Copy until there is nothing more, from where it was left.

        Args:
            began: The revision with which the migration left `off`.
            batch: Rows at once.
            rate: Rows a second.
            progress: Called after each batch with the rows done, those of earlier processes included.

        Raises:
            MigrationBusyError: another process is at it, or has taken over.
        """
        board, collection = self._ledger.board, self._ledger.collection
        held = await board.claim(collection, BACKFILL, self._owner, span=_LEASE_S)
        if held is None or held.lease is None:
            raise self._busy("is at it; its lease ends by itself within 30 s if that process died")
        cursor = read_cursor(held)
        if cursor is None or cursor.began != began:
            cursor = Backfilled(began=began)
        pace = Pace(self._clock, rate)
        try:
            while not cursor.done:
                cursor = await self._batch(cursor, batch)
                await self._keep(cursor, held.lease)
                if progress is not None:
                    progress(cursor.copied)
                await pace.spend(batch)
        finally:
            await self._ledger.let_go(BACKFILL, held.lease)
        return cursor

    async def _batch(self, cursor: Backfilled, batch: int) -> Backfilled:
        rows = await self._pair.within(self._pair.store(Side.OLD).scan(cursor.after, batch))
        for row in rows:
            await self._copy(self._setup.key(row), row)
        return Backfilled(
            began=cursor.began,
            after=self._setup.key(rows[-1]) if rows else cursor.after,
            copied=cursor.copied + len(rows),
            done=len(rows) < batch,
        )

    async def _copy(self, key: str, row: R) -> None:
        new = self._pair.store(Side.NEW)
        if not await self._pair.within(new.upsert_if_newer(row, self._setup.version(row))):
            # It has this version or a newer one, or knows that the row was deleted; then the old one learns of it.
            await self._pair.settle(key)

    async def _keep(self, cursor: Backfilled, lease: Lease) -> None:
        board, collection = self._ledger.board, self._ledger.collection
        kept = await board.put(collection, BACKFILL, msgspec.json.encode(cursor), fence=lease.fence)
        if kept is None or not await board.renew(collection, BACKFILL, fence=lease.fence, span=_LEASE_S):
            raise self._busy("has taken over")

    def _busy(self, what: str) -> MigrationBusyError:
        text = f"the backfill of migration {self._setup.name!r} stopped here: another process {what}"
        return MigrationBusyError(text, migration=self._setup.name)
