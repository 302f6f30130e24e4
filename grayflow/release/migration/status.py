"""How a migration is doing: what its flags' history says and what services have left on the board, put together."""

from collections.abc import Mapping

import msgspec

from grayflow.core.position import Position
from grayflow.release.migration.gates import Facts, unmet
from grayflow.release.migration.journal import Journal
from grayflow.release.migration.ledger import (
    BACKFILL,
    Backfilled,
    Ledger,
    Reconciled,
    gray_began,
    old_readers,
    read_cursor,
    read_terms,
    reconciliations,
    stage_began,
)
from grayflow.release.migration.past import Past, read_past
from grayflow.release.migration.rules import Stage
from grayflow.release.migration.setup import Terms
from grayflow.store.board import Board, Record
from grayflow.store.fleet import read_fleet
from grayflow.store.port import Store

__all__ = ["MigrationStatus", "read_status"]


class MigrationStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a migration is doing; instants are nanoseconds since the epoch."""

    name: str
    stage: Stage
    """What the flag names."""
    enabled: bool
    """False: somebody has switched the flag off, and the stage is obeyed as `Stage.switched_off` says."""
    since: int
    actor: str
    reason: str
    terms: Terms
    processes: int
    """How many report themselves."""
    behind: int
    """How many of them may still go by the stage before."""
    cursor: Backfilled | None
    """Of the backfill since the migration left `off`."""
    backfilling: str | None
    """Who is at it now."""
    unfinished: int
    """Writes that one store has and the other perhaps not."""
    dead: int
    """Of these, those that nobody tries to repair any more."""
    lag_s: float
    """How old the oldest of them is."""
    compared: int
    mismatched: int
    dropped: int
    """Comparisons at this stage; those that differed; those that there was no time for."""
    failed: int
    """Comparisons that came to nothing: a store failed, or the row was waiting for its repair."""
    spooled: int
    """Writes, by row, that were announced on disks since the flag was changed, because the board did not answer."""
    reconciled: tuple[Reconciled, ...]
    """The last ones, the newest last."""
    gray_for_all: bool
    """Whether everybody is on the gray list."""
    old_readers: int
    """How many processes have read the old store within the soak, at `live` or `rampdown`."""
    next: Stage | None
    previous: Stage | None
    unmet: tuple[str, ...]
    """What is missing for the next stage."""
    now: int

    @property
    def new_only(self) -> int | None:
        """Rows that are in the new store alone, as of the last reconciliation: the way back leaves them there."""
        return self.reconciled[-1].only_new if self.reconciled else None


async def read_status(store: Store, board: Board, name: str, terms: Terms | None) -> MigrationStatus:
    """
    Return how a migration is doing.

    Args:
        store: Has its flags.
        board: Has what services tell.
        name: Of the migration.
        terms: What it has to prove; what the services told last, if `None`.

    Raises:
        ConfigurationError: the flag of that name is no migration's.
        StoreError: flags or board cannot be read.
    """
    past, fleet = await read_past(store, name), await read_fleet(board)
    ledger, journal = Ledger(board, name), Journal(board, name)
    now, records = await ledger.all()
    position = await store.position()
    behind = fleet.behind(Position(epoch=position.epoch, revision=past.revision, nonce=""))
    counts = await ledger.counts(past.document)
    unfinished, dead = await journal.sizes()
    oldest = await journal.unfinished(1)
    cursor = read_cursor(records.get(BACKFILL))
    facts = Facts(
        stage=past.stage,
        terms=terms or read_terms(records) or Terms(),
        now=now,
        since=_since(past, records),
        began=past.began,
        processes=len(fleet.processes),
        behind=len(behind),
        cursor=cursor if cursor is not None and cursor.began == past.began else None,
        reconciled=reconciliations(records),
        compared=counts.get("compared", 0),
        mismatched=counts.get("mismatched", 0),
        unfinished=unfinished,
        dead=dead,
        gray_since=_gray_since(past, records),
        old_readers=old_readers(records),
    )
    lag_s = max(0.0, (now - oldest[0].since) / 1e9) if oldest else 0.0
    return _status(name, past, facts, records, lag_s=lag_s, counts=counts)


def _status(
    name: str, past: Past, facts: Facts, records: Mapping[str, Record], *, lag_s: float, counts: Mapping[str, int]
) -> MigrationStatus:
    return MigrationStatus(
        name=name,
        stage=past.stage,
        enabled=past.enabled,
        since=past.at,
        actor=past.actor,
        reason=past.reason,
        terms=facts.terms,
        processes=facts.processes,
        behind=facts.behind,
        cursor=facts.cursor,
        backfilling=_holder(records.get(BACKFILL), facts.now),
        unfinished=facts.unfinished,
        dead=facts.dead,
        lag_s=lag_s,
        compared=facts.compared,
        mismatched=facts.mismatched,
        dropped=counts.get("dropped", 0),
        failed=counts.get("failed", 0),
        spooled=counts.get("spooled", 0),
        reconciled=tuple(facts.valid),
        gray_for_all=facts.gray_since is not None,
        old_readers=facts.old_readers,
        next=past.stage.next,
        previous=past.stage.previous,
        unmet=unmet(facts),
        now=facts.now,
    )


def _since(past: Past, records: Mapping[str, Record]) -> int:
    """Return since when the stage is obeyed, by the board's clock where that is known."""
    noted = stage_began(records, past.revision) if past.steady == past.at else None
    return past.steady if noted is None else noted


def _gray_since(past: Past, records: Mapping[str, Record]) -> int | None:
    """Return since when everybody is on the gray list, by the board's clock where a process has noted that."""
    noted = None if past.gray_since is None else gray_began(records, past.gray_revision)
    return past.gray_since if noted is None else noted


def _holder(record: Record | None, now: int) -> str | None:
    lease = None if record is None else record.lease
    return lease.owner if lease is not None and lease.until > now else None
