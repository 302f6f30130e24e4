"""
A sleep that somebody may cut short.

Without a task of its own, unlike `grayflow.replica.waiting.pause`: who sleeps most of the time would make one each
time, and a loop that is torn away in the very moment in which a task was made leaves a coroutine that never began,
which Python warns of.
"""

import anyio
from anyio.lowlevel import checkpoint

from grayflow.clock import Clock

__all__ = ["Alarm"]


class Alarm:
    """
    Wakes one sleeper.

    Args:
        clock: Tells when the sleep is over.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._scope: anyio.CancelScope | None = None  # outside of a loop none can be made
        self._rung = False

    def ring(self) -> None:
        """End the sleep, or the next one if nobody sleeps. Only in the sleeper's loop."""
        self._rung = True
        if self._scope is not None:
            self._scope.cancel()

    def clear(self) -> None:
        """Forget what was rung so far: whoever does everything anyway needs not be woken for it."""
        self._rung = False

    async def sleep(self, seconds: float) -> bool:
        """Return after so many seconds, or when it rings; tell whether it has rung since it was cleared."""
        if self._rung:
            await checkpoint()
            return True
        try:
            with anyio.CancelScope() as self._scope:
                await self._clock.sleep(seconds)
        finally:
            self._scope = None
        return self._rung
