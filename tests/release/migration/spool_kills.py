"""
Processes that write rows while Redis is away, announce them on the disk and die at a point of it; and who comes next.

Points are before and after every call of a store and of the spool.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from grayflow import Client
from grayflow.release.migration.migration import Migration
from tests.release.kills import Fate, Pointed, serve
from tests.release.migration.bench import NAME, make, of, order, rows_of
from tests.release.migration.stores import Order, SqliteOrders

__all__ = ["Task"]


class Task(Fate, frozen=True, kw_only=True):
    """What one process is to do."""

    url: str
    space: str
    what: str = "write"
    """Or `settle`: bring to the board what waits, repair it and nothing else, and compare."""


async def obey(task: Task, point: Callable[[str], None]) -> None:
    """Do it."""
    folder = Path(task.folder)
    old, new = SqliteOrders(folder / "old.db"), SqliteOrders(folder / "new.db")
    around = Pointed(old, point, "old."), Pointed(new, point, "new.")
    migration = make(
        *around,
        profile="mirrored",
        max_stale=math.inf,
        on_journal_unavailable="proceed",
        spool=folder / "spool",
    )
    async with Client(task.url, namespace=task.space, start_timeout=0) as flags:
        with flags.override({NAME: "dualwrite"}):
            async with migration.running(flags):
                if task.what == "settle":
                    await settle(migration, old, new, folder)
                    return
                journal: Any = migration._open().journal
                journal.spool = Pointed(journal.spool, point, "spool.", ("put",))
                await write(migration, folder)


async def write(migration: Migration[Order], folder: Path) -> None:
    """Write rows and note what was acknowledged."""
    with (folder / "acks").open("a") as acks:
        for version, key in enumerate(("a", "b", "a"), 1):
            assert (await migration.update(order(key, version))).mirrored
            acks.write(f"{key} {version}\n")
            acks.flush()
        await migration.delete(of("b"), version=9)
        acks.write("b 9\n")


async def settle(migration: Migration[Order], old: SqliteOrders, new: SqliteOrders, folder: Path) -> None:
    """Make good, and check that nothing which was acknowledged is lost."""
    while (await migration.repair(at_once=True)).left:
        pass
    assert migration.spool is not None
    assert migration.spool.waiting == 0
    assert not list((folder / "spool").glob("*"))
    olds, news = await rows_of(old), await rows_of(new)
    assert olds == news
    path = folder / "acks"
    for line in path.read_text().splitlines() if path.exists() else ():
        key, version = line.split()
        known = [olds[key].seq] if key in olds else [await old.tombstone(key) or 0, await new.tombstone(key) or 0]
        assert max(known) >= int(version), f"version {version} of {key} was acknowledged"


if __name__ == "__main__":
    serve(Task, obey)
