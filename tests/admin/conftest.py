"""Stores for the tests of `Admin`: what it promises holds on each of them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from grayflow.store.memory import MemoryStore
from grayflow.store.port import Store
from grayflow.store.sqlite import SQLiteStore


@pytest.fixture(params=["memory", "sqlite"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    """Return a function that gives one more store on the same data."""
    if request.param == "sqlite":
        return lambda: SQLiteStore(str(tmp_path / "flags.db"), "default")
    store = MemoryStore()
    return lambda: store
