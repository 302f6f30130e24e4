"""One call of a handler: how it may end, and how it is told to stop."""

import asyncio
import threading
from functools import partial
from typing import Any

import anyio
import pytest

from grayflow import Retry, SystemClock
from grayflow.cleanup.attempt import Attempt, Outcome
from grayflow.cleanup.event import SwitchOff
from grayflow.cleanup.handlers import make_handler
from grayflow.testing import FakeClock
from tests.cleanup.kit import Threaded
from tests.replica.kit import until

pytestmark = pytest.mark.anyio

OFF = SwitchOff(namespace="n", flag="f", variant="on", generation=4, handler="h", attempt=1)


def attempt(function: Any, clock: Any = None, *, timeout: float = 60.0) -> Attempt:
    handler = make_handler(
        function,
        "f",
        switch="off",
        name="h",
        variant=None,
        scope="process",
        after=(),
        timeout=timeout,
        drain=0,
        retry=Retry(),
        on_start="skip",
    )
    return Attempt(handler, clock=SystemClock() if clock is None else clock, limiter=anyio.CapacityLimiter(4))


class Callable:
    def __init__(self) -> None:
        self.threads: list[str] = []

    async def __call__(self, off: SwitchOff) -> None:
        self.threads.append(threading.current_thread().name)


async def nothing(off: SwitchOff) -> None:
    return


async def both(word: str, off: SwitchOff) -> None:
    assert (word, off.flag) == ("a", "f")


def returns_an_awaitable(off: SwitchOff):
    return nothing(off)


@pytest.mark.parametrize(
    "function", [nothing, Callable(), partial(both, "a"), returns_an_awaitable, lambda off: None, [].append]
)
async def test_a_handler_that_returns_has_done_it(function: Any):
    assert await attempt(function).run(OFF) == Outcome()


async def test_async_handlers_run_in_the_loop_and_others_in_a_thread():
    threads: list[threading.Thread] = []
    callable_object = Callable()

    await attempt(callable_object).run(OFF)
    await attempt(lambda off: threads.append(threading.current_thread())).run(OFF)

    assert callable_object.threads == [threading.main_thread().name]
    assert threads != [threading.main_thread()]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("x"), "RuntimeError: x"),
        (SystemExit(2), "SystemExit: SystemExit(2)"),
        (StopIteration(), "RuntimeError: "),
        (asyncio.CancelledError(), "cancelled from within"),
        (ExceptionGroup("many", [OSError()]), "ExceptionGroup: many"),
        (TimeoutError(), "TimeoutError: "),
    ],
)
@pytest.mark.parametrize("threaded", [False, True])
async def test_whatever_it_raises_is_an_outcome(error: BaseException, told: str, threaded: bool):
    async def fails(off: SwitchOff) -> None:
        raise error

    def fails_in_a_thread(off: SwitchOff) -> None:
        raise error

    outcome = await attempt(fails_in_a_thread if threaded else fails).run(OFF)

    assert told in outcome.failure
    assert not outcome.stopped


async def test_an_async_handler_is_cancelled_when_it_takes_too_long():
    clock = FakeClock()
    ended: list[Outcome] = []
    tried = attempt(lambda off: anyio.sleep_forever(), clock, timeout=20)
    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            ended.append(await tried.run(OFF))

        tasks.start_soon(run)
        while clock.sleeping < 1:
            await anyio.lowlevel.checkpoint()
        await clock.advance(21)

    assert [outcome.failure for outcome in ended] == ["it took longer than 20 s"]


async def test_an_async_handler_that_is_stopped_may_clean_up_first():
    steps: list[str] = []
    begun = anyio.Event()

    async def careful(off: SwitchOff) -> None:
        try:
            begun.set()
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
                steps.append("put back")

    tried = attempt(careful)
    async with anyio.create_task_group() as tasks:

        async def stop() -> None:
            await begun.wait()
            tried.stop()

        tasks.start_soon(stop)
        outcome = await tried.run(OFF)

    assert (outcome.stopped, steps) == (True, ["put back"])


async def test_a_thread_that_is_stopped_is_waited_for():
    working = Threaded(heeds=False)
    tried = attempt(working)
    ended: list[Outcome] = []
    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            ended.append(await tried.run(OFF))

        tasks.start_soon(run)
        await until(working.begun.is_set)
        tried.stop()
        await until(lambda: len(working.asked) > 3)
        assert (ended, tried.abandoned) == ([], True)
        working.go.set()

    assert (ended[0].stopped, tried.abandoned) == (True, False)


async def test_a_thread_that_took_too_long_and_came_to_its_end_has_done_it():
    working = Threaded(heeds=False)
    tried = attempt(working, timeout=0.05)
    async with anyio.create_task_group() as tasks:

        async def release() -> None:
            await until(lambda: tried.stopping)
            working.go.set()

        tasks.start_soon(release)
        assert await tried.run(OFF) == Outcome()


async def test_a_caller_that_is_cancelled_leaves_the_thread_behind_and_says_so():
    working = Threaded(heeds=False)
    tried = attempt(working)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tried.run, OFF)
        await until(working.begun.is_set)
        tasks.cancel_scope.cancel()

    assert tried.abandoned
    working.go.set()
    await until(working.over.is_set)
