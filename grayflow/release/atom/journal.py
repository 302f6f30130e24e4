"""
Where the records of runs are kept, and who may write them.

A journal is a small part of what a board can do: named records with a version, each of which one process at a time
holds by a lease with a fencing token. `BoardJournal` keeps them on a store's board, for services; `FileJournal` (in
`files.py`) in a folder, for a single host that has no store.
"""

from types import TracebackType
from typing import Protocol, Self

from grayflow.errors import ConfigurationError
from grayflow.store.board import Board, Record, Records
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

    Errors: `StoreUnavailableError` (no answer, it may have been done) is tried again, any other `StoreError` is not.
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
    (a board is not synced with each write), on Redis what the server had not synced; `appendfsync always`, and where
    there are replicas `min-replicas-to-write`, narrow that. An effect whose record was lost is not undone. Where that
    counts on a single host, use `FileJournal`, which syncs every write.

    Args:
        store: Opened for as long as the journal is; one that is open already stays so.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

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
        return await self._board.put(ATOMS, run_id, value, expected=expected, fence=fence, ttl=ttl)

    async def claim(self, run_id: str, owner: str, *, span: float) -> Record | None:
        """See `Journal.claim`."""
        return await self._board.claim(ATOMS, run_id, owner, span=span)

    async def renew(self, run_id: str, *, fence: int, span: float) -> bool:
        """See `Journal.renew`."""
        return await self._board.renew(ATOMS, run_id, fence=fence, span=span)

    async def release(self, run_id: str, *, fence: int) -> bool:
        """See `Journal.release`."""
        return await self._board.release(ATOMS, run_id, fence=fence)

    def __repr__(self) -> str:
        return f"BoardJournal({self._store!r})"
