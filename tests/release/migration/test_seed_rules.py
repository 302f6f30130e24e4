"""
The four rules for single reads that everything began with, at every stage, with and without the row in the new store.

(1) The master switch is on: new. (2) The old store lacks the row: new, whether or not that has it. (3) The old store
has it, and it is not on the gray list: old. (4) The old store has it, and it is on the gray list: new.
"""

import itertools

import pytest

from grayflow.release.migration.rules import Stage
from tests.release.migration.bench import Bench, of, order

pytestmark = pytest.mark.anyio

OLD, NEW = order("k", 1, text="old"), order("k", 2, text="new")


def expected(stage: Stage, in_old: bool, gray: bool) -> str:
    """Say it in the words of the four rules; the gray list is in force at `live`."""
    if stage is Stage.OFF:
        return "old"  # the migration has not begun
    if stage in {Stage.COMPLETE, Stage.RAMPDOWN}:
        return "new"  # (1)
    if not in_old:
        return "new"  # (2)
    return "new" if gray and stage is Stage.LIVE else "old"  # (3), (4)


@pytest.mark.parametrize("in_new", [False, True], ids=["not in new", "in new"])
@pytest.mark.parametrize("gray", [False, True], ids=["not gray", "gray"])
@pytest.mark.parametrize("in_old", [False, True], ids=["not in old", "in old"])
@pytest.mark.parametrize("stage", Stage)
async def test_the_four_rules(bench: Bench, stage: Stage, in_old: bool, gray: bool, in_new: bool) -> None:
    await bench.seed(old=(OLD,) if in_old else (), new=(NEW,) if in_new else ())
    await bench.gray(*(["s1"] if gray else ["another"]))

    async with bench.running(stage) as orders:
        found = await orders.get(of("k"))

    side = expected(stage, in_old, gray)
    assert found == {("old", True): OLD, ("new", True): NEW}.get((side, in_old if side == "old" else in_new))


@pytest.mark.parametrize("profile", ["split", "mirrored"])
@pytest.mark.parametrize("stage", Stage)
async def test_a_get_returns_what_the_list_shows(bench: Bench, stage: Stage, profile: str) -> None:
    """With copies that differ, stand elsewhere, or match another query; for rows on the gray list and others."""
    shapes = list(itertools.product(("old", "new", "both"), ("gray", "plain"), ("same", "moved", "retold")))
    for number, (where, route, change) in enumerate(shapes):
        old = order(f"k{number:02}", 1, store_id=route, at=number, text="t")
        new = order(
            f"k{number:02}",
            2,
            store_id=route,
            at=100 - number if change == "moved" else number,
            text="other" if change == "retold" else "t",
        )
        await bench.seed(old=(old,) if where != "new" else (), new=(new,) if where != "old" else ())
    await bench.gray("gray")

    async with bench.running(stage, profile=profile) as orders:
        listed = (await orders.list(limit=1000)).rows
        matching = {row.order_id for row in (await orders.list("t", limit=1000)).rows}
        keys = {f"k{number:02}": route for number, (_, route, _) in enumerate(shapes)}
        got = {key: await orders.get(of(key, route)) for key, route in keys.items()}
        counted = await orders.count()

    assert {row.order_id: row for row in listed} == {key: row for key, row in got.items() if row is not None}
    assert [(row.at, row.order_id) for row in listed] == sorted((row.at, row.order_id) for row in listed)
    assert matching == {row.order_id for row in listed if row.text == "t"}
    assert counted == len(listed)
