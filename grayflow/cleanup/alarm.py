"""
A sleep that somebody may cut short.

Without a task of its own, unlike `grayflow.replica.waiting.pause`: a crew sleeps most of the time, and a loop that is
torn away in the very moment in which a task was made leaves a coroutine that never began, which Python warns of.
"""

import anyio

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
        self._scope = anyio.CancelScope()
        self._rung = False

    def ring(self) -> None:
        """End the sleep, or the next one if nobody sleeps. Only in the sleeper's loop."""
        self._rung = True
        self._scope.cancel()

    def clear(self) -> None:
        """Forget what was rung so far: whoever does everything anyway needs not be woken for it."""
        self._rung = False

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds, or when it rings."""
        with anyio.CancelScope() as self._scope:
            if self._rung:
                self._scope.cancel()
            await self._clock.sleep(seconds)
