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


async def test_what_nobody_asks_for_again_does_not_stay_for_ever(clock: FakeClock) -> None:
    async with MemoryStore(clock=clock) as store:
        for number in range(200):
            await store.board.put("jobs", f"{number}", b"1", ttl=5)
            await store.board.count(f"{number}", "w", 1, {"on": 1}, ttl=5)
            await store.board.add(f"{number}", ["a"], ttl=5)
        await store.board.put("jobs", "stays", b"1")
        await clock.advance(6)

        for _ in range(250):
            await store.board.put("jobs", "stays", b"1")

        assert len(store.board._shelf._records) == 1
        assert not store.board._shelf._heaps


class TestByTheMachinesTime(BoardContract):
    """As boards are tested whose time is a server's."""

    @pytest.fixture
    def open_store(self) -> Callable[[], Store]:
        store = MemoryStore()
        return lambda: store

    @pytest.fixture
    def pass_time(self) -> PassTime:
        return SystemClock().sleep
