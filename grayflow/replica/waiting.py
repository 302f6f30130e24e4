"""Waiting for a length of time that somebody may cut short."""

import anyio

from grayflow.clock import Clock

__all__ = ["pause"]


async def pause(clock: Clock, seconds: float, wake: anyio.Event) -> None:
    """Return when that much time has passed, or when `wake` is set."""

    async def sleep() -> None:
        await clock.sleep(seconds)
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sleep)
        await wake.wait()
        tasks.cancel_scope.cancel()
