"""When breakers of processes switch the flag off: several guards on one store, with time moved by hand."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

import pytest

from grayflow import Admin, Client, Flag, LifetimeError, MemoryStore
from grayflow.release import BreakerPolicy, BreakerState, FallbackGuard, FleetTrip, GuardEvent, ImplementationSwitch
from grayflow.release.guard.quorum import BREAKERS, Count
from grayflow.testing import FakeClock, Faulty
from tests.release.kit import opening, until

pytestmark = pytest.mark.anyio


class Shelf(Protocol):
    async def get(self, key: str) -> str: ...


class Side:
    def __init__(self, name: str):
        self.name = name
        self.broken = False

    async def get(self, key: str) -> str:
        if self.broken:
            raise OSError(f"{self.name} is broken")
        return self.name


class Process:
    """What one process would have: a client, a switch and a guard."""

    def __init__(self, store: Any, clock: FakeClock, **trip: Any):
        self.flags = Client(store, clock=clock)
        self.old, self.new = Side("old"), Side("new")
        variants = {"off": opening(lambda: self.old), "on": opening(lambda: self.new)}
        self.switch = ImplementationSwitch(Shelf, flag="shelf", variants=variants, default="off")
        self.events: list[GuardEvent] = []
        self.guard = FallbackGuard(
            self.switch,
            new="on",
            old="off",
            safe=["get"],
            timeout=None,
            clock=clock,
            breaker=BreakerPolicy(minimum_calls=5, open_for=1000, open_for_at_most=1000),
            fleet=FleetTrip(**trip) if trip else None,
            on_event=self.events.append,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with self.flags, self.switch.running(self.flags), self.guard.running(self.flags):
            yield

    async def work(self, calls: int = 20) -> None:
        for _ in range(calls):
            try:
                await self.guard.proxy().get("k")
            except OSError:
                continue

    @property
    def open(self) -> bool:
        return self.guard.status.state is BreakerState.OPEN


class Fleet:
    """Ten processes on one store."""

    def __init__(self, store: MemoryStore, admin: Admin, clock: FakeClock, stack: AsyncExitStack):
        self.store, self.admin, self.clock, self._stack = store, admin, clock, stack
        self.processes: list[Process] = []

    async def start(self, number: int = 10, **trip: Any) -> list[Process]:
        given = {"admin": self.admin, "quorum": 0.3, "at_least": 3, "within": 30, **trip}
        await self.admin.put({"key": "shelf", "enabled": True}, reason="release")
        for _ in range(number):
            process = Process(self.store, self.clock, **given)
            await self._stack.enter_async_context(process.running())
            self.processes.append(process)
        await self.work()
        await self.clock.advance(1)
        return self.processes

    async def work(self) -> None:
        for process in self.processes:
            await process.work()

    async def enabled(self) -> bool:
        return (await self.admin.flags())["shelf"].enabled

    async def records(self) -> list[dict[str, Any]]:
        board = self.store.board
        assert board is not None
        return [json.loads(record.value) for record in (await board.list(BREAKERS)).records.values()]

    async def reports(self) -> int:
        board = self.store.board
        assert board is not None
        return len((await board.list(BREAKERS)).records)


@pytest.fixture
async def store(clock: FakeClock) -> AsyncIterator[MemoryStore]:
    async with MemoryStore(clock=clock) as opened:
        yield opened


@pytest.fixture
async def fleet(store: MemoryStore, admin: Admin, clock: FakeClock) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        yield Fleet(store, admin, clock, stack)


# Tripping


async def test_a_flag_that_is_switched_on_again_is_not_tripped_by_reasons_from_before(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The handler of changes is a task like any other: a round of the patrol may come first.
    monkeypatch.setattr(FallbackGuard, "_changed", lambda *_: None)
    processes = await fleet.start()
    for process in processes[:4]:
        process.new.broken = True
    await fleet.work()
    await fleet.clock.advance(15)
    assert not await fleet.enabled()
    await fleet.clock.advance(30)

    await fleet.admin.switch_on("shelf", reason="corrected")
    await fleet.clock.advance(30)

    assert await fleet.enabled()
    assert [process.open for process in processes] == [False] * 10


async def test_enough_open_breakers_switch_the_flag_off_under_the_actor_breaker(fleet: Fleet) -> None:
    processes = await fleet.start()
    for process in processes[:4]:
        process.new.broken = True
    await fleet.work()
    assert [process.open for process in processes] == [True] * 4 + [False] * 6

    await fleet.clock.advance(15)

    assert not await fleet.enabled()
    newest = (await fleet.admin.history("shelf", limit=1))[0]
    assert newest.actor == "breaker"
    assert "of 10 processes; in this one: 20 of 40 calls failed" in newest.reason
    await until(lambda: all(not process.flags.peek("shelf", default=True) for process in processes))
    tripped = [event for process in processes for event in process.events if event.kind == "fleet_tripped"]
    assert len(tripped) == 1


async def test_an_outage_of_both_sides_in_the_whole_fleet_switches_nothing(fleet: Fleet) -> None:
    processes = await fleet.start()
    for process in processes:
        process.new.broken = process.old.broken = True
    for _ in range(10):
        await fleet.work()
        await fleet.clock.advance(10)

    assert await fleet.enabled()
    assert not any(process.open for process in processes)


@pytest.mark.parametrize(("broken", "trip"), [(2, {}), (3, {"quorum": 0.5}), (1, {"at_least": 1, "quorum": 0.11})])
async def test_fewer_open_breakers_switch_nothing(fleet: Fleet, broken: int, trip: dict[str, Any]) -> None:
    for process in (await fleet.start(**trip))[:broken]:
        process.new.broken = True
    await fleet.work()
    await fleet.clock.advance(100)

    assert await fleet.enabled()


@pytest.mark.parametrize(
    ("counted", "reached"),
    [
        (Count(2, 3), False),
        (Count(3, 3), True),
        (Count(3, 10), True),
        (Count(3, 11), False),
        (Count(4, 11), True),
        (Count(30, 100), True),
        (Count(29, 100), False),
        (Count(0, 0), False),
    ],
)
def test_the_quorum_is_a_share_of_the_living_and_a_number(counted: Count, reached: bool) -> None:
    assert FleetTrip(action="report", quorum=0.3, at_least=3).reached(counted) is reached


async def test_a_dry_run_tells_and_switches_nothing(fleet: Fleet) -> None:
    processes = await fleet.start(5, action="report", admin=None)
    for process in processes:
        process.new.broken = True
    await fleet.work()
    await fleet.clock.advance(100)

    assert await fleet.enabled()
    told = [[event.kind for event in process.events] for process in processes]
    assert told == [["opened", "fleet_would_trip"]] * 5


async def test_a_process_that_is_killed_stops_counting_when_its_report_expires(fleet: Fleet) -> None:
    processes = await fleet.start(4, at_least=2, quorum=0.5)
    board = fleet.store.board
    assert board is not None
    for process in processes[:1]:
        process.new.broken = True
    await fleet.work()
    await fleet.clock.advance(1)
    assert await fleet.reports() == 4
    # What a process leaves behind that has no time to take it back: an open report, here under another name.
    opened = next(record for record in (await board.list(BREAKERS)).records.values() if b'"open":true' in record.value)
    await board.put(BREAKERS, "killed", opened.value, ttl=30)
    processes[0].guard.reset()
    processes[0].new.broken = False
    await fleet.clock.advance(31)

    assert await fleet.reports() == 4
    assert await fleet.enabled()


async def test_a_process_that_ends_takes_its_report_back(store: MemoryStore, admin: Admin, clock: FakeClock) -> None:
    await admin.put({"key": "shelf", "enabled": True}, reason="release")
    board = store.board
    assert board is not None
    async with Process(store, clock, action="report").running():
        await clock.advance(1)
        assert len((await board.list(BREAKERS)).records) == 1

    assert len((await board.list(BREAKERS)).records) == 0


async def test_without_a_store_each_breaker_goes_on_by_itself(
    store: MemoryStore, admin: Admin, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    await admin.put({"key": "shelf", "enabled": True}, reason="release")
    faulty = Faulty(store, clock=clock)
    process = Process(faulty, clock, action="report", at_least=1)
    async with process.running():
        await clock.advance(1)
        faulty.down = True
        process.new.broken = True
        await process.work()
        await clock.advance(100)

        assert process.open
        assert await process.guard.proxy().get("k") == "old"
        assert caplog.text.count("has no part in its fleet at the moment") == 1
        faulty.heal()
        await clock.advance(15)
        assert [event.kind for event in process.events] == ["opened", "fleet_would_trip"]


async def test_a_dry_run_switches_nothing_even_with_an_admin_at_hand(fleet: Fleet) -> None:
    processes = await fleet.start(3, action="report")
    for process in processes:
        process.new.broken = True
    await fleet.work()
    await fleet.clock.advance(100)

    assert await fleet.enabled()
    assert [event.kind for event in processes[0].events] == ["opened", "fleet_would_trip"]


async def test_a_dry_run_tells_again_when_it_happens_again_and_not_while_the_flag_is_off(fleet: Fleet) -> None:
    processes = await fleet.start(3, action="report", admin=None)
    for process in processes:
        process.new.broken = True
    await fleet.work()
    await fleet.clock.advance(60)
    for process in processes:
        process.guard.reset()
    await fleet.clock.advance(60)
    await fleet.work()
    await fleet.clock.advance(60)
    told = ["opened", "fleet_would_trip", "closed", "opened", "fleet_would_trip"]
    assert [event.kind for event in processes[0].events] == told

    saved = await fleet.admin.switch_off("shelf", reason="by hand")
    for process in processes:
        await process.flags.wait_for(saved.token)
        process.guard.reset()
    await fleet.clock.advance(60)
    for process in processes:
        with process.flags.override(shelf=True):
            await process.work()
    await fleet.clock.advance(60)
    assert [event.kind for event in processes[0].events] == [*told, "closed", "opened"]


async def test_a_report_expires_with_its_process_and_says_why_only_while_it_is_open(fleet: Fleet) -> None:
    (process,) = await fleet.start(1, action="report", admin=None)
    process.new.broken = True
    await process.work()
    await fleet.clock.advance(15)
    opened = await fleet.records()
    process.guard.reset()
    await fleet.clock.advance(15)
    closed = await fleet.records()

    assert [(record["open"], "calls failed" in record["why"]) for record in opened] == [(True, True)]
    assert [(record["open"], record.get("why")) for record in closed] == [(False, None)]
    board = fleet.store.board
    assert board is not None
    found = await board.list(BREAKERS)
    assert all(record.expires is not None for record in found.records.values())
    assert max(record.expires or 0 for record in found.records.values()) - found.now <= 30 * 10**9


async def test_each_outage_of_the_store_is_told_once(
    store: MemoryStore, admin: Admin, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    faulty = Faulty(store, clock=clock)
    process = Process(faulty, clock, action="report")
    async with process.running():
        for _ in range(2):
            faulty.down = True
            await clock.advance(60)
            faulty.heal()
            await clock.advance(60)

    assert caplog.text.count("has no part in its fleet at the moment") == 2


async def test_a_store_that_is_away_at_the_end_ends_nothing_else(
    store: MemoryStore, admin: Admin, clock: FakeClock
) -> None:
    faulty = Faulty(store, clock=clock)
    process = Process(faulty, clock, action="report")
    async with process.running():
        faulty.down = True
    assert process.guard.status.state is BreakerState.CLOSED


async def test_a_store_without_a_board_is_told_of(
    store: MemoryStore, clock: FakeClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty = Faulty(store, clock=clock)
    monkeypatch.setattr(faulty, "board", None)
    monkeypatch.setattr(faulty, "no_board", "this store has no board")
    process = Process(faulty, clock, action="report")
    async with process.running():
        assert "the guard of 'shelf' works in this process alone: this store has no board" in caplog.text
        with pytest.raises(LifetimeError, match="a fleet cannot be told anything: this store has no board"):
            await process.guard.isolate_fleet()


@pytest.mark.parametrize("hung", [False, True])
async def test_the_store_of_the_admin_is_closed_after_the_guard(clock: FakeClock, hung: bool) -> None:
    store, faulty = MemoryStore(clock=clock), Faulty(MemoryStore(clock=clock), clock=clock)
    async with Admin(store, actor="ada", clock=clock) as admin:
        await admin.put({"key": "shelf", "enabled": True}, reason="release")
        async with Process(faulty, clock, admin=admin).running():
            await clock.advance(1)
            if hung:
                faulty.hung.add("board.delete")

    with pytest.raises(LifetimeError):
        await store.position()


# Afterwards


async def test_switched_on_again_breakers_begin_anew(fleet: Fleet) -> None:
    processes = await fleet.start()
    for process in processes[:4]:
        process.new.broken = True
    await fleet.work()
    await fleet.clock.advance(15)
    assert not await fleet.enabled()
    for process in processes:
        process.new.broken = False

    saved = await fleet.admin.switch_on("shelf", reason="mended")
    for process in processes:
        await process.flags.wait_for(saved.token)
    await until(lambda: not any(process.open for process in processes))
    await fleet.clock.advance(100)
    await fleet.work()

    assert await fleet.enabled()
    assert not any(process.open for process in processes)


async def test_switched_on_again_a_closed_breaker_has_forgotten_what_was_before_as_well(
    fleet: Fleet, clock: FakeClock
) -> None:
    (process,) = await fleet.start(1)
    await clock.advance(20)
    process.new.broken = True
    await process.work(19)
    assert not process.open
    await fleet.admin.switch_off("shelf", reason="it is broken")
    await clock.advance(10)  # now only failures are left of the last 30 s
    process.new.broken = False

    await fleet.admin.switch_on("shelf", reason="mended")
    await clock.advance(0.1)
    await process.work(5)

    assert await process.guard.proxy().get("k") == "new"
    assert not process.open


async def test_somebody_who_changes_the_flag_at_that_moment_knew_better(
    store: MemoryStore, admin: Admin, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    await admin.put({"key": "shelf", "enabled": True}, reason="release")
    faulty = Faulty(store, clock=clock)
    process = Process(faulty, clock, admin=admin, at_least=1)
    async with process.running():
        await process.work()
        faulty.deaf = True
        faulty.hung.add("position")
        await admin.edit({"key": "shelf", "enabled": True, "description": "mine"}, reason="mine")
        process.new.broken = True
        await process.work()
        await clock.advance(60)
        assert process.open
        assert (await admin.flags())["shelf"].enabled
        assert "has no part in its fleet" not in caplog.text

        faulty.heal()
        await clock.advance(60)
        assert not (await admin.flags())["shelf"].enabled
        assert (await admin.flags())["shelf"].description == "mine"


async def test_the_fleet_is_isolated_and_reset_by_order_and_whoever_starts_later_obeys(
    fleet: Fleet, store: MemoryStore, clock: FakeClock
) -> None:
    processes = await fleet.start(3)
    await processes[0].guard.isolate_fleet()
    assert processes[0].guard.status.state is BreakerState.ISOLATED
    await clock.advance(12)
    late = Process(store, clock, action="report")
    async with late.running():
        await clock.advance(1)
        everybody = [*processes, late]
        assert [process.guard.status.state for process in everybody] == [BreakerState.ISOLATED] * 4

        await processes[1].guard.reset_fleet()
        assert processes[1].guard.status.state is BreakerState.CLOSED
        await clock.advance(12)
        assert [process.guard.status.state for process in everybody] == [BreakerState.CLOSED] * 4
    assert await fleet.enabled()


async def test_an_order_needs_a_fleet(store: MemoryStore, admin: Admin, clock: FakeClock) -> None:
    alone, idle = Process(store, clock), Process(store, clock, action="report")
    async with alone.running():
        with pytest.raises(LifetimeError, match="takes no part in a fleet"):
            await alone.guard.isolate_fleet()
    with pytest.raises(LifetimeError, match="takes no part in a fleet"):
        await idle.guard.reset_fleet()


async def test_the_admin_of_a_trip_has_to_be_open(store: MemoryStore, admin: Admin, clock: FakeClock) -> None:
    process = Process(store, clock, admin=Admin(store, actor="ada"))
    async with process.flags:
        with pytest.raises(LifetimeError, match="this Admin is not open"):
            async with process.guard.running(process.flags):
                raise AssertionError
        process.guard._fleet = None
        async with process.guard.running(process.flags):
            with pytest.raises(LifetimeError, match="is running already"):
                async with process.guard.running(process.flags):
                    raise AssertionError


async def test_a_flag_that_would_serve_the_same_when_it_is_off_is_left_alone(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    processes = await fleet.start(3)
    saved = await fleet.admin.edit({"key": "shelf", "enabled": True, "off": "on"}, reason="odd")
    for process in processes:
        await process.flags.wait_for(saved.token)
        process.new.broken = True
    await fleet.work()
    await fleet.clock.advance(100)

    assert await fleet.enabled()
    assert caplog.text.count("flag 'shelf' is not switched off: it would serve 'on' then, too") == 3


async def test_a_flag_whose_off_is_left_to_the_switch_is_left_alone_where_that_is_the_new_one(
    store: MemoryStore, admin: Admin, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    variants = {"old": "old", "new": "new"}
    document = {"key": "shelf", "kind": "string", "variants": variants, "otherwise": "new", "enabled": True}
    await admin.put(document, reason="release")
    process = Process(store, clock, admin=admin, at_least=1)
    factories = {"old": opening(lambda: process.old), "new": opening(lambda: process.new)}
    process.switch = ImplementationSwitch(Shelf, flag="shelf", variants=factories, default="new")
    process.guard = FallbackGuard(
        process.switch,
        new="new",
        old="old",
        safe=["get"],
        clock=clock,
        breaker=BreakerPolicy(minimum_calls=5),
        fleet=FleetTrip(admin=admin, at_least=1),
    )
    async with process.running():
        process.new.broken = True
        await process.work()
        await clock.advance(60)

    assert (await admin.flags())["shelf"].enabled
    assert "it would serve 'new' then, too" in caplog.text


@pytest.mark.parametrize("trip", [{}, {"action": "report"}], ids=["alone", "in a fleet"])
async def test_a_breaker_that_opened_before_the_flag_was_on_begins_anew_when_it_is(
    store: MemoryStore, admin: Admin, clock: FakeClock, trip: dict[str, Any]
) -> None:
    await admin.put({"key": "shelf"}, reason="not yet")
    process = Process(store, clock, **trip)
    async with process.running():
        process.new.broken = True
        with process.flags.override(shelf=True):
            await process.work()
        assert process.open
        saved = await admin.switch_on("shelf", reason="go")
        await process.flags.wait_for(saved.token)

        await until(lambda: not process.open)


async def test_what_was_isolated_by_hand_stays_so_when_the_flag_comes_back(
    store: MemoryStore, admin: Admin, clock: FakeClock
) -> None:
    await admin.put({"key": "shelf", "enabled": True}, reason="release")
    process = Process(store, clock, action="report")
    async with process.running():
        process.guard.isolate()
        for change in (admin.switch_off, admin.switch_on):
            saved = await change("shelf", reason="test")
            await process.flags.wait_for(saved.token)
            await clock.advance(1)

        assert process.guard.status.state is BreakerState.ISOLATED


async def test_a_second_block_that_is_refused_leaves_the_first_one_alone(
    store: MemoryStore, admin: Admin, clock: FakeClock
) -> None:
    process = Process(store, clock, action="report")
    async with process.running():
        for _ in range(2):
            with pytest.raises(LifetimeError, match="is running already"):
                async with process.guard.running(process.flags):
                    raise AssertionError
        await process.guard.isolate_fleet()
        await process.guard.reset_fleet()

    async with Client(store, clock=clock) as flags, process.guard.running(flags):
        await process.guard.isolate_fleet()


async def test_an_order_is_obeyed_once(fleet: Fleet) -> None:
    first, second = await fleet.start(2)
    await first.guard.isolate_fleet()
    await fleet.clock.advance(12)
    assert second.guard.status.state is BreakerState.ISOLATED
    second.guard.reset()
    await fleet.clock.advance(60)

    assert first.guard.status.state is BreakerState.ISOLATED
    assert second.guard.status.state is BreakerState.CLOSED


async def test_whoever_starts_after_a_reset_goes_by_its_own_breaker(fleet: Fleet, clock: FakeClock) -> None:
    (first,) = await fleet.start(1)
    await first.guard.reset_fleet()
    late = Process(fleet.store, clock, action="report")
    async with late.flags, late.switch.running(late.flags):
        late.new.broken = True
        await late.work()
        assert late.open
        async with late.guard.running(late.flags):
            await clock.advance(12)
            assert late.open
            await first.guard.reset_fleet()
            await clock.advance(12)
            assert not late.open


async def test_a_guard_that_runs_again_hears_of_a_change_once(
    store: MemoryStore, admin: Admin, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []

    def changed(_: FallbackGuard[Shelf], old: Flag | None, new: Flag | None) -> None:
        heard.append("" if new is None else new.key)

    monkeypatch.setattr(FallbackGuard, "_changed", changed)
    process = Process(store, clock, action="report")
    async with process.flags, process.switch.running(process.flags):
        for _ in range(3):
            async with process.guard.running(process.flags):
                await clock.advance(1)
        saved = await admin.put({"key": "shelf", "enabled": True}, reason="release")
        await process.flags.wait_for(saved.token)
        await until(lambda: heard)
        await clock.advance(10)

    assert heard == ["shelf"]


async def test_a_breaker_that_moves_after_its_loop_was_closed_costs_no_call(
    store: MemoryStore, admin: Admin, clock: FakeClock
) -> None:
    """A loop may be closed without leaving any block, and synchronous methods are called from any thread."""
    process, closed = Process(store, clock, action="report"), asyncio.new_event_loop()
    closed.close()
    async with process.running():
        patrol: Any = process.guard._patrol
        here, patrol._running.loop = patrol._running.loop, closed
        process.guard.isolate()
        patrol._running.loop = here

    assert process.guard.status.state is BreakerState.ISOLATED
