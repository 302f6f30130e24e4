"""A start and a close that are cancelled after any number of steps of the event loop leave nothing behind."""

import asyncio
from collections.abc import Awaitable, Callable

import anyio
import pytest
from anyio.lowlevel import checkpoint

from grayflow.testing import Faulty
from tests.client.conftest import Make
from tests.client.test_lifetime import blocks, tasks_of_grayflow
from tests.replica.kit import ON, Rewinding, put

pytestmark = pytest.mark.anyio

STEPS = range(40)

Cancelled = Callable[[Callable[[], Awaitable[object]], int], Awaitable[bool]]


async def natively(action: Callable[[], Awaitable[object]], steps: int) -> bool:
    """Run in a task and cancel that; tell whether it was cancelled before it was done."""

    async def run() -> None:
        await action()

    task = asyncio.get_running_loop().create_task(run())
    for _ in range(steps):
        await checkpoint()
    task.cancel()
    await asyncio.wait({task})
    return task.cancelled()


async def by_scope(action: Callable[[], Awaitable[object]], steps: int) -> bool:
    """Run in a task group and cancel its scope; tell likewise."""
    done = False

    async def run() -> None:
        nonlocal done
        await action()
        done = True

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            for _ in range(steps):
                await checkpoint()
            scope.cancel()
    return not done


@pytest.mark.parametrize("cancel", [natively, by_scope])
@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("answers", [True, False])
async def test_a_cancelled_start(
    make: Make, store: Faulty, memory: Rewinding, steps: int, cancel: Cancelled, answers: bool
):
    async with memory:
        await memory.init()
        await put(memory, "f", **ON)
        if not answers:
            store.hung.add("load")
        flags = make()

        cancelled = await cancel(flags.start, steps)
        if not cancelled:
            await flags.aclose()

        assert tasks_of_grayflow() == []
        assert blocks(memory) == 1
        if cancelled and steps:
            assert flags.health.state == "closed"


@pytest.mark.parametrize("cancel", [natively, by_scope])
@pytest.mark.parametrize("steps", STEPS)
async def test_a_cancelled_close(make: Make, memory: Rewinding, steps: int, cancel: Cancelled):
    async with memory:
        await memory.init()
        flags = make()
        await flags.start()

        await cancel(flags.aclose, steps)
        await flags.aclose()

        assert tasks_of_grayflow() == []
        assert blocks(memory) == 1
        assert flags.health.state == "closed"


@pytest.mark.parametrize("cancel", [natively, by_scope])
@pytest.mark.parametrize("steps", STEPS)
async def test_a_cancelled_block(make: Make, memory: Rewinding, steps: int, cancel: Cancelled):
    async with memory:
        await memory.init()
        flags = make()

        async def use() -> None:
            async with flags:
                await flags.is_enabled("f")
                for _ in range(3):
                    await checkpoint()

        await cancel(use, steps)

        assert tasks_of_grayflow() == []
        assert blocks(memory) == 1


async def test_most_of_these_steps_do_cancel_something(make: Make, memory: Rewinding):
    """Else the tests above would prove nothing."""
    async with memory:
        await memory.init()
        cancelled = [await natively(make().start, steps) for steps in range(1, 8)]

    assert cancelled.count(True) >= 5
