"""The face of migrations: what an application builds, enters, and reads and writes its rows through."""

import operator
import random as randomness
from collections.abc import Callable
from os import PathLike
from typing import Any, TypeVar

from grayflow.admin.admin import Admin
from grayflow.client.client import Client
from grayflow.release.migration.adapter import MigrationStore, Place
from grayflow.release.migration.arguments import (
    check_apart,
    check_functions,
    check_migration_name,
    check_word,
    checked_limits,
    checked_policy,
    checked_store,
    checked_terms,
)
from grayflow.release.migration.compensating import checked_compensation
from grayflow.release.migration.engine import Engine
from grayflow.release.migration.filling import Filling
from grayflow.release.migration.moving import Moving
from grayflow.release.migration.reading import Page
from grayflow.release.migration.rules import Profile, Side
from grayflow.release.migration.setup import JournalUnavailable, MirrorFailure, MirrorWay, Setup, Written
from grayflow.release.migration.spool import SpoolStatus
from grayflow.release.migration.watching import checked_run
from grayflow.release.migration.writing import Writer
from grayflow.release.parallel.run import ParallelRun
from grayflow.release.parallel.shadow import refuse_in_shadow
from grayflow.release.running import Running
from grayflow.store.given import Duration, refused

__all__ = ["Migration"]

R = TypeVar("R")

_LEAVE_S = 8.0


class Migration(Filling[R], Moving[R]):
    """
    Moves rows from an old store to a new one while a service goes on reading and writing them.

        orders = Migration(
            "orders.store",
            old=OldOrders(db), new=NewOrders(redis),
            row_key=lambda p: p.order_id, route_by=lambda p: p.store_id, version=lambda row: row.seq,
        )
        async with orders.running(flags):
            order = await orders.get(OrderId(order_id="o-1", store_id="s-17"))
            await orders.update(changed)

    How far it has come is the stage (see `Stage`), which a flag of the migration's name serves: the same for everybody.
    At `live` a second flag, `NAME.gray`, tells by the row's route which rows the new store answers for: a gray list, a
    percentage, whatever rules can say about the attribute `route`. The data decides and never the caller, so two
    callers always agree about a row. `grayflow migration` moves the stage.

    Writes to two stores are announced on the board, so that a process that dies in between is made up for. Copies are
    compared by the row's version: whatever comes late loses against what is newer.

    Args:
        name: Of the migration and its flag; 1 to 150 of `A-Za-z0-9._:/-`.
        old: Where the rows are.
        new: Where they go.
        row_key: Returns the key of a row, text or a whole number; also of what `get` and `delete` are given.
        route_by: Returns what the gray list knows of a row, such as the shop that it belongs to; of those as well.
        version: Returns the version of a row: a whole number that grows with every write, in whichever store.
        profile: `"split"`: inserted rows are in the new store alone. `"mirrored"`: they are in both.
        mirror: `"copy"`: after a write the row is read from the first store and copied as it is there. `"replay"`: what
            was written is written again, which saves a read.
        on_mirror_failure: If the other store does not take a write: `"record"`, the write succeeds and is repaired
            later; `"fail"`, the same, but `MirrorWriteError` is raised; `"compensate"`, an atom takes it back (an
            insert or update; a delete is never taken back) and `MirrorWriteError` is raised.
        on_journal_unavailable: If a write cannot be announced because the board does not answer: `"fail"`, it is
            refused; `"proceed"`, it is announced in the `spool`. Either way writes are refused once `max_stale` is
            over: it bridges the restart or the fail-over of a Redis, and no longer outage.
        spool: With `"proceed"`: a folder on a disk of this host, which its processes share and which outlives them.
            What is there is brought to the board as soon as that answers, by this process or by any other of this
            migration on this host. It holds keys of rows.
        spool_limit: So many rows of one process may wait there; then writes are refused.
        order: Returns what lists are ordered by; the key if left out.
        same: Tells whether two copies of a row hold the same; `==` if left out.
        row_type: With `"compensate"`: the class of rows, something that `msgspec.convert` reads.
        restamp: With `"compensate"`: returns a row with another version, to put back what was there before.
        soak: How long `live` with everybody on the gray list, and `rampdown` without reads of the old store, have to
            last before the next stage.
        min_compared: How many reads have to be compared at `shadow`.
        max_mismatch: What share of them may differ, 0 to 1.
        max_stale: For how long a write to two stores believes in a stage that was not proved. Not more than the 15 s
            after which a process that is cut off is not waited for any more.
        call_timeout: For one call of a store.
        repair_every: Between two looks for writes to repair.
        repair_after: How old an announcement is when its writer counts as dead; three times `call_timeout` if left out.
        repair_attempts: How often one row is repaired in vain, while others are not or its store refuses it, before it
            is given up and shown. Attempts while a store is away do not count.
        max_compares: How many comparisons go on at once; what comes above that is not compared.
        shadow: Compares reads at `shadow` and `live` in the place of a plain comparison of all with `same`: it samples,
            cleans, publishes. Its flag is asked about `row`, the row's key, and `route`; a percentage needs `"by":
            "row"`. `None` stands for no row. The migration's block runs it, and nobody else does; what differs is
            looked at again before it counts, and skipped while a write of the row is announced.
        random: Draws from `[0, 1)`, for jitter; for tests.

    Raises:
        ConfigurationError: an argument cannot be used; the text names it and what is allowed.
    """

    def __init__(  # noqa: PLR0913 - each has a default, and one place to look is worth more than few
        self,
        name: str,
        *,
        old: MigrationStore[R],
        new: MigrationStore[R],
        row_key: Callable[[Any], Any],
        route_by: Callable[[Any], Any],
        version: Callable[[R], int],
        profile: Profile = "split",
        mirror: MirrorWay = "copy",
        on_mirror_failure: MirrorFailure = "record",
        on_journal_unavailable: JournalUnavailable = "fail",
        spool: str | PathLike[str] | None = None,
        spool_limit: int = 10_000,
        order: Callable[[R], Any] | None = None,
        same: Callable[[R, R], bool] = operator.eq,
        row_type: Any = None,
        restamp: Callable[[R, int], R] | None = None,
        soak: Duration = 3600.0,
        min_compared: int = 100,
        max_mismatch: float = 0.0,
        max_stale: Duration = 15.0,
        call_timeout: Duration = 5.0,
        repair_every: Duration = 1.0,
        repair_after: Duration | None = None,
        repair_attempts: int = 20,
        max_compares: int = 64,
        shadow: ParallelRun[Any] | None = None,
        random: Callable[[], float] = randomness.random,
    ) -> None:
        check_migration_name(name)
        check_functions(row_key=row_key, route_by=route_by, version=version, same=same)
        check_functions(**{} if order is None else {"order": order})
        check_apart(old, new)
        setup: Setup[R] = Setup(
            name,
            {Side.OLD: checked_store("old", old), Side.NEW: checked_store("new", new)},
            checked_terms(profile, soak, min_compared, max_mismatch),
            checked_limits(call_timeout, repair_after, repair_every, repair_attempts, max_stale, max_compares),
            row_key=row_key,
            route_by=route_by,
            version=version,
            order=order,
            same=same,
        )
        super().__init__(setup)
        self._policy = checked_policy(mirror, on_mirror_failure, on_journal_unavailable, spool, spool_limit)
        compensates = on_mirror_failure == "compensate"
        self._compensation = checked_compensation(setup, row_type, restamp) if compensates else None
        self._shadow, self._random = checked_run(shadow, setup), random

    def running(self, flags: Client, admin: Admin | None = None) -> Running:
        """
        Return the block in which rows are read and written; leave it before the client is closed.

        In it this process takes its part in repairs, compares what it reads, and tells the fleet's status about it.

        Args:
            flags: Has the stage. Its user must be allowed to write to the board (`gf-worker`).
            admin: Open; needed where this process moves the stage itself.

        Raises:
            ConfigurationError: the store has no board.
            LifetimeError: on entering: it is running already.
        """
        if not isinstance(flags, Client):
            raise refused("flags", flags, "give the grayflow.Client that has the stage")
        if admin is not None and not isinstance(admin, Admin):
            raise refused("admin", admin, "give the grayflow.Admin that moves the stage, or leave it out")
        engine = Engine(
            self._setup,
            self._policy,
            self._compensation,
            flags=flags,
            admin=admin,
            random=self._random,
            run=self._shadow,
            seat=self,
        )
        return Running(f"migration {self.name!r}", engine, limit_s=_LEAVE_S)

    @property
    def spool(self) -> SpoolStatus | None:
        """
        What of this process waits on the disk because the board does not answer; `None` without a `spool`.

        Raises:
            LifetimeError: it is not running.
        """
        spool = self._open().journal.spool
        return None if spool is None else spool.status

    # Rows

    async def get(self, subject: Any) -> R | None:
        """
        Return a row, `None` if there is none.

        Args:
            subject: Whatever `row_key` and `route_by` read: a row, or an object with its key and route.

        Raises:
            StaleStageError: no flags have arrived yet, so that nobody knows where the row is.
            TimeoutError: a store took too long. What else a store raises, this raises.
        """
        return await self._open().reader.get(subject)

    async def list(
        self, query: Any = None, *, limit: int = 100, cursor: Place | None = None, partial: str = "refuse"
    ) -> Page[R]:
        """
        Return a page of rows, each once, as `get` would return it.

        Args:
            query: Handed to the stores as it is.
            limit: How many rows, 1 or more.
            cursor: `Page.cursor` of the page before; it may have been through JSON, if the order may.
            partial: `"allow"`: if one of two stores fails, return what the other has, and mark the page.

        Raises:
            StaleStageError: as for `get`. What a store raises, this raises.
        """
        check_word("partial", partial, "refuse", "allow")
        return await self._open().reader.list(query, limit=limit, cursor=cursor, allow_partial=partial == "allow")

    async def count(self, query: Any = None) -> int:
        """Return how many rows `list` would return, by listing them all: two stores cannot be counted otherwise."""
        found, cursor = 0, None
        while True:
            page = await self.list(query, limit=1000, cursor=cursor)
            found, cursor = found + len(page.rows), page.cursor
            if cursor is None:
                return found

    async def insert(self, row: R) -> Written:
        """
        Write a new row.

        Raises:
            RowExistsError: it is there already; nothing was written.
            StaleStageError: the stage may have changed and cannot be asked for; nothing was written.
            NotAnnouncedError: the write could not be announced, see `on_journal_unavailable`; nothing was written.
            MirrorWriteError: see `on_mirror_failure`.
            TimeoutError: a store took too long. As with whatever else a store raises, the row was written or was not,
                and if the other store needs it, that is repaired.

        Cancellation: the same.
        """
        return await self._writer("insert").write(row, "insert")

    async def update(self, row: R) -> Written:
        """
        Write a whole row over the one that is there, or anew; `Written.applied` tells whether it was newer.

        Raises:
            What `insert` raises, except that a row may be there.
        """
        return await self._writer("update").write(row, "update")

    async def delete(self, subject: Any, *, version: int | None = None) -> Written:
        """
        Delete a row from both stores.

        Args:
            subject: As for `get`.
            version: Delete it only up to this version; whatever it is at the moment, if left out.

        Raises:
            StaleStageError: as for `insert`, and `NotAnnouncedError`, `MirrorWriteError`, and what a store raises.
        """
        return await self._writer("delete").delete(subject, version)

    def _writer(self, verb: str) -> Writer[R]:
        refuse_in_shadow(f"the {verb} of migration {self.name!r}")
        return self._open().writer

    def __repr__(self) -> str:
        return f"<Migration {self.name!r}>"
