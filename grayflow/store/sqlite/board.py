"""
The board of a SQLite store, in tables of the same file.

Each verb is one transaction, and asks for the time inside it, when it holds the lock: a claim that had to wait for
another writer must not be given a lease that is over already.
"""

import sqlite3
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from anyio.lowlevel import checkpoint

from grayflow.clock import Clock
from grayflow.errors import ConfigurationError, StoreUnavailableError
from grayflow.store.durability import Durability
from grayflow.store.lifetime import Lifetime
from grayflow.store.local_board import LocalBoard, Shelf
from grayflow.store.sqlite.board_tables import has_tables, make_tables, prune
from grayflow.store.sqlite.file import File, transaction
from grayflow.store.sqlite.shelf import TableShelf

__all__ = ["SQLiteBoard"]

T = TypeVar("T")


class _Run(Protocol):
    def __call__(self, work: Callable[[File], T]) -> Awaitable[T]: ...


class SQLiteBoard(LocalBoard):
    """
    A board in the file of a store, which has to be there; the namespace need not be initialised.

    Args:
        namespace: Whose rows.
        lifetime: Of the store.
        clock: The board's time. Processes of one host have the same.
        read: Runs work where the file may be read.
        write: Runs work where the board may be written.
        sync: The same, and what is committed is on the disk when that returns.
    """

    def __init__(
        self, namespace: str, lifetime: Lifetime, clock: Clock, *, read: _Run, write: _Run, sync: _Run
    ) -> None:
        self._namespace = namespace
        self._lifetime = lifetime
        self._clock = clock
        self._read = read
        self._write = write
        self._sync = sync

    def durable(self, durability: Durability) -> "SQLiteBoard":
        """See `Board.durable`: every commit is on the disk before it returns."""
        if durability.replicas or durability.synced_replicas:
            raise ConfigurationError(
                "a SQLite file has no replicas to wait for; Durability(local=True) waits for the disk"
            )
        return SQLiteBoard(
            self._namespace, self._lifetime, self._clock, read=self._read, write=self._sync, sync=self._sync
        )

    async def now(self) -> int:
        """See `Board.now`: the time of this host."""
        self._lifetime.check()
        await checkpoint()
        return self._clock.now()

    async def run(self, work: Callable[[Shelf, int], T], *, writing: bool) -> T:
        """See `LocalBoard.run`."""
        if writing:
            return await self._write(lambda file: self._change(file, work))
        return await self._read(lambda file: self._look(file.connection(self._namespace), work))

    def _look(self, connection: sqlite3.Connection, work: Callable[[Shelf, int], T]) -> T:
        with transaction(connection, "DEFERRED"):
            shelf = TableShelf(connection, self._namespace, empty=not has_tables(connection))
            return work(shelf, self._clock.now())

    def _change(self, file: File, work: Callable[[Shelf, int], T]) -> T:
        connection = file.connection(self._namespace)
        before = connection.total_changes
        with transaction(connection, "IMMEDIATE"):
            now = self._clock.now()
            made = make_tables(connection)
            prune(connection, now)
            answer = work(TableShelf(connection, self._namespace), now)
        changed = made or connection.total_changes != before
        if changed and not file.written():
            raise StoreUnavailableError(
                f"{file.path} was moved or deleted while its board was written: what was written is in the file that "
                "was there before. Look at what is there now and do it again"
            )
        return answer
