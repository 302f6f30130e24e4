"""
One process of a fleet under test: it writes rows through a migration all the time, until it is killed.

    python -m tests.release.migration.worker FOLDER NAME NUMBER STAGE PROFILE

It goes by the flag, or by the stage that is given, as one that has not heard of a change. What was acknowledged it
writes down.
"""

import random
import sys
from pathlib import Path

import anyio
import msgspec

from grayflow import Client
from grayflow.release.migration.errors import MigrationError
from grayflow.release.migration.migration import Migration
from tests.release.migration.bench import NAME, make, of, order
from tests.release.migration.stores import Order, SqliteOrders

KEYS, FLEET = 12, 16


async def work(folder: Path, name: str, number: int, stage: str, profile: str) -> None:
    old, new = SqliteOrders(folder / "old.db"), SqliteOrders(folder / "new.db")
    chosen, versions = random.Random(name), Versions(folder / "versions", number)
    migration = make(old, new, profile=profile, repair_every=0.1, repair_after=5)
    pinned = {NAME: stage, f"{NAME}.gray": True} if stage else {}
    async with Client(f"sqlite:///{folder}/flags.db", name=name) as flags, migration.running(flags):
        with (folder / f"acks-{name}").open("a") as acks, flags.override(pinned):
            while True:
                async with anyio.create_task_group() as tasks:
                    for _ in range(4):
                        tasks.start_soon(once, migration, chosen, versions, acks)


class Versions:
    """Numbers that grow over all processes, and that no two of them give: a hybrid clock would do as well."""

    def __init__(self, path: Path, number: int) -> None:
        self._path, self._number = path, number

    def next(self) -> int:
        with self._path.open("a") as file:  # each byte is one write of somebody
            file.write(".")
            file.flush()
            return file.tell() * FLEET + self._number


async def once(migration: Migration[Order], chosen: random.Random, versions: Versions, acks: object) -> None:
    """Write one row."""
    key, verb, version = f"k{chosen.randrange(KEYS)}", chosen.choice(("insert", "update", "delete")), versions.next()
    try:
        if verb == "delete":
            await migration.delete(of(key), version=version)
        else:
            await getattr(migration, verb)(order(key, version, text=str(version)))
    except MigrationError:
        return
    acks.write(f"{msgspec.json.encode((key, version)).decode()}\n")  # type: ignore[attr-defined]
    acks.flush()  # type: ignore[attr-defined]


if __name__ == "__main__":
    anyio.run(work, Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5])
