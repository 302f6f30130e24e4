"""Waiting for a length of time that somebody may cut short, and for the first of several things."""

import anyio

from grayflow.clock import Clock

__all__ = ["either", "pause"]


async def pause(clock: Clock, seconds: float, wake: anyio.Event) -> None:
    """Return when that much time has passed, or when `wake` is set."""

    async def sleep() -> None:
        await clock.sleep(seconds)
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sleep)
        await wake.wait()
        tasks.cancel_scope.cancel()


async def either(one: anyio.Event, other: anyio.Event) -> None:
    """Return when one of them is set."""

    async def wait_for_the_other() -> None:
        await other.wait()
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait_for_the_other)
        await one.wait()
        tasks.cancel_scope.cancel()
