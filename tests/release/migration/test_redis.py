"""From a table of SQLite to rows in Redis, on a real server, which also has the flags and the board."""

import math
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from grayflow import Admin, Client
from grayflow.release.migration.migration import Migration
from tests.release.migration.bench import Bench, of, order, until
from tests.release.migration.stores import Order, RedisOrders

pytestmark = pytest.mark.anyio


@pytest.fixture
async def redis_bench(redis_url: str) -> AsyncIterator[Bench]:
    space = f"t-{uuid4().hex[:12]}"
    async with Redis.from_url(redis_url) as own, Admin(redis_url, namespace=space, actor="ada") as admin:
        await admin.init()
        async with Client(redis_url, namespace=space) as flags:
            yield Bench(flags, admin, new=RedisOrders(own, f"{space}:orders"))


class Shop:
    """A service that works on while its orders move."""

    def __init__(self, bench: Bench, orders: Migration[Order], before: tuple[Order, ...]) -> None:
        self._bench, self._orders = bench, orders
        self.expected = {row.order_id: row for row in before}

    async def go(self, to: str) -> None:
        saved = await self._orders.advance(to, reason="proved")
        await self._bench.flags.wait_for(saved.token)
        assert (await self._orders.wait_converged()).complete

    async def work(self, number: int) -> None:
        """Change a row, insert one, delete one."""
        changed, made = order(f"k{number:03}", number, text=str(number)), order(f"n{number:03}", 1, at=number)
        await self._orders.update(changed)
        await self._orders.insert(made)
        await self._orders.delete(of(f"k{number + 1:03}"))
        self.expected |= {changed.order_id: changed, made.order_id: made}
        del self.expected[f"k{number + 1:03}"]

    async def ready(self) -> bool:
        """Read something, and tell whether that is proof enough."""
        assert await self._orders.get(of("k010")) == self.expected["k010"]
        await self._orders._open().watch.flush()
        return not (await self._orders.status()).unmet


async def test_the_whole_way_from_a_table_to_redis(redis_bench: Bench) -> None:
    before = tuple(order(f"k{number:03}", at=number % 10) for number in range(200))
    await redis_bench.seed(old=before)
    async with redis_bench.running("off", soak=0, min_compared=1, repair_every=0.05) as orders:
        shop = Shop(redis_bench, orders, before)
        await shop.go("dualwrite")
        await shop.work(10)
        await orders.backfill(batch=33, rate=math.inf)
        await shop.work(20)
        await shop.go("shadow")
        await shop.work(30)
        for _ in range(2):
            assert (await orders.reconcile()).clean
        await until(shop.ready)
        await shop.go("live")
        await redis_bench.gray("*")
        await shop.work(40)
        assert (await orders.reconcile()).clean
        await shop.go("rampdown")
        await shop.work(50)
        assert (await orders.reconcile()).clean
        assert {row.order_id: row for row in (await orders.list(limit=1000)).rows} == shop.expected
        await orders.advance("complete", force=True, reason="nobody reads the old one")

    assert await redis_bench.rows("new") == shop.expected


async def test_the_new_store_goes_away_and_comes_back(redis_bench: Bench) -> None:
    async with redis_bench.running("dualwrite", profile="mirrored", repair_every=0.05, repair_after=0) as orders:
        redis_bench.new.failing["*"] = ConnectionError("away")
        for number in range(50):
            assert (await orders.insert(order(f"k{number}"))).mirrored is False
        redis_bench.new.failing.clear()

        async def repaired() -> bool:
            return (await orders.status()).unfinished == 0

        await until(repaired, 60)

    assert await redis_bench.rows("old") == await redis_bench.rows("new")
