"""A clock for tests has to be beyond doubt itself."""

from typing import TYPE_CHECKING

import anyio
import pytest
from anyio.lowlevel import checkpoint

from grayflow.testing import FakeClock

if TYPE_CHECKING:
    from grayflow.clock import Clock

pytestmark = pytest.mark.anyio


async def test_time_stands_still_until_it_is_moved() -> None:
    clock: Clock = FakeClock(now=5, monotonic=2.0)

    for _ in range(10):
        await checkpoint()

    assert (clock.now(), clock.monotonic()) == (5, 2.0)


async def test_advance_moves_both_clocks() -> None:
    clock = FakeClock(now=5, monotonic=2.0)

    await clock.advance(1.5)

    assert (clock.now(), clock.monotonic()) == (1_500_000_005, 3.5)


async def test_step_moves_the_wall_clock_only() -> None:
    clock = FakeClock(now=5, monotonic=2.0)

    clock.step(-1)

    assert (clock.now(), clock.monotonic()) == (-999_999_995, 2.0)


async def test_sleepers_wake_in_order_and_each_at_its_own_time() -> None:
    clock = FakeClock(monotonic=0.0)
    woke: list[tuple[float, float]] = []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woke.append((seconds, clock.monotonic()))

    async with anyio.create_task_group() as tasks:
        for seconds in (3, 1, 2, 1):
            tasks.start_soon(sleeper, seconds)
        await clock.advance(10)

        assert woke == [(1, 1.0), (1, 1.0), (2, 2.0), (3, 3.0)]


async def test_a_loop_that_sleeps_goes_round_as_often_as_time_allows() -> None:
    clock = FakeClock(monotonic=0.0)
    seen: list[float] = []

    async def ticker() -> None:
        while True:
            await clock.sleep(1)
            seen.append(clock.monotonic())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ticker)
        await clock.advance(3.5)
        assert seen == [1.0, 2.0, 3.0]

        await clock.advance(0.5)
        assert seen == [1.0, 2.0, 3.0, 4.0]
        tasks.cancel_scope.cancel()


async def test_ten_tenths_are_a_whole() -> None:
    clock = FakeClock()
    woke = anyio.Event()

    async def sleeper() -> None:
        await clock.sleep(1)
        woke.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sleeper)
        for _ in range(10):
            assert not woke.is_set()
            await clock.advance(0.1)

    assert woke.is_set()


async def test_what_a_woken_task_wakes_runs_before_the_next_sleeper() -> None:
    clock = FakeClock()
    handed_on = anyio.Event()
    order: list[str] = []

    async def first() -> None:
        await clock.sleep(1)
        handed_on.set()

    async def second() -> None:
        await handed_on.wait()
        for _ in range(20):
            await checkpoint()
        order.append("second")

    async def third() -> None:
        await clock.sleep(2)
        order.append("third")

    async with anyio.create_task_group() as tasks:
        for task in (first, second, third):
            tasks.start_soon(task)
        await clock.advance(5)

    assert order == ["second", "third"]


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    clock = FakeClock()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(clock.sleep, 1)
        await clock.advance(0.5)
        assert clock.sleeping == 1
        tasks.cancel_scope.cancel()

    assert clock.sleeping == 0
    await clock.advance(5)


@pytest.mark.parametrize("seconds", [0, -1])
async def test_sleeping_for_nothing_only_lets_others_run(seconds: float) -> None:
    clock = FakeClock()

    with anyio.fail_after(5):
        await clock.sleep(seconds)

    assert clock.sleeping == 0


async def test_a_task_that_never_blocks_does_not_stop_time() -> None:
    clock = FakeClock(monotonic=0.0)

    async def spinner() -> None:
        while True:
            await checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(spinner)
        with anyio.fail_after(5):
            await clock.advance(1)
        tasks.cancel_scope.cancel()

    assert clock.monotonic() == 1.0
