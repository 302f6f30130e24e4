"""
One call of a step's function, which may take too long, raise whatever it likes, or be told to stop.

An async function is stopped by cancelling it. A synchronous one runs in a thread, which nothing can stop: it is waited
for, since an undo beside the effect that it takes back would be worse than one that comes late. Only when the engine
itself is torn down is a thread left behind.
"""

import asyncio
import inspect
import math
from typing import Any

import anyio
import msgspec
from anyio import to_thread

from grayflow.clock import Clock
from grayflow.release.atom.model import StepCall, StepFunction

__all__ = ["Answer", "Caller"]


class Answer(msgspec.Struct, frozen=True):
    """How a call ended."""

    value: Any = None
    error: BaseException | None = None
    """What it raised, or that it took too long; `None` if it returned."""
    stopped: bool = False
    """It was told to stop, and did."""


class Caller:
    """
    Calls functions one after the other.

    Args:
        clock: Tells when one has taken too long.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._scope: anyio.CancelScope | None = None
        self._stopping = self._late = self._interruptible = False
        self.abandoned = False
        """Whether a thread was left behind and may still be at work."""

    def interrupt(self) -> None:
        """Tell the function that is being called to stop, if it is one that may be interrupted."""
        if self._interruptible:
            self.stop()

    def stop(self) -> None:
        """Tell the function that is being called to stop, whichever it is."""
        self._stopping = True
        if self._scope is not None:
            self._scope.cancel()

    async def call(
        self, function: StepFunction, told: StepCall, limit_s: float | None, *, interruptible: bool = False
    ) -> Answer:
        """Call a function and return how it ended; what it raises never leaves here as an exception."""
        self._scope, self._interruptible = anyio.CancelScope(), interruptible
        self._stopping = self._late = False
        try:
            async with anyio.create_task_group() as tasks:
                if limit_s is not None:
                    tasks.start_soon(self._watch, self._scope, limit_s)
                answer = await self._answer(function, told, self._scope)
                tasks.cancel_scope.cancel()
        finally:
            self._scope, self._interruptible = None, False
        if answer.error is None or not self._late:
            return answer
        late = TimeoutError(f"it took longer than {limit_s:g} s")
        late.__cause__ = answer.error
        return Answer(error=late)

    async def _watch(self, scope: anyio.CancelScope, limit_s: float) -> None:
        await self._clock.sleep(limit_s)
        self._late = True
        scope.cancel()

    async def _answer(self, function: StepFunction, told: StepCall, scope: anyio.CancelScope) -> Answer:
        try:
            if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
                result = function(told)
            else:
                result = await self._in_thread(function, told)
            if inspect.isawaitable(result):
                with scope:
                    return Answer(await result)
                return Answer(error=InterruptedError("it was interrupted"), stopped=self._stopping)
            return Answer(result)
        except anyio.get_cancelled_exc_class():
            if _is_cancelled():
                raise
            return Answer(error=RuntimeError("the function was cancelled from within"))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the application's own code: recorded, and undone
            return Answer(error=error)

    async def _in_thread(self, function: StepFunction, told: StepCall) -> Any:
        self.abandoned = True
        try:
            return await to_thread.run_sync(function, told, abandon_on_cancel=True)
        finally:
            self.abandoned = _is_cancelled()


def _is_cancelled() -> bool:
    """Whether the task itself is to end, by a scope around it or natively."""
    task = asyncio.current_task()
    return anyio.current_effective_deadline() == -math.inf or (task is not None and task.cancelling() > 0)
