"""Repair, backfill and reconciliation: bounded, resumable, one process at a time, and right whatever they meet."""

import asyncio
import math
from functools import partial

import anyio
import pytest

from grayflow import Client, MemoryStore
from grayflow.clock import SystemClock
from grayflow.release.migration.backfilling import Backfill
from grayflow.release.migration.errors import MigrationBusyError, NotAppliedError, StageRefusedError
from grayflow.release.migration.ledger import BACKFILL
from grayflow.release.migration.past import read_past
from grayflow.release.migration.reconciling import Reconciliation
from grayflow.release.migration.repairing import Repaired
from grayflow.release.migration.rules import Stage
from tests.release.migration.bench import Bench, make, of, order, until
from tests.release.migration.stores import Order, SqliteOrders

pytestmark = pytest.mark.anyio

DOWN = ConnectionError("the store is down")
REFUSED = NotAppliedError("a constraint forbids it")
FAST = {"rate": math.inf}


def rows(count: int, **more: object) -> tuple[Order, ...]:
    return tuple(order(f"k{number:05}", **more) for number in range(count))


async def test_a_mirror_that_is_down_for_a_thousand_writes_is_made_up_for(bench: Bench) -> None:
    async with bench.running("dualwrite", profile="mirrored", repair_every=0.05, repair_after=0) as orders:
        bench.new.failing["*"] = DOWN
        for row in rows(1000):
            assert (await orders.update(row)).mirrored is False
        status = await orders.status()
        assert (status.unfinished, status.dead) == (1000, 0)
        assert status.lag_s > 0

        bench.new.failing.clear()

        async def repaired() -> bool:
            return (await orders.status()).unfinished == 0

        await until(repaired, 60)
        assert (await orders.status()).dead == 0

    assert await bench.rows("old") == await bench.rows("new")
    assert len(await bench.rows("new")) == 1000


async def test_a_store_that_awaits_what_was_cancelled_ends_neither_callers_nor_repairs(bench: Bench) -> None:
    async with bench.running("dualwrite", profile="mirrored") as orders:
        bench.new.failing["*"] = asyncio.CancelledError()
        assert (await orders.update(order("k"))).mirrored is False
        assert (await orders.repair(at_once=True)).failed == 1
        bench.new.failing.clear()
        assert (await orders.repair(at_once=True)).left == 0
        assert (await orders.update(order("other"))).mirrored is True

    assert await bench.rows("old") == await bench.rows("new")


async def test_the_repairer_leaves_alone_what_was_announced_just_now(bench: Bench) -> None:
    async with bench.running("dualwrite", profile="mirrored") as orders:
        bench.new.failing["*"] = DOWN
        await orders.update(order("k"))
        bench.new.failing.clear()

        assert (await orders._open().repairer.look()).rows == 0
        assert (await orders._open().repairer.look(now=True)).rows == 1


async def test_a_row_that_cannot_be_repaired_is_given_up_and_shown_and_can_be_tried_again(bench: Bench) -> None:
    async with bench.running("dualwrite", profile="mirrored", repair_attempts=3) as orders:
        bench.new.failing["*"] = REFUSED
        await orders.update(order("k"))

        for _ in range(3):
            assert (await orders.repair(at_once=True)).failed == 1
        status = await orders.status()
        assert (status.unfinished, status.dead) == (0, 1)

        bench.new.failing.clear()
        assert (await orders.repair(dead=True, at_once=True)).rows == 1
        assert (await orders.status()).dead == 0


async def test_no_row_is_given_up_because_a_store_is_away(bench: Bench) -> None:
    async with bench.running("dualwrite", profile="mirrored", repair_attempts=2) as orders:
        bench.new.failing["*"] = DOWN
        for row in rows(10):
            await orders.update(row)

        for _ in range(5):
            bench.new.log.clear()
            await orders.repair(at_once=True)
            assert len(bench.new.log) < 10

        status = await orders.status()
        assert (status.unfinished, status.dead) == (10, 0)


async def test_one_row_alone_is_not_given_up_because_a_store_is_away(bench: Bench) -> None:
    async with bench.running("dualwrite", profile="mirrored", repair_attempts=2) as orders:
        bench.new.failing["*"] = DOWN
        await orders.update(order("k"))
        for _ in range(5):
            assert (await orders.repair(at_once=True)).failed == 1

        status = await orders.status()
        assert (status.unfinished, status.dead) == (1, 0)
        bench.new.log.clear()
        assert (await orders.repair()).left == 1
        assert bench.new.log == []


class Choosy(SqliteOrders):
    """It fails for some rows, whatever else it does."""

    def __init__(self, *keys: str) -> None:
        super().__init__(":memory:")
        self.refused = set(keys)

    async def upsert_if_newer(self, row: Order, version: int) -> bool:
        if row.order_id in self.refused:
            raise OverflowError("too long")
        return await super().upsert_if_newer(row, version)


async def test_a_row_that_fails_while_others_are_written_is_given_up(bench: Bench) -> None:
    bench.new.inner = Choosy("bad")
    async with bench.running("dualwrite", profile="mirrored", repair_attempts=3) as orders:
        await orders.update(order("bad"))
        for version in range(1, 4):
            assert (await orders.status()).dead == 0
            await orders.update(order("good", version))
            await orders.repair(at_once=True)

        status = await orders.status()
        assert (status.unfinished, status.dead) == (0, 1)


async def test_rows_that_fail_and_come_first_keep_no_others_from_being_repaired(bench: Bench) -> None:
    bad = [f"a{number}" for number in range(8)]
    bench.new.inner = Choosy(*bad)
    async with bench.running("dualwrite", profile="mirrored", repair_attempts=4) as orders:
        bench.new.failing["*"] = DOWN
        for key in (*bad, "y", "z"):
            await orders.update(order(key))
        bench.new.failing.clear()
        for _ in range(4):
            await orders.repair(at_once=True)
        assert sorted(await bench.rows("new")) == ["y", "z"]

        for version in range(1, 6):
            await orders.update(order("other", version))
            await orders.repair(at_once=True)
        assert (await orders.status()).dead == 8


async def test_while_a_store_is_away_it_is_asked_less_and_less_often(bench: Bench) -> None:
    async with bench.running("dualwrite", profile="mirrored", repair_after=0) as orders:
        bench.new.failing["*"] = DOWN
        for row in rows(10):
            await orders.update(row)

        assert (await orders.repair(at_once=True)).failed == 5
        bench.new.log.clear()
        assert await orders.repair() == Repaired(left=10)
        assert bench.new.log == []


async def test_a_store_that_is_away_for_days_does_not_end_the_repairs(bench: Bench) -> None:
    async with bench.running("dualwrite", profile="mirrored", repair_after=0, repair_attempts=10_000) as orders:
        bench.new.failing["*"] = DOWN
        for row in rows(10):
            await orders.update(row)
        repairer = orders._open().repairer
        repairer._away = 2000  # looks in vain so far, one every 15 s
        repairer._failures.update({row.order_id: 2000 for row in rows(10)})

        assert (await orders.repair(at_once=True)).failed == 5
        bench.new.failing.clear()
        assert (await orders.repair(at_once=True)).rows == 10


async def test_reads_and_writes_go_on_when_repairs_have_a_defect(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    met = anyio.Event()

    async def broken(*_: object, **__: object) -> None:
        met.set()
        raise OverflowError("a defect")

    monkeypatch.setattr("grayflow.release.migration.repairing.Repairer.look", broken)
    async with bench.running("dualwrite", profile="mirrored", repair_every=0.01) as orders:
        bench.new.failing["upsert_if_newer"] = DOWN
        await orders.update(order("k"))
        await met.wait()
        for _ in range(3):
            met = anyio.Event()
            await met.wait()

        assert await orders.get(of("k")) == order("k")
    assert sum("repairs nothing at the moment" in told for told in caplog.messages) == 1


async def test_failures_of_a_row_that_another_process_repaired_are_forgotten(bench: Bench) -> None:
    async with bench.running("dualwrite", profile="mirrored", repair_attempts=2) as orders:
        journal, repairer = orders._open().journal, orders._open().repairer
        for _ in range(3):
            bench.new.failing["*"] = REFUSED
            await orders.update(order("k"))
            assert (await orders.repair(at_once=True)).failed == 1
            bench.new.failing.clear()
            await journal.finished([one.member for one in await journal.unfinished()])
            await orders.repair(at_once=True)

        assert (await orders.status()).dead == 0
        assert not repairer._failures
        assert not repairer._not_before


async def test_a_reconciliation_lets_what_was_given_up_be_repaired_again(bench: Bench) -> None:
    async with bench.running("dualwrite", profile="mirrored", repair_attempts=1) as orders:
        bench.new.failing["*"] = REFUSED
        await orders.update(order("k"))
        await orders.repair(at_once=True)
        assert (await orders.status()).dead == 1
        bench.new.failing.clear()

        await orders.reconcile()

        assert (await orders.status()).dead == 0
        assert (await orders.repair(at_once=True)).left == 0


async def test_one_process_repairs_at_a_time(bench: Bench) -> None:
    async with bench.running("dualwrite", profile="mirrored") as orders:
        other = make(bench.old, bench.new, profile="mirrored")
        async with other.running(bench.flags):
            bench.new.failing["*"] = DOWN
            await orders.update(order("k"))
            bench.new.failing.clear()
            gate = bench.old.gate("get")

            async def repair() -> None:
                while not gate.reached.is_set():  # the other's first look may have the lease just now
                    await orders.repair(at_once=True)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(repair)
                await gate.reached.wait()
                assert (await other.repair(at_once=True)).rows == 0
                gate.open.set()

    assert await bench.rows("new") == {"k": order("k")}


# Backfill


async def test_a_backfill_copies_everything_once_and_remembers_that(bench: Bench) -> None:
    async with bench.running("dualwrite") as orders:
        await bench.seed(old=rows(25))
        await orders.wait_converged()
        told: list[int] = []

        done = await orders.backfill(batch=10, progress=told.append, **FAST)

        assert (done.copied, done.done, told) == (25, True, [10, 20, 25])
        bench.old.log.clear()
        assert await orders.backfill(batch=10, **FAST) == done
        assert bench.old.log == []

    assert await bench.rows("old") == await bench.rows("new")


async def test_a_backfill_goes_on_where_another_process_stopped(bench: Bench) -> None:
    async with bench.running("dualwrite") as orders:
        await bench.seed(old=rows(25))
        await orders.wait_converged()
        with anyio.CancelScope() as scope:
            await orders.backfill(batch=10, progress=lambda done: scope.cancel(), **FAST)

        bench.new.log.clear()
        done = await orders.backfill(batch=10, **FAST)

        assert done.copied == 25
        assert bench.new.log.count("upsert_if_newer") == 15


async def test_a_backfill_that_was_cancelled_can_be_run_again_at_once(bench: Bench, flags: Client) -> None:
    await bench.seed(old=rows(10))
    async with bench.running("dualwrite") as orders:
        await orders.wait_converged(20)
        gate = bench.new.gate("upsert_if_newer")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(orders.backfill, **FAST))
            await gate.reached.wait()
            tasks.cancel_scope.cancel()

        again = Backfill(orders._open().setup, orders._open().ledger, flags.clock, "another process")
        began = (await read_past(flags.store, orders.name)).began
        assert (await again.run(began, 10, math.inf, None)).done


async def test_a_backfill_never_writes_over_what_is_newer(bench: Bench) -> None:
    async with bench.running("dualwrite") as orders:
        await bench.seed(old=(order("k", 1),), new=(order("k", 7, text="newer"),))
        await orders.wait_converged()
        await orders.backfill(**FAST)

    assert (await bench.rows("new"))["k"].text == "newer"
    assert (await bench.rows("old"))["k"].text == "newer"


@pytest.mark.parametrize("stage", ["off", "complete"])
async def test_a_backfill_is_refused_where_there_is_nothing_to_copy(bench: Bench, stage: str) -> None:
    async with bench.running(stage) as orders:
        with pytest.raises(StageRefusedError, match="nothing to copy"):
            await orders.backfill()


async def test_a_backfill_is_refused_while_a_process_may_write_to_the_old_store_alone(
    bench: Bench, store: MemoryStore
) -> None:
    async with bench.running("off") as orders, Client(store) as other:
        with other.scope():
            await bench.at("dualwrite")

            async def reported() -> bool:
                fleet = await bench.admin.fleet()
                return len(fleet.processes) == 2

            await until(reported)
            with pytest.raises(StageRefusedError, match="processes may still write to the old store alone"):
                await orders.backfill()

        assert (await orders.wait_converged()).complete
        assert (await orders.backfill()).done


async def test_two_backfills_do_not_run_at_once(bench: Bench) -> None:
    async with bench.running("dualwrite") as orders:
        other = make(bench.old, bench.new)
        await bench.seed(old=rows(3))
        await orders.wait_converged()
        async with other.running(bench.flags):
            gate = bench.old.gate("scan")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(orders.backfill)
                await gate.reached.wait()
                with pytest.raises(MigrationBusyError, match="another process is at it"):
                    await other.backfill()
                assert (await orders.status()).backfilling
                gate.open.set()


async def test_a_backfill_that_was_overtaken_stops(bench: Bench) -> None:
    async with bench.running("dualwrite") as orders:
        await bench.seed(old=rows(30))
        await orders.wait_converged()
        board = orders._open().ledger.board

        async def overtake() -> None:
            gate = bench.old.gate("scan")
            await gate.reached.wait()
            held = await board.get("migrations:orders.store", BACKFILL)
            assert held is not None
            assert held.lease is not None
            await board.release("migrations:orders.store", BACKFILL, fence=held.lease.fence)
            await board.claim("migrations:orders.store", BACKFILL, "somebody else", span=30)
            gate.open.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(overtake)
            with pytest.raises(MigrationBusyError, match="taken over"):
                await orders.backfill(batch=10, **FAST)


async def test_a_migration_that_was_at_off_again_is_copied_anew(bench: Bench) -> None:
    async with bench.running("dualwrite") as orders:
        await bench.seed(old=rows(3))
        await orders.wait_converged()
        await orders.backfill(**FAST)
        await bench.at("off")
        assert (await orders.status()).cursor is None
        await bench.at("dualwrite")
        await orders.wait_converged()

        assert (await orders.status()).cursor is None
        assert (await orders.backfill(**FAST)).copied == 3


# Reconciliation


async def test_stores_that_agree_are_found_clean(bench: Bench) -> None:
    async with bench.running("shadow") as orders:
        await bench.seed(old=rows(25), new=(*rows(25), order("only-new")))

        found = await orders.reconcile(batch=10)

        assert (found.clean, found.rows, found.only_new) == (True, 26, 1)
        assert (await orders.status()).new_only == 1


@pytest.mark.parametrize("profile", ["split", "mirrored"])
async def test_whatever_differs_is_counted_and_brought_together(bench: Bench, profile: str) -> None:
    async with bench.running("shadow", profile=profile) as orders:
        await bench.seed(
            old=(order("a", 2), order("b", 1), order("only-old"), order("gone"), order("same")),
            new=(order("a", 1), order("b", 2), order("gone"), order("same"), order("only-new")),
        )
        await bench.store("old").delete_if_not_newer("gone", 1)

        found = await orders.reconcile(batch=2)
        again = await orders.reconcile(batch=2)

        assert found.differing == (4 if profile == "split" else 5)
        assert (found.repaired, found.only_old, found.clean) == (found.differing, 1, False)
        assert again.clean

    old, new = await bench.rows("old"), await bench.rows("new")
    assert "gone" not in new
    assert {key: new[key] for key in old} == old
    assert set(new) - set(old) == ({"only-new"} if profile == "split" else set())


async def test_a_reconciliation_that_only_looks_changes_nothing(bench: Bench) -> None:
    async with bench.running("shadow") as orders:
        await bench.seed(old=(order("k", 2),), new=(order("k", 1),))

        found = await orders.reconcile(repair=False)

        assert (found.differing, found.repaired) == (1, 0)
    assert await bench.rows("new") == {"k": order("k", 1)}


async def test_copies_of_one_version_that_hold_different_things_are_named(bench: Bench) -> None:
    async with bench.running("shadow") as orders:
        await bench.seed(old=(order("k", 1, text="a"),), new=(order("k", 1, text="b"),))

        found = await orders.reconcile()

        assert (found.conflicts, found.differing, found.repaired) == (("k",), 1, 0)


async def test_a_write_on_its_way_is_no_difference(bench: Bench) -> None:
    async with bench.running("shadow", profile="mirrored") as orders:
        gate = bench.new.gate("upsert_if_newer")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(orders.update, order("k"))
            await gate.reached.wait()
            looks = bench.new.gate("tombstone")
            tasks.start_soon(_open_both, looks, gate)
            found = await orders.reconcile()

        assert found.clean


async def _open_both(looks: object, gate: object) -> None:
    await looks.reached.wait()  # type: ignore[attr-defined]
    gate.open.set()  # type: ignore[attr-defined]
    looks.open.set()  # type: ignore[attr-defined]


async def test_rows_that_are_only_in_the_new_store_can_be_copied_back(bench: Bench) -> None:
    async with bench.running("rampdown") as orders:
        await orders.insert(order("k"))
        assert await bench.rows("old") == {}
        assert await orders.backcopy(batch=1, **FAST) == 1
        assert await orders.backcopy(**FAST) == 0
        await bench.at(Stage.LIVE)
        assert await orders.get(of("k")) == order("k")

    assert await bench.rows("old") == {"k": order("k")}


class Pauses(SystemClock):
    """Counts the pauses."""

    def __init__(self) -> None:
        self.taken = 0

    async def sleep(self, seconds: float) -> None:
        self.taken += 1
        await super().sleep(0)


async def test_rows_that_differ_are_looked_at_again_together(bench: Bench) -> None:
    await bench.seed(old=rows(250, store_id="s1"), new=rows(250, store_id="s2"))
    clock = Pauses()

    async with bench.running("dualwrite") as orders:
        reconciliation = Reconciliation(orders._setup, orders._open().ledger, clock)
        found = await reconciliation.run(0, 100, math.inf, None, repair=False)

    assert (found.rows, found.differing, len(found.conflicts)) == (250, 250, 20)
    assert clock.taken == 3 * 2
