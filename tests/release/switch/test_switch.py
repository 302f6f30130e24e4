"""Who gets which implementation, and when each is opened and closed."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from grayflow import Admin, Client, ConfigurationError, Context, LifetimeError, MemoryStore, UnopenedError
from grayflow.clock import SystemClock
from grayflow.release import ImplementationSwitch, SelectionReason
from grayflow.testing import FakeClock
from tests.release.kit import PATIENCE_S, Notes, Side, Sides, serve, until

pytestmark = pytest.mark.anyio


def switch_of(sides: Sides, **options: Any) -> ImplementationSwitch[Notes]:
    variants = {"off": sides.factory("old"), "on": sides.factory("new")}
    return ImplementationSwitch(Notes, flag="notes", variants=variants, default="off", **options)


# Acceptance


async def test_no_unit_of_work_sees_two_implementations_while_the_flag_flips(
    admin: Admin, flags: Client, sides: Sides
) -> None:
    """Fifty tasks of two thousand calls each; the flag flips every five milliseconds."""
    switch, seen, mixed, done = switch_of(sides), set(), [], 0

    async def work(notes: Notes, number: int) -> None:
        nonlocal done
        for unit in range(200):
            with flags.scope(Context(user_id=number)):
                names = {await notes.get("k") for _ in range(8)}
                names |= {name async for name in notes.stream(2)}
                seen.update(names)
                if len(names) > 1:
                    mixed.append((number, unit, names))
                done += 10

    async def flip() -> None:
        while True:
            for variant in ("on", "off"):
                await serve(admin, flags, variant)
                await SystemClock().sleep(0.005)

    await serve(admin, flags, "off")
    async with switch.running(flags):
        async with anyio.create_task_group() as flipping:
            flipping.start_soon(flip)
            async with anyio.create_task_group() as working:
                for number in range(50):
                    working.start_soon(work, switch.proxy(), number)
            flipping.cancel_scope.cancel()
        assert len(sides.opened) > 10

    assert done == 100_000
    assert seen == {"old", "new"}
    assert mixed == []
    assert sides.misuses == []
    assert sides.still_open() == []


async def test_a_stream_that_began_before_the_flip_ends_where_it_began(
    admin: Admin, flags: Client, sides: Sides
) -> None:
    await serve(admin, flags, "off")
    switch = switch_of(sides)
    async with switch.running(flags):
        stream = switch.proxy().stream(5)
        first = await anext(stream)
        await serve(admin, flags, "on")

        assert await switch.proxy().get("k") == "new"
        await until(lambda: not switch.status.variants["off"].open)
        assert sides.still_open() == ["old", "new"]
        assert {first} | {name async for name in stream} == {"old"}

        await until(lambda: sides.still_open() == ["new"])
    assert sides.misuses == []


async def test_a_factory_that_raises_five_times_is_called_six_times_and_costs_no_call(
    admin: Admin, slow_flags: Client, sides: Sides, clock: FakeClock
) -> None:
    await serve(admin, slow_flags, "on")
    sides.failing["new"] = OSError("no route to host")
    switch = switch_of(sides)
    async with switch.running(slow_flags):
        notes = switch.proxy()
        for _ in range(10_000):
            assert await notes.get("k") == "old"
            if sides.attempts["new"] == 5:
                break
            await clock.advance(0.5)
        del sides.failing["new"]
        with anyio.fail_after(PATIENCE_S):
            while await notes.get("k") == "old":
                await clock.advance(0.5)

        assert sides.attempts["new"] == 6
        assert switch.status.reasons[SelectionReason.FACTORY_FAILED] >= 5
        assert await notes.get("k") == "new"


async def test_a_factory_that_awaits_what_was_cancelled_costs_no_call_and_is_tried_again(
    admin: Admin, slow_flags: Client, sides: Sides, clock: FakeClock
) -> None:
    await serve(admin, slow_flags, "on")
    sides.failing["new"] = asyncio.CancelledError()
    switch = switch_of(sides)
    async with switch.running(slow_flags):
        assert await switch.proxy().get("k") == "old"
        assert switch.status.variants["on"].error == "RuntimeError: it was cancelled from within"

        del sides.failing["new"]
        with anyio.fail_after(PATIENCE_S):
            while await switch.proxy().get("k") == "old":
                await clock.advance(0.5)


async def test_a_factory_that_fails_is_not_tried_with_every_call(
    admin: Admin, slow_flags: Client, sides: Sides, clock: FakeClock
) -> None:
    await serve(admin, slow_flags, "on")
    sides.failing["new"] = OSError("no route to host")
    switch = switch_of(sides, random=lambda: 0.9)
    async with switch.running(slow_flags):
        for _ in range(1000):
            assert await switch.proxy().get("k") == "old"
        assert sides.attempts["new"] == 1

        for _ in range(120):
            await clock.advance(1)
            assert await switch.proxy().get("k") == "old"

    assert 8 <= sides.attempts["new"] <= 14


async def test_thirty_percent_are_thirty_percent_and_a_larger_share_moves_nobody_out(
    admin: Admin, flags: Client, sides: Sides
) -> None:
    switch, users = switch_of(sides), range(100_000)
    async with switch.running(flags):

        async def served_at(percent: int) -> set[int]:
            saved = await admin.put(
                {"key": "notes", "enabled": True, "otherwise": "off", "rules": [{"percent": percent}]}, reason="test"
            )
            await flags.wait_for(saved.token)
            return {user for user in users if switch.choose(Context(user_id=user)).variant == "on"}

        before, after = await served_at(30), await served_at(31)

    assert abs(len(before) / len(users) - 0.30) < 0.005
    assert before < after


# Choosing


async def test_a_context_without_an_id_is_served_the_default(admin: Admin, flags: Client, sides: Sides) -> None:
    await serve(admin, flags, "on")
    switch = switch_of(sides, by={"first": ["user_id", "session_id"]})
    async with switch.running(flags):
        assert await switch.proxy().get("k") == "old"
        assert switch.choose().reason is SelectionReason.NO_UNIT
        assert switch.status.reasons == {SelectionReason.NO_UNIT: 1}

        with flags.scope(Context(session_id="s")):
            assert await switch.proxy().get("k") == "new"


async def test_a_split_without_an_id_is_told_as_no_unit(admin: Admin, flags: Client, sides: Sides) -> None:
    weights = [["off", 50_000], ["on", 50_000]]
    saved = await admin.put({"key": "notes", "enabled": True, "otherwise": {"weights": weights}}, reason="test")
    await flags.wait_for(saved.token)
    switch = switch_of(sides)
    async with switch.running(flags):
        assert switch.choose().reason is SelectionReason.NO_UNIT


@pytest.mark.parametrize(
    ("flag", "reason"),
    [
        (None, SelectionReason.NO_VARIANT),
        ({"variants": {"on": True, "off": False, "third": True}, "otherwise": "third"}, "unknown_variant"),
        ({"otherwise": None}, SelectionReason.NO_VARIANT),
    ],
)
async def test_where_the_flag_names_nothing_that_could_serve_the_default_does(
    admin: Admin, flags: Client, sides: Sides, flag: dict[str, Any] | None, reason: SelectionReason
) -> None:
    if flag is not None:
        saved = await admin.put({"key": "notes", "enabled": True, **flag}, reason="test")
        await flags.wait_for(saved.token)
    switch = switch_of(sides)
    async with switch.running(flags):
        chosen = switch.choose()

        assert (chosen.variant, chosen.reason) == ("off", reason)
        assert await chosen.implementation.get("k") == "old"
        assert await switch.proxy().get("k") == "old"


async def test_a_variant_without_an_implementation_is_told_once(
    admin: Admin, flags: Client, sides: Sides, caplog: pytest.LogCaptureFixture
) -> None:
    variants = {"on": True, "off": False, "third": True}
    saved = await admin.put({"key": "notes", "enabled": True, "variants": variants, "otherwise": "third"})
    await flags.wait_for(saved.token, timeout=PATIENCE_S)
    switch = switch_of(sides)
    with caplog.at_level(logging.WARNING, "grayflow.release"):
        async with switch.running(flags):
            for _ in range(3):
                switch.choose()
                await switch.proxy().get("k")

    (record,) = caplog.records
    assert record.getMessage() == (
        "flag 'notes' serves 'third', for which its switch has no implementation (it has 'off', 'on'); "
        "'off' serves instead"
    )


@pytest.mark.parametrize("way", ["fixed", "proxy_of"])
def test_a_way_to_a_variant_that_does_not_exist_is_refused_at_once(sides: Sides, way: str) -> None:
    with pytest.raises(ConfigurationError, match="variant is 'nope'; name one of 'off', 'on'"):
        getattr(switch_of(sides), way)("nope")


async def test_a_choice_stays_with_its_implementation_whatever_the_flag_says_later(
    admin: Admin, flags: Client, sides: Sides
) -> None:
    await serve(admin, flags, "on")
    switch = switch_of(sides)
    async with switch.running(flags):
        chosen = switch.choose({"user_id": "u"})
        await serve(admin, flags, "off")

        assert (chosen.variant, chosen.reason, chosen.revision) == ("on", SelectionReason.DECIDED, 1)
        assert await chosen.implementation.get("k") == "new"
        assert await switch.proxy().get("k") == "old"


async def test_a_choice_in_a_scope_is_that_of_the_scope(admin: Admin, flags: Client, sides: Sides) -> None:
    await serve(admin, flags, "on")
    sides.failing["new"] = OSError("no route to host")
    switch = switch_of(sides)
    async with switch.running(flags):
        with flags.scope(Context(user_id="u")):
            assert await switch.proxy().get("k") == "old"
            del sides.failing["new"]
            chosen = switch.choose()

            assert (chosen.variant, chosen.reason) == ("off", SelectionReason.FACTORY_FAILED)


async def test_an_override_chooses(flags: Client, sides: Sides) -> None:
    switch = switch_of(sides, by="user_id")
    async with switch.running(flags):
        with flags.scope(Context(user_id="u")):
            assert await switch.proxy().get("k") == "old"
            with flags.override(notes=True):
                assert await switch.proxy().get("k") == "new"
            assert await switch.proxy().get("k") == "old"
        with flags.override(notes="on"):
            assert await switch.proxy().get("k") == "new"


async def test_an_attribute_that_has_to_be_fetched_is_fetched(admin: Admin, store: MemoryStore, sides: Sides) -> None:
    async def plan(context: Context) -> str:
        await checkpoint()
        return "pro" if context.user_id == "rich" else "free"

    pro = {"when": [{"type": "attribute", "name": "plan", "op": "in", "values": ["pro"]}], "serve": "on"}
    await admin.put({"key": "notes", "enabled": True, "otherwise": "off", "rules": [pro]}, reason="test")
    switch = switch_of(sides)
    async with Client(store, resolvers={"plan": plan}) as flags, switch.running(flags):
        for user, name in (("rich", "new"), ("poor", "old")):
            with flags.scope(Context(user_id=user)):
                assert await switch.proxy().get("k") == name
                assert switch.choose().implementation is not None
                assert await switch.proxy().get("k") == name


async def test_scopes_within_a_scope_share_its_choice_and_another_context_has_its_own(
    admin: Admin, flags: Client, sides: Sides
) -> None:
    only_u = {"when": [{"type": "attribute", "name": "user_id", "op": "in", "values": ["u"]}], "serve": "on"}
    saved = await admin.put({"key": "notes", "enabled": True, "otherwise": "off", "rules": [only_u]}, reason="test")
    await flags.wait_for(saved.token)
    switch = switch_of(sides)
    async with switch.running(flags):
        notes = switch.proxy()
        with flags.scope(Context(user_id="u")):
            with flags.scope():
                assert await notes.get("k") == "new"
            with flags.scope(Context(user_id="v")):
                assert await notes.get("k") == "old"
            assert await notes.get("k") == "new"
            assert switch.status.reasons == {SelectionReason.DECIDED: 2}


async def test_pinned_to_calls_a_scope_still_pins_the_flag(admin: Admin, flags: Client, sides: Sides) -> None:
    await serve(admin, flags, "on")
    switch = switch_of(sides, pin="call")
    async with switch.running(flags):
        with flags.scope(Context(user_id="u")):
            assert await switch.proxy().get("k") == "new"
            assert await switch.proxy().get("k") == "new"
            assert switch.status.reasons == {SelectionReason.DECIDED: 2}


async def test_the_tasks_of_a_scope_share_its_choice_though_the_factory_recovers_between_them(
    admin: Admin, flags: Client, sides: Sides
) -> None:
    await serve(admin, flags, "on")
    sides.held_up["new"] = anyio.Event()
    switch, names = switch_of(sides, open_timeout=0.05), []
    async with switch.running(flags):
        with flags.scope(Context(user_id="u")):
            async with anyio.create_task_group() as tasks:
                for _ in range(5):

                    async def call() -> None:
                        names.append(await switch.proxy().get("k"))

                    tasks.start_soon(call)
            sides.held_up["new"].set()
            await until(lambda: switch.status.variants["on"].open)
            names.append(await switch.proxy().get("k"))
        with flags.scope(Context(user_id="u")):
            assert await switch.proxy().get("k") == "new"

    assert names == ["old"] * 6


# Opening and closing


async def test_nothing_is_opened_before_it_is_called(admin: Admin, flags: Client, sides: Sides) -> None:
    await serve(admin, flags, "on")
    switch = switch_of(sides)
    async with switch.running(flags):
        switch.proxy()
        switch.choose()
        assert sides.attempts == {}

        await switch.proxy().get("k")
        assert sides.attempts == {"new": 1}


async def test_a_hundred_first_calls_open_once(admin: Admin, flags: Client, sides: Sides) -> None:
    await serve(admin, flags, "on")
    switch = switch_of(sides)
    async with switch.running(flags), anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(switch.proxy().get, "k")

    assert sides.attempts == {"new": 1}


async def test_a_caller_that_gives_up_does_not_stop_the_opening(admin: Admin, flags: Client, sides: Sides) -> None:
    await serve(admin, flags, "on")
    sides.held_up["new"] = anyio.Event()
    switch = switch_of(sides)
    async with switch.running(flags):
        with anyio.move_on_after(0.02) as gave_up:
            await switch.proxy().get("k")
        sides.held_up["new"].set()

        assert gave_up.cancelled_caught
        assert await switch.proxy().get("k") == "new"
        assert sides.attempts == {"new": 1}


async def test_a_factory_that_takes_too_long_is_waited_for_once(admin: Admin, flags: Client, sides: Sides) -> None:
    await serve(admin, flags, "on")
    sides.held_up["new"] = anyio.Event()
    switch = switch_of(sides, open_timeout=0.05)
    async with switch.running(flags):
        assert await switch.proxy().get("k") == "old"
        with anyio.fail_after(PATIENCE_S):
            for _ in range(1000):  # would take 50 s if each waited
                assert await switch.proxy().get("k") == "old"
        sides.held_up["new"].set()
        await until(lambda: switch.status.variants["on"].open)

        assert await switch.proxy().get("k") == "new"
        assert switch.status.reasons[SelectionReason.OPENING] == 1001


async def test_the_default_that_cannot_be_opened_is_an_error_with_its_cause(
    admin: Admin, slow_flags: Client, sides: Sides, clock: FakeClock
) -> None:
    await serve(admin, slow_flags, "off")
    sides.failing["old"] = OSError("no such directory")
    switch = switch_of(sides)
    async with switch.running(slow_flags):
        with pytest.raises(UnopenedError, match="OSError: no such directory") as caught:
            await switch.proxy().get("k")
        assert caught.value.__cause__ is sides.failing.pop("old")

        with anyio.fail_after(PATIENCE_S):
            while True:
                await clock.advance(1)
                try:
                    assert await switch.proxy().get("k") == "old"
                    break
                except UnopenedError:
                    continue


async def test_what_takes_too_long_to_end_is_closed_and_told(
    admin: Admin, slow_flags: Client, sides: Sides, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    await serve(admin, slow_flags, "off")
    switch = switch_of(sides, drain_timeout=30)
    async with switch.running(slow_flags):
        stream = switch.proxy().stream(3)
        await anext(stream)
        await serve(admin, slow_flags, "on")
        await until(lambda: not switch.status.variants["off"].open)
        await clock.advance(29)
        assert sides.still_open() == ["old"]
        with caplog.at_level(logging.WARNING):
            await clock.advance(2)

        assert sides.still_open() == []
        assert "'off' of 'notes' is closed although 1 calls still use it after 30 s" in caplog.text
        await stream.aclose()


async def test_a_scope_whose_implementation_was_closed_too_early_gets_the_same_one_again(
    admin: Admin, slow_flags: Client, sides: Sides, clock: FakeClock
) -> None:
    await serve(admin, slow_flags, "off")
    switch = switch_of(sides, drain_timeout=30)
    async with switch.running(slow_flags):
        with slow_flags.scope(Context(user_id="u")):
            await switch.proxy().get("k")
            await serve(admin, slow_flags, "on")
            await until(lambda: not switch.status.variants["off"].open)
            await clock.advance(31)
            assert sides.still_open() == []

            assert await switch.proxy().get("k") == "old"
        assert sides.misuses == []
        await clock.advance(200)
        assert sides.still_open() == []


async def test_an_open_scope_keeps_its_implementation_between_two_calls(
    admin: Admin, flags: Client, sides: Sides
) -> None:
    await serve(admin, flags, "off")
    switch = switch_of(sides)
    async with switch.running(flags):
        with flags.scope(Context(user_id="u")):
            await switch.proxy().get("k")
            await serve(admin, flags, "on")
            await until(lambda: not switch.status.variants["off"].open)
            for _ in range(100):
                await checkpoint()
            assert sides.still_open() == ["old"]
            assert await switch.proxy().get("k") == "old"
        await until(lambda: sides.still_open() == [])


async def test_a_flag_that_goes_back_before_the_old_side_is_closed_keeps_it(
    admin: Admin, flags: Client, sides: Sides
) -> None:
    await serve(admin, flags, "off")
    switch = switch_of(sides)
    async with switch.running(flags):
        async with switch.proxy().lock("k"):
            await serve(admin, flags, "on")
            await until(lambda: not switch.status.variants["off"].open)
            await serve(admin, flags, "off")
            await until(lambda: switch.status.variants["off"].open)
        await switch.proxy().get("k")

    assert sides.attempts["old"] == 1
    assert sides.misuses == []


async def test_what_expires_is_closed_when_its_time_is_over(
    admin: Admin, slow_flags: Client, sides: Sides, clock: FakeClock
) -> None:
    flag = {"key": "notes", "enabled": True, "expires_at": "2026-01-01T00:02:00Z"}
    saved = await admin.put(flag, reason="test")
    await slow_flags.wait_for(saved.token)
    switch = switch_of(sides)
    async with switch.running(slow_flags):
        assert await switch.proxy().get("k") == "new"
        await clock.advance(119)
        assert sides.still_open() == ["new"]
        await clock.advance(2)
        await until(lambda: sides.still_open() == [])

        assert await switch.proxy().get("k") == "old"


async def test_a_default_that_serves_although_the_flag_cannot_is_closed_after_a_while_without_calls(
    admin: Admin, slow_flags: Client, sides: Sides, clock: FakeClock
) -> None:
    await serve(admin, slow_flags, "on")
    switch = switch_of(sides, by="user_id")
    async with switch.running(slow_flags):
        for _ in range(10):
            assert await switch.proxy().get("k") == "old"
            await clock.advance(30)
        assert sides.attempts == {"old": 1}
        await clock.advance(200)

        assert sides.still_open() == []


async def test_an_implementation_whose_own_tasks_fail_is_opened_again(
    admin: Admin, slow_flags: Client, sides: Sides, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    breaks = anyio.Event()

    @asynccontextmanager
    async def fragile() -> AsyncIterator[Side]:
        async def watch() -> None:
            await breaks.wait()
            raise ConnectionError("the connection is gone")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            async with sides.factory("new")() as side:
                yield side
            tasks.cancel_scope.cancel()

    await serve(admin, slow_flags, "on")
    switch = ImplementationSwitch(
        Notes, flag="notes", variants={"off": sides.factory("old"), "on": fragile}, default="off"
    )
    async with switch.running(slow_flags):
        await switch.proxy().get("k")
        breaks.set()
        await until(lambda: sides.still_open() == [])
        breaks = anyio.Event()
        with anyio.fail_after(PATIENCE_S):
            while await switch.proxy().get("k") == "old":
                await clock.advance(1)

    assert sides.misuses == []
    assert "the connection is gone" in caplog.text


# The block


async def test_leaving_the_block_waits_for_calls_and_not_for_scopes(admin: Admin, flags: Client, sides: Sides) -> None:
    await serve(admin, flags, "off")
    switch, go_on, used = switch_of(sides), anyio.Event(), []

    async def use() -> None:
        async with switch.proxy().lock("k"):
            await go_on.wait()
            used.extend(sides.still_open())

    async def later() -> None:
        for _ in range(20):
            await checkpoint()
        go_on.set()

    async with anyio.create_task_group() as tasks:
        with flags.scope(Context(user_id="u")), anyio.fail_after(PATIENCE_S):
            async with switch.running(flags):
                tasks.start_soon(use)
                await until(lambda: switch.status.variants["off"].calls)
                tasks.start_soon(later)

            assert used == ["old"]
            with pytest.raises(LifetimeError, match="is not running"):
                await switch.proxy().get("k")
    assert sides.misuses == []
    assert sides.still_open() == []


async def test_the_error_of_the_body_leaves_the_block_as_it_is(flags: Client, sides: Sides) -> None:
    switch = switch_of(sides)

    async def fail() -> None:
        async with switch.running(flags):
            await switch.proxy().get("k")
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await fail()
    assert sides.still_open() == []


async def test_a_body_that_is_cancelled_closes_everything_in_order(flags: Client, sides: Sides) -> None:
    switch = switch_of(sides)
    with anyio.CancelScope() as scope:
        async with switch.running(flags):
            await switch.proxy().get("k")
            scope.cancel()
            await checkpoint()

    assert scope.cancelled_caught
    assert sides.still_open() == []
    assert len(sides.opened) == 1


async def test_a_switch_runs_once_at_a_time_and_again_afterwards(flags: Client, sides: Sides) -> None:
    switch = switch_of(sides)
    async with switch.running(flags):
        with pytest.raises(LifetimeError, match="is running already"):
            async with switch.running(flags):
                raise AssertionError
        assert await switch.proxy().get("k") == "old"
    async with switch.running(flags):
        assert await switch.proxy().get("k") == "old"

    assert sides.attempts == {"old": 2}


async def test_a_block_may_be_entered_in_one_task_and_left_in_another(flags: Client, sides: Sides) -> None:
    switch = switch_of(sides)
    block = switch.running(flags)
    await asyncio.wait({asyncio.get_running_loop().create_task(block.__aenter__())})
    assert await switch.proxy().get("k") == "old"
    await asyncio.wait({asyncio.get_running_loop().create_task(block.__aexit__(None, None, None))})

    assert sides.still_open() == []


async def test_what_is_being_opened_when_the_block_is_left_is_given_up(
    admin: Admin, flags: Client, sides: Sides
) -> None:
    await serve(admin, flags, "on")
    sides.held_up["new"] = anyio.Event()
    switch, told = switch_of(sides), []

    async def call() -> None:
        with pytest.raises(LifetimeError) as caught:
            await switch.proxy().get("k")
        told.append(str(caught.value))

    async with anyio.create_task_group() as tasks, switch.running(flags):
        tasks.start_soon(call)
        await until(lambda: sides.attempts)

    assert len(told) == 1


async def test_in_another_loop_an_open_implementation_is_called_and_nothing_is_opened(
    flags: Client, sides: Sides
) -> None:
    switch = switch_of(sides)
    async with switch.running(flags):
        with pytest.raises(LifetimeError, match="another event loop"):
            await anyio.to_thread.run_sync(asyncio.run, switch.proxy().get("k"))
        await switch.proxy().get("k")

        assert await anyio.to_thread.run_sync(asyncio.run, switch.proxy().get("k")) == "old"
