"""Counting calls end to end: what a service measures is what an admin reads."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Protocol

import anyio
import pytest
from anyio.lowlevel import checkpoint

from grayflow import (
    Admin,
    Client,
    ConfigurationError,
    Context,
    LifetimeError,
    MemoryStore,
    Reason,
    Stats,
    Tally,
    UnknownFlagError,
)
from grayflow.release import BreakerPolicy, Counters, FallbackGuard, ImplementationSwitch
from grayflow.testing import FakeClock
from tests.release.kit import PATIENCE_S, opening, until

pytestmark = pytest.mark.anyio

Served = tuple[Admin, Client]


class Shelf(Protocol):
    async def get(self, key: str) -> str: ...

    async def charge(self, key: str) -> str: ...

    def peek(self, key: str) -> str: ...


class Side:
    def __init__(self, name: str):
        self.name = name
        self.error: Exception | None = None
        self.hangs = False

    async def get(self, key: str) -> str:
        await checkpoint()
        return self.peek(key)

    async def charge(self, key: str) -> str:
        if self.hangs:
            await anyio.sleep_forever()
        return await self.get(key)

    def peek(self, key: str) -> str:
        if self.error is not None:
            raise self.error
        return self.name


class Sides:
    """A switch between two sides."""

    def __init__(self) -> None:
        self.old, self.new = Side("old"), Side("new")
        variants = {"off": opening(lambda: self.old), "on": opening(lambda: self.new)}
        self.switch = ImplementationSwitch(Shelf, flag="shelf", variants=variants, default="off")


async def total(admin: Admin, counters: Counters, variant: str = "on") -> Tally:
    await counters.flush()
    assert counters.status.trouble is None
    return (await admin.stats("shelf")).total(variant)


async def measured(flags: Client, counters: Counters, user: str | None, error: Exception | None = None) -> None:
    context = Context(user_id=user)
    try:
        with counters.measure(await flags.evaluate("shelf", context), context) as decision:
            assert decision.key == "shelf"
            if error is not None:
                raise error
    except OSError:
        pass


# Blocks that a flag decided about


async def test_what_is_measured_is_what_an_admin_reads(served: Served) -> None:
    admin, flags = served
    counters = Counters(flush_every=3600)
    async with counters.running(flags):
        for user in ("anna", "anna", "ben"):
            await measured(flags, counters, user)
        await measured(flags, counters, "ben", OSError("broken"))
        await measured(flags, counters, "ben", OSError("broken"))
        assert counters.status.waiting == 5
        found = await total(admin, counters)

        assert (found.calls, found.failures, found.units, found.failed_units) == (5, 2, 2, 1)
        assert found.latency.count == 5
        assert found.failure_ratio == 0.4
        assert counters.status.waiting == 0
        assert counters.status.told == 5
    assert (await admin.stats("shelf")).variants == ("on",)


async def test_a_unit_that_fails_in_two_processes_failed_once(served: Served) -> None:
    admin, flags = served
    one, other = Counters(flush_every=3600), Counters(flush_every=3600)
    async with one.running(flags), other.running(flags):
        await measured(flags, one, "anna", OSError("broken"))
        await measured(flags, other, "anna", OSError("broken"))
        await one.flush()
        found = await total(admin, other)

    assert (found.calls, found.failures, found.units, found.failed_units) == (2, 2, 2, 1)


async def test_what_is_left_is_told_when_the_block_is_left(served: Served) -> None:
    admin, flags = served
    counters = Counters(flush_every=3600)
    async with counters.running(flags):
        await measured(flags, counters, "anna")

    assert (await admin.stats("shelf")).total("on").calls == 1


async def test_it_is_told_every_few_seconds(served: Served) -> None:
    admin, flags = served
    counters = Counters(flush_every=0.05)
    async with counters.running(flags):
        await measured(flags, counters, "anna")
        await until(lambda: counters.status.told == 1)
        assert (await admin.stats("shelf")).total("on").calls == 1


async def test_versions_of_a_flag_and_ways_to_decide_it_are_told_apart(served: Served) -> None:
    admin, flags = served
    counters = Counters(flush_every=3600)
    async with counters.running(flags):
        await measured(flags, counters, "anna")
        document = {"key": "shelf", "enabled": True, "otherwise": {"weights": [["on", 50_000], ["off", 50_000]]}}
        saved = await admin.put(document, reason="half")
        await flags.wait_for(saved.token, timeout=PATIENCE_S)
        for number in range(20):
            await measured(flags, counters, f"u{number}")
        await counters.flush()
    stats = await admin.stats("shelf")

    assert stats.variants == ("off", "on")
    by_chance = {arm for arm in stats.arms if arm.chance}
    assert {arm.variant for arm in by_chance} == {"off", "on"}
    assert {arm.revision for arm in by_chance} == {saved.position.revision}
    assert sum(stats.arms[arm].calls for arm in by_chance) == 20
    (other,) = set(stats.arms) - by_chance
    assert other.variant == "on"
    assert other.revision < saved.position.revision


async def test_something_else_can_be_counted(served: Served) -> None:
    admin, flags = served
    counters = Counters(flush_every=3600)
    async with counters.running(flags):
        decision = flags.peek_decision("shelf")
        counters.mark(decision, "mismatch")
        counters.mark(decision, "mismatch", 2)
        counters.record(decision, {"user_id": "anna"}, failed=True, took=timedelta(milliseconds=3))
        found = await total(admin, counters)

        assert found.marks == {"mismatch": 3}
        assert (found.calls, found.failures, found.failed_units) == (1, 1, 1)
        assert found.latency.quantile(0.5) == pytest.approx(0.003, rel=0.19)
        with pytest.raises(ConfigurationError, match="name is 'Mis match'; give up to 40 lower-case letters"):
            counters.mark(decision, "Mis match")


# What does not count


async def test_a_caller_that_went_away_is_not_counted(admin: Admin, flags: Client) -> None:
    await admin.put({"key": "shelf", "enabled": True}, reason="release")
    counters = Counters(flush_every=3600)
    async with counters.running(flags):
        with anyio.CancelScope() as scope:
            with counters.measure(flags.peek_decision("shelf")):
                scope.cancel()
                await checkpoint()
        with flags.override(shelf=True), counters.measure(flags.peek_decision("shelf")) as decision:
            counters.mark(decision, "mismatch")

        assert (await flushed(admin, counters)).arms == {}


async def test_an_exception_that_is_an_answer_is_no_failure(admin: Admin, flags: Client) -> None:
    await admin.put({"key": "shelf", "enabled": True}, reason="release")
    counters = Counters(failures=LookupError, ignore=(KeyError,), flush_every=3600)
    async with counters.running(flags):
        for error in (IndexError("i"), KeyError("k"), OSError("o")):
            with pytest.raises(type(error)), counters.measure(flags.peek_decision("shelf")):
                raise error
        found = await total(admin, counters)

    assert (found.calls, found.failures) == (3, 1)


async def test_the_unit_is_that_of_the_scope_or_what_by_names(admin: Admin, flags: Client) -> None:
    await admin.put({"key": "shelf", "enabled": True}, reason="release")
    counters = Counters(by={"first": ["tenant_id", "user_id"]}, flush_every=3600)
    async with counters.running(flags):
        for context in (Context(user_id="a"), Context(user_id="b"), Context(user_id="b", tenant_id="t"), Context()):
            with flags.scope(context), counters.measure(flags.peek_decision("shelf")):
                pass
        with counters.measure(flags.peek_decision("shelf"), {"tenant_id": "t"}):
            pass
        with counters.measure(flags.peek_decision("shelf"), 5):  # type: ignore[arg-type]
            pass
        found = await total(admin, counters)

    assert (found.calls, found.units) == (6, 3)


async def test_outside_of_its_block_nothing_is_counted_and_nothing_breaks(admin: Admin, flags: Client) -> None:
    await admin.put({"key": "shelf", "enabled": True}, reason="release")
    counters = Counters(flush_every=3600)
    await measured(flags, counters, "anna")
    counters.mark(flags.peek_decision("shelf"), "mismatch")
    assert counters.status.running is False
    with pytest.raises(LifetimeError, match="the counters are not running"):
        await counters.flush()
    for _ in range(2):
        async with counters.running(flags):
            assert counters.status.running
            with pytest.raises(LifetimeError, match="running already"):
                async with counters.running(flags):
                    raise AssertionError
            assert counters.status.running
            assert await total(admin, counters) == Tally()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"by": 5}, "by is 5; give an attribute"),
        ({"failures": 5}, "failures is 5; give classes of exceptions"),
        ({"ignore": (int,)}, "give classes of exceptions"),
        ({"flush_every": 0}, "flush_every is 0.0 s; give at least 0.05 s"),
        ({"clock": 5}, "clock is 5"),
    ],
)
def test_what_cannot_be_used_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Counters(**options)

    assert words in str(caught.value)


def test_what_cannot_be_counted_is_refused() -> None:
    for method in (Counters().running, Counters().proxy):
        with pytest.raises(ConfigurationError, match="is 5; give"):
            method(5)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="counters is 5"):
        FallbackGuard(Sides().switch, new="on", old="off", counters=5)  # type: ignore[arg-type]


# Switches and guards


async def serve(admin: Admin, flags: Client, **document: Any) -> None:
    saved = await admin.put({"key": "shelf", "enabled": True, **document}, reason="test")
    await flags.wait_for(saved.token, timeout=PATIENCE_S)


@pytest.mark.parametrize("given", [True, None, "shelf"])
def test_what_is_no_decision_is_refused_before_the_block(given: Any) -> None:
    counters = Counters()

    for count in (counters.measure, counters.record, lambda decision: counters.mark(decision, "mismatches")):
        with pytest.raises(ConfigurationError, match=r"decision is .*; give what Client"):
            count(given)


async def test_the_calls_of_a_switch_are_counted_by_who_answered(admin: Admin, flags: Client) -> None:
    await serve(admin, flags, otherwise="off", targets={"on": ["anna"]})
    counters, sides = Counters(flush_every=3600), Sides()
    shelf = counters.proxy(sides.switch)
    async with sides.switch.running(flags), counters.running(flags):
        for user in ("anna", "ben", "dora"):
            with flags.scope(Context(user_id=user)):
                assert await shelf.get("k") == ("new" if user == "anna" else "old")
                assert shelf.peek("k") == ("new" if user == "anna" else "old")
        sides.new.error = OSError("broken")
        with flags.scope(Context(user_id="anna")):
            for call in (shelf.get, shelf.charge):
                with pytest.raises(OSError, match="broken"):
                    await call("k")
            with pytest.raises(OSError, match="broken"):
                shelf.peek("k")
        new, old = await total(admin, counters, "on"), await total(admin, counters, "off")

    assert (new.calls, new.failures, new.units, new.failed_units) == (5, 3, 1, 1)
    assert (old.calls, old.failures, old.units) == (4, 0, 2)
    assert isinstance(repr(shelf), str)


async def test_a_caller_of_a_switch_that_went_away_is_not_counted(admin: Admin, flags: Client) -> None:
    await serve(admin, flags)
    counters, sides = Counters(flush_every=3600), Sides()
    shelf = counters.proxy(sides.switch)
    async with sides.switch.running(flags), counters.running(flags):
        sides.new.hangs = True
        with anyio.move_on_after(0.01):
            await shelf.charge("k")

        assert await total(admin, counters) == Tally()
        assert sides.switch.status.variants["on"].calls == 0


async def test_a_failure_that_the_old_one_covered_is_charged_to_the_new_one(admin: Admin, flags: Client) -> None:
    await serve(admin, flags, otherwise={"weights": [["on", 50_000], ["off", 50_000]]})
    counters, sides = Counters(flush_every=3600), Sides()
    guard = FallbackGuard(
        sides.switch,
        new="on",
        old="off",
        safe=["get", "peek"],
        counters=counters,
        timeout=None,
        breaker=BreakerPolicy(minimum_calls=1000),
    )
    async with sides.switch.running(flags), counters.running(flags):
        sides.new.error = OSError("broken")
        for number in range(10):
            with flags.scope(Context(user_id=f"u{number}")):
                assert await guard.proxy().get("k") == "old"
                assert guard.proxy().peek("k") == "old"
            assert await guard.call({"user_id": f"u{number}"}, "get", "k") == "old"
        stats = await flushed(admin, counters)

    new, old = stats.total("on"), stats.total("off")
    assert 0 < new.units < 10
    assert (new.units, old.units) == (new.failed_units, 10 - new.units)
    assert (new.calls, old.calls) == (3 * new.units, 3 * old.units)
    assert (new.failures, old.failures) == (new.calls, 0)
    assert all(arm.chance for arm in stats.arms)
    assert new.latency.count == new.calls


async def flushed(admin: Admin, counters: Counters) -> Stats:
    await counters.flush()
    return await admin.stats("shelf")


@pytest.mark.parametrize("kind", ["ignored", "both failed", "times out", "cancelled"])
async def test_what_came_of_a_guarded_call_is_told_as_it_was_for_the_new_one(
    admin: Admin, flags: Client, kind: str
) -> None:
    await serve(admin, flags)
    counters, sides = Counters(flush_every=3600), Sides()
    guard = FallbackGuard(
        sides.switch,
        new="on",
        old="off",
        safe=["get"],
        counters=counters,
        ignore=KeyError,
        timeout=0.05 if kind == "times out" else None,
    )
    sides.new.error = KeyError("k") if kind == "ignored" else OSError("broken")
    sides.old.error = OSError("broken") if kind == "both failed" else None
    sides.new.hangs = kind in ("times out", "cancelled")
    async with sides.switch.running(flags), counters.running(flags):
        if kind == "cancelled":
            with anyio.CancelScope() as scope:
                scope.cancel()
                await guard.proxy().charge("k")
        else:
            with pytest.raises((KeyError, OSError)):
                await (guard.proxy().charge("k") if kind == "times out" else guard.proxy().get("k"))
        found = await total(admin, counters)

    expected = {"ignored": (1, 0), "both failed": (1, 1), "times out": (1, 1), "cancelled": (0, 0)}
    assert (found.calls, found.failures) == expected[kind]


async def test_calls_that_an_open_breaker_turned_away_are_known(admin: Admin, flags: Client) -> None:
    await serve(admin, flags)
    counters, sides = Counters(flush_every=3600), Sides()
    policy = BreakerPolicy(minimum_calls=5)
    guard = FallbackGuard(
        sides.switch, new="on", old="off", safe=["get"], counters=counters, breaker=policy, timeout=None
    )
    async with sides.switch.running(flags), counters.running(flags):
        sides.new.error = OSError("broken")
        for _ in range(8):
            assert await guard.proxy().get("k") == "old"
        found = await total(admin, counters)

    assert (found.calls, found.failures) == (5, 5)
    assert found.marks == {"turned_away": 3}


async def test_what_serves_for_want_of_another_was_chosen_by_nobody(admin: Admin, flags: Client) -> None:
    await serve(admin, flags, otherwise={"weights": [["on", 99_999], ["off", 1]]})
    assert flags.peek_decision("shelf", {"user_id": "anna"}).reason is Reason.SPLIT
    counters, sides = Counters(flush_every=3600), Sides()

    @asynccontextmanager
    async def broken() -> AsyncIterator[Side]:
        raise OSError("cannot be opened")
        yield

    variants: dict[str, Any] = {"off": opening(lambda: sides.old), "on": broken}
    switch = ImplementationSwitch(Shelf, flag="shelf", variants=variants, default="off")
    async with switch.running(flags), counters.running(flags):
        with flags.scope(Context(user_id="anna")):
            assert await counters.proxy(switch).get("k") == "old"
        stats = await flushed(admin, counters)

    (arm,) = stats.arms
    assert (arm.variant, arm.chance) == ("off", False)


# Reading


async def test_windows_are_aligned_and_complete(clock: FakeClock) -> None:
    async with MemoryStore(clock=clock) as store, Admin(store, actor="ada", clock=clock) as admin:
        await admin.put({"key": "shelf", "enabled": True}, reason="release")
        async with Client(store, clock=clock) as flags:
            counters = Counters(clock=clock, flush_every=1)
            async with counters.running(flags):
                for _ in range(10):
                    await measured(flags, counters, "anna")
                    await measured(flags, counters, "anna", OSError("broken"))
                    await clock.advance(60)
                await counters.flush()
                hour, last = await admin.stats("shelf"), await admin.stats("shelf", since=300)
                ten = await admin.stats("shelf", since=600, window=timedelta(minutes=5))

    assert len(hour.windows) == 60
    assert hour.window_s == 60
    assert [window.total("on").calls for window in hour.windows[-11:]] == [2] * 10 + [0]
    assert [window.total("on").units for window in hour.windows[-11:]] == [1] * 10 + [0]
    assert [window.total("on").failed_units for window in hour.windows[-11:]] == [1] + [0] * 10
    assert hour.total("on").calls == 20
    assert hour.end == clock.now()
    assert [window.start % 300_000_000_000 for window in ten.windows] == [0] * len(ten.windows)
    assert [window.total("on").calls for window in ten.windows] == [10, 10, 0]
    assert ten.window_s == 300
    assert last.total("on").calls == 8


@pytest.mark.parametrize(
    ("since", "columns", "width_s"),
    [(3600, 60, 60), (7200, 60, 120), (86_400, 48, 1800), (60, 1, 60), (18_000, 60, 300)],
)
async def test_the_width_of_windows_follows_from_how_far_one_looks(
    admin: Admin, since: float, columns: int, width_s: float
) -> None:
    await admin.put({"key": "shelf"}, reason="release")
    stats = await admin.stats("shelf", since=since)

    assert stats.window_s == width_s
    assert len(stats.windows) in (columns, columns + 1)
    assert stats.start <= stats.end - (since - 60) * 1e9
    assert (stats.variants, stats.total("on")) == ((), Tally())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"since": 59}, "since is 59.0 s; give at least 60 s"),
        ({"since": 90}, "since is 90 s; give whole minutes"),
        ({"since": 2_592_000}, "since is 2592000 s; give whole minutes, and at most a day"),
        ({"since": 86_460}, "since is 86460 s; give whole minutes, and at most a day"),
        ({"since": 60, "window": 120}, "window is 120 s, longer than all that is looked at: 60 s"),
        ({"window": "5m"}, "window is '5m'; give seconds"),
    ],
)
async def test_what_cannot_be_looked_at_is_refused(admin: Admin, options: dict[str, Any], words: str) -> None:
    await admin.put({"key": "shelf"}, reason="release")
    with pytest.raises(ConfigurationError) as caught:
        await admin.stats("shelf", **options)

    assert words in str(caught.value)


async def test_a_flag_that_never_was_is_told(admin: Admin) -> None:
    with pytest.raises(UnknownFlagError):
        await admin.stats("shelf")


async def test_counters_tell_what_they_are():
    counters = Counters()
    assert repr(counters) == "<Counters: not running, 0 calls told, 0 waiting, 0 lost>"

    flags = Client(MemoryStore())
    async with counters.running(flags):
        assert repr(counters) == "<Counters: running, 0 calls told, 0 waiting, 0 lost>"
