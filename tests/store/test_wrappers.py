"""Wrappers add one behaviour each, and faults come when they are called."""

import anyio
import pytest

from grayflow.errors import ReadOnlyError, StoreAccessError, StoreUnavailableError
from grayflow.store.memory import MemoryStore
from grayflow.store.port import Changed, Gap, Position
from grayflow.store.wrappers import Call, ReadOnly, Recording, Wrapper
from grayflow.testing import FakeClock, Faulty
from grayflow.testing.contract.kit import edit, put, ready

pytestmark = pytest.mark.anyio


async def test_a_read_only_store_reads_everything() -> None:
    store = MemoryStore()
    async with ready(lambda: store), ReadOnly(store) as reader:
        async with reader.follow() as events:
            (change,) = await put(store, edit("a"))

            assert await anext(events) == Changed(change)
        assert await reader.load() == await store.load()
        assert await reader.get("flag", "a") == await store.get("flag", "a")
        assert await reader.position() == change.position
        assert list(await reader.history("a")) == [change]
        assert await reader.at(1) == await store.at(1)
        assert (await reader.oldest(), list(await reader.replaced())) == (1, [])


async def test_a_read_only_store_writes_nothing() -> None:
    store = MemoryStore("shop")
    async with ready(lambda: store), ReadOnly(store) as reader:
        with pytest.raises(ReadOnlyError, match="flag 'a' was not saved: namespace 'shop' at memory://"):
            await reader.commit(edit("a"), expected=0)
        with pytest.raises(ReadOnlyError, match="init did nothing"):
            await reader.init(replaces=["*"])

        assert (await store.position()).revision == 0


def test_a_read_only_store_is_nobodys_to_initialise() -> None:
    assert MemoryStore.initialised_by_writer
    assert not ReadOnly(MemoryStore()).initialised_by_writer


async def test_calls_are_recorded_with_their_arguments() -> None:
    async with Recording(MemoryStore()) as store:
        position = await store.init()
        asked = edit("a")
        await store.commit(asked, expected=0)
        await store.changes(position)
        await store.history("a", limit=3)
        async with store.follow():
            pass

    assert store.calls == [
        Call("init", {"replaces": None}),
        Call("commit", {"edit": asked, "expected": 0}),
        Call("changes", {"since": position}),
        Call("history", {"key": "a", "kind": "flag", "before": None, "limit": 3}),
        Call("follow"),
    ]


async def test_calls_that_fail_are_recorded_too() -> None:
    async with Recording(ReadOnly(MemoryStore())) as store:
        with pytest.raises(ReadOnlyError):
            await store.init()

        assert store.count("init") == 1
        assert store.count("load") == 0


def test_repr_prints_the_stack() -> None:
    store = Recording(ReadOnly(MemoryStore("shop")))

    assert repr(store) == "Recording(ReadOnly(MemoryStore('memory://', namespace='shop')))"


def test_a_wrapper_tells_what_its_store_promises() -> None:
    long, short = Wrapper(MemoryStore("shop")), Wrapper(MemoryStore(history_limit=5))

    assert (long.namespace, long.place, long.keeps_all_history, short.keeps_all_history) == (
        "shop",
        "memory://",
        True,
        False,
    )


async def test_nothing_answers_while_it_is_down() -> None:
    async with Faulty(MemoryStore()) as store:
        await store.init()
        store.down = True
        with pytest.raises(StoreUnavailableError):
            await store.position()
        with pytest.raises(StoreUnavailableError):
            await store.commit(edit(), expected=0)

        store.down = False

        assert (await store.position()).revision == 0


async def test_going_down_ends_what_is_followed() -> None:
    async with Faulty(MemoryStore()) as store, anyio.create_task_group() as tasks:
        await store.init()

        async def follow() -> None:
            async with store.follow() as events:
                with pytest.raises(StoreUnavailableError):
                    await anext(events)

        tasks.start_soon(follow)
        await anyio.wait_all_tasks_blocked()
        store.down = True


async def test_a_cut_ends_what_is_followed_now_only() -> None:
    async with Faulty(MemoryStore()) as store:
        await store.init()
        async with store.follow() as events:
            store.cut()
            with pytest.raises(StoreUnavailableError):
                await anext(events)
        async with store.follow() as events:
            (change,) = await put(store, edit())

            assert await anext(events) == Changed(change)


async def test_a_gap_is_given_to_who_waits() -> None:
    got: list[object] = []
    async with Faulty(MemoryStore()) as store, anyio.create_task_group() as tasks:
        await store.init()

        async def follow() -> None:
            async with store.follow() as events:
                got.extend([await anext(events), await anext(events)])

        tasks.start_soon(follow)
        await anyio.wait_all_tasks_blocked()
        store.gap("test")
        await anyio.wait_all_tasks_blocked()
        (change,) = await put(store, edit())

    assert got == [Gap("test"), Changed(change)]


async def test_the_deaf_miss_what_is_said_meanwhile() -> None:
    async with Faulty(MemoryStore()) as store:
        await store.init()
        async with store.follow() as events:
            store.deaf = True
            await put(store, edit("a"))
            with anyio.move_on_after(0.01):
                await anext(events)
            store.heal()
            (heard,) = await put(store, edit("b"))

            assert await anext(events) == Changed(heard)


async def test_an_answer_is_lost_after_the_work_was_done() -> None:
    async with Faulty(MemoryStore()) as store:
        await store.init()
        asked = edit("a")
        store.lost.add("commit")
        with pytest.raises(StoreUnavailableError):
            await store.commit(asked, expected=0)
        store.heal()

        assert (await store.position()).revision == 1
        assert (await store.commit(asked, expected=0)).revision == 1


async def test_a_chosen_error_is_raised_by_a_chosen_verb() -> None:
    async with Faulty(MemoryStore()) as store:
        await store.init()
        store.errors["load"] = StoreAccessError("no")

        with pytest.raises(StoreAccessError, match="no"):
            await store.load()
        assert isinstance(await store.position(), Position)


async def test_a_hung_verb_goes_on_when_it_is_healed() -> None:
    async with Faulty(MemoryStore()) as store, anyio.create_task_group() as tasks:
        await store.init()
        store.hung.add("commit")
        tasks.start_soon(put, store, edit("a"))
        await anyio.wait_all_tasks_blocked()
        assert (await store.position()).revision == 0

        store.heal()
        await anyio.wait_all_tasks_blocked()

        assert (await store.position()).revision == 1


async def test_a_late_answer_takes_the_time_of_the_clock() -> None:
    clock = FakeClock()
    async with Faulty(MemoryStore(), clock=clock) as store, anyio.create_task_group() as tasks:
        await store.init()
        store.delays["commit"] = 2
        tasks.start_soon(put, store, edit("a"))
        await clock.advance(1.9)
        assert (await store.position()).revision == 0

        await clock.advance(0.1)

        assert (await store.position()).revision == 1
