"""Asking the store when memory is not enough: `freshness="confirmed"` and `wait_for`."""

import asyncio
from functools import partial
from typing import Any

import anyio
import pytest

from grayflow import Client, ConfigurationError, Context, LifetimeError, Position, StoreUnavailableError
from grayflow.store.wrappers import Recording
from grayflow.testing import FakeClock, Faulty
from tests.client.conftest import Make
from tests.replica.kit import OFF, ON, Rewinding, put

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("opened")]

ANNA = Context(user_id="anna")


async def test_confirmed_sees_a_change_that_was_never_pushed(make: Make, store: Faulty, memory: Rewinding):
    await put(store, "f", **ON)
    async with make() as flags:
        store.deaf = True
        await put(memory, "f", **OFF)
        assert (await flags.evaluate("f", ANNA)).value is True

        decision = await flags.evaluate("f", ANNA, freshness="confirmed")

        assert (decision.value, decision.stale) == (False, False)


async def test_many_at_once_share_the_question(make: Make, store: Faulty, memory: Rewinding, clock: FakeClock):
    recording = Recording(store)

    async with Client(recording, clock=clock) as flags, anyio.create_task_group() as tasks:
        await clock.advance(0)
        before = recording.count("position")
        store.delays["position"] = 0.1
        for _ in range(50):
            tasks.start_soon(lambda: flags.evaluate("f", ANNA, freshness="confirmed"))
        await clock.advance(1)

        assert recording.count("position") - before <= 2


async def test_what_cannot_be_confirmed_is_stale_and_says_why(make: Make, store: Faulty):
    await put(store, "f", **ON)
    async with make() as flags:
        store.errors["position"] = StoreUnavailableError("the server is away")

        decision = await flags.evaluate("f", ANNA, freshness="confirmed")

        assert (decision.value, decision.stale) == (True, True)
        assert "the server is away" in decision.detail


async def test_it_waits_no_longer_than_asked(make: Make, store: Faulty):
    await put(store, "f", **ON)
    async with make(confirm_timeout=0.02) as flags:
        store.hung.add("position")

        with anyio.fail_after(2):
            decision = await flags.evaluate("f", ANNA, freshness="confirmed")

        assert (decision.value, decision.stale) == (True, True)
        assert "within 0.02 s" in decision.detail


async def test_in_a_scope_it_answers_from_the_confirmed_flags_and_moves_no_pin(make: Make, store, memory: Rewinding):
    await put(store, "f", **ON)
    async with make() as flags:
        with flags.scope(ANNA):
            store.deaf = True
            await put(memory, "f", **OFF)

            assert (await flags.evaluate("f", freshness="confirmed")).value is False
            assert (await flags.evaluate("f")).value is True
            assert flags.peek("f") is True


async def test_in_another_loop_it_is_stale_and_says_why(make: Make, store: Faulty):
    await put(store, "f", **ON)
    async with make() as flags:

        def elsewhere() -> None:
            decision = asyncio.run(flags.evaluate("f", ANNA, freshness="confirmed"))
            assert (decision.value, decision.stale) == (True, True)
            assert "another event loop" in decision.detail

        await anyio.to_thread.run_sync(elsewhere)


async def test_of_a_closed_client_it_is_stale(make: Make, store: Faulty):
    await put(store, "f", **ON)
    async with make() as flags:
        pass

    decision = await flags.evaluate("f", ANNA, freshness="confirmed")
    assert (decision.value, decision.stale) == (True, True)
    assert "closed" in decision.detail


async def test_a_client_that_is_closed_meanwhile_confirms_nothing(make: Make, store: Faulty):
    await put(store, "f", **ON)
    flags = await make().start()
    store.hung.add("position")
    decisions = []

    async def ask() -> None:
        decisions.append(await flags.evaluate("f", ANNA, freshness="confirmed"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        await flags.aclose()

    assert [decision.stale for decision in decisions] == [True]


async def test_wait_for_returns_when_the_change_is_there(make: Make, store: Faulty, memory: Rewinding):
    async with make() as flags:
        store.deaf = True
        change = await put(memory, "f", **ON)
        assert flags.peek("f") is False

        assert await flags.wait_for(change.position.token(), timeout=2) is None

        assert flags.peek("f") is True
        await flags.wait_for(change.position)
        await flags.wait_for(change.position, timeout=None)


async def test_wait_for_gives_up_in_time_and_says_where_we_are(make: Make):
    async with make() as flags:
        assert flags.position is not None
        future = Position(epoch=flags.position.epoch, revision=9, nonce="n")

        with pytest.raises(TimeoutError, match=r"revision 9 is not reached; the flags here are of revision 0"):
            await flags.wait_for(future, timeout=0.02)


@pytest.mark.parametrize("given", [None, 7, b"e:1:n", object(), "e:1"])
async def test_wait_for_refuses_what_is_no_token(make: Make, given: Any):
    async with make() as flags:
        with pytest.raises(ConfigurationError, match=r"is not a position; give a token.*such as Saved\.token"):
            await flags.wait_for(given)


async def test_another_epoch_is_asked_about_once_and_not_waited_for(make: Make, store: Faulty):
    recording = Recording(store)
    async with Client(recording, clock=FakeClock()) as flags:
        asked = recording.count("position")

        with anyio.fail_after(30), pytest.raises(TimeoutError, match="epoch other, and the flags here to"):
            await flags.wait_for("other:1:n", timeout=None)

        assert recording.count("position") == asked + 1


async def test_a_foreign_store_is_not_waited_for_and_named(make: Make, memory: Rewinding):
    async with make() as flags:
        memory.replace_by("foreign")
        change = await put(memory, "f", **ON)

        with anyio.fail_after(30), pytest.raises(TimeoutError, match=r"epoch foreign.*grayflow init --replace"):
            await flags.wait_for(change.position, timeout=None)


async def test_a_store_that_is_away_may_come_back_with_another_epoch(make: Make, store: Faulty, memory, clock):
    async with make() as flags:
        await memory.init(replaces=["*"])
        change = await put(memory, "f", **ON)
        store.down = True

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(flags.wait_for, change.position, timeout=None))
            await clock.advance(1)
            store.heal()
            await clock.advance(15)

        assert flags.peek("f") is True


async def test_a_change_that_the_store_lost_is_never_reached(make: Make, store: Faulty, memory: Rewinding, clock):
    async with make() as flags:
        memory.save()
        lost = await put(store, "f", **ON)
        await clock.advance(0)
        memory.rewind()
        await put(store, "g", **ON)
        await clock.advance(13)

        with anyio.fail_after(30), pytest.raises(TimeoutError, match="was lost by the store"):
            await flags.wait_for(lost.position, timeout=None)


async def test_without_any_flags_nothing_is_reached(make: Make, store: Faulty):
    store.down = True
    async with make(start_timeout=0) as flags:
        with pytest.raises(TimeoutError, match="there are no flags yet"):
            await flags.wait_for("e:1:n", timeout=0.02)


async def test_wait_for_waits_across_a_replacement(make: Make, store: Faulty, memory: Rewinding):
    async with make() as flags:
        store.deaf = True
        await memory.init(replaces=["*"])
        change = await put(memory, "f", **ON)

        await flags.wait_for(change.position, timeout=2)

        assert flags.peek("f") is True


async def test_wait_for_needs_a_running_client_of_this_loop(make: Make):
    flags = make()
    with pytest.raises(LifetimeError, match="async with Client"):
        await flags.wait_for("e:1:n")
    async with flags:

        def elsewhere() -> None:
            with pytest.raises(LifetimeError, match="another event loop"):
                asyncio.run(flags.wait_for("e:1:n"))

        await anyio.to_thread.run_sync(elsewhere)
    with pytest.raises(LifetimeError, match="closed"):
        await flags.wait_for("e:1:n")


async def test_a_token_that_is_none_is_refused(make: Make):
    async with make() as flags:
        with pytest.raises(ConfigurationError, match="epoch:revision:nonce"):
            await flags.wait_for("yesterday")
