"""The embedded store: what only a file can do wrong."""

from collections.abc import Callable
from pathlib import Path

import pytest

from grayflow.store.port import Store
from grayflow.store.sqlite import SQLiteStore
from grayflow.testing import StoreContract

pytestmark = pytest.mark.anyio


class TestSQLiteStore(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[[], Store]:
        return lambda: SQLiteStore(tmp_path / "flags.db", "shop")
