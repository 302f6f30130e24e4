"""
Where the records of runs are kept, and who may write them.

A journal is a small part of what a board can do: named records with a version, each of which one process at a time
holds by a lease with a fencing token. `BoardJournal` keeps them on a store's board, for services; `FileJournal` (in
`files.py`) in a folder, for a single host that has no store.
"""

from types import TracebackType
from typing import Any, Literal, Protocol, Self

from grayflow.errors import ConfigurationError, UnacknowledgedError
from grayflow.store.board import Board, Record, Records
from grayflow.store.durability import Durability
from grayflow.store.given import refused
from grayflow.store.port import Store

__all__ = ["ATOMS", "KEEP_S", "BoardJournal", "Journal"]

ATOMS = "atoms"
"""The collection of runs on a board; the name of a record is the run's id. Contract: never changed."""

KEEP_S = 30 * 86_400.0
"""How long the record of a run is kept that succeeded or was rolled back, unless somebody says otherwise."""


class Journal(Protocol):
    """
    Keeps one record per run: JSON of some kilobytes, with a version and a lease.

    Lifetime: used inside `async with`. All methods may be called by several tasks at once, and each is atomic among
    all processes and safely kept when it returns: the effects of steps come after that. Calling one again after a lost
    answer or a cancellation does no harm; what comes back then is said at `grayflow.store.board.Board`, whose verbs of
    the same names these are. Instants are the journal's, so that processes with wrong clocks agree on who holds what.

    Errors: `StoreUnavailableError` (no answer, it may have been done) is tried again, any other `StoreError` is not:
    the run is left where it is, and no effect follows. So is one whose record is not as safe as it has to be.
    """

    @property
    def place(self) -> str:
        """Where it is, for messages."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def now(self) -> int:
        """Return the journal's time, nanoseconds since the epoch."""

    async def get(self, run_id: str) -> Record | None:
        """Return a record, `None` if there is none."""

    async def list(self) -> Records:
        """Return all records, and the instant that leases are compared with."""

    async def put(
        self, run_id: str, value: bytes, *, expected: int, fence: int | None = None, ttl: float | None = None
    ) -> Record | None:
        """
        Write a record and return it; `None`, and nothing is written, if a condition does not hold.

        Args:
            run_id: Which.
            value: JSON, up to 1 MiB.
            expected: The version that it has to have. Repeating the write that made it `expected + 1` is harmless.
            fence: Only if the record's lease has this token: nobody has taken it over.
            ttl: Seconds until it is gone; `None`: it stays.
        """

    async def claim(self, run_id: str, owner: str, *, span: float) -> Record | None:
        """Take the lease for so many seconds, of a record that may not exist yet; `None` if somebody else holds it."""

    async def renew(self, run_id: str, *, fence: int, span: float) -> bool:
        """Let the lease end so many seconds from now; false if somebody else has taken it over."""

    async def release(self, run_id: str, *, fence: int) -> bool:
        """Give the lease back; a record that nothing was ever written to is gone then."""


class BoardJournal:
    """
    The runs on the board of a store: every process that opens the namespace can go on with them.

    What is kept is as durable as the store. A killed process loses nothing. A power cut may: on SQLite the last moments
    (a board is not synced with each write), on Redis what the server had not synced or passed on to the replica that is
    promoted; `appendfsync always` and `min-replicas-to-write` narrow that. An effect whose record was lost is not
    undone. Where that counts, say so: with a `durability` no effect begins before the record of it is as safe as that.

    Args:
        store: Opened for as long as the journal is; one that is open already stays so.
        durability: Who has to have the record before a step begins; `"wait"` is `Durability(replicas=1)`. If fewer
            acknowledge it in time, `UnacknowledgedError` is raised and the step does not begin. The record may be
            there: when enough acknowledge it again, the run is gone on with like one whose process is gone.
            Recovering needs the same, so after a fail-over to the last replica ask for less.

    Raises:
        ConfigurationError: the store could never be so safe: it is in memory, or a file, which has no replicas.
    """

    def __init__(self, store: Store, *, durability: Durability | Literal["wait"] | None = None) -> None:
        self._store = store
        self._durability = _checked(durability)
        if self._durability is not None and store.board is not None:
            store.board.durable(self._durability)

    @property
    def place(self) -> str:
        """See `Journal.place`."""
        return self._store.place

    async def __aenter__(self) -> Self:
        if self._store.board is None:
            raise ConfigurationError(f"atoms have no place at {self._store.place}: {self._store.no_board}")
        await self._store.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._store.__aexit__(kind, error, trace)

    @property
    def _board(self) -> Board:
        board = self._store.board
        assert board is not None  # looked at when it was entered; a store does not lose it  # noqa: S101
        return board

    @property
    def _safe(self) -> Board:
        return self._board if self._durability is None else self._board.durable(self._durability)

    async def now(self) -> int:
        """See `Journal.now`."""
        return await self._board.now()

    async def get(self, run_id: str) -> Record | None:
        """See `Journal.get`."""
        return await self._board.get(ATOMS, run_id)

    async def list(self) -> Records:
        """See `Journal.list`."""
        return await self._board.list(ATOMS)

    async def put(
        self, run_id: str, value: bytes, *, expected: int, fence: int | None = None, ttl: float | None = None
    ) -> Record | None:
        """See `Journal.put`."""
        return await self._safe.put(ATOMS, run_id, value, expected=expected, fence=fence, ttl=ttl)

    async def claim(self, run_id: str, owner: str, *, span: float) -> Record | None:
        """See `Journal.claim`."""
        record = await self._board.claim(ATOMS, run_id, owner, span=span)
        if self._durability is None or record is None or record.lease is None:
            return record
        try:
            # Before anything is recorded: who cannot have his way learns it while nothing has happened yet.
            kept = await self._safe.renew(ATOMS, run_id, fence=record.lease.fence, span=span)
        except UnacknowledgedError:
            await self._board.release(ATOMS, run_id, fence=record.lease.fence)
            raise
        return record if kept else None

    async def renew(self, run_id: str, *, fence: int, span: float) -> bool:
        """See `Journal.renew`."""
        # An effect may follow it without another write, on the strength of a lease that is to outlast it.
        return await self._safe.renew(ATOMS, run_id, fence=fence, span=span)

    async def release(self, run_id: str, *, fence: int) -> bool:
        """See `Journal.release`."""
        return await self._board.release(ATOMS, run_id, fence=fence)

    def __repr__(self) -> str:
        told = "" if self._durability is None else f", durability={self._durability!r}"
        return f"BoardJournal({self._store!r}{told})"


def _checked(given: Any) -> Durability | None:
    if given is None or isinstance(given, Durability):
        return given
    if isinstance(given, str) and given == "wait":
        return Durability(replicas=1)
    raise refused("durability", given, "give 'wait', a Durability(replicas=..., local=...), or leave it out")
