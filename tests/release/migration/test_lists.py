"""Lists over both stores: paged, in order, each row once, while rows are on the move."""

import random
from typing import Any

import msgspec
import pytest

from grayflow.errors import ConfigurationError
from grayflow.release.migration.rules import Side, Stage
from tests.release.migration.bench import Bench, order
from tests.release.migration.stores import Order, SqliteOrders

pytestmark = pytest.mark.anyio

MANY = 10_000


class Mover:
    """Moves rows of a table from one to the other, a few beside each call of a store: copied first, then removed."""

    def __init__(self, old: SqliteOrders, new: SqliteOrders, seed: int) -> None:
        self._old, self._new, self._random = old, new, random.Random(seed)
        self._here = [row[0] for row in old._db.execute("SELECT key FROM orders ORDER BY key")]
        self._copied: list[str] = []
        self.moved = 0

    async def tick(self) -> None:
        for _ in range(self._random.randrange(40)):
            if self._random.random() < 0.5 and self._here:
                key = self._here.pop(self._random.randrange(len(self._here)))
                row = await self._old.get(key)
                assert row is not None
                await self._new.upsert_if_newer(row, row.seq)
                self._copied.append(key)
            elif self._copied:
                key = self._copied.pop(self._random.randrange(len(self._copied)))
                self._old._db.execute("DELETE FROM orders WHERE key = ?", (key,))
                self.moved += 1


class Busy:
    """A store beside whose calls rows move."""

    def __init__(self, inner: Any, mover: Mover) -> None:
        self.inner, self._mover = inner, mover

    def __getattr__(self, verb: str) -> Any:
        work = getattr(self.inner, verb)

        async def call(*args: Any) -> Any:
            await self._mover.tick()
            result = await work(*args)
            await self._mover.tick()
            return result

        return call


async def everything(migration: Any, query: Any = None, limit: int = 100) -> list[Order]:
    """Turn all pages."""
    found: list[Order] = []
    cursor = None
    while True:
        page = await migration.list(query, limit=limit, cursor=cursor)
        assert len(page.rows) == limit or page.cursor is None
        found.extend(page.rows)
        cursor = page.cursor
        if cursor is None:
            return found


@pytest.mark.parametrize("limit", [37, 500])
async def test_every_row_is_listed_once_while_rows_move(bench: Bench, limit: int) -> None:
    """10,000 rows, 30 % of them in both stores, a tenth in the new one only; many of one time."""
    rows = [order(f"k{number:05}", at=number // 7) for number in range(MANY)]
    old, new = bench.store("old"), bench.store("new")
    for number, row in enumerate(rows):
        if number % 10 != 0:
            await old.upsert_if_newer(row, row.seq)
        if number % 10 < 4:
            await new.upsert_if_newer(row, row.seq)
    mover = Mover(old, new, seed=limit)
    bench.old, bench.new = Busy(old, mover), Busy(new, mover)  # type: ignore[assignment]

    async with bench.running("dualwrite") as orders:
        found = await everything(orders, limit=limit)

    assert found == rows
    assert mover.moved > 500


class Hooked:
    """A store that does something before one of its calls."""

    def __init__(self, inner: Any, verb: str, number: int, hook: Any) -> None:
        self.inner, self._verb, self._left, self._hook = inner, verb, number, hook

    def __getattr__(self, verb: str) -> Any:
        work = getattr(self.inner, verb)

        async def call(*args: Any) -> Any:
            self._left -= verb == self._verb
            if not self._left and verb == self._verb:
                await self._hook()
            return await work(*args)

        return call


async def test_a_row_that_moves_between_two_looks_into_the_stores_is_not_lost(bench: Bench) -> None:
    """The list looks ahead in both stores, and again in the old one; there the row was, and is not any more."""
    elsewhere = [order(f"g{number}", 1, at=number, store_id="gray") for number in range(3)]
    moving = order("p", at=3)
    await bench.seed(
        old=(*elsewhere, moving),
        new=tuple(order(row.order_id, 2, at=row.at + 10, store_id="gray") for row in elsewhere),
    )
    await bench.gray("gray")

    async def move() -> None:
        await bench.store("new").upsert_if_newer(moving, moving.seq)
        bench.store("old")._db.execute("DELETE FROM orders WHERE key = 'p'")

    bench.old = Hooked(bench.store("old"), "list", 2, move)  # type: ignore[assignment]
    async with bench.running("live") as orders:
        assert [row.order_id for row in (await orders.list(limit=2)).rows] == ["p", "g0"]


async def test_a_row_that_is_copied_back_while_it_is_listed_is_not_lost(bench: Bench) -> None:
    row = order("k")
    await bench.seed(new=(row,))

    async def copy_back() -> None:
        await bench.store("old").upsert_if_newer(row, row.seq)

    bench.old = Hooked(bench.store("old"), "exists", 1, copy_back)  # type: ignore[assignment]
    async with bench.running("dualwrite") as orders:
        assert (await orders.list()).rows == (row,)


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("limit", [1, 2, 3, 50])
async def test_pages_of_any_size_make_the_same_list(bench: Bench, stage: Stage, limit: int) -> None:
    chosen = random.Random(limit)
    for number in range(40):
        one = order(f"k{number:02}", 1, at=chosen.randrange(5), store_id=chosen.choice("ab"))
        other = order(f"k{number:02}", 2, at=chosen.choice((one.at, 9)), store_id=one.store_id)
        where = chosen.randrange(3)
        await bench.seed(old=(one,) if where != 1 else (), new=(other,) if where != 0 else ())
    await bench.gray("a")

    async with bench.running(stage) as orders:
        found = await everything(orders, limit=limit)
        whole = (await orders.list(limit=1000)).rows

    assert tuple(found) == whole
    assert len({row.order_id for row in found}) == len(found)


async def test_a_cursor_survives_json(bench: Bench) -> None:
    await bench.seed(old=tuple(order(f"k{number}", at=number) for number in range(5)))
    async with bench.running("dualwrite") as orders:
        page = await orders.list(limit=3)
        cursor = msgspec.json.decode(msgspec.json.encode(page.cursor))

        assert [row.at for row in (await orders.list(limit=3, cursor=cursor)).rows] == [3, 4]


async def test_a_store_that_fails_fails_the_list(bench: Bench) -> None:
    async with bench.running("dualwrite") as orders:
        bench.old.failing["list"] = ConnectionError("down")
        with pytest.raises(ConnectionError):
            await orders.list()


@pytest.mark.parametrize(("fails", "left"), [("old", "b"), ("new", "a")])
async def test_a_list_may_do_without_a_store_and_says_so(bench: Bench, fails: str, left: str) -> None:
    await bench.seed(old=(order("a"),), new=(order("b"),))
    async with bench.running("dualwrite") as orders:
        (bench.old if fails == "old" else bench.new).failing["*"] = ConnectionError("down")

        page = await orders.list(partial="allow")

        assert ([row.order_id for row in page.rows], page.missing) == ([left], Side(fails))


async def test_a_list_without_any_store_fails_whatever_is_allowed(bench: Bench) -> None:
    async with bench.running("dualwrite") as orders:
        bench.old.failing["*"] = bench.new.failing["*"] = ConnectionError("down")
        with pytest.raises(ConnectionError):
            await orders.list(partial="allow")


@pytest.mark.parametrize("options", [{"limit": 0}, {"partial": "perhaps"}, {"cursor": "x"}, {"cursor": (1, 2)}])
async def test_what_cannot_be_asked_for_is_refused(bench: Bench, options: dict[str, Any]) -> None:
    async with bench.running("dualwrite") as orders:
        with pytest.raises(ConfigurationError):
            await orders.list(**options)
