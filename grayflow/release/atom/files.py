"""
A journal in a folder, for a single host: every write is a new file, and nobody ever waits for a lock.

A run has a folder, and each state of its record is a file there, named by a growing number. Whoever made the next
number by a hard link, which fails if it exists, has written; the highest is what counts. So a process that is killed
or frozen anywhere keeps nobody from going on, and one that wakes up late finds its number taken, or a higher one.
"""

import errno
import hashlib
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote, unquote

import msgspec
from anyio import to_thread
from anyio.lowlevel import checkpoint

from grayflow.clock import Clock
from grayflow.errors import ConfigurationError, StoreAccessError, StoreError, StoreFormatError, StoreUnavailableError
from grayflow.store.board import Lease, Record, Records, check_text, check_value
from grayflow.store.directory import sync_directory
from grayflow.store.given import checked_clock, refused
from grayflow.store.records import claimed, is_over, later_fence, put_into, released, renewed, span_ns

__all__ = ["FileJournal"]

T = TypeVar("T")

_SUFFIX = ".json"
_NAME_LIMIT = 150
_COLLISIONS = 1000
_KEPT = 8
"""Pages of each run. More than two, so that a listing made while pages come and go shows one of the newest."""
_OUT_OF_REACH = (errno.EACCES, errno.EPERM, errno.EROFS)
_SWEEP_AFTER_NS = 3_600_000_000_000
"""What is gone stays for an hour: a fence is taken from the time as well, and a clock may be set back a little."""


_UNREADABLE = Record(value=b"", version=1)


class _Page(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a file holds. A contract: other releases read it."""

    run_id: str
    at: int = 0
    """When it was written, nanoseconds since the epoch by the host's clock."""
    version: int = 0
    fence: int = 0
    """The highest that was ever given for this run."""
    lease: Lease | None = None
    expires: int | None = None
    gone: bool = False
    """The record was removed; the number stays taken."""
    run: msgspec.Raw = msgspec.Raw(b"null")

    def record(self, now: int) -> Record | None:
        """Return what the verbs of a journal see."""
        if self.gone or is_over(self.expires, now):
            return None
        value = bytes(self.run) if self.version else b""
        return Record(value=value, version=self.version, lease=self.lease, expires=self.expires)


class FileJournal:
    """
    The runs in a folder of one host: `Atoms(FileJournal("/var/lib/shop/atoms"))`.

    Every write is synced to the disk before an effect follows. The files are JSON, one folder per run, the highest
    number is the newest; they belong to the user who runs the process, and what runs were given is in them. Leases go
    by the host's clock.

    Args:
        folder: Made if it is missing; not to be shared between hosts.
        clock: The time; for tests.
    """

    def __init__(self, folder: str | os.PathLike[str], *, clock: Clock | None = None) -> None:
        given: Any = folder
        if not (isinstance(given, str | os.PathLike) and str(given)):
            raise refused("folder", given, "give the path of the folder that holds the runs")
        self._folder = Path(folder).expanduser().absolute()
        self._clock = checked_clock(clock)

    @property
    def place(self) -> str:
        """See `Journal.place`."""
        return str(self._folder)

    async def __aenter__(self) -> Self:
        await self._run(lambda: self._folder.mkdir(parents=True, exist_ok=True, mode=0o700))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    async def now(self) -> int:
        """See `Journal.now`: the time of this host."""
        await checkpoint()
        return self._clock.now()

    async def get(self, run_id: str) -> Record | None:
        """See `Journal.get`."""
        page = await self._run(lambda: _own(run_id, _newest(self._home(run_id))[1]))
        return None if page is None else page.record(self._clock.now())

    async def list(self) -> Records:
        """See `Journal.list`."""
        return await self._run(self._list)

    async def put(
        self, run_id: str, value: bytes, *, expected: int, fence: int | None = None, ttl: float | None = None
    ) -> Record | None:
        """See `Journal.put`."""
        check_value(value)
        length = None if ttl is None else span_ns("ttl", ttl)

        def change(held: Record | None, now: int, _: int) -> Record | None:
            expires = None if length is None else now + length
            return put_into(held, value, expected=expected, fence=fence, expires=expires)

        return await self._run(lambda: self._change(run_id, change))

    async def claim(self, run_id: str, owner: str, *, span: float) -> Record | None:
        """See `Journal.claim`."""
        length = span_ns("span", span)

        def change(held: Record | None, now: int, last: int) -> Record | None:
            asked = Lease(owner=owner, fence=0, until=now + length)
            return claimed(held, asked, expected=None, now=now, next_fence=lambda: later_fence(last, now))

        return await self._run(lambda: self._change(run_id, change))

    async def renew(self, run_id: str, *, fence: int, span: float) -> bool:
        """See `Journal.renew`."""
        length = span_ns("span", span)

        def change(held: Record | None, now: int, _: int) -> Record | None:
            return renewed(held, fence=fence, until=now + length)

        return await self._run(lambda: self._change(run_id, change)) is not None

    async def release(self, run_id: str, *, fence: int) -> bool:
        """See `Journal.release`."""
        done = await self._run(lambda: self._change(run_id, lambda held, *_: released(held, fence=fence)))
        return done is not None

    # In a thread

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await to_thread.run_sync(work)
        except StoreError:
            raise
        except OSError as error:
            kind = StoreAccessError if error.errno in _OUT_OF_REACH else StoreUnavailableError
            raise kind(f"the journal in {self._folder} did not do it: {error}") from error

    def _home(self, run_id: str) -> Path:
        name = quote(check_text("run id", run_id), safe="")
        if name.strip(".") == "" or len(name) > _NAME_LIMIT:
            name = f"sha256-{hashlib.sha256(run_id.encode()).hexdigest()}"
        return self._folder / name

    def _list(self) -> Records:
        now, records = self._clock.now(), {}
        homes = [home for home in self._folder.iterdir() if home.is_dir()] if self._folder.is_dir() else []
        for home in homes:
            try:
                number, page = _newest(home)
            except StoreFormatError:  # one run that nobody can read must not keep the others from being gone on with
                records[unquote(home.name)] = _UNREADABLE
                continue
            record = None if page is None else page.record(now)
            if page is not None and record is not None:
                records[page.run_id] = record
            elif page is not None and now - max(page.at, page.expires or 0) > _SWEEP_AFTER_NS:
                _sweep(home, number)
        return Records(now=now, records=records)

    def _change(self, run_id: str, change: Callable[[Record | None, int, int], Record | None]) -> Record | None:
        home = self._home(run_id)
        for _ in range(_COLLISIONS):
            number, page = _newest(home)
            now, page = self._clock.now(), _own(run_id, page)
            held = None if page is None else page.record(now)
            last = 0 if page is None else page.fence
            record = change(held, now, last)
            if record is None or record is held:
                return record
            if _add(home, number + 1, _written(run_id, record, last, now)):
                return record
        raise StoreUnavailableError(f"the journal in {self._folder} is written by too many at once")


def _own(run_id: str, page: _Page | None) -> _Page | None:
    if page is not None and page.run_id != run_id:
        raise ConfigurationError(
            f"run ids {run_id!r} and {page.run_id!r} have one folder here, because the file system does not tell them "
            "apart; take another id"
        )
    return page


def _written(run_id: str, record: Record, last: int, now: int) -> bytes:
    page = _Page(
        run_id=run_id,
        at=now,
        version=record.version,
        fence=max(last, 0 if record.lease is None else record.lease.fence),
        lease=record.lease,
        expires=record.expires,
        gone=not record.version and record.lease is None,
        run=msgspec.Raw(record.value or b"null"),
    )
    return msgspec.json.encode(page)


def _numbers(home: Path) -> list[int]:
    try:
        names = [path.name for path in home.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    stems = (name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX))
    return sorted(int(stem) for stem in stems if stem.isdecimal() and stem.isascii())


def _page_path(home: Path, number: int) -> Path:
    return home / f"{number:08}{_SUFFIX}"


def _newest(home: Path) -> tuple[int, _Page | None]:
    while numbers := _numbers(home):
        path = _page_path(home, numbers[-1])
        try:
            return numbers[-1], msgspec.json.decode(path.read_bytes(), type=_Page)
        except FileNotFoundError:  # newer ones took its place meanwhile, or the folder was swept
            continue
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise StoreFormatError(
                f"{path} holds no record of a run that this release can read: {error}",
                remedy="Install the release that wrote it; or move the folder away, and look at its steps by hand",
            ) from error
    return 0, None


def _add(home: Path, number: int, content: bytes) -> bool:
    """Write the page of that number, unless there is one, or was one."""
    path = _page_path(home, number)
    try:
        home.mkdir(mode=0o700, exist_ok=True)
        # A name of its own each time: what a killed process left may be another name of a page that counts.
        handle, draft = tempfile.mkstemp(prefix="draft-", dir=home)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, path)
        finally:
            Path(draft).unlink(missing_ok=True)
    except FileExistsError:
        return False
    except FileNotFoundError:  # somebody swept the folder: it held nothing any more
        return False
    numbers = _numbers(home)
    if not numbers or numbers[-1] >= number + _KEPT:  # ours came late, in the place of one that was cleared away
        path.unlink(missing_ok=True)
        return False
    sync_directory(home)
    if number == 1:
        sync_directory(home.parent)  # the folder is new too
    for old in numbers[:-_KEPT]:
        _page_path(home, old).unlink(missing_ok=True)
    return True


def _sweep(home: Path, number: int) -> None:
    """Remove what is left of a run that is gone; if it begins anew meanwhile, that stays."""
    with suppress(OSError):
        for path in home.iterdir():
            stem = path.name.removesuffix(_SUFFIX)
            if not stem.isdecimal() or int(stem) <= number:
                path.unlink(missing_ok=True)
        home.rmdir()
