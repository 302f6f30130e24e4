"""
Processes that write rows, copy them or make good what others left, and die at a point of it.

Points are before and after every call of a store and every write to the board.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from redis.asyncio import Redis

from grayflow import Admin, Client
from grayflow.release.migration.compass import gray_flag, stage_flag
from grayflow.release.migration.errors import RowExistsError
from grayflow.release.migration.migration import Migration
from grayflow.release.migration.rules import Side, Stage
from grayflow.release.migration.settling import settlement
from grayflow.store.urls import open_store
from tests.release.kills import Fate, Later, Pointed, serve
from tests.release.migration.bench import NAME, make, of, order
from tests.release.migration.ledger import check, settle
from tests.release.migration.stores import Order, RedisOrders, SqliteOrders

__all__ = ["Task"]


class Task(Fate, frozen=True, kw_only=True):
    """What one process is to do."""

    what: str = "write"
    """`init`, `write`, `backfill`, or `settle`: repair, reconcile, and compare with what was acknowledged."""
    new: str = "sqlite"
    """Or the URL of a Redis server."""
    prefix: str = ""
    """Of the keys there."""
    profile: str = "split"
    mirror: str = "copy"
    stage: str = "dualwrite"


async def obey(task: Task, point: Callable[[str], None]) -> None:
    """Do it."""
    folder, clock = Path(task.folder), Later(task)
    redis = Redis.from_url(task.new) if task.new != "sqlite" else None
    old = SqliteOrders(folder / "old.db")
    new: Any = SqliteOrders(folder / "new.db") if redis is None else RedisOrders(redis, task.prefix)
    store = open_store(f"sqlite:///{folder}/flags.db", clock=clock)
    try:
        async with Admin(store, actor="ada", clock=clock) as admin, Client(store, clock=clock) as flags:
            if task.what == "init":
                await begin(admin, old, new)
                return
            around = Pointed(old, point, "old."), Pointed(new, point, "new.")
            migration = make(*around, profile=task.profile, mirror=task.mirror)
            with flags.override({NAME: task.stage, f"{NAME}.gray": True}):
                async with migration.running(flags, admin):
                    engine = migration._open()
                    engine.journal._board = Pointed(engine.journal._board, point, "board.", ("add", "remove"))
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


if __name__ == "__main__":
    serve(Task, obey)
