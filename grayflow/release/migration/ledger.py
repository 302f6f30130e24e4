"""
What a migration remembers on the board: terms, the backfill's cursor, reconciliations, counts, who is at work.

A contract between the services that run a migration and the people who move its stage; other releases read these
records and pass over fields that they do not know.
"""

import logging
from collections.abc import Mapping
from typing import TypeVar

import anyio
import msgspec

from grayflow.errors import StoreError
from grayflow.release.migration.setup import Terms
from grayflow.store.board import Board, Lease, Record

__all__ = [
    "BACKFILL",
    "REPAIR",
    "Backfilled",
    "Begun",
    "Ledger",
    "Reconciled",
    "gray_began",
    "old_readers",
    "read_cursor",
    "read_reconciled",
    "read_terms",
    "reconciliations",
    "stage_began",
]

BACKFILL, REPAIR, _RECONCILED, _TERMS, _STAGE, _GRAY = (
    "backfill", "repair", "reconciled", "terms", "stage", "gray",
)  # fmt: skip
_OLD_READ = "old-read:"
_COUNTS_TTL_S = 30 * 86_400.0
_KEPT = 5
_LET_GO_S = 1.0

log = logging.getLogger("grayflow.release")

T = TypeVar("T")


class Backfilled(msgspec.Struct, frozen=True, kw_only=True):
    """How far the backfill has come."""

    began: int
    """The revision with which the migration left `off`; a cursor of another beginning counts for nothing."""
    after: str | None = None
    """The key of the last row that was copied."""
    copied: int = 0
    """How many rows were looked at."""
    done: bool = False


class Reconciled(msgspec.Struct, frozen=True, kw_only=True):
    """What one reconciliation found."""

    began: int
    """As of the cursor."""
    at: int
    """When it ended, nanoseconds since the epoch, by the board's clock."""
    rows: int
    """How many keys were looked at."""
    differing: int
    """Of them, those whose copies did not agree."""
    only_old: int = 0
    """Of these, those that were only in the old store."""
    repaired: int = 0
    """Of these, those that agree now."""
    conflicts: tuple[str, ...] = ()
    """Keys, the first few, whose copies have one version and hold different things: only people can tell."""
    only_new: int = 0
    """Rows that are in the new store alone: in the profile `split`, what the way back leaves there."""

    @property
    def clean(self) -> bool:
        """Whether everything agreed as it was found."""
        return not self.differing


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """When a revision of a flag began to count by the board's clock: whoever wrote it may have one that is wrong."""

    revision: int
    at: int


class Ledger:
    """
    The records of one migration.

    Args:
        board: Where they are.
        name: Of the migration.
    """

    def __init__(self, board: Board, name: str, *, soak_s: float = 3600.0) -> None:
        self.board, self._name, self._soak_s = board, f"migrations:{name}", soak_s

    @property
    def collection(self) -> str:
        """Where the records are."""
        return self._name

    async def all(self) -> tuple[int, Mapping[str, Record]]:
        """Return the board's time, and all records."""
        found = await self.board.list(self._name)
        return found.now, found.records

    async def note_stage(self, revision: int) -> None:
        """Remember when a stage began; where that fails, what the flag's history says counts."""
        try:
            await self._note(_STAGE, revision)
        except StoreError as error:
            log.info("when the stage of %s began is not on the board: %s", self._name, error)

    async def note_gray(self, revision: int) -> None:
        """Remember when everybody was on the gray list, with that revision of it, unless somebody has done so."""
        if _began(await self.board.get(self._name, _GRAY), revision) is None:
            await self._note(_GRAY, revision)

    async def _note(self, name: str, revision: int) -> None:
        begun = Begun(revision=revision, at=await self.board.now())
        await self.board.put(self._name, name, msgspec.json.encode(begun))

    async def let_go(self, name: str, lease: Lease) -> None:
        """Give a lease back, from a cancelled task too; where that fails it ends by itself."""
        with anyio.move_on_after(_LET_GO_S, shield=True):
            try:
                await self.board.release(self._name, name, fence=lease.fence)
            except StoreError as error:
                log.info("a lease of %s is not given back: %s", self._name, error)

    async def tell_terms(self, terms: Terms) -> None:
        """Say what the migration has to prove."""
        await self.board.put(self._name, _TERMS, msgspec.json.encode(terms))

    async def note_old_read(self, writer: str) -> None:
        """Say that the old store is still read, for the length of a soak."""
        await self.board.put(self._name, _OLD_READ + writer, b"1", ttl=self._soak_s)

    async def add_reconciled(self, found: Reconciled) -> None:
        """Remember a reconciliation."""
        for _ in range(10):
            record = await self.board.get(self._name, _RECONCILED)
            kept = (*read_reconciled(record), found)[-_KEPT:]
            version = 0 if record is None else record.version
            if await self.board.put(self._name, _RECONCILED, msgspec.json.encode(kept), expected=version):
                return

    async def add_counts(self, revision: int, writer: str, sequence: int, amounts: Mapping[str, int]) -> None:
        """Add to the counts of a stage."""
        await self.board.count(self._counter(revision), writer, sequence, amounts, ttl=_COUNTS_TTL_S)

    async def counts(self, revision: int) -> Mapping[str, int]:
        """Return the counts of a stage, by the revision of the flag that began it."""
        return (await self.board.counts((self._counter(revision),)))[0]

    def _counter(self, revision: int) -> str:
        return f"{self._name}:{revision}"


def read_cursor(record: Record | None) -> Backfilled | None:
    """Return the cursor of a record."""
    return _read(record, Backfilled)


def read_terms(records: Mapping[str, Record]) -> Terms | None:
    """Return the terms that running services told."""
    return _read(records.get(_TERMS), Terms)


def read_reconciled(record: Record | None) -> tuple[Reconciled, ...]:
    """Return the last reconciliations, the newest last."""
    return _read(record, tuple[Reconciled, ...]) or ()


def reconciliations(records: Mapping[str, Record]) -> tuple[Reconciled, ...]:
    """Return the last reconciliations, the newest last."""
    return read_reconciled(records.get(_RECONCILED))


def stage_began(records: Mapping[str, Record], revision: int) -> int | None:
    """Return when the stage of that revision began, by the board's clock; `None`: nobody noted it."""
    return _began(records.get(_STAGE), revision)


def gray_began(records: Mapping[str, Record], revision: int) -> int | None:
    """Return when a process first saw everybody on the gray list of that revision, by the board's clock."""
    return _began(records.get(_GRAY), revision)


def old_readers(records: Mapping[str, Record]) -> int:
    """Return how many processes have read the old store within the soak."""
    return sum(name.startswith(_OLD_READ) for name in records)


def _began(record: Record | None, revision: int) -> int | None:
    found = _read(record, Begun)
    return found.at if found is not None and found.revision == revision else None


def _read(record: Record | None, kind: type[T]) -> T | None:
    if record is None or not record.value:
        return None
    try:
        return msgspec.json.decode(record.value, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
