"""The boards of wrapped stores: each verb goes through the wrapper, and who only reads changes none."""

from collections.abc import Callable

import pytest

from grayflow.errors import ReadOnlyError, StoreUnavailableError
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


async def test_who_only_reads_sees_the_board_and_cannot_change_it() -> None:
    async with MemoryStore("shop") as store:
        await board_of(store).put("jobs", "a", b"1")
        await board_of(store).add("dirty", ["x"])
        board = board_of(ReadOnly(store))

        assert list((await board.list("jobs")).records) == ["a"]
        assert await board.size("dirty") == 1
        for change in (
            lambda: board.put("jobs", "a", b"2"),
            lambda: board.delete("jobs", "a"),
            lambda: board.claim("jobs", "a", "ada", span=3),
            lambda: board.renew("jobs", "a", fence=1, span=3),
            lambda: board.release("jobs", "a", fence=1),
            lambda: board.count("hits", "w", 1, {"on": 1}, ttl=9),
            lambda: board.add("dirty", ["y"]),
            lambda: board.remove("dirty", ["x"]),
        ):
            with pytest.raises(ReadOnlyError, match="namespace 'shop' at memory:// is opened for reading only"):
                await change()
        assert await board_of(store).size("dirty") == 1


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
