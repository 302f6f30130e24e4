"""The block of a migration, cancelled at every await point: nothing is left behind, and the stores agree."""

import math
from typing import Any

import pytest
from anyio.lowlevel import checkpoint

from grayflow import Admin, Client, MemoryStore
from grayflow.release.migration.compass import stage_flag
from grayflow.release.migration.rules import Stage
from tests.lifetimes.steps import Cancelled, Steps, each
from tests.release.migration.bench import NAME, make, of, order, rows_of
from tests.release.migration.stores import Order, SqliteOrders
from tests.release.migration.test_writing import RESTAMP

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]


class Remote:
    """A store whose calls are waited for, as those over a network are."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, verb: str) -> Any:
        work = getattr(self._inner, verb)

        async def call(*args: Any) -> Any:
            await checkpoint()
            result = await work(*args)
            await checkpoint()
            return result

        return call


async def use(flags: Client, stores: tuple[SqliteOrders, SqliteOrders], options: dict[str, Any]) -> None:
    """Enter the block, read, compare, write, and leave it."""
    migration = make(*map(Remote, stores), profile="mirrored", max_stale=math.inf, **options)
    async with migration.running(flags):
        await migration.get(of("k"))
        await migration.insert(order("k"))
        await migration.update(order("k", 2))
        assert (await migration.delete(of("k"))).applied


@pytest.mark.parametrize("options", [{}, RESTAMP], ids=["record", "compensate"])
async def test_a_block_that_is_cancelled_anywhere(cancel: Cancelled, options: dict[str, Any]) -> None:
    async with MemoryStore() as store:
        async with Admin(store, actor="ada") as admin:
            await admin.put(stage_flag(NAME, Stage.SHADOW))
        flags = Client(store)  # not started: its own tasks come and go, and would be counted
        tried: list[tuple[SqliteOrders, SqliteOrders]] = []

        async def attempt(steps: Steps, at: int) -> bool:
            tried.append((SqliteOrders(":memory:"), SqliteOrders(":memory:")))
            with flags.override({NAME: "shadow"}):
                return await cancel(steps, at, lambda: use(flags, tried[-1], options))

        points, ended = await each(attempt, lambda: settled(flags, tried[-1]))

    assert points > 20
    assert ended >= points / 3


async def settled(flags: Client, stores: tuple[SqliteOrders, SqliteOrders]) -> None:
    """Repair what was left, and compare."""
    migration = make(*stores, profile="mirrored")
    with flags.override({NAME: "shadow"}):
        async with migration.running(flags):
            await migration.repair(at_once=True)
    old, new = [await rows_of(store) for store in stores]
    assert old == new
    assert set(old.values()) <= {order("k"), order("k", 2), Order(order_id="k", seq=3)}
    for store in stores:
        store.close()
