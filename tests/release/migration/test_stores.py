"""The contract of a migration's stores: both of the tests' pass it, and no known fault does."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from grayflow.testing import MigrationStoreContract
from tests.release.migration.faulty_stores import FOUND_BY
from tests.release.migration.stores import Order, RedisOrders, SqliteOrders
from tests.testing.test_contract import ROOT, run


class Orders(MigrationStoreContract):
    __test__ = False

    @pytest.fixture
    def make_row(self):
        return lambda key, version, at: Order(order_id=key, seq=version, at=at)


class TestSqlite(Orders):
    __test__ = True

    @pytest.fixture
    def rows(self, tmp_path: Path) -> SqliteOrders:
        return SqliteOrders(tmp_path / "orders.db")


class TestRedis(Orders):
    __test__ = True

    @pytest.fixture
    async def rows(self, redis_url: str) -> AsyncIterator[RedisOrders]:
        async with Redis.from_url(redis_url) as client:
            yield RedisOrders(client, f"t-{uuid4().hex[:12]}")


def test_every_fault_is_found() -> None:
    asked = {f"Test{fault.__name__}::{test}" for fault, test in FOUND_BY.items()}

    told = run("-rf", *(f"tests/release/migration/faulty_stores.py::{name}" for name in sorted(asked)), folder=ROOT)

    failed = set(re.findall(r"^FAILED \S+::(Test\w+::\w+)", told, re.MULTILINE))
    assert asked - failed == set(), told
