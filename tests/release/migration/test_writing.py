"""Writes whose second store fails, hangs or is cut off in the middle: recorded, reported or taken back, and made up."""

from typing import Any

import anyio
import pytest

from grayflow.errors import ConfigurationError, ShadowWriteError, StoreUnavailableError
from grayflow.release.migration.errors import MirrorWriteError, NotAnnouncedError, NotAppliedError, RowExistsError
from grayflow.release.migration.rules import Side
from grayflow.release.migration.setup import Written
from grayflow.release.parallel.shadow import SHADOW
from tests.release.migration.bench import Bench, make, of, order
from tests.release.migration.stores import Order

pytestmark = pytest.mark.anyio

DOWN = ConnectionError("the store is down")
RESTAMP: dict[str, Any] = {
    "on_mirror_failure": "compensate",
    "row_type": Order,
    "restamp": lambda row, version: Order(
        order_id=row.order_id, store_id=row.store_id, seq=version, at=row.at, text=row.text
    ),
}


async def test_an_insert_of_a_split_migration_is_in_the_new_store_alone(bench: Bench) -> None:
    async with bench.running("dualwrite") as orders:
        assert await orders.insert(order("k")) == Written(Side.NEW, applied=True)

    assert (await bench.rows("old"), await bench.rows("new")) == ({}, {"k": order("k")})


async def test_an_insert_of_a_mirrored_migration_is_in_both(bench: Bench) -> None:
    async with bench.running("dualwrite", profile="mirrored") as orders:
        assert await orders.insert(order("k")) == Written(Side.OLD, applied=True, mirrored=True)
        assert (await orders.status()).unfinished == 0

    assert await bench.rows("old") == await bench.rows("new") == {"k": order("k")}


@pytest.mark.parametrize("profile", ["split", "mirrored"])
@pytest.mark.parametrize("stage", ["dualwrite", "live", "rampdown"])
async def test_a_row_is_inserted_once(bench: Bench, stage: str, profile: str) -> None:
    async with bench.running(stage, profile=profile) as orders:
        await bench.seed(old=(order("k"),), new=(order("k"),))

        with pytest.raises(RowExistsError, match="'k' was not inserted"):
            await orders.insert(order("k", 2))

        assert (await orders.status()).unfinished == 0


async def test_an_update_of_a_row_that_was_not_copied_yet_reaches_the_new_store(bench: Bench) -> None:
    async with bench.running("dualwrite") as orders:
        await bench.seed(old=(order("k"),))
        await orders.update(order("k", 2))

    assert await bench.rows("new") == {"k": order("k", 2)}


async def test_an_update_that_is_older_than_what_is_there_is_told_so(bench: Bench) -> None:
    async with bench.running("dualwrite", profile="mirrored") as orders:
        await orders.update(order("k", 5, text="newest"))

        assert await orders.update(order("k", 4)) == Written(Side.OLD, applied=False, mirrored=True)

    assert await bench.rows("old") == await bench.rows("new") == {"k": order("k", 5, text="newest")}


@pytest.mark.parametrize("mirror", ["copy", "replay"])
async def test_a_mirror_that_fails_is_recorded_and_the_write_succeeds(bench: Bench, mirror: str) -> None:
    async with bench.running("dualwrite", profile="mirrored", mirror=mirror) as orders:
        bench.new.failing["*"] = DOWN

        assert await orders.insert(order("k")) == Written(Side.OLD, applied=True, mirrored=False)
        assert (await orders.status()).unfinished == 1

        bench.new.failing.clear()
        assert (await orders.repair(at_once=True)).rows == 1
        assert (await orders.status()).unfinished == 0

    assert await bench.rows("old") == await bench.rows("new") == {"k": order("k")}


async def test_an_outage_of_the_other_store_is_told_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    async with bench.running("dualwrite", profile="mirrored") as orders:
        for number in range(2):
            bench.new.failing["*"] = DOWN
            for version in (1, 2, 3):
                await orders.update(order("k", 10 * number + version))
            bench.new.failing.clear()
            await orders.update(order("k", 10 * number + 9))

    assert [record.levelname for record in caplog.records if "the other store yet" in record.message] == ["WARNING"] * 2


async def test_a_mirror_that_fails_is_reported_with_what_was_written(bench: Bench) -> None:
    async with bench.running("dualwrite", profile="mirrored", on_mirror_failure="fail") as orders:
        bench.new.failing["*"] = DOWN

        with pytest.raises(MirrorWriteError) as caught:
            await orders.update(order("k"))

        assert caught.value.__cause__ is DOWN
        assert caught.value.result == Written(Side.OLD, applied=True, mirrored=False)
        assert not caught.value.compensated
        assert (await orders.status()).unfinished == 1


async def test_a_delete_that_reaches_one_store_only_is_reported_as_one(bench: Bench) -> None:
    await bench.seed(old=(order("k"),), new=(order("k"),))
    async with bench.running("rampdown", profile="mirrored", on_mirror_failure="fail") as orders:
        bench.old.failing["delete_if_not_newer"] = DOWN

        with pytest.raises(MirrorWriteError, match=r"'k' was deleted from the new store .* deleted from the old one"):
            await orders.delete(of("k"))


async def test_a_write_so_slow_that_it_was_taken_for_dead_is_still_repaired(bench: Bench) -> None:
    """The repairer looks before the first write, and finds nothing to do; then the other store fails."""
    async with bench.running("dualwrite", profile="mirrored") as orders:
        gate = bench.old.gate("upsert_if_newer")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(orders.update, order("k"))
            await gate.reached.wait()
            await orders.repair(at_once=True)
            bench.new.failing["*"] = DOWN
            gate.open.set()
        assert (await orders.status()).unfinished == 1

        bench.new.failing.clear()
        await orders.repair(at_once=True)

    assert await bench.rows("new") == await bench.rows("old") == {"k": order("k")}


@pytest.mark.parametrize("before", [None, order("k", 1, text="before")], ids=["insert", "update"])
async def test_a_mirror_that_fails_is_compensated_by_an_atom(bench: Bench, before: Order | None) -> None:
    async with bench.running("dualwrite", profile="mirrored", **RESTAMP) as orders:
        await bench.seed(**({} if before is None else {"old": (before,), "new": (before,)}))
        bench.new.failing["upsert_if_newer"] = DOWN

        with pytest.raises(MirrorWriteError, match="put back as it was") as caught:
            await orders.update(order("k", 2, text="after"))

        assert caught.value.compensated
        assert caught.value.__cause__ is DOWN
        found = await orders.get(of("k"))
        assert (None if found is None else found.text) == (None if before is None else "before")

        bench.new.failing.clear()
        await orders.repair(at_once=True)
        assert (await orders.status()).unfinished == 0

    assert await bench.rows("old") == await bench.rows("new")


async def test_a_write_that_was_repaired_before_it_was_taken_back_is_taken_back_in_both_stores(bench: Bench) -> None:
    async with bench.running("dualwrite", profile="mirrored", **RESTAMP) as orders:
        await bench.seed(old=(order("k"),), new=(order("k"),))
        gate = bench.new.gate("upsert_if_newer")
        async with anyio.create_task_group() as tasks:

            async def write() -> None:
                with pytest.raises(MirrorWriteError):
                    await orders.update(order("k", 2, text="after"))

            tasks.start_soon(write)
            await gate.reached.wait()
            await orders.repair(at_once=True)  # as for a writer that is taken for dead
            bench.new.failing["upsert_if_newer"] = DOWN
            gate.open.set()
        bench.new.failing.clear()
        await orders.repair(at_once=True)

    assert await bench.rows("new") == await bench.rows("old") == {"k": order("k", 3)}


async def test_a_compensated_migration_writes_to_both_stores_while_they_work(bench: Bench) -> None:
    async with bench.running("dualwrite", profile="mirrored", **RESTAMP) as orders:
        assert await orders.insert(order("k")) == Written(Side.OLD, applied=True, mirrored=True)
        with pytest.raises(RowExistsError):
            await orders.insert(order("k", 2))
        assert (await orders.update(order("k", 3))).mirrored
        assert (await orders.status()).unfinished == 0

    assert await bench.rows("old") == await bench.rows("new") == {"k": order("k", 3)}


async def test_a_compensation_that_is_impossible_is_refused_when_it_is_built(bench: Bench) -> None:
    with pytest.raises(ConfigurationError, match="restamp"):
        make(bench.old, bench.new, on_mirror_failure="compensate")


async def test_a_write_that_was_certainly_not_applied_leaves_nothing_to_repair(bench: Bench) -> None:
    async with bench.running("dualwrite", profile="mirrored") as orders:
        bench.old.failing["upsert_if_newer"] = NotAppliedError("a constraint")

        with pytest.raises(NotAppliedError):
            await orders.update(order("k"))

        assert (await orders.status()).unfinished == 0
        assert bench.new.log == []


@pytest.mark.parametrize("applied", [False, True])
async def test_a_write_that_may_have_been_applied_is_looked_at_again(bench: Bench, applied: bool) -> None:
    async with bench.running("dualwrite", profile="mirrored") as orders:
        bench.old.failing["upsert_if_newer"] = TimeoutError("no answer")
        bench.old.half = {"upsert_if_newer"} if applied else set()

        with pytest.raises(TimeoutError):
            await orders.update(order("k"))

        bench.old.failing.clear()
        assert (await orders.status()).unfinished == 1
        await orders.repair(at_once=True)
        assert (await orders.status()).unfinished == 0

    assert await bench.rows("old") == await bench.rows("new") == ({"k": order("k")} if applied else {})


@pytest.mark.parametrize(("side", "verb"), [("old", "upsert_if_newer"), ("old", "get"), ("new", "upsert_if_newer")])
async def test_a_write_that_is_cancelled_is_looked_at_again(bench: Bench, side: str, verb: str) -> None:
    async with bench.running("dualwrite", profile="mirrored") as orders:
        gate = (bench.old if side == "old" else bench.new).gate(verb)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(orders.update, order("k"))
            await gate.reached.wait()
            tasks.cancel_scope.cancel()

        assert (await orders.status()).unfinished == 1
        await orders.repair(at_once=True)

    assert await bench.rows("old") == await bench.rows("new")


async def test_a_store_that_hangs_is_given_up_after_the_timeout(bench: Bench) -> None:
    async with bench.running("dualwrite", profile="mirrored", call_timeout=0.02) as orders:
        bench.new.gate("upsert_if_newer")

        assert (await orders.update(order("k"))).mirrored is False


async def test_without_a_place_to_announce_it_nothing_is_written(bench: Bench) -> None:
    async with bench.running("dualwrite", profile="mirrored") as orders:
        journal = orders._open().journal
        journal._board = Broken(journal._board)

        with pytest.raises(NotAnnouncedError, match="'k' was not written"):
            await orders.update(order("k"))

    assert (await bench.rows("old"), await bench.rows("new")) == ({}, {})


class Broken:
    """A board that takes no members."""

    def __init__(self, board: Any) -> None:
        self._board = board

    async def add(self, *args: Any, **options: Any) -> None:
        raise StoreUnavailableError("no answer")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._board, name)


async def test_a_copy_of_a_row_that_was_deleted_meanwhile_deletes_the_other(bench: Bench) -> None:
    """By a process that has not heard of the migration yet, and knows the old store only."""
    async with bench.running("dualwrite") as orders:
        await bench.seed(old=(order("k"),), new=(order("k"),))
        gate = bench.old.gate("get")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(orders.update, order("k", 2))
            await gate.reached.wait()
            await bench.store("old").delete_if_not_newer("k", 2)
            gate.open.set()

        assert await orders.get(of("k")) is None


# Deletes


@pytest.mark.parametrize("profile", ["split", "mirrored"])
@pytest.mark.parametrize("stage", ["dualwrite", "shadow", "live", "rampdown"])
async def test_a_delete_removes_both_copies_the_new_one_first(bench: Bench, stage: str, profile: str) -> None:
    async with bench.running(stage, profile=profile) as orders:
        await bench.seed(old=(order("k"),), new=(order("k"),))
        gate = bench.old.gate("delete_if_not_newer")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(orders.delete, of("k"))
            await gate.reached.wait()
            assert await bench.rows("new") == {}
            gate.open.set()

        assert await orders.get(of("k")) is None
        assert (await orders.status()).unfinished == 0

    assert (await bench.rows("old"), await bench.rows("new")) == ({}, {})


async def test_a_delete_of_a_row_that_is_nowhere_does_nothing(bench: Bench) -> None:
    async with bench.running("dualwrite") as orders:
        assert not (await orders.delete(of("k"))).applied


async def test_a_delete_up_to_a_version_leaves_what_is_newer(bench: Bench) -> None:
    async with bench.running("dualwrite", profile="mirrored") as orders:
        await orders.insert(order("k", 5))

        assert not (await orders.delete(of("k"), version=4)).applied
        assert (await orders.delete(of("k"), version=5)).applied


async def test_a_deleted_row_can_be_inserted_again_as_a_newer_one(bench: Bench) -> None:
    async with bench.running("dualwrite", profile="mirrored") as orders:
        await orders.insert(order("k", 5))
        await orders.delete(of("k"))
        with pytest.raises(RowExistsError):
            await orders.insert(order("k", 5))
        await orders.insert(order("k", 6))

    assert await bench.rows("old") == await bench.rows("new") == {"k": order("k", 6)}


async def test_a_delete_that_stops_between_the_stores_is_finished_by_the_repair(bench: Bench) -> None:
    async with bench.running("dualwrite") as orders:
        await bench.seed(old=(order("k"),), new=(order("k"),))
        bench.old.failing["delete_if_not_newer"] = DOWN
        with pytest.raises(ConnectionError):
            await orders.delete(of("k"))

        bench.old.failing.clear()
        await orders.repair(at_once=True)
        assert (await orders.status()).unfinished == 0

    assert (await bench.rows("old"), await bench.rows("new")) == ({}, {})


async def test_a_delete_does_not_leave_the_only_copy_in_the_new_store(bench: Bench) -> None:
    """There it would count again, since a split migration looks for rows that the old store lacks."""
    async with bench.running("dualwrite") as orders:
        await bench.seed(old=(order("k"),), new=(order("k"),))
        bench.new.failing["delete_if_not_newer"] = DOWN

        with pytest.raises(ConnectionError):
            await orders.delete(of("k"))

        assert await orders.get(of("k")) == order("k")
        assert "k" in await bench.rows("old")


# Who may write


async def test_a_candidate_of_a_parallel_run_writes_nothing(bench: Bench) -> None:
    async with bench.running("dualwrite") as orders:
        mark = SHADOW.set("orders")
        try:
            for write in (orders.insert(order("k")), orders.update(order("k")), orders.delete(of("k"))):
                with pytest.raises(ShadowWriteError):
                    await write
        finally:
            SHADOW.reset(mark)

    assert bench.old.log == bench.new.log == []
