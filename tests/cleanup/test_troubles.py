"""Clocks that differ, boards that refuse or stay away, threads: what cleanup does when not all is well."""

import logging
from collections.abc import Callable

import pytest

from grayflow import Admin, CleanupOptions, Client, MemoryStore, StoreAccessError, StoreUnavailableError
from grayflow.testing import FakeClock, Faulty
from tests.cleanup.conftest import Make
from tests.cleanup.kit import SECOND, Threaded, Told
from tests.replica.kit import until

pytestmark = pytest.mark.anyio

SALE = {"key": "sale", "enabled": True, "expires_at": "2026-01-01T00:05:00Z"}


class Shifted(FakeClock):
    """The clock of a machine that is ahead of all others, or behind."""

    def __init__(self, clock: FakeClock, seconds: float) -> None:
        self._clock, self._seconds = clock, seconds

    def now(self) -> int:
        return self._clock.now() + round(self._seconds * SECOND)

    def monotonic(self) -> float:
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)


@pytest.fixture
def faulty(store: MemoryStore, clock: FakeClock) -> Faulty:
    return Faulty(store, clock=clock)


@pytest.fixture
async def flags(faulty: Faulty, admin: Admin, clock: FakeClock):
    async with Client(faulty, clock=clock, random=lambda: 0.5) as opened:
        yield opened


# Clocks


@pytest.mark.parametrize("scope", ["process", "fleet"])
async def test_a_machine_whose_clock_is_ahead_waits_for_the_boards_time(
    store: MemoryStore, admin: Admin, clock: FakeClock, scope: str
):
    await admin.put(SALE)
    told = Told()
    async with Client(store, clock=Shifted(clock, 100), random=lambda: 0.5) as flags:
        flags.on_switch_off("sale", scope=scope, name="purge")(told)
        await clock.advance(290)
        assert flags.peek("sale") is False  # by its own clock
        assert told.events == []
        assert flags.health.cleanup.clock_offset_s == pytest.approx(-100)
        await clock.advance(20)
        assert len(told.ended) == 1


@pytest.mark.parametrize("scope", ["process", "fleet"])
async def test_a_machine_whose_clock_is_behind_cleans_nothing_up_that_it_still_serves(
    store: MemoryStore, admin: Admin, clock: FakeClock, scope: str
):
    await admin.put(SALE)
    told = Told()
    async with Client(store, clock=Shifted(clock, -100), random=lambda: 0.5) as flags:
        flags.on_switch_off("sale", scope=scope, name="purge")(told)
        await clock.advance(390)
        assert flags.peek("sale") is True
        assert told.events == []
        await clock.advance(20)
        assert len(told.ended) == 1


async def test_others_are_waited_for_whose_clock_is_behind(store: MemoryStore, admin: Admin, clock: FakeClock):
    await admin.put(SALE)
    told = Told()
    async with Client(store, clock=clock, random=lambda: 0.5) as flags:
        flags.on_switch_off("sale", scope="fleet", name="purge", drain=60)(told)
        async with Client(store, clock=Shifted(clock, -20), random=lambda: 0.5, name="late"):
            await clock.advance(315)
            assert told.events == []
            await clock.advance(15)

            assert [off.drained for off in told.events] == ["acknowledged"]


async def test_setting_the_machines_clock_ends_no_wait_of_a_process_handler(make: Make, admin: Admin, clock: FakeClock):
    told = Told(failures=1)
    async with make() as flags:
        flags.on_switch_off("f")(told)
        await admin.switch_off("f")
        await clock.advance(0.1)
        assert len(told.events) == 1
        clock.step(-86_400)
        await clock.advance(5)
        assert len(told.ended) == 1


# Boards


async def test_a_board_that_refuses_is_told_once_and_in_health(
    flags: Client, faulty: Faulty, admin: Admin, clock: FakeClock, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, "grayflow.cleanup")
    faulty.errors["board.put"] = StoreAccessError("this user may not write to the board")
    process, once = Told(), Told()
    flags.on_switch_off("f")(process)
    flags.on_switch_off("f", scope="fleet", name="purge")(once)
    await admin.switch_off("f")
    await clock.advance(600)

    assert (len(process.ended), once.events) == (1, [])
    assert flags.health.cleanup.unavailable == "this user may not write to the board"
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == [
        "cleanup handlers wait until the board can be worked with: this user may not write to the board"
    ]

    faulty.heal()
    await clock.advance(90)
    assert len(once.ended) == 1
    assert flags.health.cleanup.unavailable is None


async def test_an_end_that_cannot_be_recorded_at_once_is_recorded_later_and_not_repeated(
    flags: Client, faulty: Faulty, admin: Admin, clock: FakeClock, recorded: Callable
):
    told = Told(hangs=True)
    flags.on_switch_off("f", scope="fleet", name="purge")(told)
    await admin.switch_off("f")
    await clock.advance(5)
    faulty.errors["board.put"] = StoreUnavailableError("away")
    told.go.set()
    await clock.advance(60)
    assert (await recorded()).state == "running"

    faulty.heal()
    await clock.advance(60)
    job = await recorded()
    assert (job.state, job.completed, len(told.events)) == ("done", 1, 1)


async def test_answers_that_are_lost_do_no_harm(
    flags: Client, faulty: Faulty, admin: Admin, clock: FakeClock, recorded: Callable
):
    told = Told()
    flags.on_switch_off("f", scope="fleet", name="purge")(told)
    await clock.advance(20)
    for verb in ("board.claim", "board.put", "board.release", "board.renew"):
        faulty.lost.add(verb)
    await admin.switch_off("f")
    await clock.advance(10)
    faulty.heal()
    await clock.advance(120)

    job = await recorded()
    assert (job.state, job.completed, len(told.ended)) == ("done", 1, 1)


async def test_a_handler_is_cancelled_when_its_lease_cannot_be_renewed_in_time(
    flags: Client, faulty: Faulty, admin: Admin, clock: FakeClock, recorded: Callable
):
    told = Told(hangs=True)
    flags.on_switch_off("f", scope="fleet", name="purge", timeout=600)(told)
    await admin.switch_off("f")
    await clock.advance(5)
    for verb in ("board.put", "board.renew", "board.list", "board.claim"):
        faulty.errors[verb] = StoreUnavailableError("away")
    await clock.advance(9)
    assert told.cancelled == []
    await clock.advance(3)
    assert len(told.cancelled) == 1

    faulty.heal()
    told.go.set()
    await clock.advance(60)
    job = await recorded()
    assert (job.state, job.attempts, len(told.ended)) == ("done", 2, 1)


async def test_a_history_that_cannot_be_read_leaves_the_cause_unknown(
    flags: Client, faulty: Faulty, admin: Admin, clock: FakeClock
):
    faulty.errors["history"] = StoreUnavailableError("away")
    told = Told()
    flags.on_switch_off("f")(told)
    await admin.switch_off("f", reason="x")
    await clock.advance(5)

    (off,) = told.events
    assert (off.cause, off.actor, off.reason, off.before, off.after) == ("unknown", None, None, None, None)


async def test_a_board_that_was_emptied_is_told_again_which_handlers_there_are(
    flags: Client, store: MemoryStore, admin: Admin, clock: FakeClock
):
    flags.on_switch_off("f", scope="fleet", name="purge")(Told())
    await clock.advance(5)
    assert await store.board.delete("handlers", "purge")
    await clock.advance(120)

    assert set((await store.board.list("handlers")).records) == {"purge"}


# Threads


@pytest.fixture
async def real(anyio_backend: str):
    """A store and its admin by the machine's clock, since nobody moves the time of a thread."""
    async with MemoryStore() as opened, Admin(opened, actor="ann") as admin:
        await admin.put({"key": "f", "enabled": True})
        yield opened, admin


async def test_a_synchronous_handler_is_told_that_the_flag_is_on_again(real: tuple[MemoryStore, Admin]):
    store, admin = real
    working = Threaded()
    async with Client(store) as flags:
        flags.on_switch_off("f", scope="fleet", name="purge")(working)
        await admin.switch_off("f")
        await until(working.begun.is_set)
        await until(lambda: len(working.asked) > 2)
        assert all(working.asked)
        await admin.switch_on("f")
        await until(working.over.is_set)
        await until(lambda: flags.health.cleanup.running == 0)

        assert working.asked[-1] is False
        assert flags.health.cleanup.superseded == 1


async def test_closing_leaves_a_thread_behind_and_its_job_alone_until_the_lease_is_over(
    real: tuple[MemoryStore, Admin],
):
    store, admin = real
    working, told = Threaded(heeds=False), Told()
    options = CleanupOptions(lease=1)
    async with Client(store, cleanup=options) as flags:
        flags.on_switch_off("f", scope="fleet", name="purge")(working)
        await admin.switch_off("f")
        await until(working.begun.is_set)

    (job,) = await admin.jobs()
    record = await store.board.get("jobs", job.name)
    assert record is not None
    assert record.lease is not None
    assert job.state == "running"
    working.go.set()
    await until(working.over.is_set)
    async with Client(store, cleanup=options) as flags:
        flags.on_switch_off("f", scope="fleet", name="purge")(told)
        await until(lambda: told.ended)
