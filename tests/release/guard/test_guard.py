"""What a guard does with one call: whom it asks, what comes out, and what is held against whom."""

import asyncio
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from grayflow import ConfigurationError, Context, LifetimeError
from grayflow.release import (
    BreakerPolicy,
    BreakerState,
    FallbackGuard,
    FleetTrip,
    GuardEvent,
    ImplementationSwitch,
    Outcome,
    SelectionReason,
    idempotent,
    safe,
)
from tests.release.guard.kit import Shelf, Side, World, tripped
from tests.release.kit import PATIENCE_S, opening, until

pytestmark = pytest.mark.anyio


# Acceptance


async def test_of_a_hundred_callers_at_the_half_open_moment_exactly_the_probes_reach_the_new_one(world: World) -> None:
    async with world.serving(breaker=BreakerPolicy(probes=3, close_after=3, open_for=5)) as shelf:
        tripped(world)
        assert await shelf.get("k") == "old k"
        await world.clock.advance(6)
        world.new.wait, answers = anyio.Event(), []

        async def call() -> None:
            answers.append(await shelf.get("k"))

        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(call)
            await until(lambda: len(answers) == 97)
            assert world.new.calls == ["k"] * 3
            world.new.wait.set()

        assert sorted(answers) == ["new k"] * 3 + ["old k"] * 97
        assert world.state is BreakerState.CLOSED


@pytest.mark.parametrize("number", [3, 30, 300])
@pytest.mark.parametrize("half_open", [False, True], ids=["closed", "half-open"])
async def test_callers_that_go_away_change_nothing_and_take_no_permit_along(
    world: World, number: int, half_open: bool
) -> None:
    async with world.serving(breaker=BreakerPolicy(minimum_calls=3, probes=3)) as shelf:
        if half_open:
            tripped(world)
            await world.clock.advance(6)
        world.new.hangs = True
        async with anyio.create_task_group() as tasks:
            for _ in range(number):

                async def give_up() -> None:
                    with anyio.CancelScope() as scope:
                        tasks.start_soon(cancel_soon, scope)
                        await shelf.get("k")

                tasks.start_soon(give_up)

        assert world.state is (BreakerState.HALF_OPEN if half_open else BreakerState.CLOSED)
        assert world.outcomes == {Outcome.CANCELLED: 3 if half_open else number}
        world.new.hangs = False
        for _ in range(3):
            assert await shelf.get("k") == "new k"
        assert world.state is BreakerState.CLOSED


async def cancel_soon(scope: anyio.CancelScope) -> None:
    for _ in range(5):
        await checkpoint()
    scope.cancel()


async def test_three_failures_of_four_open_it_within_the_minimum_of_calls_and_one_bucket(world: World) -> None:
    policy = BreakerPolicy(window=30, buckets=10, minimum_calls=20, failure_ratio=0.5)
    async with world.serving(breaker=policy) as shelf:
        for number in range(1, 1000):
            world.new.error = OSError("broken") if number % 4 else None
            await shelf.get("k")
            await world.clock.advance(0.1)
            if world.state is BreakerState.OPEN:
                break

        assert number == 20


async def test_a_new_one_that_awaits_what_was_cancelled_has_failed_and_cancels_no_caller(world: World) -> None:
    async with world.serving() as shelf:
        world.new.error = asyncio.CancelledError()

        assert await shelf.get("k") == "old k"
        assert world.outcomes == {Outcome.FAILURE: 1}
        with pytest.raises(asyncio.CancelledError):
            await shelf.charge("card")

        assert world.old.calls == ["k"]
        assert world.outcomes == {Outcome.FAILURE: 2}


@pytest.mark.parametrize("way", ["times out", "raises"])
async def test_what_must_not_be_repeated_is_not_done_by_the_old_one(world: World, way: str) -> None:
    async with world.serving(timeout=0.05) as shelf:
        world.new.hangs, world.new.error = way == "times out", OSError("broken")
        with pytest.raises(TimeoutError if way == "times out" else OSError) as caught:
            await shelf.charge("card")

        assert world.old.calls == []
        assert "did not answer charge in 0.05 s" in str(caught.value) or caught.value is world.new.error
        assert world.outcomes == {Outcome.FAILURE: 1}


async def test_what_is_raised_is_the_very_exception_with_its_traceback(world: World) -> None:
    async with world.serving() as shelf:
        cause = KeyError("inner")
        world.new.error = OSError("broken")
        with pytest.raises(OSError, match="broken") as caught:
            await shelf.charge("k")
        assert caught.value is world.new.error
        assert caught.value.__cause__ is None
        assert [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)][-1] == "_answer"

        world.old.error = ValueError("old is broken too")
        with pytest.raises(ValueError, match="old is broken too") as both:
            await shelf.get("k")
        assert both.value is world.old.error
        assert both.value.__cause__ is world.new.error

        world.old.error = ValueError("with a cause of its own")
        world.old.error.__cause__ = cause
        with pytest.raises(ValueError, match="of its own") as caused:
            await shelf.get("k")
        assert caused.value.__cause__ is cause
        assert caused.value.__notes__ == ["'on' of 'shelf' had failed before: OSError: broken"]


# Falling back


@pytest.mark.parametrize("operation", ["get", "set"])
async def test_where_the_new_one_fails_the_old_one_answers(world: World, operation: str) -> None:
    async with world.serving() as shelf:
        world.new.error = OSError("broken")

        assert await getattr(shelf, operation)("k") == "old k"
        assert world.made.status.fallbacks == 1
        assert world.outcomes == {Outcome.FAILURE: 1}


async def test_where_the_new_one_takes_too_long_the_old_one_answers(world: World) -> None:
    async with world.serving(timeout=0.05) as shelf:
        world.new.hangs = True

        assert await shelf.get("k") == "old k"
        assert world.outcomes == {Outcome.FAILURE: 1}


async def test_the_old_one_gets_what_is_left_of_the_deadline(world: World) -> None:
    async with world.serving(timeout=0.05, deadline=0.1) as shelf:
        world.new.hangs = world.old.hangs = True
        with (
            anyio.fail_after(PATIENCE_S),
            pytest.raises(TimeoutError, match=r"within what was left of 0\.1 s") as caught,
        ):
            await shelf.get("k")

        assert "'on' of 'shelf' did not answer get in 0.05 s" in str(caught.value.__cause__)
        assert world.outcomes == {Outcome.BOTH_FAILED: 1}


async def test_with_nothing_left_of_the_deadline_the_error_of_the_new_one_is_the_answer(world: World) -> None:
    async with world.serving(timeout=0.05, deadline=0.05) as shelf:
        world.new.hangs = True
        with pytest.raises(TimeoutError, match=r"'on' of 'shelf' did not answer get in 0\.05 s"):
            await shelf.get("k")

        assert world.old.calls == []
        assert world.outcomes == {Outcome.FAILURE: 1}


async def test_an_outage_of_both_sides_is_held_against_neither(world: World) -> None:
    async with world.serving(breaker=BreakerPolicy(minimum_calls=3)) as shelf:
        world.new.error = world.old.error = OSError("the network")
        world.old.error = OSError("the network, seen from here")
        for _ in range(300):
            with pytest.raises(OSError, match="seen from here"):
                await shelf.get("k")

        assert world.state is BreakerState.CLOSED
        assert world.outcomes == {Outcome.BOTH_FAILED: 300}


async def test_an_answer_of_the_old_one_that_is_an_exception_leaves_the_failure_with_the_new_one(world: World) -> None:
    async with world.serving(ignore=(KeyError,)) as shelf:
        world.new.error, world.old.error = OSError("broken"), KeyError("k")
        with pytest.raises(KeyError):
            await shelf.get("k")

        assert world.outcomes == {Outcome.FAILURE: 1}
        assert world.made.status.fallbacks == 1


@pytest.mark.parametrize("options", [{"ignore": KeyError}, {"failures": (OSError,)}])
async def test_an_exception_that_is_no_failure_is_the_callers_answer(world: World, options: dict[str, Any]) -> None:
    async with world.serving(breaker=BreakerPolicy(minimum_calls=3), **options) as shelf:
        world.new.error = KeyError("k")
        for _ in range(30):
            with pytest.raises(KeyError):
                await shelf.get("k")

        assert (world.old.calls, world.state) == ([], BreakerState.CLOSED)
        assert world.outcomes == {Outcome.IGNORED: 30}


async def test_a_caller_that_goes_away_while_the_old_one_answers_says_nothing(world: World) -> None:
    async with world.serving() as shelf:
        world.new.error, world.old.hangs = OSError("broken"), True
        with anyio.move_on_after(0.05) as scope:
            await shelf.get("k")

        assert scope.cancelled_caught
        assert world.outcomes == {Outcome.CANCELLED: 1}


@pytest.mark.parametrize(("fallback", "answer"), [("never", None), ("always", "old k")])
async def test_the_rule_may_be_never_or_always(world: World, fallback: Any, answer: str | None) -> None:
    async with world.serving(fallback=fallback) as shelf:
        world.new.error = OSError("broken")
        for operation in (shelf.get, shelf.charge):
            if answer is None:
                with pytest.raises(OSError, match="broken"):
                    await operation("k")
            else:
                assert await operation("k") == answer


async def test_operations_may_be_named_instead_of_marked(world: World) -> None:
    for options in ({"safe": ["charge"]}, {"idempotent": ["charge"]}):
        async with world.serving(**options) as shelf:
            world.new.error = OSError("broken")
            assert await shelf.charge("k") == "old k"
            world.new.error = None


async def test_slow_answers_are_answers_and_open_the_breaker(world: World) -> None:
    world.new.clock = world.clock
    async with world.serving(slow_call=0.1, breaker=BreakerPolicy(minimum_calls=5, slow_ratio=0.8)) as shelf:
        world.new.takes_s = 0.2
        for _ in range(5):
            assert await shelf.get("k") == "new k"

        assert world.outcomes == {Outcome.SLOW: 5}
        assert world.state is BreakerState.OPEN
        assert await shelf.get("k") == "old k"


async def test_a_synchronous_method_falls_back_too(world: World) -> None:
    async with world.serving(breaker=BreakerPolicy(minimum_calls=3)) as shelf:
        assert shelf.peek("k") == "new k"
        world.new.error = OSError("broken")
        assert shelf.peek("k") == "old k"
        world.old.error = OSError("broken too")
        with pytest.raises(OSError, match="broken too"):
            shelf.peek("k")
        world.old.error = None
        assert [shelf.peek("k") for _ in range(3)] == ["old k"] * 3

        assert world.state is BreakerState.OPEN
        assert world.outcomes == {Outcome.SUCCESS: 1, Outcome.FAILURE: 2, Outcome.BOTH_FAILED: 1}
        assert world.made.status.turned_away == 2


async def test_the_reason_why_a_breaker_opened_is_an_event(world: World) -> None:
    async with world.serving(breaker=BreakerPolicy(minimum_calls=3)) as shelf:
        world.new.error = OSError("broken")
        for _ in range(4):
            await shelf.get("k")
        await world.clock.advance(6)
        world.new.error = None
        for _ in range(3):
            await shelf.get("k")

        assert [event.kind for event in world.events] == ["opened", "half_opened", "closed"]
        assert {(event.flag, event.variant) for event in world.events} == {("shelf", "on")}
        assert "3 of 3 calls failed within 30 s" in world.events[0].why


async def test_a_handler_of_events_that_raises_costs_no_call(world: World, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: GuardEvent) -> None:
        raise ValueError("handler")

    async with world.serving(breaker=BreakerPolicy(minimum_calls=1), on_event=fail) as shelf:
        world.new.error = OSError("broken")
        assert await shelf.get("k") == "old k"

    assert "the handler of guard events raised" in caplog.text


# Streams


async def test_a_stream_that_fails_before_its_first_item_is_the_old_ones(world: World) -> None:
    async with world.serving() as shelf:
        assert [item async for item in shelf.stream("k")] == ["new 0", "new 1", "new 2"]
        world.new.error = OSError("broken")

        assert [item async for item in shelf.stream("first")] == ["old 0", "old 1", "old 2"]
        assert world.outcomes == {Outcome.SUCCESS: 1, Outcome.FAILURE: 1}
        assert (world.new.ended, world.old.ended) == (2, 1)
        assert {one.calls for one in world.switch.status.variants.values()} == {0}


async def test_a_stream_that_fails_later_is_the_callers_and_held_against_the_new_one(world: World) -> None:
    async with world.serving(breaker=BreakerPolicy(minimum_calls=4, failure_ratio=0.5)) as shelf:
        world.new.error = OSError("broken")
        for _ in range(2):
            stream = shelf.stream("later")
            assert await anext(stream) == "new 0"
            with pytest.raises(OSError, match="broken"):
                await anext(stream)

        assert world.outcomes == {Outcome.SUCCESS: 2, Outcome.FAILURE: 2}
        assert world.state is BreakerState.OPEN
        world.old.error = None
        assert [item async for item in shelf.stream("k")] == ["old 0", "old 1", "old 2"]


async def test_a_stream_that_fails_on_both_sides_is_held_against_neither(world: World) -> None:
    async with world.serving() as shelf:
        world.new.error, world.old.error = OSError("broken"), OSError("broken too")
        with pytest.raises(OSError, match="broken too") as caught:
            await anext(shelf.stream("first"))

        assert caught.value.__cause__ is world.new.error
        assert world.outcomes == {Outcome.BOTH_FAILED: 1}
        assert {one.calls for one in world.switch.status.variants.values()} == {0}


async def test_a_stream_that_is_dropped_ends_on_its_side(world: World) -> None:
    async with world.serving() as shelf:
        stream: Any = shelf.stream("k")
        await anext(stream)
        await stream.aclose()

        assert world.new.ended == 1
        assert world.outcomes == {Outcome.SUCCESS: 1}


# Whom the flag chose


async def test_where_the_flag_chose_the_old_one_nothing_is_added(world: World) -> None:
    async with world.serving(timeout=0.01, deadline=0.01) as shelf:
        world.old.wait = anyio.Event()
        with world.flags.override(shelf=False):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(shelf.get, "k")
                with anyio.move_on_after(0.1):
                    await anyio.sleep_forever()
                world.old.wait.set()

        assert world.old.calls == ["k"]
        assert world.outcomes == {}


async def test_a_call_can_be_made_for_a_context(world: World) -> None:
    async with world.serving():
        world.new.error = OSError("broken")

        assert await world.made.call(Context(user_id="u"), "get", "k") == "old k"
        with pytest.raises(OSError, match="broken"):
            await world.made.call(None, "charge", key="k")
        with world.flags.override(shelf=False):
            assert await world.made.call({"user_id": "u"}, "charge", "k") == "old k"
        for operation in ("peek", "nothing"):
            with pytest.raises(ConfigurationError, match=f"operation is '{operation}'; name an async method of Shelf"):
                await world.made.call(None, operation, "k")

    with pytest.raises(LifetimeError):
        await world.made.call(None, "get", "k")


async def test_a_choice_says_that_the_breaker_made_it(world: World) -> None:
    async with world.serving():
        chosen = world.made.choose()
        assert (chosen.variant, chosen.reason) == ("on", SelectionReason.DECIDED)
        world.new.error = OSError("broken")
        assert await chosen.implementation.get("k") == "old k"

        tripped(world)
        turned = world.made.choose({"user_id": "u"})
        assert (turned.variant, turned.reason, turned.decision.value) == ("off", SelectionReason.BREAKER_OPEN, True)
        assert await turned.implementation.get("k") == "old k"
        await world.clock.advance(6)
        assert world.made.choose().variant == "on"
        with world.flags.override(shelf=False):
            assert world.made.choose().reason is SelectionReason.DECIDED


async def test_switch_and_guard_tell_what_they_are(world: World) -> None:
    told = "<ImplementationSwitch of 'shelf': 'off', 'on', by default 'off'; {}>"
    assert repr(world.switch) == told.format("not running")
    async with world.serving():
        assert repr(world.switch) == told.format("running")
        assert repr(world.made) == "<FallbackGuard of 'shelf': 'on', else 'off'; closed>"
        world.made.isolate()
        assert repr(world.made) == "<FallbackGuard of 'shelf': 'on', else 'off'; isolated>"


async def test_isolated_by_hand_nothing_reaches_the_new_one_until_it_is_reset(world: World) -> None:
    async with world.serving() as shelf:
        world.made.isolate()
        await world.clock.advance(10_000)
        assert await shelf.get("k") == "old k"
        world.made.reset()

        assert await shelf.get("k") == "new k"


async def test_a_new_one_that_cannot_be_opened_is_replaced_without_being_blamed(world: World) -> None:
    @asynccontextmanager
    async def broken() -> AsyncIterator[Side]:
        raise OSError("no route to host")
        yield

    switch = ImplementationSwitch(
        Shelf, flag="shelf", variants={"off": opening(lambda: world.old), "on": broken}, default="off"
    )
    guard = FallbackGuard(switch, new="on", old="off", clock=world.clock)
    async with switch.running(world.flags):
        with world.flags.override(shelf=True):
            for _ in range(50):
                assert await guard.proxy().get("k") == "old k"

    assert guard.status.state is BreakerState.CLOSED
    assert guard.status.outcomes == {}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"new": "third"}, "new is 'third'; name a variant of the switch: 'off', 'on'"),
        ({"old": "on"}, "new and old are both 'on'"),
        ({"timeout": 0}, "timeout is 0.0 s"),
        ({"deadline": "soon"}, "deadline is 'soon'"),
        ({"failures": [OSError]}, "failures is a list; give classes of exceptions, such as (OSError, TimeoutError)"),
        ({"ignore": (KeyboardInterrupt,)}, "one of ignore is the class KeyboardInterrupt; give classes of exceptions"),
        ({"slow_call": -1}, "slow_call is -1"),
        ({"breaker": 5}, "breaker is 5"),
        ({"fallback": "sometimes"}, "fallback is 'sometimes'"),
        ({"safe": "get"}, "safe is 'get'; give a list"),
        ({"idempotent": ["gett"]}, "Shelf has no member 'gett'; it has 'get', 'set', 'charge', 'peek', 'stream'"),
        ({"fleet": 3}, "fleet is 3"),
        ({"on_event": 3}, "on_event is 3; give a function of a GuardEvent"),
        (
            {"on_event": anyio.aclose_forcefully},
            "give a function that is not async: it is called where nothing can be awaited",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_remedy(world: World, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        FallbackGuard(world.switch, **{"new": "on", "old": "off", **options})

    assert words in str(caught.value)


@pytest.mark.parametrize("mark", [safe, idempotent])
@pytest.mark.parametrize("given", [3, Side, property(len)])
def test_what_is_no_method_takes_no_mark(mark: Any, given: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"what @{mark.__name__} decorates is .*; give a method"):
        mark(given)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "needs an Admin to do it with: FleetTrip(admin=...)"),
        ({"action": "explode"}, "action is 'explode'; give 'off' or 'report'"),
        ({"action": "report", "quorum": 1.5}, "quorum is 1.5"),
        ({"action": "report", "at_least": 0}, "at_least is 0"),
        ({"action": "report", "within": 0}, "within is 0.0 s"),
    ],
)
def test_a_trip_that_cannot_be_used_is_refused_with_the_remedy(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        FleetTrip(**options)

    assert words in str(caught.value)
