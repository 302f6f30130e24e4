"""
Every await point, one after the other: something happens when the n-th is reached, for each n.

An await point is where a task really stops and waits, whichever task it is: that of whoever starts or closes something,
or one that was made for it. They are counted by a task factory that sees every step of every coroutine.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from tests.lifetimes.census import Census, as_before

__all__ = ["CANCELLATIONS", "Cancelled", "Steps", "cancel", "counted", "each", "natively", "within_a_scope"]

Action = Callable[[], Awaitable[object]]

_MOST = 2_000


class Steps:
    """Counts await points from when it is armed, and does something at one of them, once."""

    def __init__(self) -> None:
        self.passed = 0
        self.reached = False
        self._at = 0
        self._act: Callable[[], object] = lambda: None

    def arm(self, at: int, act: Callable[[], object]) -> None:
        """Count from here, and call `act` when the await point of that number is reached."""
        self.passed, self.reached, self._at, self._act = 0, False, at, act

    def step(self) -> None:
        """Note an await point."""
        self.passed += 1
        if self.passed == self._at and not self.reached:
            self.reached = True
            self._act()


class _Stepped(Coroutine[Any, Any, Any]):
    """A coroutine that tells whenever it stops and waits."""

    def __init__(self, inner: Any, steps: Steps) -> None:
        self._inner, self._steps = inner, steps

    def send(self, value: Any) -> Any:
        waits_for = self._inner.send(value)
        self._steps.step()
        return waits_for

    def throw(self, *error: Any) -> Any:
        waits_for = self._inner.throw(*error)
        self._steps.step()
        return waits_for

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        raise NotImplementedError("tasks drive it")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@asynccontextmanager
async def counted() -> AsyncIterator[Steps]:
    """Count in every task that begins inside of the block, for as long as that lives."""
    steps, loop = Steps(), asyncio.get_running_loop()
    before = loop.get_task_factory()
    loop.set_task_factory(lambda loop, inner, **options: asyncio.Task(_Stepped(inner, steps), loop=loop, **options))
    try:
        yield steps
    finally:
        loop.set_task_factory(before)


async def natively(steps: Steps, at: int, action: Action) -> bool:
    """Run in a task of its own that is cancelled at that await point; tell whether that ended it."""

    async def run() -> None:
        steps.arm(at, task.cancel)
        await action()

    task = asyncio.get_running_loop().create_task(run())
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()
    return task.cancelled()


async def within_a_scope(steps: Steps, at: int, action: Action) -> bool:
    """Run inside of a cancel scope that is cancelled at that await point; tell whether that ended it."""
    done = False

    async def run() -> None:
        nonlocal done
        with anyio.CancelScope() as scope:
            steps.arm(at, scope.cancel)
            await action()
            done = True

    task = asyncio.get_running_loop().create_task(run())
    await asyncio.wait({task})
    task.result()
    return not done


CANCELLATIONS = {"natively": natively, "within a scope": within_a_scope}

Cancelled = Callable[[Steps, int, Action], Awaitable[bool]]
"""One of them, as tests are given it: `cancel`."""


@pytest.fixture(params=CANCELLATIONS)
def cancel(request: pytest.FixtureRequest) -> Cancelled:
    return CANCELLATIONS[request.param]


async def each(
    attempt: Callable[[Steps, int], Awaitable[bool]], then: Callable[[], Awaitable[object]] | None = None
) -> tuple[int, int]:
    """
    Try with every await point, and see that nothing is left behind of any try.

    Args:
        attempt: Cancels something at that await point; tells whether that ended it.
        then: Looks at the world after each try.

    Returns:
        How many await points there were, and at how many the cancellation ended something.
    """
    before, ended = Census(), 0
    for at in range(1, _MOST):
        async with counted() as steps:
            ended += await attempt(steps, at)
            await as_before(before)
        if then is not None:
            await then()
        if not steps.reached:
            return at - 1, ended
    raise AssertionError("there is no end of await points")
