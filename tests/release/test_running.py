"""The block of what runs beside a client, entered where it cannot be: the caller hears of it, and nobody else."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from grayflow import Client, LifetimeError, MemoryStore
from grayflow.errors import StoreError
from grayflow.release import Atoms, Counters, FallbackGuard, FileJournal, ImplementationSwitch, ParallelRun
from grayflow.release.running import Running
from tests.release.kit import Notes, Sides
from tests.release.migration.bench import make
from tests.release.migration.stores import SqliteOrders

pytestmark = pytest.mark.anyio


def a_switch() -> ImplementationSwitch[Notes]:
    sides = Sides()
    variants = {"off": sides.factory("old"), "on": sides.factory("new")}
    return ImplementationSwitch(Notes, flag="notes", variants=variants, default="off")


BLOCKS: dict[str, Callable[[], Callable[[Client], Running]]] = {
    "switch": lambda: a_switch().running,
    "guard": lambda: FallbackGuard(a_switch(), new="on", old="off").running,
    "parallel run": lambda: ParallelRun[str]("notes", flag="compare").running,
    "counters": lambda: Counters().running,
    "migration": lambda: make(SqliteOrders(":memory:"), SqliteOrders(":memory:")).running,
}


@pytest.mark.parametrize("block", BLOCKS)
async def test_a_block_that_is_entered_twice_is_refused_and_no_defect_is_logged(
    block: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "grayflow.release")
    async with MemoryStore() as store, Client(store) as flags:
        running = BLOCKS[block]()
        async with running(flags):
            with pytest.raises(LifetimeError, match="running already"):
                async with running(flags):
                    pass

    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_journal_that_cannot_be_opened_is_refused_and_no_defect_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "journal").write_text("no folder")
    caplog.set_level(logging.DEBUG, "grayflow.release")

    with pytest.raises(StoreError, match="did not do it"):
        async with Atoms(FileJournal(tmp_path / "journal")):
            pass

    assert caplog.records == []
