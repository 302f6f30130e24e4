"""A migration of orders between two stores that can be told to fail or to wait, and its flags."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio

from grayflow import Admin, Client
from grayflow.clock import SystemClock
from grayflow.release.migration.compass import gray_flag, stage_flag
from grayflow.release.migration.migration import Migration
from grayflow.release.migration.rules import Side, Stage
from tests.release.atom.bench import Gate
from tests.release.migration.stores import Order, OrderId, SqliteOrders

__all__ = ["NAME", "Bench", "Shaky", "make", "rows_of", "until"]

NAME = "orders.store"
PATIENCE_S = 20.0


class Shaky:
    """
    A store that fails when it is told to, and can be stopped in the middle; what it does it does for real.

    Args:
        inner: The store.
    """

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.failing: dict[str, BaseException] = {}
        """What calls of a verb raise instead of being made; `*`: of every verb."""
        self.half: set[str] = set()
        """Verbs that do their work before they raise."""
        self.gates: dict[str, Gate] = {}
        """Verbs that wait before they do their work."""
        self.log: list[str] = []

    def gate(self, verb: str) -> "Gate":
        """Let the next calls of a verb wait."""
        self.gates[verb] = Gate()
        return self.gates[verb]

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        work = getattr(self.inner, verb)

        async def call(*args: Any) -> Any:
            self.log.append(verb)
            gate = self.gates.pop(verb, None)
            if gate is not None:
                await gate.pass_through()
            error = self.failing.get(verb) or self.failing.get("*")
            if error is not None and verb not in self.half:
                raise error
            result = await work(*args)
            if error is not None:
                raise error
            return result

        return call


def make(old: Any, new: Any, **options: Any) -> Migration[Order]:
    """Return the migration of the tests."""
    given: dict[str, Any] = {
        "row_key": lambda subject: subject.order_id,
        "route_by": lambda subject: subject.store_id,
        "version": lambda row: row.seq,
        "order": lambda row: row.at,
        "repair_every": 3600,  # tests call `repair`
        **options,
    }
    return Migration(NAME, old=old, new=new, **given)


class Bench:
    """
    Both stores, the flags, and one running migration at a time.

    Args:
        flags: A running client.
        admin: Of the same store.
        old: The old store.
        new: The new one.
    """

    def __init__(self, flags: Client, admin: Admin, old: Any = None, new: Any = None) -> None:
        self.flags, self.admin = flags, admin
        self.old, self.new = Shaky(old or SqliteOrders(":memory:")), Shaky(new or SqliteOrders(":memory:"))

    @asynccontextmanager
    async def running(self, stage: Stage | str = Stage.OFF, **options: Any) -> AsyncIterator[Migration[Order]]:
        """Run the migration at a stage."""
        await self.at(stage)
        made = make(self.old, self.new, **options)
        async with made.running(self.flags, self.admin):
            yield made

    async def at(self, stage: Stage | str) -> None:
        """Put the flag to a stage, whatever it was."""
        await self._put(stage_flag(NAME, Stage(stage)))

    async def gray(self, *routes: str) -> None:
        """Put routes on the gray list; `*`: everybody."""
        document: Any = {"key": f"{NAME}.gray", "by": "route", "enabled": True}
        listed = {"otherwise": "on"} if "*" in routes else {"otherwise": "off", "targets": {"on": list(routes)}}
        await self._put({**document, **listed} if routes else gray_flag(NAME))

    async def _put(self, document: Any) -> None:
        saved = await self.admin.put(document, reason="test")
        await self.flags.wait_for(saved.token, timeout=PATIENCE_S)

    def store(self, side: Side | str) -> Any:
        """Return a store itself, past what it is told to do."""
        return (self.old if side == "old" else self.new).inner

    async def seed(self, *, old: tuple[Order, ...] = (), new: tuple[Order, ...] = ()) -> None:
        """Write rows into the stores themselves."""
        for side, rows in (("old", old), ("new", new)):
            for row in rows:
                assert await self.store(side).upsert_if_newer(row, row.seq)

    async def rows(self, side: Side | str) -> dict[str, Order]:
        """Return what a store holds."""
        return await rows_of(self.store(side))


async def rows_of(store: Any) -> dict[str, Order]:
    """Return what a store holds."""
    return {row.order_id: row for row in await store.scan(None, 1_000_000)}


async def until(condition: Callable[[], Any], patience_s: float = PATIENCE_S) -> None:
    """Wait until an async condition holds."""
    with anyio.fail_after(patience_s):
        while not await condition():
            await SystemClock().sleep(0.005)


def order(key: str, seq: int = 1, **more: Any) -> Order:
    """Return a row."""
    return Order(order_id=key, seq=seq, **more)


def of(key: str, store: str = "s1") -> OrderId:
    """Return what a row is asked for by."""
    return OrderId(key, store)
