"""
One call of a handler, which may take too long, raise whatever it likes, or be told to stop.

An async handler is stopped by cancelling it. A synchronous one runs in a thread, and a thread cannot be stopped: it is
told by `still_off()`, and waited for, since an attempt that is given up while its thread works on would run beside the
next one. Only a client that is closed leaves a thread behind.
"""

import inspect
import math

import anyio
import msgspec
from anyio import to_thread

from grayflow.cleanup.event import SwitchEvent
from grayflow.cleanup.handlers import Handler
from grayflow.clock import Clock
from grayflow.core.outcomes import told

__all__ = ["Attempt", "Outcome"]


class Outcome(msgspec.Struct, frozen=True):
    """How an attempt ended."""

    failure: str = ""
    """Empty if the handler returned."""
    error: BaseException | None = None
    """What it raised."""
    stopped: bool = False
    """It was told to stop, and did; whether what it was to do is done nobody knows."""


class Attempt:
    """
    Calls a handler once.

    Args:
        handler: Which.
        clock: Tells when it has taken too long.
        limiter: How many synchronous handlers may run at once.
    """

    def __init__(self, handler: Handler, *, clock: Clock, limiter: anyio.CapacityLimiter) -> None:
        self._handler, self._clock, self._limiter = handler, clock, limiter
        self._scope = anyio.CancelScope()
        self._late = False
        self.stopping = False
        """Whether it was told to stop."""
        self.abandoned = False
        """Whether its thread was left behind and may still be at work."""

    def stop(self) -> None:
        """Tell the handler to stop."""
        self.stopping = True
        self._scope.cancel()

    async def run(self, event: SwitchEvent) -> Outcome:
        """Call the handler and return how it ended; its failures never leave here as exceptions."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch)
            outcome = await self._outcome(event)
            tasks.cancel_scope.cancel()
        return outcome

    async def _watch(self) -> None:
        await self._clock.sleep(self._handler.timeout_s)
        self._late = True
        self.stop()

    async def _outcome(self, event: SwitchEvent) -> Outcome:
        try:
            returned = await self._call(event)
        except anyio.get_cancelled_exc_class() as error:
            if anyio.current_effective_deadline() == -math.inf:
                raise
            return Outcome("the handler was cancelled from within", error)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the application's own code: recorded and counted
            if self._late:
                return Outcome(self._too_late(), error)
            text = told(error) if isinstance(error, Exception) else repr(error)
            return Outcome(f"{type(error).__name__}: {text}", error)
        if returned:
            return Outcome()
        return Outcome(self._too_late()) if self._late else Outcome("stopped", stopped=True)

    async def _call(self, event: SwitchEvent) -> bool:
        """Return whether the handler came to its end."""
        function = self._handler.function
        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
            result = function(event)
        else:
            result = await self._in_thread(event)
        if inspect.isawaitable(result):
            with self._scope:
                await result
            return not self._scope.cancelled_caught
        return not self.stopping or self._late

    async def _in_thread(self, event: SwitchEvent) -> object:
        self.abandoned = True
        try:
            return await to_thread.run_sync(
                self._handler.function, event, abandon_on_cancel=True, limiter=self._limiter
            )
        finally:
            self.abandoned = anyio.current_effective_deadline() == -math.inf

    def _too_late(self) -> str:
        return f"it took longer than {self._handler.timeout_s:g} s"
