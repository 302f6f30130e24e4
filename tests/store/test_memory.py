"""The reference adapter, alone and inside wrappers."""

from collections.abc import Callable

import pytest

from grayflow.core.position import Position
from grayflow.errors import ConfigurationError, HistoryGoneError, LifetimeError
from grayflow.store.memory import MemoryStore
from grayflow.store.port import Gap, Store
from grayflow.store.wrappers import Recording, Wrapper
from grayflow.testing import Faulty, StoreContract
from grayflow.testing.contract.kit import edit, put, ready

pytestmark = pytest.mark.anyio


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def open_store(self) -> Callable[[], Store]:
        store = MemoryStore()
        return lambda: store


class TestShortMemory(StoreContract):
    @pytest.fixture
    def open_store(self) -> Callable[[], Store]:
        store = MemoryStore(history_limit=2000)
        return lambda: store


@pytest.mark.parametrize("wrap", [Wrapper, Recording, Faulty, lambda store: Recording(Faulty(store))])
class TestWrapped(StoreContract):
    @pytest.fixture
    def open_store(self, wrap: Callable[[Store], Store]) -> Callable[[], Store]:
        store = MemoryStore()
        return lambda: wrap(store)
