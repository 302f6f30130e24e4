"""What the board of one namespace keeps in its file, as SQL; what the verbs mean stands in `local_board.py`."""

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence

from grayflow.store.board import Member, Record
from grayflow.store.local_board import Kind
from grayflow.store.records import later_fence
from grayflow.store.sqlite.board_tables import forget, record_of, row_of

__all__ = ["TableShelf"]


class TableShelf:
    """
    The shelf of a board, see `grayflow.store.local_board.Shelf`, for one transaction.

    Args:
        connection: In a transaction.
        namespace: Whose rows.
        empty: Nobody wrote to a board in this file yet, so that it has no tables; nothing is written now either.
    """

    def __init__(self, connection: sqlite3.Connection, namespace: str, *, empty: bool = False) -> None:
        self._connection = connection
        self._namespace = namespace
        self._empty = empty

    def record(self, collection: str, name: str) -> Record | None:
        """See `Shelf.record`."""
        rows = self._found(
            "SELECT * FROM board_records WHERE namespace = ? AND collection = ? AND name = ?", collection, name
        )
        return record_of(rows[0]) if rows else None

    def records(self, collection: str) -> Iterable[tuple[str, Record]]:
        """See `Shelf.records`."""
        rows = self._found("SELECT * FROM board_records WHERE namespace = ? AND collection = ?", collection)
        return [(row["name"], record_of(row)) for row in rows]

    def keep(self, collection: str, name: str, record: Record) -> None:
        """See `Shelf.keep`."""
        self._do(
            "INSERT OR REPLACE INTO board_records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (collection, name, *row_of(record)),
        )

    def drop(self, collection: str, name: str) -> None:
        """See `Shelf.drop`."""
        self._do("DELETE FROM board_records WHERE namespace = ? AND collection = ? AND name = ?", (collection, name))

    def next_fence(self, now: int) -> int:
        """See `Shelf.next_fence`."""
        rows = self._found("SELECT last FROM board_fences WHERE namespace = ?")
        fence = later_fence(rows[0]["last"] if rows else 0, now)
        self._do("INSERT OR REPLACE INTO board_fences VALUES (?, ?)", (fence,))
        return fence

    def end(self, kind: Kind, name: str) -> int | None:
        """See `Shelf.end`."""
        rows = self._found("SELECT expires FROM board_ends WHERE namespace = ? AND kind = ? AND name = ?", kind, name)
        expires: int | None = rows[0]["expires"] if rows else 0
        return expires

    def set_end(self, kind: Kind, name: str, expires: int | None) -> None:
        """See `Shelf.set_end`."""
        self._do("INSERT OR REPLACE INTO board_ends VALUES (?, ?, ?, ?)", (kind, name, expires))

    def forget(self, kind: Kind, name: str) -> None:
        """See `Shelf.forget`."""
        forget(self._connection, self._namespace, kind, name)

    def last(self, counter: str, writer: str) -> int:
        """See `Shelf.last`."""
        rows = self._found(
            "SELECT batch FROM board_writers WHERE namespace = ? AND name = ? AND writer = ?", counter, writer
        )
        return int(rows[0]["batch"]) if rows else 0

    def sums(self, counter: str) -> Mapping[str, int]:
        """See `Shelf.sums`."""
        rows = self._found("SELECT field, amount FROM board_sums WHERE namespace = ? AND name = ?", counter)
        return {row["field"]: int(row["amount"]) for row in rows}

    def add_batch(self, counter: str, writer: str, sequence: int, amounts: Mapping[str, int]) -> None:
        """See `Shelf.add_batch`."""
        self._do("INSERT OR REPLACE INTO board_writers VALUES (?, ?, ?, ?)", (counter, writer, sequence))
        self._do(
            "INSERT INTO board_sums VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
            *((counter, field, amount) for field, amount in amounts.items()),
        )

    def insert(self, name: str, members: Collection[str], now: int) -> frozenset[str]:
        """See `Shelf.insert`."""
        statement = "INSERT OR IGNORE INTO board_members VALUES (?, ?, ?, ?)"
        return frozenset(member for member in members if self._do(statement, (name, member, now)))

    def remove(self, name: str, members: Collection[str]) -> None:
        """See `Shelf.remove`."""
        statement = "DELETE FROM board_members WHERE namespace = ? AND name = ? AND member = ?"
        self._do(statement, *((name, member) for member in members))

    def members(self, name: str, limit: int, offset: int) -> Sequence[Member]:
        """See `Shelf.members`."""
        rows = self._found(
            "SELECT member, since FROM board_members WHERE namespace = ? AND name = ?"
            " ORDER BY since, member LIMIT ? OFFSET ?",
            name,
            limit,
            offset,
        )
        return [Member(row["member"], row["since"]) for row in rows]

    def size(self, name: str) -> int:
        """See `Shelf.size`."""
        rows = self._found("SELECT count(*) FROM board_members WHERE namespace = ? AND name = ?", name)
        return int(rows[0][0]) if rows else 0

    def _found(self, query: str, *asked: object) -> Sequence[sqlite3.Row]:
        if self._empty:
            return ()
        return self._connection.execute(query, (self._namespace, *asked)).fetchall()

    def _do(self, statement: str, *rows: tuple[object, ...]) -> int:
        """Run a statement for every row, and return how many rows of the table it changed."""
        return self._connection.executemany(statement, [(self._namespace, *row) for row in rows]).rowcount
