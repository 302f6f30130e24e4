"""
Inserts, updates and deletes: announced, written where the copy counts, then copied to the other store.

The order is what survives a crash. Announced first, so that a process that dies after the first write is found out;
the other store second, so that a reader who is answered by the first never goes back; the announcement is taken back
last. Nothing of this is undone or finished by the caller's task if it is cancelled: the announcement stays, and the
repairer brings the copies together.
"""

import logging
from typing import Any, Generic, Protocol, TypeVar

from grayflow.client.client import Client
from grayflow.release.migration.compass import Compass, Standing
from grayflow.release.migration.errors import MirrorWriteError, NotAppliedError, RowExistsError
from grayflow.release.migration.journal import Journal
from grayflow.release.migration.pair import Pair
from grayflow.release.migration.rules import (
    Mirror,
    Operation,
    Side,
    Writing,
    authority,
    deletes_from,
    needs_gray,
    needs_probe,
    writing,
)
from grayflow.release.migration.setup import MirrorFailure, MirrorWay, Setup, Written

__all__ = ["Compensation", "Writer"]

log = logging.getLogger("grayflow.release")

R = TypeVar("R")

_DELETES = 5


class Compensation(Protocol):
    """Writes to both stores, or to none; see `grayflow.release.migration.compensation`."""

    async def write(self, key: str, row: Any, operation: Operation, plan: Writing) -> bool:
        """
        Write a row, and return whether it was applied.

        Raises:
            MirrorWriteError: the other store did not take it, and the first was put back.
        """
        ...


class Writer(Generic[R]):
    """
    Writes rows for one process.

    Args:
        setup: Of the migration.
        flags: Has its stage.
        compass: Reads it.
        journal: For announcements.
        way: How the other store is brought up to date.
        failure: What follows if that fails.
        compensation: For that.
    """

    def __init__(
        self,
        setup: Setup[R],
        flags: Client,
        compass: Compass,
        journal: Journal,
        *,
        way: MirrorWay,
        failure: MirrorFailure,
        compensation: Compensation | None,
    ) -> None:
        self._setup, self._flags, self._compass, self._journal = setup, flags, compass, journal
        self._pair = Pair(setup)
        self._way, self._failure, self._compensation = way, failure, compensation
        self._failing = False
        self.mirrored = 0
        """How many writes have reached both stores."""

    async def write(self, row: R, operation: Operation) -> Written:
        """Insert or update a row; see `Migration.insert` and `Migration.update`."""
        key = self._setup.key(row)
        self._setup.version(row)  # refused before anything is written
        # Pinned, so that this process counts as one that uses the stage until the write is through.
        with self._flags.scope():
            plan = await self._plan(key, row, operation)
            if plan.mirror is Mirror.NONE:
                return await self._alone(key, row, operation, plan)
            member = await self._journal.announce(key)
            if self._compensation is not None:
                return await self._compensated(member, key, row, operation, plan)
            try:
                applied = await self._first(key, row, operation, plan)
            except (NotAppliedError, RowExistsError):
                await self._journal.finished((member,))
                raise
            return await self._mirrored(member, key, row, Written(plan.side, applied, True), plan)

    async def delete(self, subject: Any, version: int | None) -> Written:
        """Delete a row; see `Migration.delete`."""
        key = self._setup.key(subject)
        with self._flags.scope():
            standing = await self._compass.proven()
            sides = deletes_from(standing.stage)
            side = await self._authority(standing, key, subject)
            done = Written(side, applied=False)
            for _ in range(_DELETES):
                known = version if version is not None else await self._newest(key, sides)
                if known is None:
                    break
                done = await self._delete(key, known, sides, side)
                if done.applied or version is not None:
                    break  # else somebody wrote a newer version between the look and the delete
            return done

    # Inserts and updates

    async def _plan(self, key: str, row: R, operation: Operation) -> Writing:
        standing = await self._compass.proven()
        stage, profile = standing.stage, self._setup.terms.profile
        in_old = needs_probe(stage, profile) and operation == "update" and await self._in_old(key)
        plan = writing(operation, stage, profile, in_old=in_old, gray=self._gray(standing, row))
        if operation == "insert" and plan.absent_from_old and await self._in_old(key):
            raise RowExistsError(key, side=Side.OLD, migration=self._setup.name)
        return plan

    async def _alone(self, key: str, row: R, operation: Operation, plan: Writing) -> Written:
        """Write to one store, because the other has no part in it; unless it has got the row meanwhile."""
        written = Written(plan.side, await self._first(key, row, operation, plan))
        if operation == "insert" or not plan.absent_from_old or not await self._in_old(key):
            return written
        # Copied back between the two looks, as it was before: that copy counts from now on.
        copied = Written(plan.side, written.applied, mirrored=True)
        return await self._mirrored(Journal.member(key), key, row, copied, Writing(plan.side, Mirror.ALWAYS))

    async def _first(self, key: str, row: R, operation: Operation, plan: Writing) -> bool:
        """Write where the row counts."""
        store, version = self._pair.store(plan.side), self._setup.version(row)
        if operation == "update":
            return await self._pair.within(store.upsert_if_newer(row, version))
        if await self._pair.within(store.insert(row, version)):
            return True
        # What is in the way may be the copy of a row that was deleted at `off`, from the old store alone.
        if not (
            plan.absent_from_old
            and await self._pair.settle(key)
            and await self._pair.within(store.insert(row, version))
        ):
            raise RowExistsError(key, side=plan.side, migration=self._setup.name)
        return True

    async def _mirrored(self, member: str, key: str, row: R, written: Written, plan: Writing) -> Written:
        try:
            await self._mirror(key, row, written, plan)
        except Exception as error:  # noqa: BLE001 - whatever a store raises: the other one has the row
            return await self._recorded(member, key, written, error)
        self._failing = False
        self.mirrored += 1
        await self._journal.finished((member,))
        return written

    async def _mirror(self, key: str, row: R, written: Written, plan: Writing) -> None:
        target = self._pair.store(plan.side.other)
        if self._way == "copy" or not written.applied:
            await self._pair.copy(key, plan.side, plan.mirror)
        elif plan.mirror is Mirror.ALWAYS or await self._pair.within(target.exists(key)):
            await self._pair.within(target.upsert_if_newer(row, self._setup.version(row)))

    async def _recorded(
        self, member: str, key: str, written: Written, error: Exception, *, done: str = "written to"
    ) -> Written:
        await self._journal.keep(member)
        # An outage is one event, however many writes meet it.
        level = logging.DEBUG if self._failing else logging.WARNING
        log.log(level, "migration %r: row %r is not %s the other store yet: %r", self._setup.name, key, done, error)
        self._failing = True
        result = Written(written.side, written.applied, mirrored=False)
        if self._failure == "record":
            return result
        raise MirrorWriteError(
            f"row {key!r} was {done} the {written.side} store of migration {self._setup.name!r}, and not yet "
            f"{done} the {written.side.other} one: {error!r}. That is recorded, and repaired when the store takes it",
            migration=self._setup.name,
            result=result,
        ) from error

    async def _compensated(self, member: str, key: str, row: R, operation: Operation, plan: Writing) -> Written:
        assert self._compensation is not None  # noqa: S101 - its one caller asked
        try:
            applied = await self._compensation.write(key, row, operation, plan)
        except (NotAppliedError, RowExistsError):
            await self._journal.finished((member,))
            raise
        await self._journal.finished((member,))
        return Written(plan.side, applied, mirrored=True)

    # Deletes

    async def _delete(self, key: str, version: int, sides: tuple[Side, ...], side: Side) -> Written:
        if len(sides) == 1:
            store = self._pair.store(sides[0])
            return Written(side, await self._pair.within(store.delete_if_not_newer(key, version)))
        member = await self._journal.announce(key)
        failed: Exception | None = None
        applied = True
        for each in sides:
            try:
                applied &= await self._pair.within(self._pair.store(each).delete_if_not_newer(key, version))
            except NotAppliedError:
                if failed is None and each is sides[0]:
                    await self._journal.finished((member,))
                raise
            except Exception as error:
                # Not on to the old store: without its copy there the one that is left in the new would count again.
                if each is side or (self._setup.terms.profile == "split" and each is Side.NEW):
                    raise
                failed = error
        written = Written(side, applied, mirrored=True)
        if failed is not None:
            return await self._recorded(member, key, written, failed, done="deleted from")
        await self._journal.finished((member,))
        return written

    async def _newest(self, key: str, sides: tuple[Side, ...]) -> int | None:
        """Return the version up to which a delete has to go, `None` if no store has the row."""
        known = [await self._pair.look(side, key) for side in sides]
        if all(row is None for _, row in known):
            return None
        return max(copy.version for copy, _ in known if copy is not None)

    async def _authority(self, standing: Standing, key: str, subject: Any) -> Side:
        profile = self._setup.terms.profile
        in_old = needs_probe(standing.stage, profile) and await self._in_old(key)
        return authority(standing.stage, profile, in_old=in_old, gray=self._gray(standing, subject))

    def _gray(self, standing: Standing, subject: Any) -> bool:
        return needs_gray(standing.stage) and self._compass.gray(self._setup.route(subject))

    async def _in_old(self, key: str) -> bool:
        return await self._pair.within(self._pair.store(Side.OLD).exists(key))
