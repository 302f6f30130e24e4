from collections.abc import AsyncIterator

import pytest

from grayflow import Admin, Client, MemoryStore
from grayflow.testing import FakeClock
from tests.release.kit import Sides


@pytest.fixture
async def store() -> AsyncIterator[MemoryStore]:
    async with MemoryStore() as opened:
        yield opened


@pytest.fixture
async def admin(store: MemoryStore) -> AsyncIterator[Admin]:
    async with Admin(store, actor="ada") as opened:
        yield opened


@pytest.fixture
async def flags(admin: Admin, store: MemoryStore) -> AsyncIterator[Client]:
    async with Client(store) as opened:
        yield opened


@pytest.fixture
async def slow_flags(admin: Admin, store: MemoryStore, clock: FakeClock) -> AsyncIterator[Client]:
    """A client whose time the test moves."""
    async with Client(store, clock=clock) as opened:
        yield opened


@pytest.fixture
def sides() -> Sides:
    return Sides()
