"""
The tables of a SQLite board, made by the first write to it.

They are apart from those of the flags: nothing in here has a history, a position or a generation, and a file whose
services never used a board has none of them. What is over stays invisible until somebody who writes clears it away, a
little at a time.

    sqlite3 flags.db "SELECT collection, name, owner, datetime(until / 1e9, 'unixepoch') FROM board_records"
"""

import sqlite3

from grayflow.store.board import Lease, Record

__all__ = ["forget", "has_tables", "make_tables", "prune", "record_of", "row_of"]

# Texts are compared as bytes of UTF-8 (SQLite's default), which is the order of code points. `board_ends` says of
# every counter and set until when it is there (NULL: it stays); the rows of its content mean nothing without it.
_TABLES = """
CREATE TABLE board_records (
    namespace  TEXT NOT NULL,
    collection TEXT NOT NULL,
    name       TEXT NOT NULL,
    value      BLOB NOT NULL,
    version    INTEGER NOT NULL,
    owner      TEXT,
    fence      INTEGER,
    until      INTEGER,
    expires    INTEGER,
    PRIMARY KEY (namespace, collection, name)
);
CREATE INDEX board_records_by_end ON board_records (expires) WHERE expires IS NOT NULL;

CREATE TABLE board_fences (
    namespace TEXT NOT NULL PRIMARY KEY,
    last      INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE board_ends (
    namespace TEXT NOT NULL,
    kind      TEXT NOT NULL CHECK (kind IN ('counter', 'set')),
    name      TEXT NOT NULL,
    expires   INTEGER,
    PRIMARY KEY (namespace, kind, name)
) WITHOUT ROWID;
CREATE INDEX board_ends_by_end ON board_ends (expires) WHERE expires IS NOT NULL;

CREATE TABLE board_sums (
    namespace TEXT NOT NULL,
    name      TEXT NOT NULL,
    field     TEXT NOT NULL,
    amount    INTEGER NOT NULL,
    PRIMARY KEY (namespace, name, field)
) WITHOUT ROWID;

CREATE TABLE board_writers (
    namespace TEXT NOT NULL,
    name      TEXT NOT NULL,
    writer    TEXT NOT NULL,
    batch     INTEGER NOT NULL,
    PRIMARY KEY (namespace, name, writer)
) WITHOUT ROWID;

CREATE TABLE board_members (
    namespace TEXT NOT NULL,
    name      TEXT NOT NULL,
    member    TEXT NOT NULL,
    since     INTEGER NOT NULL,
    PRIMARY KEY (namespace, name, member)
) WITHOUT ROWID;
CREATE INDEX board_members_by_age ON board_members (namespace, name, since, member);
"""
_CONTENT = {"counter": (("board_sums", "field"), ("board_writers", "writer")), "set": (("board_members", "member"),)}
"""Kind -> tables that hold what is in one of it, and their key."""
_PRUNED = 200
"""Rows of each table that a write clears away in passing; a write makes fewer, so what is over does not pile up."""
_ALL = 2**63 - 1


def has_tables(connection: sqlite3.Connection) -> bool:
    """Whether anybody wrote to the board of this file yet."""
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'board_records'").fetchone() is not None


def make_tables(connection: sqlite3.Connection) -> bool:
    """Make the tables where there are none, and return whether it was so. In a transaction."""
    if has_tables(connection):
        return False
    for statement in _TABLES.split(";"):
        connection.execute(statement)
    return True


def record_of(row: sqlite3.Row) -> Record:
    """Return the record of a row of `board_records`."""
    lease = Lease(owner=row["owner"], fence=row["fence"], until=row["until"]) if row["fence"] is not None else None
    return Record(value=row["value"], version=row["version"], lease=lease, expires=row["expires"])


def row_of(record: Record) -> tuple[bytes, int, str | None, int | None, int | None, int | None]:
    """Return the columns of a record, from `value` to `expires`."""
    lease = record.lease
    held = (lease.owner, lease.fence, lease.until) if lease is not None else (None, None, None)
    return record.value, record.version, *held, record.expires


def prune(connection: sqlite3.Connection, now: int) -> None:
    """Clear away a part of what is over, in all namespaces. In a transaction."""
    connection.execute(
        "DELETE FROM board_records WHERE rowid IN (SELECT rowid FROM board_records WHERE expires <= ? LIMIT ?)",
        (now, _PRUNED),
    )
    row = connection.execute(
        "SELECT namespace, kind, name FROM board_ends WHERE expires <= ? ORDER BY expires LIMIT 1", (now,)
    ).fetchone()
    if row is not None:
        forget(connection, *row, most=_PRUNED)


def forget(connection: sqlite3.Connection, namespace: str, kind: str, name: str, *, most: int = _ALL) -> None:
    """Clear away a counter or a set, `most` rows of each of its tables at most; the rest another time."""
    whole = True
    for table, key in _CONTENT[kind]:
        chosen = f"SELECT {key} FROM {table} WHERE (namespace, name) = (?, ?) LIMIT ?"  # noqa: S608 - made of the texts above
        done = connection.execute(
            f"DELETE FROM {table} WHERE (namespace, name) = (?, ?) AND {key} IN ({chosen})",  # noqa: S608 - as above
            (namespace, name, namespace, name, most),
        )
        whole = whole and done.rowcount < most
    if whole:
        connection.execute("DELETE FROM board_ends WHERE (namespace, kind, name) = (?, ?, ?)", (namespace, kind, name))
