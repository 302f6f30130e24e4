"""
Announcements on this host's disk, for as long as the board does not answer.

Each process appends to a file of its own in a folder that the processes of a host share, and holds a lock on it, which
the system takes back when the process ends, however it ends. So a file that can be locked is nobody's, and whoever
comes by brings it to the board: twice does no harm, a line stands for the same member of the board's set each time.

A line is the key of a row, once for all writes of that row. Nothing is taken out of a file: a row whose writes all went
through is looked at once more.
"""

import hashlib
import logging
import os
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar
from uuid import uuid4

import msgspec
from anyio import CapacityLimiter, to_thread

from grayflow.store.directory import sync_directory

__all__ = ["Spool", "SpoolPlace", "SpoolStatus"]

log = logging.getLogger("grayflow.release")

T = TypeVar("T")

_BATCH = 1000
_NAMES = 10


class SpoolPlace(msgspec.Struct, frozen=True):
    """Where announcements go, and how many."""

    folder: Path
    limit: int


class SpoolStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What of this process waits on the disk until the board answers."""

    folder: str
    waiting: int
    """Rows whose writes are announced there, and not on the board yet."""
    limit: int
    """With so many it is full: further writes are refused until the board answers."""
    problem: str | None
    """Why the disk did not take the last announcement, so that a write was refused."""


class Spool:
    """
    The spool of one process, for one migration.

    Args:
        place: Where.
        namespace: Of the board.
        migration: Whose announcements they are.
    """

    def __init__(self, place: SpoolPlace, namespace: str, migration: str) -> None:
        self._place, self._migration = place, migration
        # A contract: other releases read these files. Who does not know the header leaves a file alone.
        self._header = msgspec.json.encode({"spool": 1, "namespace": namespace, "migration": migration}) + b"\n"
        self._digest = hashlib.blake2b(self._header, digest_size=8).hexdigest()
        self._own: _File | None = None
        self._turn = CapacityLimiter(1)  # the order of appending and sealing is that of calls
        # asyncio's cancellation gives the turn back while the thread goes on (anyio 4.16.0), so threads wait as well.
        self._busy = Lock()
        self._problem: str | None = None

    @property
    def waiting(self) -> int:
        """How many rows of this process wait."""
        own = self._own
        return 0 if own is None else len(own.keys)

    @property
    def status(self) -> SpoolStatus:
        """How it is doing."""
        return SpoolStatus(
            folder=str(self._place.folder), waiting=self.waiting, limit=self._place.limit, problem=self._problem
        )

    async def put(self, key: str) -> bool:
        """
        Announce a write of a row; return whether that is on the disk now, synced.

        Cancellation: it may be there.
        """
        own = self._own
        if own is not None and key in own.keys:
            return True  # the row goes to the board later than this, which is all that a second line could say
        if self.waiting >= self._place.limit:
            self._note(f"it is full: {self._place.limit} rows wait")
            return False
        try:
            await self._run(lambda: self._append(key))
        except OSError as error:
            self._note(f"{error}")
            return False
        self._problem = None
        return True

    async def drain(self, tell: Callable[[Collection[str]], Awaitable[Any]]) -> int:
        """
        Hand over what waits, and what processes that are gone have left, as members of the board's set.

        Returns:
            How many there were.

        Raises:
            Exception: what `tell` raises. What was not handed over stays, and is nobody's: the next one brings it.
            OSError: the folder cannot be read.
        """
        await self.seal()
        found = 0
        for path in await self._run(self._paths):
            left = await self._run(lambda path=path: _read(path, self._header))  # type: ignore[misc]
            if left is None:
                continue
            token = path.stem.rpartition("-")[2]
            members = [f"{token}:{key}" for key in left.keys]
            for begin in range(0, len(members), _BATCH):
                await tell(members[begin : begin + _BATCH])
            await self._run(left.remove)
            found += len(members)
            if left.damaged:
                self._tell_damage(path, left.damaged)
        return found

    async def seal(self) -> None:
        """Append no more to the present file; it is nobody's then."""
        if self._own is not None:
            await self._run(self._seal)

    # In a thread

    async def _run(self, work: Callable[[], T]) -> T:
        def locked() -> T:
            with self._busy:
                return work()

        return await to_thread.run_sync(locked, limiter=self._turn)

    def _append(self, key: str) -> None:
        if self._own is None:
            self._own = _begun(self._place.folder, self._digest, self._header)
        self._own.append(key)

    def _seal(self) -> None:
        own, self._own, self._problem = self._own, None, None
        if own is not None:
            own.close()

    def _paths(self) -> list[Path]:
        if not self._place.folder.is_dir():
            return []
        own = None if self._own is None else self._own.path
        return sorted(path for path in self._place.folder.glob(f"{self._digest}-*.spool") if path != own)

    # Said

    def _note(self, problem: str) -> None:
        if problem != self._problem:
            told = "migration %r refuses writes: the board does not answer, and %s does not take announcements: %s"
            log.error(told, self._migration, self._place.folder, problem)
        self._problem = problem

    def _tell_damage(self, path: Path, lines: int) -> None:
        told = "%d announcements of migration %r in %s cannot be read, the file is kept; run a reconciliation"
        log.error(told, lines, self._migration, path.with_suffix(".damaged"))


class _File:
    """A file that is appended to, and locked."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path, self.keys = path, set[str]()
        self._handle, self._size, self._torn = handle, 0, False

    def write(self, content: bytes) -> None:
        """Append; what an attempt that failed has left behind goes first, or it would spoil the next line."""
        if self._torn:
            os.ftruncate(self._handle, self._size)
        self._torn = True
        left = memoryview(content)
        while left:
            left = left[os.write(self._handle, left) :]
        os.fsync(self._handle)
        self._size, self._torn = self._size + len(content), False

    def append(self, key: str) -> None:
        """Write a line."""
        self.write(msgspec.json.encode(key) + b"\n")
        self.keys.add(key)

    def close(self) -> None:
        """Give the lock back."""
        os.close(self._handle)


class _Left:
    """What a file held that is nobody's."""

    def __init__(self, path: Path, keys: list[str], damaged: int) -> None:
        self._path, self.keys, self.damaged = path, keys, damaged

    def remove(self) -> None:
        """Remove it; with lines that nobody can read it is kept under another name."""
        with suppress(FileNotFoundError):  # another process was at it too
            if self.damaged:
                self._path.rename(self._path.with_suffix(".damaged"))
            else:
                self._path.unlink()


def _begun(folder: Path, digest: str, header: bytes) -> _File:
    """Return a new file with its header, locked before anything is in it, and sure to be found after a power cut."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for _ in range(_NAMES):
        path = folder / f"{digest}-{uuid4().hex}.spool"
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
        begun = False
        try:
            if _locked(handle):
                made = _File(path, handle)
                made.write(header)
                for each in (folder, folder.parent):
                    sync_directory(each)
                begun = True
                return made
        finally:
            if not begun:
                os.close(handle)
                path.unlink(missing_ok=True)
    raise BlockingIOError(f"no file in {folder} can be locked")


def _locked(handle: int) -> bool:
    """Lock a file unless somebody has done so; Python closes it in programs that are started, not in forks."""
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(path: Path, header: bytes) -> _Left | None:
    """Return what is in a file, `None` if a process has it, or will have it in a moment."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    with os.fdopen(handle, "rb") as file:
        if not _locked(handle):
            return None
        content = file.read()
        if not content.startswith(header):
            return None  # made a moment ago, and about to be locked; or its process died right then
    # Who wrote the header held the lock, and holds it no more: nothing is added to this file. The last line, if it has
    # no end, was never synced, hence its write was not begun.
    *lines, _ = content[len(header) :].split(b"\n")
    keys = [_key(line) for line in lines]
    good = [key for key in keys if key is not None]
    return _Left(path, good, len(keys) - len(good))


def _key(line: bytes) -> str | None:
    try:
        return msgspec.json.decode(line, type=str) or None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
