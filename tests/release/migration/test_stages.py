"""The stage: a flag with history, moved by people, proved before writes, and known to the fleet."""

import math
from datetime import timedelta
from typing import Any

import anyio
import pytest

from grayflow import Admin, Client, MemoryStore
from grayflow.clock import SystemClock
from grayflow.errors import ConfigurationError, LifetimeError, StoreUnavailableError
from grayflow.release.migration.desk import MigrationDesk
from grayflow.release.migration.errors import StageRefusedError, StaleStageError
from grayflow.release.migration.past import read_past
from grayflow.release.migration.rules import Side, Stage
from grayflow.release.migration.setup import Terms
from grayflow.testing import FakeClock, Faulty
from tests.release.kit import until as soon
from tests.release.migration.bench import NAME, Bench, make, of, order, until
from tests.release.migration.stores import Order, SqliteOrders

pytestmark = pytest.mark.anyio

OPEN: dict[str, Any] = {"soak": 0, "min_compared": 2}


async def test_a_migration_that_nobody_has_begun_is_off_and_makes_its_flags_when_it_begins(
    admin: Admin, flags: Client
) -> None:
    orders = make(SqliteOrders(":memory:"), SqliteOrders(":memory:"))
    async with orders.running(flags, admin):
        assert orders.stage is Stage.OFF
        saved = await orders.advance(reason="begin")
        await flags.wait_for(saved.token)

        assert orders.stage is Stage.DUALWRITE
        assert await flags.is_enabled(f"{NAME}.gray", {"route": "s1"}) is False
        assert [change.reason for change in await admin.history(NAME)] == ["begin"]


async def test_the_whole_way_with_every_proof(bench: Bench) -> None:
    async with bench.running("off", **OPEN) as orders:
        await orders.insert(order("before"))

        async def go(to: str) -> None:
            saved = await orders.advance(to, reason=f"to {to}")
            await bench.flags.wait_for(saved.token)
            assert (await orders.wait_converged()).complete

        await go("dualwrite")
        await orders.backfill(rate=math.inf)
        await go("shadow")
        await orders.update(order("before", 2))
        for _ in range(2):
            assert await orders.get(of("before")) == order("before", 2)
            await orders.reconcile()
        await until(lambda: compared(bench, orders, 2))
        await go("live")
        await bench.gray("*")
        assert (await orders.reconcile()).clean
        await go("rampdown")
        await orders._open().ledger.board.delete(f"migrations:{NAME}", await old_reader(orders))
        assert (await orders.reconcile()).clean
        await go("complete")

        assert await orders.get(of("before")) == order("before", 2)
        assert [change.action for change in await bench.admin.history(NAME)] == ["advance"] * 5 + ["put"]


@pytest.mark.parametrize("function", ["row_key", "route_by", "version"])
def test_a_function_of_a_row_that_would_have_to_be_awaited_is_refused(function: str) -> None:
    async def asked(row: object) -> Any:
        """Nobody would await this."""

    with pytest.raises(ConfigurationError, match=f"{function} is async; give a function"):
        make(SqliteOrders(":memory:"), SqliteOrders(":memory:"), **{function: asked})


async def test_what_cannot_be_used_is_refused_by_name(admin: Admin, flags: Client) -> None:
    await admin.put({"key": NAME, "enabled": True})
    orders: Any = make(SqliteOrders(":memory:"), SqliteOrders(":memory:"))
    desk: Any = MigrationDesk

    with pytest.raises(ConfigurationError, match="is no migration's: it serves 'on', 'off', and no stages"):
        await desk(admin, NAME).status()
    with pytest.raises(ConfigurationError, match="admin is a Python object of type Client; give the"):
        orders.running(flags, flags)
    with pytest.raises(ConfigurationError, match="admin is None; give the"):
        desk(None, NAME)
    with pytest.raises(ConfigurationError, match="timeout is 'soon'; give seconds"):
        await desk(admin, "other").wait_converged("soon")


async def compared(bench: Bench, orders: Any, least: int) -> bool:
    await orders._open().watch.flush()
    return (await orders.status()).compared >= least


async def old_reader(orders: Any) -> str:
    """Return the note that this process has read the old store at `live`."""
    watch = orders._open().watch
    watch.read_old(Stage.LIVE)
    await watch.flush()
    assert (await orders.status()).old_readers == 1
    return f"old-read:{watch._writer}"


async def test_an_advance_without_proof_is_refused_and_says_what_is_missing(bench: Bench) -> None:
    async with bench.running("dualwrite") as orders:
        with pytest.raises(StageRefusedError, match="no backfill has run") as caught:
            await orders.advance()

        assert "stays at 'dualwrite'" in str(caught.value)
        assert orders.stage is Stage.DUALWRITE


async def test_an_advance_by_force_needs_a_reason(bench: Bench) -> None:
    async with bench.running("dualwrite") as orders:
        with pytest.raises(ConfigurationError, match="needs a reason"):
            await orders.advance(force=True)
        await orders.advance(force=True, reason="there are no rows yet")

        assert (await orders.status()).reason == "there are no rows yet"


@pytest.mark.parametrize(("stage", "to"), [("off", "shadow"), ("dualwrite", "off"), ("complete", None)])
async def test_an_advance_goes_to_the_next_stage_only(bench: Bench, stage: str, to: str | None) -> None:
    async with bench.running(stage) as orders:
        with pytest.raises(StageRefusedError, match="stays at"):
            await orders.advance(to, force=True, reason="r")


@pytest.mark.parametrize(("stage", "to"), [("off", None), ("live", "dualwrite"), ("complete", None)])
async def test_a_retreat_goes_to_the_stage_before_only_and_nothing_leads_back_from_the_end(
    bench: Bench, stage: str, to: str | None
) -> None:
    async with bench.running(stage) as orders:
        with pytest.raises(StageRefusedError, match="stays at"):
            await orders.retreat(to, reason="r")


async def test_a_retreat_from_live_takes_the_gray_rows_back_to_the_old_store(bench: Bench) -> None:
    await bench.seed(old=(order("k", 1, text="old"),), new=(order("k", 1, text="new"),))
    await bench.gray("s1")
    async with bench.running("live", profile="mirrored") as orders:
        assert (await orders.get(of("k"))).text == "new"
        saved = await orders.retreat(reason="slow")
        await bench.flags.wait_for(saved.token)

        assert (await orders.get(of("k"))).text == "old"
        assert (await bench.admin.history(NAME))[0].action == "retreat"


async def test_a_migration_that_went_back_loses_no_write(bench: Bench) -> None:
    """Mirrored, every write of `rampdown` is in the old store too."""
    async with bench.running("rampdown", profile="mirrored") as orders:
        await orders.insert(order("k", 1))
        await orders.update(order("k", 2))
        for stage in ("live", "shadow", "dualwrite", "off"):
            await bench.at(stage)
            assert await orders.get(of("k")) == order("k", 2)


@pytest.mark.parametrize("profile", ["split", "mirrored"])
async def test_a_row_that_was_deleted_at_off_does_not_come_back_with_the_next_beginning(
    bench: Bench, profile: Any
) -> None:
    row = order("k", store_id="gray")
    await bench.gray("gray")
    async with bench.running("dualwrite", profile=profile) as orders:
        await bench.seed(old=(row,), new=(row,))
        await orders.insert(order("other"))
        await bench.at("off")
        await orders.delete(of("k"))
        for stage in ("dualwrite", "shadow"):
            await bench.at(stage)
            assert await orders.get(of("k", "gray")) is None
            assert [found.order_id for found in (await orders.list()).rows] == ["other"]

        again = order("k", 2, store_id="gray")
        await orders.insert(again)
        assert await orders.get(of("k", "gray")) == again
        assert again in (await orders.list()).rows


async def test_a_flag_that_is_switched_off_takes_reads_back_and_goes_on_writing_to_both(bench: Bench) -> None:
    await bench.seed(old=(order("k", 1, text="old"),), new=(order("k", 1, text="new"),))
    await bench.gray("s1")
    async with bench.running("live", profile="mirrored") as orders:
        saved = await bench.admin.switch_off(NAME, reason="now")
        await bench.flags.wait_for(saved.token)

        assert orders.stage is Stage.SHADOW
        assert (await orders.get(of("k"))).text == "old"
        assert (await orders.update(order("k", 2))).mirrored
        with pytest.raises(StageRefusedError, match="is off"):
            await orders.advance()


async def test_leaving_a_stage_fires_the_handlers_of_its_variant(bench: Bench, store: MemoryStore) -> None:
    flags, left = Client(store), anyio.Event()

    @flags.on_switch_off(NAME, variant="live")
    async def gone(off: Any) -> None:
        left.set()

    await bench.at("live")
    async with flags:
        await MigrationDesk(bench.admin, NAME).retreat(reason="slow")
        await soon(left.is_set)


async def test_two_people_do_not_move_one_migration_twice(bench: Bench) -> None:
    await bench.at("dualwrite")
    desk = MigrationDesk(bench.admin, NAME)
    found = await desk.status()
    await bench.at("shadow")

    with pytest.raises(StageRefusedError, match="somebody else has moved"):
        await desk._move(found.stage, Stage.OFF, "retreat", "r")


async def test_a_process_that_is_behind_holds_up_the_next_advance(bench: Bench, store: MemoryStore) -> None:
    async with Client(store) as other, bench.running("off") as orders:
        with other.scope():
            await bench.at("dualwrite")
            desk = MigrationDesk(bench.admin, NAME)

            async def behind() -> bool:
                return (await desk.status()).processes == 2

            await until(behind)
            assert not (await orders.wait_converged(0)).complete
            assert any("may still go by the stage before" in one for one in (await desk.status()).unmet)
        assert (await orders.wait_converged()).complete
        assert (await desk.status()).behind == 0


async def test_a_write_that_is_under_way_counts_as_one_of_the_stage_that_it_began_with(bench: Bench) -> None:
    """It went to the old store alone: a backfill that began now would perhaps miss it."""
    async with bench.running("off") as orders:
        gate = bench.old.gate("upsert_if_newer")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(orders.update, order("k"))
            await gate.reached.wait()
            await bench.at("dualwrite")
            revision = (await bench.admin.store.position()).revision

            async def serves_it() -> bool:
                return any(one.revision >= revision for one in (await bench.admin.fleet()).processes)

            await until(serves_it)
            assert not (await orders.wait_converged(0)).complete
            gate.open.set()
        assert (await orders.wait_converged()).complete


# What a process knows


@pytest.fixture
async def cut_off(faulty: Faulty, clock: FakeClock) -> Any:
    """A client of flags that can be cut off, whose time the test moves."""
    async with Admin(faulty, clock=clock) as admin, Client(faulty, clock=clock, ttl=timedelta(days=300)) as flags:
        yield flags, admin, faulty, clock


async def test_who_cannot_know_the_stage_reads_on_and_writes_nothing(cut_off: Any) -> None:
    flags, admin, faulty, clock = cut_off
    old, new = SqliteOrders(":memory:"), SqliteOrders(":memory:")
    bench = Bench(flags, admin, old, new)
    async with bench.running("dualwrite", profile="mirrored") as orders:
        await orders.update(order("k"))
        await clock.advance(60)
        await orders.update(order("k", 2))  # it is proved at once that nothing has changed

        faulty.down = True
        await clock.advance(60)
        with pytest.raises(StaleStageError, match="still at 'dualwrite'"):
            await orders.update(order("k", 3))
        assert await orders.get(of("k")) == order("k", 2)


@pytest.mark.parametrize("stage", ["off", "complete"])
async def test_where_there_is_one_store_only_nothing_has_to_be_known(cut_off: Any, stage: str) -> None:
    flags, admin, faulty, clock = cut_off
    bench = Bench(flags, admin)
    async with bench.running(stage) as orders:
        faulty.down = True
        await clock.advance(1_000)

        assert (await orders.update(order("k"))).applied


async def test_without_flags_nobody_knows_where_a_row_is(store: MemoryStore) -> None:
    flags = Client(store)
    orders = make(SqliteOrders(":memory:"), SqliteOrders(":memory:"))
    async with orders.running(flags):
        with pytest.raises(StaleStageError, match="no flags have arrived"):
            await orders.get(of("k"))


async def test_a_migration_is_used_inside_of_its_block(flags: Client) -> None:
    orders = make(SqliteOrders(":memory:"), SqliteOrders(":memory:"))
    with pytest.raises(LifetimeError, match="not running"):
        await orders.get(of("k"))
    async with orders.running(flags):
        with pytest.raises(LifetimeError, match="running already"):
            async with orders.running(flags):
                pass
        assert await orders.get(of("k")) is None
        with pytest.raises(ConfigurationError, match="give an Admin"):
            await orders.advance()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"profile": "half"}, "profile is 'half'"),
        ({"mirror": "x"}, "mirror is 'x'"),
        ({"on_mirror_failure": "ignore"}, "on_mirror_failure is 'ignore'"),
        ({"version": 3}, "version is 3"),
        ({"order": 3}, "order is 3"),
        ({"max_mismatch": 2}, "max_mismatch is 2"),
        ({"soak": -1}, "soak is -1"),
        ({"repair_attempts": 0}, "repair_attempts is 0"),
    ],
)
def test_what_cannot_be_used_is_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        make(SqliteOrders(":memory:"), SqliteOrders(":memory:"), **options)


def test_one_store_in_both_places_is_refused() -> None:
    store = SqliteOrders(":memory:")
    with pytest.raises(ConfigurationError, match="give another store than old"):
        make(store, store)


class Synchronous(SqliteOrders):
    """A store somebody forgot to make async."""

    def get(self, key: str) -> Any:
        return None


async def test_a_store_that_cannot_be_awaited_is_told_so(flags: Client) -> None:
    orders = make(Synchronous(":memory:"), SqliteOrders(":memory:"))
    async with orders.running(flags):
        with pytest.raises(ConfigurationError, match="make the methods of MigrationStore async"):
            await orders.get(of("k"))


def test_a_store_that_lacks_a_verb_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="lacks get, exists, tombstone"):
        make(object(), SqliteOrders(":memory:"))


@pytest.mark.parametrize("version", [None, "1", 1.5, -1, True])
async def test_versions_are_whole_numbers(bench: Bench, version: Any) -> None:
    async with bench.running("dualwrite", version=lambda row: version) as orders:
        with pytest.raises(ConfigurationError, match="whole number from 0"):
            await orders.insert(order("k"))


# What is compared


@pytest.mark.parametrize("stage", ["shadow", "live"])
async def test_reads_are_compared_beside_the_request(bench: Bench, stage: str) -> None:
    await bench.seed(
        old=(order("same"), order("differs", 1, text="a"), order("missing")),
        new=(order("same"), order("differs", 1, text="b")),
    )
    async with bench.running(stage, profile="mirrored") as orders:
        for key in ("same", "differs", "missing", "nowhere"):
            await orders.get(of(key))
        await until(lambda: compared(bench, orders, 3))

        status = await orders.status()
        assert (status.compared, status.mismatched, status.dropped) == (3, 2, 0)


async def test_a_write_on_its_way_that_a_list_meets_is_no_difference(bench: Bench) -> None:
    """One that counted would hold up the migration for good: by default no read may differ."""
    await bench.seed(old=(order("k", 2), order("same")), new=(order("k", 1), order("same")))
    async with bench.running("shadow", profile="mirrored") as orders:
        gate = bench.new.gate("get")
        assert len((await orders.list()).rows) == 2
        await gate.reached.wait()
        await bench.seed(new=(order("k", 2),))
        gate.open.set()
        await until(lambda: compared(bench, orders, 2))

        assert (await orders.status()).mismatched == 0


async def test_a_comparison_that_raises_fails_no_list(bench: Bench) -> None:
    def broken(one: Order, other: Order) -> bool:
        raise ValueError("a defect")

    await bench.seed(old=(order("k"),), new=(order("k"),))
    async with bench.running("shadow", profile="mirrored", same=broken) as orders:
        assert (await orders.list()).rows == (order("k"),)


async def test_the_soak_begins_anew_when_the_flag_was_switched_off_meanwhile(bench: Bench) -> None:
    async with bench.running("rampdown") as orders:
        began = (await orders.status()).since
        await bench.admin.switch_off(NAME, reason="slow")
        saved = await bench.admin.switch_on(NAME, reason="again")
        past = await read_past(bench.admin.store, NAME)

        assert past.at == began
        assert past.steady > began
        assert past.document == saved.position.revision


@pytest.mark.parametrize("days", [-1, 1])
async def test_a_soak_lasts_as_long_whatever_the_clock_of_whoever_moves_the_stage_says(
    bench: Bench, store: MemoryStore, days: int
) -> None:
    wrong = FakeClock(now=SystemClock().now() + days * 86_400 * 10**9)
    async with bench.running("live"), Admin(store, actor="ann", clock=wrong) as admin:
        desk = MigrationDesk(admin, NAME, terms=Terms(soak_s=3600))
        await desk.advance(reason="all the same", force=True)

        left = next(one for one in (await desk.status()).unmet if "has to last" in one)
        assert 3500 < int(left.split("; ")[1].split(" s")[0]) <= 3600


@pytest.mark.parametrize("days", [-1, 1])
async def test_the_soak_of_the_gray_list_goes_by_the_clock_of_the_board(
    bench: Bench, store: MemoryStore, days: int
) -> None:
    wrong = FakeClock(now=SystemClock().now() + days * 86_400 * 10**9)
    async with bench.running("live", soak=3600, repair_every=0.01) as orders, Admin(store, clock=wrong) as admin:
        saved = await admin.put({"key": f"{NAME}.gray", "by": "route", "enabled": True, "otherwise": "on"})
        await bench.flags.wait_for(saved.token, timeout=20)

        async def noted() -> bool:
            records = (await orders._open().ledger.all())[1]
            return "gray" in records

        await until(noted)
        left = next(one for one in (await orders.status()).unmet if "on the gray list for" in one)
        assert 3500 < int(left.split("; ")[1].split(" s")[0]) <= 3600


async def test_an_edit_that_leaves_everybody_on_the_gray_list_does_not_begin_the_soak_anew(bench: Bench) -> None:
    async with bench.running("live", repair_every=0.01) as orders:
        await bench.gray("*")
        ledger = orders._open().ledger

        async def noted() -> bool:
            return "gray" in (await ledger.all())[1]

        await until(noted)
        before = (await ledger.all())[1]["gray"]
        document = {"key": f"{NAME}.gray", "by": "route", "enabled": True, "otherwise": "on", "description": "all"}
        await bench._put(document)
        await orders._open().note_gray()

        assert (await ledger.all())[1]["gray"] == before


async def test_counts_that_cannot_be_told_are_kept_as_one_batch(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench.running("shadow", profile="mirrored") as orders:
        watch, ledger = orders._open().watch, orders._open().ledger

        async def away(*_: object) -> None:
            raise StoreUnavailableError("the board is away")

        with monkeypatch.context() as patched:
            patched.setattr(ledger, "add_counts", away)
            for _ in range(50):
                watch._count(7, "compared")
                await watch.flush()
            assert len(watch._batches) == 1
        await watch.flush()
        assert await ledger.counts(7) == {"compared": 50}


async def test_a_write_between_the_two_looks_of_a_comparison_is_no_difference(bench: Bench) -> None:
    await bench.seed(old=(order("k"),), new=(order("k"),))
    async with bench.running("shadow") as orders:
        gate = bench.new.gate("get")
        await orders.get(of("k"))
        await gate.reached.wait()
        await orders.update(order("k", 2))
        gate.open.set()
        await until(lambda: compared(bench, orders, 1))

        assert (await orders.status()).mismatched == 0


async def test_a_store_that_hangs_delays_no_read_that_is_compared(bench: Bench) -> None:
    await bench.seed(old=(order("k"),), new=(order("k"),))
    async with bench.running("shadow", max_compares=1) as orders:
        gate = bench.new.gate("get")
        for _ in range(3):
            assert await orders.get(of("k")) == order("k")
        gate.open.set()
        await until(lambda: compared(bench, orders, 1))

        assert (await orders.status()).dropped == 2


async def test_a_read_of_the_old_store_is_noted_for_the_length_of_the_soak(bench: Bench) -> None:
    await bench.seed(old=(order("k"),))
    async with bench.running("live", soak=100) as orders:
        await orders.get(of("k"))
        await orders._open().watch.flush()
        assert (await orders.status()).old_readers == 1


async def test_the_routes_of_the_gray_list_are_those_of_the_data(bench: Bench) -> None:
    await bench.seed(
        old=(order("a", store_id="s1"), order("b", store_id="s2")),
        new=(order("a", 2, store_id="s1"), order("b", 2, store_id="s2")),
    )
    await bench.gray("s2")
    async with bench.running("live") as orders:
        assert (await orders.get(of("a", "s1"))).seq == 1
        assert (await orders.get(of("b", "s2"))).seq == 2
        assert (await orders.update(order("b", 3, store_id="s2"))).side is Side.NEW
