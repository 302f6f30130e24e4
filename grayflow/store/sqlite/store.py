"""
Flags in one file, for several processes of one host.

SQLite blocks, so threads work for a store (see `worker.py`): one reads, so that a commit that waits for another
process does not make the flags look stale, one commits, and one writes the board, so that a commit does not wait behind
the reports and leases of its own process. Readers see commits of others by `PRAGMA data_version`.
"""

import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

import msgspec

from grayflow.clock import Clock, SystemClock
from grayflow.core.generations import Generations
from grayflow.core.position import Document, Position
from grayflow.errors import ConfigurationError, NotInitializedError, StoreUnavailableError
from grayflow.store.lifetime import Lifetime
from grayflow.store.port import Change, DocumentKind, Edit, Event, State, Store, check_namespace
from grayflow.store.sqlite.board import SQLiteBoard
from grayflow.store.sqlite.file import File
from grayflow.store.sqlite.follower import Follower
from grayflow.store.sqlite.verbs import Verbs
from grayflow.store.sqlite.worker import Worker, close

__all__ = ["SQLiteStore"]

T = TypeVar("T")

_SETTLE_S = 0.2
"""After a pause of this length the file is made whole; it costs two more waits for the disk than a commit alone."""
_SETTLE_BOARD_S = 0.02
"""Sooner, since a board is written again and again, and who exchanges the file must not find a log beside it."""


class SQLiteStore(Store):
    """
    A store in one SQLite file, which several processes of one host may use at once; it keeps all history.

    The file is made by `init`, never by a reader. Plain SQL may ask it (`flags`, `flag_versions`, `segments`).
    Copy or move it while it is used: nearly always all is in the one file. Not for network file systems.

    Args:
        path: The file; relative to the directory that is current now.
        namespace: The environment within the file.
        busy_timeout: Seconds that a commit waits for other writers, more than 0 and at most 3600.
        clock: The time by which followers poll, every 50 ms, and the board's.

    Raises:
        ConfigurationError: path, namespace or time-out cannot be one.
    """

    board: SQLiteBoard
    initialised_by_writer = True
    keeps_all_history = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        namespace: str = "default",
        *,
        busy_timeout: float = 5.0,
        clock: Clock | None = None,
    ) -> None:
        self.namespace = check_namespace(namespace)
        self._path = _checked_path(path)
        if not 0 < busy_timeout <= 3600:
            raise ConfigurationError(f"busy_timeout is {busy_timeout}; it is more than 0 and at most 3600 seconds")
        self._busy_timeout = busy_timeout
        self._clock = clock if clock is not None else SystemClock()
        self._lifetime = Lifetime(type(self).__name__)
        self._verbs = Verbs(self.namespace, self.place)
        self._workers: _Workers | None = None
        self.board = SQLiteBoard(
            self.namespace,
            self._lifetime,
            self._clock,
            read=self._run_reading,
            write=self._write_board,
            sync=self._write,
        )

    @property
    def place(self) -> str:
        """See `Store.place`: the absolute path."""
        return str(self._path)

    async def __aenter__(self) -> Self:
        if self._lifetime.enter():
            self._workers = _Workers(reader=self._worker(), writer=self._worker(), board=self._worker(durable=False))
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._lifetime.leave() and self._workers is not None:
            workers, self._workers = self._workers, None
            await close(workers.reader, workers.writer, workers.board)

    async def init(self, *, replaces: Sequence[str] | None = None) -> Position:
        """See `Store.init`. Makes the file and its tables if there are none."""

        def work(file: File) -> Position:
            if replaces is None:  # who only has to be sure asks often, and may have no right to write
                with suppress(NotInitializedError):
                    return self._verbs.position(file.connection(self.namespace))
            file.create()
            position = self._verbs.init(file.connection(self.namespace), replaces)
            file.written()
            return position

        return await self._write(work)

    async def position(self) -> Position:
        """See `Store.position`."""
        return await self._read(self._verbs.position)

    async def replaced(self) -> Sequence[str]:
        """See `Store.replaced`."""
        return await self._read(self._verbs.replaced)

    async def load(self) -> State:
        """See `Store.load`."""
        return await self._read(self._verbs.load)

    async def get(self, kind: DocumentKind, key: str) -> tuple[Document | None, Generations]:
        """See `Store.get`."""
        return await self._read(partial(self._verbs.get, kind=kind, key=key))

    async def changes(self, since: Position) -> Sequence[Change] | None:
        """See `Store.changes`."""
        return await self._read(partial(self._verbs.changes, since=since))

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[AsyncIterator[Event]]:
        """See `Store.follow`."""
        follower = Follower(self._verbs, self.namespace, self._run_reading, self._clock)
        await follower.begin()
        yield follower

    async def commit(self, edit: Edit, *, expected: int) -> Change:
        """See `Store.commit`."""

        def work(file: File) -> Change:
            change = self._verbs.commit(file.connection(self.namespace), edit, expected)
            if not file.written():
                raise StoreUnavailableError(
                    f"{self._path} was moved or deleted while {edit.kind} {edit.key!r} was written: the change is in "
                    "the file that was there before. Look at what is there now and repeat the change"
                )
            return change

        return await self._write(work)

    async def history(
        self, key: str | None = None, *, kind: DocumentKind = "flag", before: int | None = None, limit: int = 50
    ) -> Sequence[Change]:
        """See `Store.history`."""
        return await self._read(partial(self._verbs.history, key=key, kind=kind, before=before, limit=limit))

    async def oldest(self) -> int:
        """See `Store.oldest`."""
        return await self._read(self._verbs.oldest)

    async def at(self, revision: int) -> State:
        """See `Store.at`."""
        return await self._read(partial(self._verbs.at, revision=revision))

    async def _read(self, verb: Callable[[sqlite3.Connection], T]) -> T:
        return await self._run_reading(lambda file: verb(file.connection(self.namespace)))

    async def _run_reading(self, work: Callable[[File], T]) -> T:
        return await self._open().reader.run(work)

    async def _write(self, work: Callable[[File], T]) -> T:
        return await self._run_writing(self._open().writer, work, settle_after=_SETTLE_S)

    async def _write_board(self, work: Callable[[File], T]) -> T:
        return await self._run_writing(self._open().board, work, settle_after=_SETTLE_BOARD_S)

    async def _run_writing(self, worker: Worker, work: Callable[[File], T], *, settle_after: float) -> T:
        try:
            return await worker.run(work)
        finally:
            worker.later(settle_after, File.settle)

    def _open(self) -> "_Workers":
        self._lifetime.check()
        assert self._workers is not None  # noqa: S101 - made by whoever passes the check
        return self._workers

    def _worker(self, *, durable: bool = True) -> Worker:
        file = File(self._path, busy_timeout=self._busy_timeout, durable=durable)
        return Worker(file, patience=self._busy_timeout)


class _Workers(msgspec.Struct, frozen=True):
    """The threads of an open store; each starts with its first work."""

    reader: Worker
    writer: Worker
    board: Worker


def _checked_path(path: str | os.PathLike[str]) -> Path:
    given = os.fspath(path)
    if not given or "\x00" in given:
        raise ConfigurationError(f"{path!r} is not the path of a file")
    if given == ":memory:":
        raise ConfigurationError(
            "':memory:' is not the path of a file; a store in memory is memory:// or MemoryStore()"
        )
    return Path(given).absolute()
