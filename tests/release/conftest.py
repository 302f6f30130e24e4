import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from grayflow import Admin, Client, MemoryStore
from grayflow.testing import FakeClock
from tests.lifetimes.steps import cancel
from tests.release.kit import Sides

__all__ = ["cancel"]


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


@pytest.fixture
def quick_path(tmp_path: Path) -> Iterator[Path]:
    """Return a folder in memory where there is such a thing: a killed process needs no disk to be synced."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="grayflow-", dir=memory) as folder:
        yield Path(folder)
