"""
One `async with` block for what a part of grayflow runs in the background, beside a client.

The block may be entered in one task and left in another, and the caller's exception leaves it as it came: what runs
belongs to a task of its own, see `grayflow.client.owner`.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

import anyio

from grayflow.client.owner import Owner
from grayflow.errors import LifetimeError

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

__all__ = ["Part", "Running"]


class Part(Protocol):
    """What runs inside of the block."""

    async def open(self, running: "Running") -> None:
        """Begin. What this raises, entering the block raises."""

    async def close(self) -> None:
        """Finish what was begun. What is not done within the block's limit is cancelled."""

    def over(self, failure: Exception | None) -> None:
        """Called once nothing runs any more; with the defect, if one ended it after `open` was done."""


class Running:
    """
    The block; use it once.

    Args:
        name: Of the part, for messages.
        part: What runs.
        limit_s: How long `Part.close` may take.
    """

    def __init__(self, name: str, part: Part, *, limit_s: float) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        """Where it runs; `None` before and after."""
        self.ending = anyio.Event()
        """Set when the block is being left."""
        self._name, self._part, self._limit_s = name, part, limit_s
        self._owner: Owner | None = None
        self._tasks: TaskGroup | None = None
        self._context: Context | None = None
        self._settled = anyio.Event()
        self._failure: Exception | None = None
        self._opened = False

    async def __aenter__(self) -> Self:
        if self._owner is not None:
            raise LifetimeError(f"this block of the {self._name} was entered before; call running(...) for another")
        self._owner = Owner(self._work, self._over, name=self._name)
        entered = False
        try:
            await self._settled.wait()
            if self._failure is not None:
                raise self._failure
            entered = True
        finally:
            if not entered:
                await self._owner.stop(self._limit_s)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._owner is not None and self._owner.running:
            if self._owner.loop is not asyncio.get_running_loop():
                raise LifetimeError(f"this block of the {self._name} belongs to another event loop; leave it there")
            await self._owner.stop(self._limit_s, ask=self.ending.set)
        if self._failure is not None and error is None:
            raise self._failure

    def spawn(self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any, name: str) -> bool:
        """
        Run something in the block, in the context that the block was entered in; only in its own loop.

        Returns:
            Whether it was begun: not if nothing runs any more.
        """
        if self._context is None:
            return False
        return self.spawn_here(self._context.copy(), function, *args, name=name)

    def spawn_here(
        self, context: Context, function: Callable[..., Coroutine[Any, Any, None]], *args: Any, name: str
    ) -> bool:
        """Do the same in that context."""
        if self._tasks is None:
            return False
        begin: Callable[[], object] = partial(self._tasks.start_soon, function, *args, name=f"grayflow {name}")
        context.run(begin)
        return True

    async def _work(self) -> None:
        self.loop, self._context = asyncio.get_running_loop(), copy_context()
        async with anyio.create_task_group() as self._tasks:
            await self._part.open(self)
            self._opened = True
            try:
                self._settled.set()
                await self.ending.wait()
            finally:
                # Also if entering was cancelled just now; a part that hangs is ended natively, by `Owner.stop`.
                with anyio.CancelScope(shield=True):
                    await self._part.close()
            self._tasks.cancel_scope.cancel()

    def _over(self, failure: Exception | None) -> None:
        self._tasks = self.loop = self._context = None
        self._failure = failure
        self._settled.set()
        # What `open` raises is raised to the caller, who may have made a mistake: nothing has broken in the background.
        self._part.over(failure if self._opened else None)
