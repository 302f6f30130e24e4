"""
Compares the two stores key by key, and brings together what differs.

Both are scanned in key order and merged. What seems to differ is looked at again, a batch at a time, since most of it
is a write that was on its way; what still differs counts, is repaired, and is reported.
"""

from collections.abc import Callable, Collection
from typing import Generic, TypeVar

from grayflow.clock import Clock
from grayflow.release.migration.ledger import Ledger, Reconciled
from grayflow.release.migration.pair import Pair
from grayflow.release.migration.rules import Side
from grayflow.release.migration.scanning import Pace, Scan
from grayflow.release.migration.settling import settlement
from grayflow.release.migration.setup import Setup

__all__ = ["Reconciliation"]

R = TypeVar("R")

_LOOKS = 3
_BETWEEN_LOOKS_S = 0.05
_NAMED = 20
_FINE = frozenset({"equal", "only_new"})
"""Verdicts that need nothing to be done."""


class _Tally:
    """What was found so far."""

    def __init__(self) -> None:
        self.rows = self.differing = self.only_old = self.only_new = self.repaired = 0
        self.conflicts: list[str] = []


class Reconciliation(Generic[R]):
    """
    One run of it.

    Args:
        setup: Of the migration.
        ledger: Where what was found is kept.
        clock: For the rate.
    """

    def __init__(self, setup: Setup[R], ledger: Ledger, clock: Clock) -> None:
        self._setup, self._ledger, self._clock = setup, ledger, clock
        self._pair = Pair(setup)

    async def run(
        self, began: int, batch: int, rate: float, progress: Callable[[int], None] | None, *, repair: bool
    ) -> Reconciled:
        """Compare everything; see `Migration.reconcile`."""
        scans = {side: Scan(self._pair, self._setup, side, batch) for side in Side}
        pace, tally = Pace(self._clock, rate), _Tally()
        doubtful: list[str] = []
        while True:
            heads = {side: head for side, scan in scans.items() if (head := await scan.head()) is not None}
            if not heads:
                break
            key = min(head[0] for head in heads.values())
            rows = {side: head[1] for side, head in heads.items() if head[0] == key}
            for side in rows:
                scans[side].drop()
            if len(rows) < 2 or not self._same(rows[Side.OLD], rows[Side.NEW]):
                doubtful.append(key)
            tally.rows += 1
            if tally.rows % batch == 0:
                await self._judge(doubtful, tally, repair=repair)
                doubtful.clear()
                await pace.spend(batch)
                if progress is not None:
                    progress(tally.rows)
        await self._judge(doubtful, tally, repair=repair)
        if progress is not None:
            progress(tally.rows)
        return await self._kept(began, tally)

    async def _judge(self, keys: Collection[str], tally: _Tally, *, repair: bool) -> None:
        verdicts = await self._verdicts(keys)
        wrong = [key for key, verdict in verdicts.items() if verdict not in _FINE]
        tally.only_new += sum(verdict == "only_new" for verdict in verdicts.values())
        tally.only_old += sum(verdict == "only_old" for verdict in verdicts.values())
        tally.differing += len(wrong)
        conflicts = [key for key in wrong if verdicts[key] == "conflict"]
        tally.conflicts += conflicts[: _NAMED - len(tally.conflicts)]
        if repair and wrong:
            for key in wrong:
                await self._pair.settle(key)
            tally.repaired += sum(verdict in _FINE for verdict in (await self._verdicts(wrong)).values())

    async def _verdicts(self, keys: Collection[str]) -> dict[str, str]:
        """Look at rows until their copies agree, or often enough; the pauses are for all of them together."""
        verdicts: dict[str, str] = {}
        left = list(keys)
        for look in range(_LOOKS):
            if look and left:
                await self._clock.sleep(_BETWEEN_LOOKS_S)
            for key in left:
                verdicts[key] = await self._look(key)
            left = [key for key in left if verdicts[key] not in _FINE]
        return verdicts

    async def _look(self, key: str) -> str:
        (old, old_row), (new, new_row) = await self._pair.look(Side.OLD, key), await self._pair.look(Side.NEW, key)
        if settlement(old, new, self._setup.terms.profile) is not None:
            return "only_old" if new_row is None and old_row is not None else "different"
        if old_row is not None and new_row is not None:
            return "equal" if self._same(old_row, new_row) else "conflict"
        return "only_new" if new_row is not None else "equal"

    def _same(self, one: R, other: R) -> bool:
        return self._setup.version(one) == self._setup.version(other) and self._setup.same(one, other)

    async def _kept(self, began: int, tally: _Tally) -> Reconciled:
        found = Reconciled(
            began=began,
            at=await self._ledger.board.now(),
            rows=tally.rows,
            differing=tally.differing,
            only_old=tally.only_old,
            repaired=tally.repaired,
            conflicts=tuple(tally.conflicts),
            only_new=tally.only_new,
        )
        await self._ledger.add_reconciled(found)
        return found
