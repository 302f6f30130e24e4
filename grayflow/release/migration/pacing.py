"""Holds a loop over rows to a rate."""

import math

from grayflow.clock import Clock

__all__ = ["Pace"]


class Pace:
    """
    So many rows a second, on average since the beginning.

    Args:
        clock: The time.
        rate: Rows a second; `math.inf`: as fast as it goes.
    """

    def __init__(self, clock: Clock, rate: float) -> None:
        self._clock, self._rate = clock, rate
        self._began, self._rows = clock.monotonic(), 0

    async def spend(self, rows: int) -> None:
        """Count rows, and wait until they were allowed."""
        self._rows += rows
        if self._rate != math.inf:
            await self._clock.sleep(self._began + self._rows / self._rate - self._clock.monotonic())
