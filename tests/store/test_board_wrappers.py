"""The boards of wrapped stores: each verb goes through the wrapper, and who only reads has none."""

from collections.abc import Callable

import pytest

from grayflow.errors import StoreUnavailableError
from grayflow.store.board import Record
from grayflow.store.memory import MemoryStore
from grayflow.store.port import Store
from grayflow.store.wrappers import Call, ReadOnly, Recording, Wrapper
from grayflow.testing import BoardContract, FakeClock, Faulty
from grayflow.testing.contract.board import PassTime
from grayflow.testing.contract.board.kit import board_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.mark.parametrize(
    "wrap",
    [Wrapper, lambda store: Recording(Faulty(store))],
    ids=["Wrapper", "Recording-Faulty"],
)
class TestWrapped(BoardContract):
    @pytest.fixture
    def open_store(self, wrap: Callable[[Store], Store], clock: FakeClock) -> Callable[[], Store]:
        store = MemoryStore(clock=clock)
        return lambda: wrap(store)

    @pytest.fixture
    def pass_time(self, clock: FakeClock) -> PassTime:
        return clock.advance


def test_who_only_reads_has_no_board_and_is_told_why() -> None:
    store = Recording(ReadOnly(MemoryStore("shop")))

    assert store.board is None
    assert store.no_board == "namespace 'shop' at memory:// is opened for reading only"


async def test_calls_of_the_board_are_recorded_with_their_arguments() -> None:
    async with Recording(MemoryStore()) as store:
        board = board_of(store)
        await board.put("jobs", "a", b"1")
        await board.claim("jobs", "a", "ada", span=3)
        await board.count("hits", "w", 1, {"on": 1}, ttl=9)
        await board.add("dirty", ["a"])
        await board.members("dirty")
        await board.now()

    assert store.calls == [
        Call(
            "board.put",
            {"collection": "jobs", "name": "a", "value": b"1", "expected": None, "fence": None, "ttl": None},
        ),
        Call("board.claim", {"collection": "jobs", "name": "a", "owner": "ada", "span": 3, "expected": None}),
        Call("board.count", {"counter": "hits", "writer": "w", "sequence": 1, "amounts": {"on": 1}, "ttl": 9}),
        Call("board.add", {"name": "dirty", "members": ["a"], "ttl": None}),
        Call("board.members", {"name": "dirty", "limit": 1000, "offset": 0}),
        Call("board.now"),
    ]


async def test_a_board_is_down_with_its_store() -> None:
    async with Faulty(MemoryStore()) as store:
        board = board_of(store)
        store.down = True
        with pytest.raises(StoreUnavailableError):
            await board.put("jobs", "a", b"1")

        store.heal()

        assert await board.get("jobs", "a") is None


async def test_one_verb_of_a_board_may_lose_its_answer() -> None:
    async with Faulty(MemoryStore()) as store:
        board = board_of(store)
        store.lost.add("board.put")
        with pytest.raises(StoreUnavailableError, match=r"the board\.put may have been done"):
            await board.put("jobs", "a", b"1", expected=0)
        store.heal()

        assert await board.put("jobs", "a", b"1", expected=0) == Record(value=b"1", version=1)
