"""A sleep that ends early when it rings, and leaves nothing behind."""

import anyio
import pytest

from grayflow.replica.alarm import Alarm
from grayflow.testing import FakeClock

pytestmark = pytest.mark.anyio


async def _sleep(alarm: Alarm, rung: list[bool]) -> None:
    rung.append(await alarm.sleep(3))


async def test_it_sleeps_as_long_as_it_was_told(clock: FakeClock):
    rung: list[bool] = []
    alarm = Alarm(clock)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_sleep, alarm, rung)
        await clock.advance(2.9)
        assert rung == []
        await clock.advance(0.1)

    assert rung == [False]


async def test_a_ring_ends_the_sleep(clock: FakeClock):
    rung: list[bool] = []
    alarm = Alarm(clock)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_sleep, alarm, rung)
        await clock.advance(1)
        alarm.ring()
        await clock.advance(0)

    assert rung == [True]
    assert clock.sleeping == 0


async def test_a_ring_before_the_sleep_ends_it_and_lets_others_run(clock: FakeClock):
    turns = 0

    async def other() -> None:
        nonlocal turns
        turns += 1

    alarm = Alarm(clock)
    alarm.ring()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other)
        assert await alarm.sleep(3)
        assert turns == 1


async def test_what_was_cleared_does_not_ring(clock: FakeClock):
    alarm = Alarm(clock)
    alarm.ring()
    alarm.clear()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(alarm.sleep, 3)
        await clock.advance(1)
        assert clock.sleeping == 1
        await clock.advance(2)


async def test_a_sleeper_that_is_cancelled_is_not_kept_by_a_ring(clock: FakeClock):
    alarm = Alarm(clock)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await alarm.sleep(3)
    alarm.ring()

    assert scope.cancelled_caught
    assert clock.sleeping == 0


def test_one_can_be_made_and_rung_where_no_loop_runs(clock: FakeClock):
    alarm = Alarm(clock)
    alarm.ring()

    assert anyio.run(alarm.sleep, 3)
