"""The part of `Migration` that brings the stores together: backfill, reconciliation, repair, and the way back."""

import math
from typing import TypeVar

from grayflow.core.position import Position
from grayflow.release.migration.arguments import paced
from grayflow.release.migration.backfilling import Backfill, Progress
from grayflow.release.migration.engine import Engine, Seated
from grayflow.release.migration.errors import StageRefusedError
from grayflow.release.migration.ledger import Backfilled, Reconciled
from grayflow.release.migration.past import Past, read_past
from grayflow.release.migration.reconciling import Reconciliation
from grayflow.release.migration.repairing import Repaired
from grayflow.release.migration.rules import Mirror, Side, Stage
from grayflow.release.migration.scanning import Pace
from grayflow.store.fleet import read_fleet

__all__ = ["Filling"]

R = TypeVar("R")


class Filling(Seated[R]):
    """Copies and compares rows, all of them."""

    async def backfill(self, *, batch: int = 500, rate: float = 2000.0, progress: Progress | None = None) -> Backfilled:
        """
        Copy the old store's rows to the new one, from where that was left, and return how far it came.

        Args:
            batch: Rows at once.
            rate: Rows a second on average; `math.inf`: as fast as it goes.
            progress: Called with the number of rows done.

        Raises:
            StageRefusedError: not every process writes to both stores yet.
            MigrationBusyError: another process is at it.

        Cancellation: it stops after the batch before; the next run goes on from there.
        """
        engine, (batch, rate) = self._open(), paced(batch, rate)
        past = await self._past(engine)
        if past.stage in {Stage.OFF, Stage.COMPLETE}:
            raise self._refused(f"there is nothing to copy at stage {past.stage.value!r}; advance it to 'dualwrite'")
        position = await engine.flags.store.position()
        fleet = await read_fleet(engine.ledger.board)
        behind = fleet.behind(Position(epoch=position.epoch, revision=past.began, nonce=""))
        if not fleet.processes:
            raise self._refused("no process reports itself yet, not even this one; wait_converged first")
        if behind:
            many = f"{len(behind)} of {len(fleet.processes)} processes may still write to the old store alone"
            raise self._refused(f"{many}, and what they write now would be missing; wait_converged first")
        return await Backfill(self._setup, engine.ledger, engine.flags.clock, engine.owner).run(
            past.began, batch, rate, progress
        )

    async def reconcile(
        self, *, batch: int = 500, rate: float = math.inf, repair: bool = True, progress: Progress | None = None
    ) -> Reconciled:
        """
        Compare the stores key by key, bring together what differs, and return what was found.

        Args:
            batch: Rows at once.
            rate: Keys a second on average.
            repair: False only looks. Else what was given up is repaired again, too.
            progress: Called with the number of keys done.

        Raises:
            StageRefusedError: at `off` and `complete` the stores need not agree.
            StoreError: the board does not answer. What a store raises, this raises, and nothing is recorded.

        Cancellation: what was repaired stays so, and nothing is recorded; the next run begins anew.
        """
        engine, (batch, rate) = self._open(), paced(batch, rate)
        past = await self._past(engine)
        if past.stage in {Stage.OFF, Stage.COMPLETE}:
            raise self._refused(f"the stores need not agree at stage {past.stage.value!r}")
        if repair:
            await engine.journal.revive()
        found = Reconciliation(self._setup, engine.ledger, engine.flags.clock)
        return await found.run(past.began, batch, rate, progress, repair=repair)

    async def repair(self, *, dead: bool = False, at_once: bool = False) -> Repaired:
        """
        Repair what is due, as the block does by itself, unless another process is at it.

        Args:
            dead: Also what was given up.
            at_once: Also what was announced a moment ago. Only while nobody writes: who is in the middle of a write,
                and dies there, would not be made up for.
        """
        engine = self._open()
        await engine.drain()
        if dead:
            await engine.journal.revive()
        return await engine.repairer.look(now=at_once)

    async def backcopy(self, *, batch: int = 500, rate: float = 2000.0, progress: Progress | None = None) -> int:
        """
        Copy rows that are only in the new store to the old one, for a full return; return how many were copied.

        Rows may be written meanwhile. What is inserted before the migration is at `off` is in the new store alone
        again: run it at `off`, or once more there.

        Args:
            batch: Rows at once.
            rate: Rows a second on average.
            progress: Called with the number of rows copied.

        Raises:
            NotAnnouncedError: the board did not take an announcement. What a store raises, this raises.

        Cancellation: what was copied stays; the next run passes over it.
        """
        engine, (batch, rate) = self._open(), paced(batch, rate)
        new, pace = engine.pair.store(Side.NEW), Pace(engine.flags.clock, rate)
        copied, after = 0, None
        while rows := await engine.pair.within(new.scan(after, batch)):
            for row in rows:
                copied += await self._copied_back(engine, self._setup.key(row))
            after = self._setup.key(rows[-1])
            if progress is not None:
                progress(copied)
            await pace.spend(len(rows))
        return copied

    @staticmethod
    async def _copied_back(engine: Engine[R], key: str) -> bool:
        """Copy a row that the old store lacks; from then on its copy there may count, so it is announced."""
        old = engine.pair.store(Side.OLD)
        if await engine.pair.within(old.exists(key)):
            return False
        member = await engine.journal.announce(key)
        await engine.pair.copy(key, Side.NEW, Mirror.ALWAYS)
        await engine.pair.settle(key)  # who has written meanwhile to the new store alone
        await engine.journal.finished((member,))
        return await engine.pair.within(old.exists(key))

    async def _past(self, engine: Engine[R]) -> Past:
        return await read_past(engine.flags.store, self.name)

    def _refused(self, why: str) -> StageRefusedError:
        return StageRefusedError(f"migration {self.name!r}: {why}", migration=self.name)
