"""Which side answers in the cases at the edge, what is held against the new one, and what is not."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import anyio
import pytest

from grayflow import Client, ConfigurationError
from grayflow.release import (
    BreakerPolicy,
    BreakerState,
    FallbackGuard,
    FleetTrip,
    ImplementationSwitch,
    Outcome,
    SelectionReason,
    safe,
)
from grayflow.release.guard.events import Herald
from grayflow.release.guard.quorum import Count, Order, Report, count, order_name, read_told
from tests.release.guard.kit import World, tripped
from tests.release.kit import opening

pytestmark = pytest.mark.anyio


# Synchronous methods


async def test_a_method_that_fails_on_both_sides_is_held_against_neither(world: World) -> None:
    async with world.serving() as shelf:
        world.new.error, world.old.error = OSError("broken"), OSError("broken too")
        with pytest.raises(OSError, match="broken too") as caught:
            shelf.peek("k")

        assert caught.value.__cause__ is world.new.error
        assert world.outcomes == {Outcome.BOTH_FAILED: 1}


async def test_a_method_whose_exception_is_an_answer_is_not_repeated(world: World) -> None:
    async with world.serving(ignore=KeyError) as shelf:
        world.new.error = KeyError("k")
        with pytest.raises(KeyError):
            shelf.peek("k")

        assert world.old.calls == []
        assert world.outcomes == {Outcome.IGNORED: 1}


async def test_a_method_that_must_not_be_repeated_is_not(world: World) -> None:
    async with world.serving(fallback="never") as shelf:
        world.new.error = OSError("broken")
        with pytest.raises(OSError, match="broken"):
            shelf.peek("k")

        assert world.old.calls == []


async def test_methods_that_are_turned_away_go_to_the_old_one(world: World) -> None:
    async with world.serving() as shelf:
        tripped(world)

        assert shelf.peek("k") == "old k"
        assert await shelf.get("k") == "old k"
        assert world.made.status.turned_away == 2


async def test_methods_go_where_the_flag_says(world: World) -> None:
    async with world.serving() as shelf:
        with world.flags.override(shelf=False):
            assert shelf.peek("k") == "old k"
            assert await shelf.get("k") == "old k"
            assert await world.made.call(None, "get", "k") == "old k"

        assert world.outcomes == {}


# Outcomes


async def test_a_timeout_is_a_failure_whatever_exceptions_count(world: World) -> None:
    async with world.serving(timeout=0.02, failures=ValueError) as shelf:
        world.new.hangs = True

        assert await shelf.get("k") == "old k"
        assert world.outcomes == {Outcome.FAILURE: 1}


@pytest.mark.parametrize(("takes_s", "outcome"), [(0.0, "success"), (0.5, "success"), (0.75, "slow")])
async def test_slow_is_what_takes_longer_than_it_may(world: World, takes_s: float, outcome: str) -> None:
    async with world.serving(slow_call=0.5) as shelf:
        world.new.clock, world.new.takes_s = world.clock, takes_s
        await shelf.get("k")

        assert world.outcomes == {outcome: 1}


async def test_a_failure_that_took_long_is_slow_as_well(world: World) -> None:
    policy = BreakerPolicy(minimum_calls=4, failure_ratio=1.0, slow_ratio=0.5)
    async with world.serving(slow_call=0.5, breaker=policy, fallback="always") as shelf:
        world.new.clock = world.clock
        for takes_s, error in [(0.0, None), (0.0, None), (0.75, None), (0.75, OSError("broken"))]:
            world.new.takes_s, world.new.error = takes_s, error
            await shelf.get("k")

        assert world.state is BreakerState.OPEN
        assert "2 of 4 calls were slow" in world.events[0].why


async def test_one_exception_that_both_sides_raise_is_the_new_ones_failure_and_not_its_own_cause(world: World) -> None:
    async with world.serving() as shelf:
        world.new.error = world.old.error = OSError("the pool that both use is closed")
        with pytest.raises(OSError, match="closed") as caught:
            await shelf.get("k")

        assert caught.value.__cause__ is None
        assert world.outcomes == {Outcome.FAILURE: 1}


# Streams


async def test_a_stream_that_fails_later_on_the_old_side_says_nothing_about_the_new_one(world: World) -> None:
    async with world.serving() as shelf:
        world.new.error = OSError("broken")
        stream = shelf.stream("first")
        assert await anext(stream) == "old 0"
        assert world.switch.status.variants["on"].calls == 0
        world.old.error = OSError("broken too")
        with pytest.raises(OSError, match="broken too"):
            await anext(stream)

        assert world.outcomes == {Outcome.FAILURE: 1}


async def test_an_exception_of_a_stream_that_is_an_answer_is_the_callers(world: World) -> None:
    async with world.serving(ignore=KeyError) as shelf:
        world.new.error = KeyError("k")
        with pytest.raises(KeyError):
            await anext(shelf.stream("first"))
        assert world.outcomes == {Outcome.IGNORED: 1}
        stream = shelf.stream("later")
        await anext(stream)
        with pytest.raises(KeyError):
            await anext(stream)

        assert world.outcomes == {Outcome.IGNORED: 1, Outcome.SUCCESS: 1}
        assert world.made.status.window.failures == 0
        assert world.old.calls == []


async def test_a_stream_that_must_not_be_repeated_is_not(world: World) -> None:
    async with world.serving(fallback="never") as shelf:
        world.new.error = OSError("broken")
        with pytest.raises(OSError, match="broken"):
            await anext(shelf.stream("first"))

        assert world.old.calls == []
        assert world.outcomes == {Outcome.FAILURE: 1}


class Talk(Protocol):
    @safe
    def talk(self) -> AsyncIterator[str]: ...

    @safe
    async def feed(self) -> AsyncIterator[str]: ...

    @safe
    def refuse(self) -> AsyncIterator[str]: ...


class Items:
    """An iterator that is no generator: it may fail and go on, and has to be closed."""

    def __init__(self, owner: "Talker") -> None:
        self._owner = owner
        self._heard = "nothing"

    def __aiter__(self) -> "Items":
        return self

    async def __anext__(self) -> str:
        return await self.asend(None)

    async def asend(self, value: str | None) -> str:
        if self._owner.broken:
            raise OSError("broken")
        if value == "stop":
            raise StopAsyncIteration
        self._heard = value or self._heard
        return f"{self._owner.name} heard {self._heard}"

    async def aclose(self) -> None:
        self._owner.log.append(f"{self._owner.name} closed")


class Talker:
    """One side of `Talk`."""

    def __init__(self, name: str, log: list[str]):
        self.name, self.log = name, log
        self.broken = False

    def talk(self) -> AsyncIterator[str]:
        self.log.append(f"{self.name} begins")
        return Items(self)

    async def feed(self) -> AsyncIterator[str]:
        return self.talk()

    def refuse(self) -> AsyncIterator[str]:
        raise OSError("no")


@asynccontextmanager
async def talking() -> AsyncIterator[tuple[Any, Talker, Talker, FallbackGuard[Talk], Client]]:
    log: list[str] = []
    old, new = Talker("old", log), Talker("new", log)

    flags = Client("memory://")
    variants: Any = {"off": opening(lambda: old), "on": opening(lambda: new)}
    switch = ImplementationSwitch(Talk, flag="talk", variants=variants, default="off")
    guard = FallbackGuard(switch, new="on", old="off", timeout=None)
    async with switch.running(flags):
        with flags.override(talk=True):
            yield guard.proxy(), new, old, guard, flags
        assert {one.calls for one in switch.status.variants.values()} <= {0}


async def test_what_is_sent_into_a_stream_arrives_and_its_end_is_its_end() -> None:
    async with talking() as (shelf, *_):
        stream = shelf.talk()

        assert await anext(stream) == "new heard nothing"
        assert await stream.asend("you") == "new heard you"
        with pytest.raises(StopAsyncIteration):
            await stream.asend("stop")


async def test_a_stream_that_failed_is_closed_before_the_old_one_begins() -> None:
    async with talking() as (shelf, new, _, guard, __):
        new.broken = True
        stream = shelf.talk()
        assert await anext(stream) == "old heard nothing"
        assert guard.switch.status.variants["on"].calls == 0
        await stream.aclose()

        assert new.log == ["new begins", "new closed", "old begins", "old closed"]


async def test_a_stream_that_is_awaited_first_goes_where_the_flag_says_and_holds_its_side() -> None:
    async with talking() as (shelf, new, _, guard, __):
        stream = await shelf.feed()
        assert guard.switch.status.variants["on"].calls == 1
        assert await anext(stream) == "new heard nothing"
        await stream.aclose()
        new.broken = True
        stream = await shelf.feed()
        with pytest.raises(OSError, match="broken"):
            await anext(stream)
        await stream.aclose()

        assert guard.status.outcomes == {}


async def test_a_stream_that_the_old_one_refuses_leaves_nothing_behind() -> None:
    async with talking() as (shelf, _, __, guard, flags):
        for value in (True, False):
            with flags.override(talk=value), pytest.raises(OSError, match="no"):
                await anext(shelf.refuse())
            assert {one.calls for one in guard.switch.status.variants.values()} <= {0}


# Choices, names, records


async def test_where_the_flag_chose_the_old_one_the_breaker_did_not(world: World) -> None:
    async with world.serving():
        tripped(world)
        with world.flags.override(shelf=False):
            chosen = world.made.choose()

        assert (chosen.variant, chosen.reason) == ("off", SelectionReason.DECIDED)


async def test_the_breaker_that_has_all_its_probes_out_chooses_the_old_one(world: World) -> None:
    async with world.serving(breaker=BreakerPolicy(probes=1)) as shelf:
        tripped(world)
        await world.clock.advance(6)
        assert world.made.choose().variant == "on"
        world.new.wait = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(shelf.get, "k")
            await anyio.wait_all_tasks_blocked()
            assert world.made.choose().reason is SelectionReason.BREAKER_OPEN
            world.new.wait.set()


@pytest.mark.parametrize("given", [5, "get", None])
def test_names_of_members_are_a_list(world: World, given: Any) -> None:
    with pytest.raises(ConfigurationError, match="give a list of names of members"):
        world.guard(safe=given)


@pytest.mark.parametrize("given", [0, 1.5, True, "3", None])
def test_the_least_number_of_open_breakers_is_a_whole_number(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="give a whole number from 1"):
        FleetTrip(action="report", at_least=given)


def test_a_share_of_the_living_is_not_rounded_up_by_an_error_of_floats() -> None:
    assert 0.07 * 100 > 7
    assert FleetTrip(action="report", quorum=0.07, at_least=1).reached(Count(7, 100))


def test_only_reports_on_the_same_implementation_are_counted() -> None:
    reports = [
        Report(flag="a", variant="on", open=True),
        Report(flag="a", variant="on", open=False),
        Report(flag="a", variant="new", open=True),
        Report(flag="b", variant="on", open=True),
        Order(flag="a", variant="on", isolate=True),
    ]

    assert count(reports, "a", "on") == Count(1, 2)
    assert len({order_name("a", "on"), order_name("a", "off"), order_name("b", "on")}) == 3


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"\xff",
        b'{"type": "report"}',
        b'{"type": "report", "flag": "\xff", "variant": "on", "open": true}',
        b'{"type": "somebody else"}',
        b'{"type": "order", "flag": "a", "variant": "on", "isolate": true, "x": ' + b"[" * 100_000,
    ],
)
def test_records_of_others_are_passed_over(value: bytes) -> None:
    assert read_told(value) is None


@pytest.mark.parametrize(
    ("kind", "level"),
    [
        ("opened", logging.WARNING),
        ("isolated", logging.WARNING),
        ("half_opened", logging.INFO),
        ("closed", logging.INFO),
        ("fleet_tripped", logging.ERROR),
        ("fleet_would_trip", logging.ERROR),
    ],
)
def test_what_is_worse_is_logged_louder(caplog: pytest.LogCaptureFixture, kind: Any, level: int) -> None:
    with caplog.at_level(logging.DEBUG, "grayflow.release"):
        Herald("shelf", "on", None).tell(kind, "why")

    assert [(record.levelno, record.name) for record in caplog.records] == [(level, "grayflow.release")]
