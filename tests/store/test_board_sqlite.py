"""The board of a SQLite store: the contract, and what the file, its followers and other processes see of it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from grayflow.store.port import Store
from grayflow.store.sqlite import SQLiteStore
from grayflow.testing import BoardContract, FakeClock
from grayflow.testing.contract.board import PassTime

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flags.db"


class TestSQLiteBoard(BoardContract):
    @pytest.fixture
    def open_store(self, path: Path, clock: FakeClock) -> Callable[[], Store]:
        return lambda: SQLiteStore(path, "shop", clock=clock)

    @pytest.fixture
    def pass_time(self, clock: FakeClock) -> PassTime:
        return clock.advance
