"""Two tasks at one row, in every order of their store calls: afterwards the stores agree, and nothing has come back."""

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio
import pytest

from grayflow.release.migration.backfilling import Backfill
from grayflow.release.migration.migration import Migration
from grayflow.release.migration.rules import Mirror, Side
from tests.release.migration.bench import NAME, Bench, make, of, order, rows_of
from tests.release.migration.interleave import Turnstile, orders
from tests.release.migration.stores import Order, SqliteOrders

pytestmark = pytest.mark.anyio

PROFILES = ("split", "mirrored")
SKEWS = [
    ("dualwrite", "dualwrite"),
    ("off", "dualwrite"),
    ("shadow", "dualwrite"),
    ("live", "live"),
    ("shadow", "live"),
    ("live", "rampdown"),
    ("rampdown", "rampdown"),
]

Run = Callable[[Migration[Order]], Awaitable[Any]]


class Trial:
    """
    One order.

    Args:
        bench: Has the flags.
        turnstile: Makes the order.
        profile: Of the migration.
        seed: Rows that each store begins with, by side.
    """

    def __init__(self, bench: Bench, turnstile: Turnstile, profile: str, seed: dict[str, Sequence[Order]]) -> None:
        self.turnstile = turnstile
        self.stores = {side: SqliteOrders(":memory:") for side in ("old", "new")}
        self._bench, self._seed = bench, seed
        around = {side: turnstile.around(side, store) for side, store in self.stores.items()}
        self.migration = make(**around, profile=profile)

    async def run(self, *tasks: tuple[str, Run]) -> None:
        """Run each task as a process of its stage would; gray routes are on the gray list."""
        for side, rows in self._seed.items():
            for row in rows:
                await self.stores[side].upsert_if_newer(row, row.seq)
        works = {f"t{number}": self._at(stage, task) for number, (stage, task) in enumerate(tasks)}
        await self.turnstile.run(**works)

    def _at(self, stage: str, task: Run) -> Callable[[], Awaitable[Any]]:
        async def work() -> Any:
            with self._bench.flags.override({NAME: stage, f"{NAME}.gray": True}):
                return await task(self.migration)

        return work

    async def rows(self) -> tuple[dict[str, Order], dict[str, Order]]:
        """Return what the stores hold."""
        return await rows_of(self.stores["old"]), await rows_of(self.stores["new"])

    @property
    def told(self) -> str:
        return "\n".join(self.turnstile.calls)


async def every_order(
    bench: Bench,
    profile: str,
    tasks: Sequence[tuple[str, Run]],
    check: Callable[[Trial], Awaitable[None]],
    **seed: Any,
) -> int:
    """Run tasks in every order, and check each; return how many there were."""
    await bench.at("dualwrite")
    done = 0
    for turnstile in orders():
        trial = Trial(bench, turnstile, profile, seed)
        async with trial.migration.running(bench.flags, bench.admin):
            await trial.run(*tasks)
            await check(trial)
        for store in trial.stores.values():
            store.close()
        done += 1
    return done


def updating(seq: int) -> Run:
    return lambda migration: migration.update(order("k", seq, text=f"by {seq}"))


async def deleting(migration: Migration[Order]) -> Any:
    return await migration.delete(of("k"))


@pytest.mark.parametrize("mirror", ["copy", "replay"])
async def test_the_interleaving_of_two_dual_writes_that_ends_apart_without_versions(bench: Bench, mirror: str) -> None:
    """A: old=1. B: old=2. B: new=2. A: new=1."""
    async with bench.running("dualwrite", profile="mirrored", mirror=mirror) as migration:
        await bench.seed(old=(order("k", 1),), new=(order("k", 1),))
        gate = bench.new.gate("upsert_if_newer")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(migration.update, order("k", 2, text="A"))
            await gate.reached.wait()
            await migration.update(order("k", 3, text="B"))
            gate.open.set()

        newest = order("k", 3, text="B")
        assert await bench.rows("old") == await bench.rows("new") == {"k": newest}
        assert (await migration.status()).unfinished == 0


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("stages", SKEWS, ids="-".join)
async def test_two_updates_in_every_order(bench: Bench, stages: tuple[str, str], profile: str) -> None:
    async def check(trial: Trial) -> None:
        assert not trial.turnstile.errors, trial.told
        if "off" in stages:
            await trial.migration.reconcile()
        old, new = await trial.rows()
        assert old == new == {"k": order("k", 3, text="by 3")}, trial.told

    before = (order("k", 1),)
    count = await every_order(
        bench, profile, [(stages[0], updating(2)), (stages[1], updating(3))], check, old=before, new=before
    )

    assert count > (3 if "off" in stages else 10)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("stages", SKEWS, ids="-".join)
async def test_an_update_and_a_delete_in_every_order(bench: Bench, stages: tuple[str, str], profile: str) -> None:
    """Whichever comes last, both stores know it alike."""
    ends = set()

    async def check(trial: Trial) -> None:
        assert not trial.turnstile.errors, trial.told
        if "off" in stages:
            await trial.migration.reconcile()
        old, new = await trial.rows()
        assert old in ([new, {}] if profile == "split" else [new]), trial.told
        assert new in ({}, {"k": order("k", 2, text="by 2")}), trial.told
        ends.add(len(new))

    before = (order("k", 1),)
    await every_order(bench, profile, [(stages[0], updating(2)), (stages[1], deleting)], check, old=before, new=before)

    assert ends == {0, 1}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("new", [(), (order("k", 1),)], ids=["not copied", "copied"])
async def test_a_delete_and_the_backfill_in_every_order(bench: Bench, profile: str, new: Any) -> None:
    beginnings = iter(range(1, 1_000_000))  # each a migration that has copied nothing yet

    async def backfilling(migration: Migration[Order]) -> Any:
        engine = migration._open()
        backfill = Backfill(engine.setup, engine.ledger, bench.flags.clock, engine.owner)
        return await backfill.run(next(beginnings), 10, math.inf, None)

    async def check(trial: Trial) -> None:
        assert not trial.turnstile.errors, trial.told
        assert await trial.rows() == ({}, {}), trial.told
        assert await trial.migration.get(of("k")) is None

    count = await every_order(
        bench,
        profile,
        [("dualwrite", backfilling), ("dualwrite", deleting)],
        check,
        old=(order("k", 1),),
        new=new,
    )

    assert count > 10


@pytest.mark.parametrize("profile", PROFILES)
async def test_a_delete_an_update_and_the_copy_of_the_backfill_in_every_order(bench: Bench, profile: str) -> None:
    """The copier has read the row already."""
    row = order("k", 1)

    async def copying(migration: Migration[Order]) -> Any:
        return await migration._open().pair.store(Side.NEW).upsert_if_newer(row, row.seq)

    async def check(trial: Trial) -> None:
        old, new = await trial.rows()
        assert old in ([new, {}] if profile == "split" else [new]), trial.told
        assert new in ({}, {"k": order("k", 2, text="by 2")}), trial.told

    tasks = [
        ("dualwrite", copying),
        ("dualwrite", lambda migration: migration.delete(of("k"), version=1)),
        ("dualwrite", updating(2)),
    ]
    count = await every_order(bench, profile, tasks, check, old=(row,), new=(row,))

    assert count > 50


@pytest.mark.parametrize("profile", PROFILES)
async def test_a_repair_beside_an_update_in_every_order(bench: Bench, profile: str) -> None:
    async def check(trial: Trial) -> None:
        assert not trial.turnstile.errors, trial.told
        old, new = await trial.rows()
        assert old == new == {"k": order("k", 3, text="by 3")}, trial.told

    async def settling(migration: Migration[Order]) -> Any:
        return await migration._open().pair.settle("k")

    tasks = [("dualwrite", updating(3)), ("dualwrite", settling)]
    await every_order(bench, profile, tasks, check, old=(order("k", 2),), new=(order("k", 1),))


@pytest.mark.parametrize("stage", ["off", "dualwrite"])
async def test_a_reader_is_never_given_a_deleted_row_again(bench: Bench, stage: str) -> None:
    """In the profile `split` a row that is gone from the old store is looked for in the new one."""
    seen: list[Order | None] = []

    async def reading(migration: Migration[Order]) -> None:
        seen.clear()
        seen.extend([await migration.get(of("k")), await migration.get(of("k"))])

    async def check(trial: Trial) -> None:
        assert seen[0] is not None or seen[1] is None, trial.told
        assert await trial.migration.get(of("k")) is None, trial.told

    row = (order("k", 1),)
    await every_order(bench, "split", [(stage, deleting), ("dualwrite", reading)], check, old=row, new=row)


async def test_a_copy_that_would_only_follow_a_row_does_not_make_one(bench: Bench) -> None:
    async with bench.running("rampdown") as migration:
        await bench.seed(new=(order("k", 1),))
        await migration._open().pair.copy("k", Side.NEW, Mirror.IF_PRESENT)

    assert await bench.rows("old") == {}


async def test_a_row_that_is_copied_back_while_it_is_written_in_every_order(bench: Bench) -> None:
    async def copying_back(migration: Migration[Order]) -> Any:
        return await migration.backcopy(rate=math.inf)

    async def check(trial: Trial) -> None:
        assert not trial.turnstile.errors, trial.told
        old, new = await trial.rows()
        assert old == new == {"k": order("k", 2, text="by 2")}, trial.told

    tasks = [("dualwrite", updating(2)), ("dualwrite", copying_back)]
    assert await every_order(bench, "split", tasks, check, new=(order("k", 1),)) > 10
