"""
The file of a SQLite store: opening it, knowing it again, and saying what is wrong with it.

A path is not a file. Somebody may delete, move or overwrite the file under a live process, and SQLite would go on
reading what no longer has a name. So before each use the path is looked at, and where it is not the file that was
opened the connection is thrown away. Only `os.stat` may look: closing any other descriptor of the file would drop
SQLite's locks (POSIX, "How to corrupt an SQLite database file", 2.2).
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep  # noqa: TID251 - in the thread of the store, whose time it is
from urllib.parse import quote

from grayflow.errors import (
    NotInitializedError,
    StoreAccessError,
    StoreError,
    StoreFormatError,
    StoreUnavailableError,
)
from grayflow.store.port import SCHEMA
from grayflow.store.sqlite.tables import APPLICATION_ID, TABLES

__all__ = ["File", "transaction", "translate"]

Signature = tuple[int, int, int, int]
"""Device, inode, size and time of the last modification."""

_AGAIN_S = 0.02
"""Between two attempts to make a file that others make as well."""

_UNAVAILABLE = {
    sqlite3.SQLITE_BUSY: "another process was writing for too long; try again, or look for one that hangs",
    sqlite3.SQLITE_LOCKED: "another process was writing for too long; try again, or look for one that hangs",
    sqlite3.SQLITE_FULL: "the disk is full; free some space and try again",
    sqlite3.SQLITE_IOERR: "the file system failed; look at the disk and the system's log",
    sqlite3.SQLITE_NOMEM: "there is not enough memory",
}
_ACCESS = {
    sqlite3.SQLITE_READONLY: "the file is read-only; give this user the right to write it and its directory",
    sqlite3.SQLITE_PERM: "the right to it is missing; give this user the right to read and write it",
    sqlite3.SQLITE_AUTH: "the right to it is missing; give this user the right to read and write it",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; give this user the right to read and write the file and its "
    "directory, where SQLite keeps two more files beside it",
}
_DAMAGED = {
    sqlite3.SQLITE_NOTADB: ("it is no SQLite file, or an encrypted one", "Give another path"),
    sqlite3.SQLITE_CORRUPT: ("the file is damaged", "Put a copy in its place"),
}


def translate(error: sqlite3.Error, path: Path) -> StoreError:
    """Return the error to raise instead: what SQLite says, what is true now and what to do."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in _UNAVAILABLE:
        return StoreUnavailableError(f"{path} was not read or written: {_UNAVAILABLE[code]} ({error})")
    if code in _ACCESS:
        return StoreAccessError(f"{path} was not read or written: {_ACCESS[code]} ({error})")
    what, remedy = _DAMAGED.get(code, ("its tables are not as grayflow left them", "Put a copy in its place"))
    return StoreFormatError(f"{path} was not read or written: {what} ({error})", remedy=remedy)


@contextmanager
def transaction(connection: sqlite3.Connection, kind: str) -> Iterator[None]:
    """Commit the body, or nothing of it. `kind` is `DEFERRED` to read and `IMMEDIATE` to write."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


class File:
    """
    The connection to what is at a path now. One thread uses it, for its whole life.

    Args:
        path: Absolute.
        busy_timeout: Seconds to wait for another writer.
        durable: Whether a commit is safe from a power failure at once; otherwise the last ones may be lost then,
            whole and in order.
    """

    def __init__(self, path: Path, *, busy_timeout: float, durable: bool = True) -> None:
        self.path = path
        self.opened = 0
        """How many connections there have been: `PRAGMA data_version` compares within one only."""
        self._busy_timeout = busy_timeout
        self._durable = durable
        self._connection: sqlite3.Connection | None = None
        self._signature: Signature | None = None
        self._unsettled = False

    def connection(self, namespace: str) -> sqlite3.Connection:
        """
        Return a connection to the file at the path, which was checked to be ours.

        Raises:
            NotInitializedError: there is no file, or an empty one. None is made.
            StoreFormatError, StoreAccessError, StoreUnavailableError: it cannot be used.
        """
        found = self._look()
        if found is None:
            self.close()
            raise NotInitializedError(str(self.path), namespace=namespace)
        if found != self._signature:
            self.close()
        if self._connection is None:
            connection = self._connect("rw")
            try:
                with transaction(connection, "DEFERRED"):
                    fresh = self._is_empty(connection)
            except BaseException:
                connection.close()
                raise
            if fresh:
                connection.close()
                raise NotInitializedError(str(self.path), namespace=namespace)
            # The signature of before opening: if the file was exchanged meanwhile, the next use opens again.
            self._connection, self._signature, self.opened = connection, found, self.opened + 1
        return self._connection

    def create(self) -> None:
        """Make the file and its tables where there are none; leave those of others alone."""
        give_up = monotonic() + self._busy_timeout
        while True:
            try:
                return self._create()
            except sqlite3.OperationalError as error:
                # SQLite 3.40: two that begin to use the log at once are not made to wait, lest they wait for each
                # other; one is refused on the spot, whatever `busy_timeout` says.
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or monotonic() >= give_up:
                    raise
                sleep(_AGAIN_S)

    def _create(self) -> None:
        self._look()
        connection = self._connect("rwc")
        try:
            with transaction(connection, "DEFERRED"):
                fresh = self._is_empty(connection)
            if fresh:
                connection.execute("PRAGMA journal_mode = WAL")
                with transaction(connection, "IMMEDIATE"):
                    if self._is_empty(connection):  # nobody was faster
                        for statement in TABLES.split(";"):
                            connection.execute(statement)
                        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                        connection.execute(f"PRAGMA user_version = {SCHEMA}")
        finally:
            connection.close()

    def written(self) -> bool:
        """Take note of a commit, and return whether the path still names the file that it went to."""
        self._unsettled = True
        return self._in_place() is not None

    def settle(self) -> bool:
        """
        Move what was committed from the log beside the file into the file, if nobody is in the way.

        Returns:
            Whether nothing is left to do. False: somebody reads just now, try again.

        The changes are safe before. With this the file is whole by itself, so that whoever copies it copies all of
        it, and whoever puts another in its place finds no log that would spoil it. Not done where the path names
        another file already: the log may be that one's.
        """
        if self._connection is None or not self._unsettled or self._in_place() is None:
            return True
        self._connection.execute("PRAGMA busy_timeout = 0")
        with suppress(sqlite3.Error):
            (busy, _, _) = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            self._unsettled = bool(busy)
        self._connection.execute(f"PRAGMA busy_timeout = {int(self._busy_timeout * 1000)}")
        self._signature = self._in_place() or self._signature  # it was touched by ourselves
        return not self._unsettled

    def close(self) -> None:
        """Close the connection, if there is one."""
        self.settle()
        connection, self._connection, self._signature = self._connection, None, None
        self._unsettled = False
        if connection is not None:
            connection.close()

    def _in_place(self) -> Signature | None:
        """Return the signature of what is at the path, if it is the file that is open."""
        with suppress(StoreAccessError):
            found = self._look()
            if found is not None and self._signature is not None and found[:2] == self._signature[:2]:
                return found
        return None

    def _look(self) -> Signature | None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreAccessError(f"{self.path} was not read or written: it cannot be looked at ({error})") from error
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    def _connect(self, mode: str) -> sqlite3.Connection:
        if self.path.is_dir():
            raise StoreAccessError(f"{self.path} is a directory; give the path of a file in it")
        if mode == "rwc" and not self.path.parent.is_dir():
            raise StoreAccessError(f"{self.path} was not created: its directory does not exist; create it")
        connection = sqlite3.connect(
            f"file:{quote(os.fsencode(self.path))}?mode={mode}",
            uri=True,
            timeout=self._busy_timeout,
            isolation_level=None,  # transactions begin where we say so
        )
        connection.row_factory = sqlite3.Row
        # FULL for flags: in WAL mode NORMAL may lose the last commits when the power fails. A switch-off that was
        # acknowledged must not come back on; edits are rare, and one more fsync for each is not felt. A board is
        # written every few seconds, and losing the last of it costs work that is done twice.
        try:
            connection.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'NORMAL'}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _is_empty(self, connection: sqlite3.Connection) -> bool:
        """Return whether nobody has used the file yet; refuse it if that was somebody else, or a newer release."""
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (schema,) = connection.execute("PRAGMA user_version").fetchone()
        if application == APPLICATION_ID:
            if schema > SCHEMA:
                raise StoreFormatError(
                    f"{self.path} has schema {schema}, and this release of grayflow knows {SCHEMA}: it was written by "
                    "a newer one. Nothing was changed",
                    remedy="Install a newer grayflow: pip install -U grayflow",
                )
            return False
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application or schema or tables:
            raise StoreFormatError(
                f"{self.path} is a SQLite file of another program; nothing was changed", remedy="Give another path"
            )
        return True
