"""The reference adapter, alone and inside wrappers, and what only it has to offer."""

from collections.abc import Callable

import anyio
import pytest

from grayflow.errors import ConfigurationError, HistoryGoneError, LifetimeError
from grayflow.store.memory import MemoryStore
from grayflow.store.port import Changed, Gap, Store
from grayflow.store.wrappers import Recording, Wrapper
from grayflow.testing import Faulty, StoreContract
from grayflow.testing.contract.kit import edit, put

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


@pytest.mark.parametrize(
    "wrap",
    [Wrapper, Recording, Faulty, lambda store: Recording(Faulty(store))],
    ids=["Wrapper", "Recording", "Faulty", "both"],
)
class TestWrapped(StoreContract):
    @pytest.fixture
    def open_store(self, wrap: Callable[[Store], Store]) -> Callable[[], Store]:
        store = MemoryStore()
        return lambda: wrap(store)


async def test_two_instances_share_nothing() -> None:
    async with MemoryStore("shop") as one, MemoryStore("shop") as two:
        first, second = await one.init(), await two.init()

        assert first.epoch != second.epoch


async def test_the_history_is_cut_where_told() -> None:
    async with MemoryStore(history_limit=3) as store:
        start = await store.init()
        made = await put(store, *(edit("a", b"%d" % number) for number in range(5)))

        assert [change.revision for change in await store.history()] == [5, 4, 3]
        assert await store.oldest() == 3
        assert await store.changes(start) is None
        assert await store.changes(made[0].position) is None
        assert await store.changes(made[1].position) == made[2:]
        assert (await store.at(2)).flags["a"].data == b"1"
        with pytest.raises(HistoryGoneError) as caught:
            await store.at(1)
        assert (caught.value.revision, caught.value.oldest) == (1, 3)


async def test_results_are_remembered_longer_than_a_short_history() -> None:
    async with MemoryStore(history_limit=1) as store:
        await store.init()
        asked = edit("a")
        first, *_ = await put(store, asked, *(edit("b") for _ in range(500)))

        assert await store.commit(asked, expected=0) == first


async def test_results_are_not_remembered_for_ever_then() -> None:
    async with MemoryStore(history_limit=1) as store:
        await store.init()
        asked = edit("a")
        await put(store, asked, *(edit("b") for _ in range(1500)))

        change = await store.commit(asked, expected=1)

        assert change.revision == 1502


@pytest.mark.parametrize("history_limit", [0, -1])
def test_a_history_of_nothing_is_refused(history_limit: int) -> None:
    with pytest.raises(ConfigurationError, match="history_limit"):
        MemoryStore(history_limit=history_limit)


async def test_a_slow_reader_gets_one_gap_for_what_it_missed() -> None:
    async with MemoryStore() as store:
        await store.init()
        async with store.follow() as events:
            made = await put(store, *(edit("a") for _ in range(1003)))

            first, second, third = [await anext(events) for _ in range(3)]

            assert isinstance(first, Gap)
            assert (second, third) == (Changed(made[1001]), Changed(made[1002]))


async def test_closing_wakes_who_follows() -> None:
    store = MemoryStore()
    caught: list[LifetimeError] = []

    async def follow() -> None:
        async with store.follow() as events:
            with pytest.raises(LifetimeError) as error:
                await anext(events)
            caught.append(error.value)

    async with anyio.create_task_group() as tasks, store:
        tasks.start_soon(follow)
        await anyio.wait_all_tasks_blocked()

    assert len(caught) == 1
