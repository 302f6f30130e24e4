"""What a user of `grayflow.release.Migration` writes; never run, but it must check as `api.py` does."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, assert_type

from grayflow import Admin, Client
from grayflow.release import Migration, MigrationStatus, MigrationStore, Page, Reconciled, Side, Stage, Written


@dataclass(frozen=True)
class Order:
    """A row."""

    order_id: str
    store_id: str
    seq: int


class Orders:
    """One of the two stores."""

    async def get(self, key: str) -> Order | None:
        """See `MigrationStore`."""
        return Order(key, "s", 1)

    async def exists(self, key: str) -> bool:
        """See `MigrationStore`."""
        return bool(key)

    async def tombstone(self, key: str) -> int | None:
        """See `MigrationStore`."""
        return len(key)

    async def list(self, query: Any, after: tuple[Any, str] | None, limit: int) -> Sequence[Order]:
        """See `MigrationStore`."""
        return [Order(str(query), str(after), limit)]

    async def insert(self, row: Order, version: int) -> bool:
        """See `MigrationStore`."""
        return row.seq == version

    async def upsert_if_newer(self, row: Order, version: int) -> bool:
        """See `MigrationStore`."""
        return row.seq == version

    async def delete_if_not_newer(self, key: str, version: int) -> bool:
        """See `MigrationStore`."""
        return len(key) == version

    async def scan(self, after: str | None, limit: int) -> Sequence[Order]:
        """See `MigrationStore`."""
        return [Order(after or "", "s", limit)]


def restamped(row: Order, version: int) -> Order:
    """Return a row with another version."""
    return replace(row, seq=version)


store: MigrationStore[Order] = Orders()
orders: Migration[Order] = Migration(
    "orders.store",
    old=store,
    new=Orders(),
    row_key=lambda subject: subject.order_id,
    route_by=lambda subject: subject.store_id,
    version=lambda row: row.seq,
    profile="mirrored",
    on_mirror_failure="compensate",
    row_type=Order,
    restamp=restamped,
)


async def use(flags: Client, admin: Admin) -> None:
    """Use everything."""
    async with orders.running(flags, admin):
        assert_type(await orders.get(Order("a", "s", 0)), Order | None)
        assert_type(await orders.list("query"), Page[Order])
        assert_type((await orders.list()).rows, tuple[Order, ...])
        assert_type(await orders.insert(Order("a", "s", 1)), Written)
        assert_type((await orders.update(Order("a", "s", 2))).side, Side)
        assert_type(await orders.delete(Order("a", "s", 0), version=3), Written)
        assert_type(orders.stage, Stage)
        assert_type(await orders.status(), MigrationStatus)
        assert_type(await orders.reconcile(), Reconciled)
        await orders.advance("shadow", reason="proved")
