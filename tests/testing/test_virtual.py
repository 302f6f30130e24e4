"""An hour in a moment, and never a moment out of order."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import anyio
import pytest

from grayflow import Admin, Client
from grayflow.store.memory import MemoryStore
from grayflow.testing import VirtualClock, VirtualLoop

if TYPE_CHECKING:
    from grayflow.clock import Clock

T = TypeVar("T")


def run(story: Callable[[VirtualLoop], Awaitable[T]]) -> T:
    async def main() -> T:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        return await story(loop)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


async def sleep(seconds: float) -> None:
    await anyio.sleep(seconds)  # noqa: TID251 - virtual time is what is tested


def test_a_day_takes_no_time():
    async def story(loop: VirtualLoop) -> float:
        await sleep(86_400)
        return loop.time()

    began = time.monotonic()

    assert run(story) == 86_400
    assert time.monotonic() - began < 10


def test_sleepers_wake_in_order_and_each_at_its_own_time():
    async def story(loop: VirtualLoop) -> list[tuple[float, float]]:
        woke: list[tuple[float, float]] = []

        async def sleeper(seconds: float) -> None:
            await sleep(seconds)
            woke.append((seconds, loop.time()))

        async with anyio.create_task_group() as tasks:
            for seconds in (3.0, 0.5, 2.0, 100_000.25):
                tasks.start_soon(sleeper, seconds)
        return woke

    assert run(story) == [(0.5, 0.5), (2.0, 2.0), (3.0, 3.0), (100_000.25, 100_000.25)]


def test_deadlines_count():
    async def story(loop: VirtualLoop) -> float:
        with pytest.raises(TimeoutError), anyio.fail_after(30):
            await anyio.sleep_forever()
        return loop.time()

    assert run(story) == 30


def test_a_task_that_is_ready_runs_before_time_goes_on():
    async def story(loop: VirtualLoop) -> float:
        for _ in range(1000):
            await sleep(0)
        return loop.time()

    assert run(story) == 0


def test_a_deadlock_is_told_and_does_not_hang():
    async def story(_: VirtualLoop) -> None:
        await anyio.Event().wait()

    with pytest.raises(RuntimeError, match="every task waits"):
        run(story)


def test_a_socket_never_becomes_readable():
    async def story(loop: VirtualLoop) -> None:
        one, other = socket.socketpair()
        with one, other:
            one.setblocking(False)
            loop.call_later(1, other.send, b"x")
            with pytest.raises(TimeoutError), anyio.fail_after(5):
                await loop.sock_recv(one, 1)

    run(story)


def test_a_jump_makes_timers_late():
    async def story(loop: VirtualLoop) -> list[float]:
        woke: list[float] = []

        async def sleeper(seconds: float) -> None:
            await sleep(seconds)
            woke.append(loop.time())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sleeper, 1)
            tasks.start_soon(sleeper, 20)
            await sleep(0)
            loop.jump(10)
        return woke

    assert run(story) == [10, 20]


def test_the_clock_goes_with_the_loop():
    async def story(loop: VirtualLoop) -> tuple[int, float]:
        clock: Clock = VirtualClock(loop, now=7)
        await clock.sleep(1.5)
        await clock.sleep(-1)
        return clock.now(), clock.monotonic()

    assert run(story) == (1_500_000_007, 1.5)


def test_a_machine_that_slept_finds_its_clock_ahead_and_its_timers_as_they_were():
    async def story(loop: VirtualLoop) -> tuple[float, float]:
        clock = VirtualClock(loop)
        clock.suspend(3600)
        await clock.sleep(1)
        return loop.time(), clock.monotonic()

    assert run(story) == (1, 3601)


def test_a_client_lives_through_an_hour():
    async def story(loop: VirtualLoop) -> tuple[object, ...]:
        clock, store = VirtualClock(loop), MemoryStore()
        async with Admin(store, actor="ada") as admin, Client(store, clock=clock) as flags:
            await admin.put({"key": "a"}, reason="new")
            await admin.switch_on("a", reason="go")
            await clock.sleep(3600)
            return flags.peek("a"), flags.health.state

    assert run(story) == (True, "fresh")


class TestUnderThePytestPluginOfAnyio:
    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def anyio_backend(self) -> object:
        return "asyncio", {"loop_factory": VirtualLoop}

    async def test_a_test_sleeps_an_hour(self):
        await sleep(3600)

        assert asyncio.get_running_loop().time() >= 3600
