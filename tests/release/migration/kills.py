"""
Processes that write rows and kill themselves at the n-th point, one after the other and quickly.

Run as a program it loads everything once and then forks a process for each order that it reads. Points are before and
after every call of a store and every write to the board.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
from redis.asyncio import Redis

from grayflow import Admin, Client
from grayflow.clock import SystemClock
from grayflow.release.migration.compass import gray_flag, stage_flag
from grayflow.release.migration.errors import RowExistsError
from grayflow.release.migration.migration import Migration
from grayflow.release.migration.rules import Side, Stage
from grayflow.release.migration.settling import settlement
from grayflow.store.urls import open_store
from tests.release.migration.bench import NAME, make, of, order
from tests.release.migration.ledger import check, settle
from tests.release.migration.stores import Order, RedisOrders, SqliteOrders

__all__ = ["Task", "Zygote"]

HOUR_NS = 3_600_000_000_000


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What one process is to do."""

    folder: str
    what: str = "write"
    """`init`, `write`, `backfill`, or `settle`: repair, reconcile, and compare with what was acknowledged."""
    new: str = "sqlite"
    """Or the URL of a Redis server."""
    prefix: str = ""
    """Of the keys there."""
    profile: str = "split"
    mirror: str = "copy"
    stage: str = "dualwrite"
    hours: int = 0
    """How many hours after the others it lives: leases are over then."""
    kill_at: int = 0
    """The point at which it dies; 0: none."""


class Zygote:
    """The program, as tests use it: a context manager."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def run(self, task: Task) -> int:
        """Run a process, and return how it ended; a signal is negative."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(task).decode() + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


class Later(SystemClock):
    """A clock of so many hours later."""

    def __init__(self, hours: int) -> None:
        self._ahead = hours * HOUR_NS

    def now(self) -> int:
        return super().now() + self._ahead


class Points:
    """Notes each point, and dies at one of them."""

    def __init__(self, task: Task) -> None:
        self._file = (Path(task.folder) / "points").open("w")
        self._at, self._passed = task.kill_at, 0

    def __call__(self, what: str) -> None:
        self._passed += 1
        self._file.write(what + "\n")
        if self._passed == self._at:
            self._file.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    def close(self) -> None:
        self._file.close()


class Pointed:
    """Something whose calls are points."""

    def __init__(self, name: str, inner: Any, point: Callable[[str], None], verbs: tuple[str, ...] = ()) -> None:
        self.inner, self._name, self._point, self._verbs = inner, name, point, verbs

    def __getattr__(self, verb: str) -> Any:
        work = getattr(self.inner, verb)
        if self._verbs and verb not in self._verbs:
            return work

        async def call(*args: Any, **options: Any) -> Any:
            self._point(f"before {self._name}.{verb}")
            result = await work(*args, **options)
            self._point(f"after {self._name}.{verb}")
            return result

        return call


async def obey(task: Task, point: Callable[[str], None]) -> None:
    """Do it."""
    folder, clock = Path(task.folder), Later(task.hours)
    redis = Redis.from_url(task.new) if task.new != "sqlite" else None
    old = SqliteOrders(folder / "old.db")
    new: Any = SqliteOrders(folder / "new.db") if redis is None else RedisOrders(redis, task.prefix)
    store = open_store(f"sqlite:///{folder}/flags.db", clock=clock)
    try:
        async with Admin(store, actor="ada", clock=clock) as admin, Client(store, clock=clock) as flags:
            if task.what == "init":
                await begin(admin, old, new)
                return
            around = Pointed("old", old, point), Pointed("new", new, point)
            migration = make(*around, profile=task.profile, mirror=task.mirror)
            with flags.override({NAME: task.stage, f"{NAME}.gray": True}):
                async with migration.running(flags, admin):
                    engine = migration._open()
                    engine.journal._board = Pointed("board", engine.journal._board, point, ("add", "remove"))
                    await WORK[task.what](task, migration, old, new)
    finally:
        if redis is not None:
            await redis.aclose()


async def begin(admin: Admin, old: SqliteOrders, new: Any) -> None:
    """Make the flags, and rows that were there before."""
    await admin.put(gray_flag(NAME))
    await admin.put(stage_flag(NAME, Stage.DUALWRITE))
    for number in range(8):
        row = order(f"k{number}")
        await old.upsert_if_newer(row, row.seq)
        if number % 2:
            await new.upsert_if_newer(row, row.seq)


async def write(task: Task, migration: Migration[Order], *_: Any) -> None:
    """Write rows that are in both stores, in the old one only, and new."""
    acks = (Path(task.folder) / "acks").open("a")
    for version, (verb, key) in enumerate(
        (("update", "k1"), ("update", "k2"), ("insert", "n1"), ("delete", "k3"), ("delete", "k4"), ("update", "n1")), 2
    ):
        try:
            if verb == "delete":
                await migration.delete(of(key), version=version)
            else:
                await getattr(migration, verb)(order(key, version, text=str(version)))
        except RowExistsError:
            continue  # who is run again finds what it did before
        acks.write(f"{msgspec.json.encode((key, version)).decode()}\n")
        acks.flush()


async def backfill(_: Task, migration: Migration[Order], *__: Any) -> None:
    """Copy everything, in small batches."""
    await migration.wait_converged()
    await migration.backfill(batch=3, rate=1e6)


async def make_good(task: Task, migration: Migration[Order], old: Any, new: Any) -> None:
    """Repair, reconcile, and compare."""
    await migration.repair(at_once=True)
    for key in ("k1", "k2", "k3", "k4", "n1"):
        copies = [copy for copy, _ in [await migration._open().pair.look(side, key) for side in Side]]
        if any(copy is not None and copy.version > 1 for copy in copies):
            assert settlement(copies[0], copies[1], task.profile) is None, f"{key} was written, and not repaired"
    await settle(migration)
    path = Path(task.folder) / "acks"
    lines = path.read_text().splitlines() if path.exists() else []
    await check(old, new, task.profile, [msgspec.json.decode(line, type=tuple[str, int]) for line in lines])


WORK: dict[str, Any] = {"write": write, "backfill": backfill, "settle": make_good}


def _fork(task: Task) -> int:
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    status = 1
    try:
        points = Points(task)
        asyncio.run(obey(task, points))
        points.close()
        status = 0
    finally:
        os._exit(status)


def _main() -> None:
    for line in sys.stdin:
        print(_fork(msgspec.json.decode(line, type=Task)), flush=True)


if __name__ == "__main__":
    _main()
