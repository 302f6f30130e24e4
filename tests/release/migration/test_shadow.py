"""Comparisons of reads by a parallel run, the plain one or the application's: sampled, and counted for the gates."""

import math
from typing import Any

import anyio
import pytest

from grayflow.errors import ConfigurationError, LifetimeError
from grayflow.release.migration.compass import ROUTE
from grayflow.release.migration.status import MigrationStatus
from grayflow.release.parallel.outcome import Observation, ParallelOutcome
from grayflow.release.parallel.run import ParallelRun
from tests.release.migration.bench import Bench, make, of, order, until
from tests.release.migration.stores import SqliteOrders

pytestmark = pytest.mark.anyio

DOWN = ConnectionError("the store is down")


class Comparer:
    """A parallel run of the application's own."""

    def __init__(self, flag: str | None = None, **options: Any) -> None:
        self.seen: list[Observation] = []
        self.run: ParallelRun[Any] = ParallelRun("orders", flag=flag, publish=self.seen.append, **options)


async def counted(orders: Any, **expected: int) -> MigrationStatus:
    """Wait until the status has these counts."""

    async def met() -> bool:
        await orders._open().watch.flush()
        status = await orders.status()
        return all(getattr(status, name) >= count for name, count in expected.items())

    await until(met)
    await orders._open()._run.idle()  # what is compared although it should not be comes late
    found: MigrationStatus = await orders.status()
    assert {name: getattr(found, name) for name in expected} == expected
    return found


@pytest.mark.parametrize("read", ["get", "list"])
async def test_what_differs_is_published_by_the_run_of_the_application(bench: Bench, read: str) -> None:
    comparer = Comparer(clean=lambda row: row.text, about=lambda subject: subject.order_id)
    await bench.seed(
        old=(order("k", 1, text="a"), order("same")),
        new=(order("k", 1, text="b"), order("same")),
    )
    async with bench.running("shadow", profile="mirrored", shadow=comparer.run) as orders:
        if read == "get":
            for key in ("k", "same"):
                await orders.get(of(key))
        else:
            assert len((await orders.list()).rows) == 2
        await counted(orders, compared=2, mismatched=1)
        await comparer.run.idle()

    (seen,) = comparer.seen
    assert (seen.outcome, seen.about, seen.candidate) == (ParallelOutcome.MISMATCH, "k", "new")
    assert (seen.control.clean, seen.answer.clean) == ("a", "b")


async def test_what_the_run_ignores_is_compared_and_differs_not(bench: Bench) -> None:
    comparer = Comparer(ignore=[lambda one, other: one.at != other.at])
    await bench.seed(old=(order("k", at=1),), new=(order("k", at=2),))
    async with bench.running("shadow", profile="mirrored", shadow=comparer.run) as orders:
        await orders.get(of("k"))

        await counted(orders, compared=1, mismatched=0)


@pytest.mark.parametrize("read", ["get", "list"])
async def test_the_flag_of_the_run_decides_by_the_row_which_are_compared(bench: Bench, read: str) -> None:
    comparer = Comparer(flag="orders.compared")
    rows = tuple(order(f"k{number}") for number in range(5))
    await bench.seed(old=rows, new=rows)
    await bench._put(
        {"key": "orders.compared", "enabled": True, "by": "row", "otherwise": "off", "targets": {"on": ["k1", "k3"]}}
    )
    async with bench.running("shadow", profile="mirrored", shadow=comparer.run) as orders:
        if read == "list":
            await orders.list()
        for row in rows if read == "get" else ():
            await orders.get(row)

        await counted(orders, compared=2, mismatched=0)


async def test_the_flag_of_the_run_can_decide_by_the_route(bench: Bench) -> None:
    comparer = Comparer(flag="orders.compared")
    rows = (order("a", store_id="s1"), order("b", store_id="s2"))
    await bench.seed(old=rows, new=rows)
    await bench._put(
        {"key": "orders.compared", "enabled": True, "by": ROUTE, "otherwise": "off", "targets": {"on": ["s2"]}}
    )
    async with bench.running("shadow", profile="mirrored", shadow=comparer.run) as orders:
        for row in rows:
            await orders.get(row)

        await counted(orders, compared=1)


async def test_a_mirror_that_is_away_is_no_difference(bench: Bench) -> None:
    await bench.seed(old=(order("k"),), new=(order("k"),))
    async with bench.running("shadow", profile="mirrored") as orders:
        bench.new.failing["*"] = DOWN
        assert await orders.get(of("k")) == order("k")

        await counted(orders, failed=1, compared=0, mismatched=0)


async def test_a_row_whose_write_waits_for_its_repair_is_no_difference(bench: Bench) -> None:
    """The mirror was away and is back: by default no read may differ, so what is being repaired must not count."""
    async with bench.running("shadow", profile="mirrored") as orders:
        await orders.insert(order("k"))
        bench.new.failing["*"] = DOWN
        await orders.update(order("k", 2))
        bench.new.failing.clear()

        for _ in range(20):
            assert await orders.get(of("k")) == order("k", 2)
        await counted(orders, failed=20, compared=0, mismatched=0)

        await orders.repair(at_once=True)
        await orders.get(of("k"))
        await counted(orders, compared=1, mismatched=0)


async def test_a_row_that_differs_and_is_not_announced_counts(bench: Bench) -> None:
    await bench.seed(old=(order("k", 2), order("gone")), new=(order("k", 1), order("gone"), order("left")))
    async with bench.running("shadow", profile="mirrored") as orders:
        for key in ("k", "gone", "left", "nowhere"):
            await orders.get(of(key))

        await counted(orders, compared=3, mismatched=2, failed=0)


async def test_those_who_ask_at_once_whether_a_row_is_announced_share_one_look(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench.running("shadow", profile="mirrored") as orders:
        journal, looks = orders._open().journal, []
        unfinished = journal.unfinished
        await journal.announce("k0")

        async def look(*args: int) -> Any:
            looks.append(args)
            await anyio.lowlevel.checkpoint()
            return await unfinished(*args)

        monkeypatch.setattr(journal, "unfinished", look)
        found: dict[str, bool] = {}

        async def ask(key: str) -> None:
            found[key] = await journal.announced(key)

        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(ask, f"k{number}")

        assert [key for key, announced in found.items() if announced] == ["k0"]
        assert looks.count((1000, 0)) <= 2  # and those of the repairs


async def test_where_none_may_be_compared_none_is(bench: Bench) -> None:
    await bench.seed(old=(order("k", 2),), new=(order("k", 1),))
    async with bench.running("shadow", profile="mirrored", max_compares=0) as orders:
        await orders.get(of("k"))

        await counted(orders, compared=0, mismatched=0, dropped=0)


async def test_the_block_of_the_migration_runs_the_run(bench: Bench) -> None:
    comparer = Comparer()
    async with bench.running("shadow", shadow=comparer.run):
        with pytest.raises(LifetimeError, match="running already"):
            async with comparer.run.running(bench.flags):
                pass
    async with comparer.run.running(bench.flags):
        orders = make(bench.old, bench.new, shadow=comparer.run)
        with pytest.raises(LifetimeError, match="running already"):
            async with orders.running(bench.flags):
                pass
    async with orders.running(bench.flags):
        pass


async def test_a_comparison_that_hangs_does_not_hold_up_the_end_of_the_block(bench: Bench) -> None:
    await bench.seed(old=(order("k"),), new=(order("k"),))
    with anyio.fail_after(20):
        async with bench.running("shadow", profile="mirrored", call_timeout=3600) as orders:
            gate = bench.new.gate("get")
            await orders.get(of("k"))
            await gate.reached.wait()


@pytest.mark.parametrize("given", [7, "run", ParallelRun])
def test_a_run_that_is_none_is_refused(given: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"shadow is .*ParallelRun"):
        make(SqliteOrders(":memory:"), SqliteOrders(":memory:"), shadow=given, max_stale=math.inf)
