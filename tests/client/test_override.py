from typing import Any

import anyio
import pytest

from grayflow import Client, Context, ErrorCode, LifetimeError, Reason
from grayflow.testing import FakeClock, Faulty
from tests.client.conftest import Make
from tests.replica.kit import OFF, ON, put

pytestmark = pytest.mark.anyio

ANNA = Context(user_id="anna")


@pytest.mark.usefixtures("opened")
async def test_a_flag_is_forced_for_the_block(make: Make, store: Faulty):
    await put(store, "f", **OFF)
    async with make() as flags:
        for _ in range(2):
            with flags.override(f=True):
                assert await flags.is_enabled("f", ANNA) is True
                assert flags.peek("f", ANNA) is True
                decision = await flags.evaluate("f", ANNA, default=False)
                assert (decision.value, decision.reason, decision.error) == (True, Reason.OVERRIDE, None)
            assert flags.peek("f", ANNA) is False
            assert await flags.is_enabled("f", ANNA) is False


async def test_it_needs_neither_start_nor_store_nor_flag(make: Make):
    flags = make()

    with flags.override({"cache.backend": "redis"}, payment_v2=True, size=3, tree={"a": [1]}):
        assert await flags.is_enabled("payment_v2") is True
        assert await flags.value("cache.backend", default="memory") == "redis"
        assert await flags.value("size", default=1) == 3
        assert await flags.value("tree", default={}) == {"a": [1]}
        assert flags.peek("other") is False


@pytest.mark.parametrize(
    ("forced", "default"), [("text", 1), (1, "text"), (1, 1.0), (True, 1), ({}, []), (1, True), ("x", False)]
)
async def test_a_value_that_does_not_fit_is_a_type_error(make: Make, forced: Any, default: Any):
    flags = make()

    with flags.override(f=forced):
        decision = await flags.evaluate("f", default=default)
        assert (decision.value, decision.error) == (default, ErrorCode.TYPE_MISMATCH)


@pytest.mark.parametrize("forced", ["text", 1, None, 1.5, [True]])
async def test_is_enabled_takes_no_override_but_a_boolean(make: Make, forced: Any):
    flags = make()

    with flags.override(f=forced):
        assert await flags.is_enabled("f", default=True) is True
        assert flags.peek("f") is False


async def test_the_inner_one_wins_and_the_outer_one_comes_back(make: Make):
    flags = make()

    with flags.override(a=True, b=True):
        with flags.override(a=False):
            assert (flags.peek("a"), flags.peek("b")) == (False, True)
        assert (flags.peek("a"), flags.peek("b")) == (True, True)


async def test_it_reaches_tasks_started_inside_and_no_others(make: Make):
    flags = make()
    seen: dict[str, bool] = {}
    entered = anyio.Event()

    async def outside() -> None:
        await entered.wait()
        seen["outside"] = flags.peek("f")

    async def inside() -> None:
        seen["inside"] = flags.peek("f")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outside)
        with flags.override(f=True):
            entered.set()
            async with anyio.create_task_group() as inner:
                inner.start_soon(inside)

    assert seen == {"inside": True, "outside": False}


@pytest.mark.usefixtures("opened")
async def test_a_task_that_outlives_the_block_loses_it(make: Make):
    flags = make()
    seen = []
    closed = anyio.Event()

    async def straggler() -> None:
        await closed.wait()
        seen.append(flags.peek("f"))

    async with anyio.create_task_group() as tasks:
        with flags.override(f=True):
            tasks.start_soon(straggler)
        closed.set()

    assert seen == [False]


@pytest.mark.usefixtures("opened")
async def test_scopes_and_overrides_nest_either_way(make: Make, store: Faulty, clock: FakeClock):
    await put(store, "f", **ON)
    await put(store, "g", **ON)
    async with make() as flags:
        with flags.override(f=False):
            with flags.scope(ANNA):
                await put(store, "g", **OFF)
                await clock.advance(0)
                assert (flags.peek("f"), flags.peek("g")) == (False, True)
                assert (await flags.evaluate("g")).reason is Reason.STATIC
            assert flags.peek("g", ANNA) is False
        with flags.scope(ANNA):
            await put(store, "g", **ON)
            await clock.advance(0)
            with flags.override(f=False):
                assert (flags.peek("f"), flags.peek("g")) == (False, False)
            assert (flags.peek("f"), flags.peek("g")) == (True, False)


@pytest.mark.usefixtures("opened")
async def test_it_beats_an_expired_snapshot(make: Make, store: Faulty, clock: FakeClock):
    await put(store, "f", **OFF)
    async with make() as flags:
        store.down = True
        await clock.advance(400)

        with flags.override(f=True):
            decision = await flags.evaluate("f", default=False)
            assert (decision.value, decision.stale) == (True, False)


def test_a_forced_value_cannot_be_changed_by_whoever_gets_it(make: Make):
    flags = make()
    mine = {"a": [1]}

    with flags.override(f=mine):
        value = flags.peek_value("f", default={})
        with pytest.raises(TypeError):
            value["a"].append(2)
    mine["a"].append(2)


def test_an_override_is_entered_once(make: Make):
    flags = make()
    override = flags.override(f=True)
    with override:
        pass

    with pytest.raises(LifetimeError, match="make a new one"), override:
        pass


def test_two_clients_do_not_see_each_others(make: Make):
    one, other = make(), make()

    with one.override(f=True):
        assert (one.peek("f"), other.peek("f")) == (True, False)


async def test_a_client_of_its_own_memory_starts_at_once_and_is_fresh():
    async with Client("memory://") as flags, flags.override(f=True):
        assert await flags.is_enabled("f") is True
        assert flags.health.state == "fresh"
