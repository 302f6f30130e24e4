import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from grayflow import Client, ConfigurationError, Context, LifetimeError, Position
from grayflow.testing import FakeClock, Faulty
from tests.client.conftest import Make
from tests.replica.kit import OFF, ON, Rewinding, put, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("opened")]

ANNA, BEN = Context(user_id="anna"), Context(user_id="ben")
FOR_ANNA = {"enabled": True, "otherwise": "off", "targets": {"on": ["anna"]}}


async def test_two_checks_cannot_disagree(make: Make, store: Faulty, clock: FakeClock):
    await put(store, "f", **ON)
    async with make() as flags:
        with flags.scope(ANNA):
            assert await flags.is_enabled("f") is True
            await put(store, "f", **OFF)
            await clock.advance(0)

            assert await flags.is_enabled("f") is True
            assert flags.peek("f") is True
            assert (await flags.evaluate("f", BEN)).value is True
        assert await flags.is_enabled("f", ANNA) is False


async def test_the_context_of_the_scope_is_the_default(make: Make, store: Faulty):
    await put(store, "f", **FOR_ANNA)
    async with make() as flags:
        for _ in range(2):
            with flags.scope(ANNA):
                assert flags.peek("f") is True
                assert await flags.is_enabled("f") is True
                assert await flags.is_enabled("f", BEN) is False
            assert await flags.is_enabled("f") is False


async def test_a_mapping_will_do_and_anything_else_will_not(make: Make, store: Faulty):
    await put(store, "f", **FOR_ANNA)
    async with make() as flags:
        with flags.scope({"user_id": "anna"}):
            assert flags.peek("f") is True
        with pytest.raises(TypeError, match="mapping"):
            flags.scope("anna")  # type: ignore[arg-type]


async def test_the_instant_is_pinned(make: Make, store: Faulty, clock: FakeClock):
    await put(store, "f", **ON, expires_at="2026-01-01T00:01:00Z")
    async with make() as flags:
        with flags.scope(ANNA):
            clock.step(120)
            for _ in range(2):
                assert flags.peek("f") is True
                assert await flags.is_enabled("f") is True
        assert flags.peek("f", ANNA) is False


async def test_freshness_is_pinned(make: Make, store: Faulty, clock: FakeClock):
    await put(store, "f", **ON)
    async with make() as flags:
        with flags.scope(ANNA):
            store.down = True
            await clock.advance(400)

            assert flags.health.state == "expired"
            assert flags.peek("f") is True
            assert (await flags.evaluate("f")).stale is False
        assert flags.peek("f", ANNA) is False


async def test_an_inner_scope_keeps_the_pins_and_replaces_the_context(make: Make, store: Faulty, clock: FakeClock):
    await put(store, "f", **FOR_ANNA)
    async with make() as flags:
        with flags.scope(ANNA) as outer:
            await put(store, "f", **OFF)
            await clock.advance(0)
            with flags.scope(BEN) as inner:
                assert flags.peek("f") is False
                assert inner.position == outer.position
                with flags.scope():
                    assert flags.peek("f", ANNA) is True
                    assert flags.peek("f") is False
            assert flags.peek("f") is True


async def test_tasks_started_inside_are_in_the_scope_and_siblings_are_not(make: Make, store: Faulty):
    await put(store, "f", **FOR_ANNA)
    async with make() as flags:
        seen: dict[str, bool] = {}
        entered, done = anyio.Event(), anyio.Event()

        async def sibling() -> None:
            await entered.wait()
            seen["sibling"] = await flags.is_enabled("f")
            done.set()

        async def child() -> None:
            seen["child"] = await flags.is_enabled("f")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sibling)
            with flags.scope(ANNA):
                entered.set()
                async with anyio.create_task_group() as inside:
                    inside.start_soon(child)
                await done.wait()

        assert seen == {"child": True, "sibling": False}


async def test_a_thread_started_inside_is_in_the_scope(make: Make, store: Faulty):
    await put(store, "f", **FOR_ANNA)
    async with make() as flags:
        with flags.scope(ANNA):
            assert await anyio.to_thread.run_sync(flags.peek, "f") is True


async def test_a_task_that_outlives_the_scope_goes_on_with_the_current_flags(make: Make, store: Faulty, clock):
    await put(store, "f", **FOR_ANNA)
    async with make() as flags:
        seen: list[bool] = []
        closed = anyio.Event()

        async def straggler() -> None:
            seen.append(await flags.is_enabled("f"))
            await closed.wait()
            seen.append(await flags.is_enabled("f"))
            seen.append(flags.peek("f"))
            with flags.scope():
                seen.append(flags.peek("f"))

        async with anyio.create_task_group() as tasks:
            with flags.scope(ANNA):
                tasks.start_soon(straggler)
                await clock.advance(0)
                await put(store, "f", **OFF)
                await clock.advance(0)
                assert flags.peek("f") is True
            closed.set()

        assert seen == [True, False, False, False]


async def test_the_scope_ends_when_its_body_raises(make: Make, store: Faulty):
    async with make() as flags:
        with pytest.raises(ValueError, match="mine"), flags.scope(ANNA):
            raise ValueError("mine")

        assert flags._evaluator.pinned == set()
        assert flags._frames.get() is flags._live.frame


async def test_it_may_be_left_in_another_context_than_it_was_entered_in(make: Make, store: Faulty):
    """As generator fixtures are: set up in one task, torn down in another."""
    await put(store, "f", **FOR_ANNA)
    async with make() as flags:

        async def fixture() -> AsyncIterator[Client]:
            with flags.scope(ANNA):
                yield flags

        generator = fixture()
        await asyncio.get_running_loop().create_task(anext(generator))  # type: ignore[arg-type]
        with pytest.raises(StopAsyncIteration):
            await asyncio.get_running_loop().create_task(anext(generator))  # type: ignore[arg-type]

        assert flags._evaluator.pinned == set()
        assert flags.peek("f") is False


async def test_a_scope_is_entered_once(make: Make):
    async with make() as flags:
        scope = flags.scope(ANNA)
        with scope:
            pass

        with pytest.raises(LifetimeError, match="make a new one"), scope:
            pass


async def test_the_client_knows_what_is_pinned(make: Make, store: Faulty, clock: FakeClock):
    async with make() as flags:
        before = flags.position
        with flags.scope(ANNA) as scope:
            await put(store, "f", **ON)
            await clock.advance(0)

            assert scope.position == flags.position == before
        assert flags.position != before


async def test_a_scope_works_before_the_start(make: Make):
    flags = make()

    with flags.scope(ANNA):
        assert flags.peek("f") is False
        assert flags.position is None


# Causality


async def test_at_least_waits_for_the_change(make: Make, memory: Rewinding, store: Faulty):
    async with make() as flags:
        store.deaf = True
        change = await put(memory, "f", **ON)

        async with flags.scope(ANNA, at_least=change.position.token()) as scope:
            assert flags.peek("f") is True
            assert (await flags.evaluate("f")).stale is False
            assert scope.position == change.position


async def test_at_least_takes_a_position_too_and_costs_nothing_when_it_is_there(make: Make, store: Faulty, clock):
    async with make() as flags:
        change = await put(store, "f", **ON)
        await clock.advance(0)
        store.down = True

        async with flags.scope(ANNA, at_least=change.position):
            assert (await flags.evaluate("f")).stale is False


async def test_what_is_not_reached_in_time_is_stale(make: Make, store: Faulty):
    await put(store, "f", **ON)
    async with make(confirm_timeout=0.02) as flags:
        assert flags.position is not None
        future = Position(epoch=flags.position.epoch, revision=99, nonce="later")

        async with flags.scope(ANNA, at_least=future.token()):
            decision = await flags.evaluate("f")

            assert (decision.value, decision.stale) == (True, True)
            assert "99" in decision.detail


async def test_another_epoch_is_asked_about_once_and_then_stale(make: Make, store: Faulty):
    await put(store, "f", **ON)
    async with make() as flags, flags.scope(ANNA, at_least="other:1:n"):
        decision = await flags.evaluate("f")

        assert (decision.value, decision.stale) == (True, True)
        assert "other" in decision.detail


async def test_a_change_in_a_new_epoch_is_found_by_asking(make: Make, store: Faulty, memory: Rewinding):
    async with make() as flags:
        store.deaf = True
        await memory.init(replaces=["*"])
        change = await put(memory, "f", **ON)

        async with flags.scope(ANNA, at_least=change.position.token()):
            assert (await flags.evaluate("f")).stale is False
            assert flags.peek("f") is True


@pytest.mark.parametrize("token", ["garbage", "", "a:b:c", 7, b"e:1:n"])
async def test_a_token_that_is_none_makes_the_unit_stale_and_not_fail(make: Make, store: Faulty, token: Any):
    await put(store, "f", **ON)
    async with make() as flags, flags.scope(ANNA, at_least=token):
        decision = await flags.evaluate("f")

        assert (decision.value, decision.stale) == (True, True)
        assert decision.detail


async def test_at_least_pins_anew_inside_an_older_scope(make: Make, store: Faulty, clock: FakeClock):
    async with make() as flags:
        with flags.scope(ANNA):
            change = await put(store, "f", **ON)
            await clock.advance(0)
            assert flags.peek("f") is False

            async with flags.scope(at_least=change.position.token()):
                assert flags.peek("f") is True


async def test_plain_with_refuses_to_wait(make: Make):
    async with make() as flags:
        with pytest.raises(ConfigurationError, match="async with"), flags.scope(ANNA, at_least="e:1:n"):
            pass


async def test_async_with_without_a_change_is_a_scope_as_any_other(make: Make, store: Faulty):
    await put(store, "f", **FOR_ANNA)
    async with make() as flags, flags.scope(ANNA):
        assert await flags.is_enabled("f") is True


async def test_a_closed_client_does_not_wait(make: Make, store: Faulty):
    await put(store, "f", **ON)
    async with make() as flags:
        assert flags.position is not None
        future = Position(epoch=flags.position.epoch, revision=99, nonce="later")

    async with flags.scope(ANNA, at_least=future.token()):
        decision = await flags.evaluate("f")

    assert (decision.value, decision.stale) == (True, True)
    await until(lambda: flags.health.state == "closed")


async def test_an_unpinned_scope_binds_the_context_and_sees_every_change(make: Make, store: Faulty, clock: FakeClock):
    await put(store, "f", **FOR_ANNA)
    async with make() as flags:
        with flags.scope(ANNA, pin=False):
            assert flags.peek("f") is True
            assert flags.snapshot is not None
            await put(store, "f", **OFF)
            await clock.advance(0)

            assert flags.peek("f") is False
            assert await flags.is_enabled("f") is False


async def test_a_scope_inside_an_unpinned_one_takes_its_context_and_pins(make: Make, store: Faulty, clock: FakeClock):
    await put(store, "f", **FOR_ANNA)
    async with make() as flags:
        with flags.scope(ANNA, pin=False), flags.scope():
            await put(store, "f", **OFF)
            await clock.advance(0)

            assert flags.peek("f") is True


async def test_an_unpinned_scope_does_not_undo_a_pin_around_it(make: Make, store: Faulty, clock: FakeClock):
    await put(store, "f", **FOR_ANNA)
    async with make() as flags:
        with flags.scope(BEN), flags.scope(ANNA, pin=False):
            await put(store, "f", **OFF)
            await clock.advance(0)

            assert flags.peek("f") is True


async def test_a_scope_cannot_wait_for_a_change_and_not_pin_it(make: Make):
    async with make() as flags:
        with pytest.raises(ConfigurationError, match="leave out pin=False"):
            flags.scope(ANNA, at_least="e:1:n", pin=False)
