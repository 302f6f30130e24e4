"""The reference board: the contract, alone and inside wrappers, and what only it has to offer."""

from collections.abc import Callable

import pytest

from grayflow.clock import SystemClock
from grayflow.store.memory import MemoryStore
from grayflow.store.port import Store
from grayflow.testing import BoardContract, FakeClock
from grayflow.testing.contract.board import PassTime

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def pass_time(clock: FakeClock) -> PassTime:
    return clock.advance


class TestMemoryBoard(BoardContract):
    @pytest.fixture
    def open_store(self, clock: FakeClock) -> Callable[[], Store]:
        store = MemoryStore(clock=clock)
        return lambda: store


class TestByTheMachinesTime(BoardContract):
    """As boards are tested whose time is a server's."""

    @pytest.fixture
    def open_store(self) -> Callable[[], Store]:
        store = MemoryStore()
        return lambda: store

    @pytest.fixture
    def pass_time(self) -> PassTime:
        return SystemClock().sleep
