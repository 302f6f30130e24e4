"""`grayflow migration`, over a service's own migration between two files."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import anyio
import pytest

from grayflow import Admin, Client
from grayflow.release.migration.compass import gray_flag, stage_flag
from grayflow.release.migration.rules import Stage
from tests.cli.kit import PROGRAM, Cli, until
from tests.release.migration.bench import NAME, make, order
from tests.release.migration.stores import Order, SqliteOrders

MODULE = """
from contextlib import asynccontextmanager
from tests.release.migration.bench import make
from tests.release.migration.stores import SqliteOrders

orders = make(SqliteOrders({old!r}), SqliteOrders({new!r}), soak=0, min_compared=0)

def made():
    return orders

@asynccontextmanager
async def opened():
    yield orders

def broken():
    raise OSError("no route to the database")

@asynccontextmanager
async def breaks():
    raise OSError("no route to the database")
    yield orders

nothing = 7
"""


@pytest.fixture
def shop(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write a service's module, whose name it returns, with 25 rows to move."""
    name = f"shop_{tmp_path.name.replace('-', '_')}"
    cli.file(f"{name}.py", MODULE.format(old=str(tmp_path / "old.db"), new=str(tmp_path / "new.db")))
    monkeypatch.syspath_prepend(str(tmp_path))
    old = SqliteOrders(tmp_path / "old.db")
    rows = [order(f"k{number:02}") for number in range(25)]
    anyio.run(fill, old, rows)
    old.close()
    cli("init")
    return name


async def fill(store: SqliteOrders, rows: list[Order]) -> None:
    for row in rows:
        await store.upsert_if_newer(row, row.seq)


def stage(cli: Cli, at: str) -> None:
    """Put the migration to a stage, with everybody on the gray list."""

    async def put() -> None:
        async with Admin(cli.url, actor="ann") as admin:
            await admin.put(stage_flag(NAME, Stage(at)))
            await admin.put(gray_flag(NAME))

    anyio.run(put)


def test_without_migrations_it_says_how_to_begin_one(cli: Cli):
    cli("init")

    assert "there is no migration; the first advance of one begins it" in cli("migration", "status").out
    assert cli.json("migration", "status") == cli.json("migration") == []


def test_a_migration_that_has_not_begun_is_ready(cli: Cli):
    cli("init")

    text = cli("migration", "status", NAME).out

    assert f"{NAME}: off, not begun" in text
    assert f"ready for dualwrite: grayflow migration advance {NAME}" in text


def test_the_first_advance_begins_it_and_a_retreat_leads_back(cli: Cli):
    cli("init")

    assert "is at stage dualwrite" in cli("migration", "advance", NAME, "-r", "begin").out
    assert "by ann: begin" in cli("migration", "status", NAME, COLUMNS="200").out
    assert cli.json("migration", "retreat", NAME, "-r", "not yet")["revision"] == 3
    assert cli.json("migration", "status", NAME)["stage"] == "off"
    assert [one["reason"] for one in cli.json("history", NAME)] == ["not yet", "begin"]


def test_what_is_missing_is_said_and_nothing_is_written(cli: Cli):
    stage(cli, "dualwrite")

    refused = cli("migration", "advance", NAME, code=4, COLUMNS="300")

    assert "no backfill has run since the migration left 'off'" in refused.err
    assert "missing for shadow:" in cli("migration", "status", NAME).out
    assert cli.json("migration", "status", NAME)["stage"] == "dualwrite"


def test_force_needs_a_reason(cli: Cli):
    stage(cli, "dualwrite")

    assert "needs a reason, for the audit: --reason" in cli("migration", "advance", NAME, "--force", code=2).err
    assert "needs a reason, for the audit: --reason" in cli("migration", "retreat", NAME, "--force", code=2).err
    cli("migration", "advance", NAME, "--force", "-r", "there are no rows")
    assert cli.json("migration", "status", NAME)["stage"] == "shadow"


def test_the_stage_that_is_meant_is_checked(cli: Cli):
    stage(cli, "dualwrite")

    assert "the next is 'shadow'" in cli("migration", "advance", NAME, "--to", "live", code=4, COLUMNS="200").err
    assert "that is the first stage" in cli("migration", "retreat", "other", code=4, COLUMNS="200").err


def test_a_flag_that_is_no_migrations_is_refused(cli: Cli):
    cli.put({"key": "payment_v2", "enabled": True})

    for verb in ("status", "advance", "retreat"):
        refused = cli("migration", verb, "payment_v2", code=2, COLUMNS="300")
        assert "flag 'payment_v2' is no migration's: it serves 'on', 'off', and no stages" in refused.err
    assert "payment_v2" not in cli("migration").out


def test_a_slip_in_the_name_begins_no_second_migration(cli: Cli):
    stage(cli, "dualwrite")
    slip = NAME[:-2] + NAME[-1] + NAME[-2]

    assert f"did you mean {NAME!r}?" in cli("migration", "status", slip, COLUMNS="200").err
    assert f"did you mean {NAME!r}?" in cli("migration", "advance", slip, code=4, COLUMNS="200").err
    assert [one["name"] for one in cli.json("migration")] == [NAME]
    assert "is at stage dualwrite" in cli("migration", "advance", slip, "--to", "dualwrite").out


@pytest.mark.parametrize("name", ["orders", "made", "opened"])
def test_a_backfill_and_reconciliations_of_the_services_own_stores(cli: Cli, shop: str, name: str):
    stage(cli, "dualwrite")

    copied = cli("migration", "backfill", f"{shop}:{name}", "--batch", "10", "--rate", "100000")
    first = cli("migration", "reconcile", f"{shop}:{name}")
    again = cli.json("migration", "reconcile", f"{shop}:{name}")

    assert "25 rows copied; next: grayflow migration advance" in copied.out
    assert "25 rows compared: 0 differed" in first.out
    assert (again["rows"], again["clean"]) == (25, True)
    assert copied.err == first.err == ""
    shown = cli.json("migration", "status", NAME)
    assert (shown["cursor"]["copied"], shown["cursor"]["done"]) == (25, True)
    assert len(shown["reconciled"]) == 2


def test_a_reconciliation_tells_by_its_exit_code_that_something_differed(cli: Cli, shop: str):
    stage(cli, "shadow")

    looked = cli("migration", "reconcile", f"{shop}:orders", "--look", code=1)
    repaired = cli("migration", "reconcile", f"{shop}:orders", code=1)

    assert "25 rows compared: 25 differed" in looked.out
    assert "25 rows compared: 25 differed, 25 repaired" in repaired.out
    assert "0 differed" in cli("migration", "reconcile", f"{shop}:orders").out


def test_what_is_no_migration_is_refused(cli: Cli, shop: str):
    stage(cli, "dualwrite")

    assert "is no Migration" in cli("migration", "backfill", f"{shop}:nothing", code=2).err
    assert "such as shop.orders:migration" in cli("migration", "backfill", NAME, code=2, COLUMNS="200").err
    assert "cannot import" in cli("migration", "backfill", f"{shop}:gone", code=2).err


@pytest.mark.parametrize("name", ["broken", "breaks"])
def test_a_service_whose_migration_cannot_be_opened_is_told_without_a_traceback(cli: Cli, shop: str, name: str):
    stage(cli, "dualwrite")

    told = cli("migration", "backfill", f"{shop}:{name}", code=2, COLUMNS="300").err

    assert "cannot be opened, so nothing was done: OSError: no route to the database" in told


def test_a_backfill_is_refused_before_it_has_begun(cli: Cli, shop: str):
    assert "nothing to copy at stage 'off'" in cli("migration", "backfill", f"{shop}:orders", code=4).err


def test_all_migrations_are_listed(cli: Cli):
    stage(cli, "dualwrite")

    text = cli("migration", "status", COLUMNS="200").out

    assert NAME in text
    assert "dualwrite" in text
    assert "shadow" in text


def test_the_status_shows_what_services_do(cli: Cli, tmp_path: Path):
    """A service that runs, a write that waits for its repair, and reads that were compared."""
    stage(cli, "shadow")
    seen: list[Any] = []

    async def serve() -> None:
        old, new = SqliteOrders(":memory:"), SqliteOrders(":memory:")
        await fill(old, [order("k")])
        orders = make(old, new)
        async with Client(cli.url, name="shop") as flags, orders.running(flags):
            await orders.get(order("k"))
            engine = orders._open()
            await engine.journal.announce("k")
            with anyio.fail_after(20):
                while not (await anyio.to_thread.run_sync(shown))["processes"]:
                    await engine.watch.flush()
            seen.append(await anyio.to_thread.run_sync(lambda: cli("migration", "status", NAME, COLUMNS="200").out))

    def shown() -> Any:
        return cli.json("migration", "status", NAME)

    anyio.run(serve)

    assert "1 reports" in seen[0]
    assert "1 write, the oldest" in seen[0]
    assert "missing for live:" in seen[0]


def test_a_backfill_that_is_interrupted_says_how_far_it_came_and_goes_on(
    cli: Cli, shop: str, environment: dict[str, str], tmp_path: Path
):
    stage(cli, "dualwrite")
    command = [*PROGRAM, "migration", "backfill", f"{shop}:orders", "--batch", "5"]
    paths = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    slow = subprocess.Popen(
        [*command, "--rate", "5"],
        env={**environment, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: (cli.json("migration", "status", NAME)["cursor"] or {}).get("copied"))
    slow.send_signal(signal.SIGINT)
    out, err = slow.communicate(timeout=20)

    assert slow.returncode == 130
    assert "rows copied; run it again to go on" in err
    assert out == ""
    assert "25 rows copied" in cli("migration", "backfill", f"{shop}:orders", "--rate", str(1e6)).out
