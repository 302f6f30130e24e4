"""Stores with one fault each, which the contract has to find; run by `test_stores.py`, never by themselves."""

from collections.abc import Sequence
from typing import Any

import pytest
from anyio.lowlevel import checkpoint

from grayflow.testing import MigrationStoreContract
from tests.release.migration.stores import Order, SqliteOrders


class OverwritesWhatIsNewer(SqliteOrders):
    async def upsert_if_newer(self, row: Order, version: int) -> bool:
        self._db.execute("DELETE FROM orders WHERE key = ? AND NOT deleted", (row.order_id,))
        return await super().upsert_if_newer(row, version)


class TakesEqualForNewer(SqliteOrders):
    async def upsert_if_newer(self, row: Order, version: int) -> bool:
        self._db.execute("UPDATE orders SET seq = seq - 1 WHERE key = ? AND seq = ?", (row.order_id, version))
        return await super().upsert_if_newer(row, version)


class KeepsNoTombstones(SqliteOrders):
    async def delete_if_not_newer(self, key: str, version: int) -> bool:
        self._db.execute("DELETE FROM orders WHERE key = ? AND seq <= ?", (key, version))
        return not await self.exists(key)


class KeepsTombstonesOfRowsOnly(SqliteOrders):
    async def delete_if_not_newer(self, key: str, version: int) -> bool:
        return await super().delete_if_not_newer(key, version) if await self.exists(key) else True


class DeletesWhatIsNewer(SqliteOrders):
    async def delete_if_not_newer(self, key: str, version: int) -> bool:
        self._db.execute("UPDATE orders SET seq = min(seq, ?) WHERE key = ?", (version, key))
        return await super().delete_if_not_newer(key, version)


class ListsWhatIsDeleted(SqliteOrders):
    async def scan(self, after: str | None, limit: int) -> Sequence[Order]:
        words = "SELECT key, store, seq, at, text FROM orders WHERE key > ? ORDER BY key LIMIT ?"
        return self._all(words, after or "", limit)


class InsertsOverRows(SqliteOrders):
    async def insert(self, row: Order, version: int) -> bool:
        return await self.upsert_if_newer(row, version)


class LooksBeforeItWrites(SqliteOrders):
    async def upsert_if_newer(self, row: Order, version: int) -> bool:
        held = await self.get(row.order_id)
        await checkpoint()
        if held is not None and held.seq >= version:
            return False
        self._db.execute("DELETE FROM orders WHERE key = ?", (row.order_id,))
        return await super().upsert_if_newer(row, version)


class ScansWithoutRegardToCase(SqliteOrders):
    async def scan(self, after: str | None, limit: int) -> Sequence[Order]:
        words = "SELECT key, store, seq, at, text FROM orders WHERE NOT deleted AND key > ? ORDER BY lower(key) LIMIT ?"
        return self._all(words, after or "", limit)


class ListsFromThePlaceOn(SqliteOrders):
    async def list(self, query: Any, after: Any, limit: int) -> Sequence[Order]:
        return await super().list(query, None if after is None else (after[0], ""), limit)


class ForgetsTheNewestDeletion(SqliteOrders):
    async def delete_if_not_newer(self, key: str, version: int) -> bool:
        self._db.execute("UPDATE orders SET seq = ? WHERE key = ? AND deleted", (version, key))
        return await super().delete_if_not_newer(key, version)


FOUND_BY: dict[type[SqliteOrders], str] = {
    OverwritesWhatIsNewer: "test_what_is_not_newer_changes_nothing",
    TakesEqualForNewer: "test_what_is_not_newer_changes_nothing",
    KeepsNoTombstones: "test_no_late_copy_brings_a_deleted_row_back",
    KeepsTombstonesOfRowsOnly: "test_the_deletion_of_what_never_was_is_remembered",
    DeletesWhatIsNewer: "test_a_row_that_is_newer_stays",
    ListsWhatIsDeleted: "test_a_deleted_row_is_nowhere_and_leaves_a_tombstone",
    InsertsOverRows: "test_an_insert_changes_no_row_that_is_there",
    LooksBeforeItWrites: "test_of_many_at_once_the_newest_stays",
    ScansWithoutRegardToCase: "test_a_scan_goes_by_code_points_and_from_behind_a_key",
    ListsFromThePlaceOn: "test_a_list_goes_by_place_and_then_by_key",
    ForgetsTheNewestDeletion: "test_the_newest_of_several_deletions_is_remembered",
}


def _contract(fault: type[SqliteOrders]) -> type[MigrationStoreContract]:
    class Mine(MigrationStoreContract):
        @pytest.fixture
        def rows(self) -> SqliteOrders:
            return fault(":memory:")

        @pytest.fixture
        def make_row(self):
            return lambda key, version, at: Order(order_id=key, seq=version, at=at)

    return Mine


for each in FOUND_BY:
    globals()[f"Test{each.__name__}"] = _contract(each)
