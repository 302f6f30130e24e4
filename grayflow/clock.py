"""
The only place that knows what time it is.

Everything else is given instants, so tests move time by hand (`grayflow.testing.FakeClock`) and the
core stays a function. Instants are whole nanoseconds since the Unix epoch: integers compare exactly,
and a `datetime` costs three times as much to make.
"""

import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """Time as the rest of grayflow sees it."""

    def now(self) -> int:
        """Nanoseconds since 1970-01-01T00:00:00Z. May step when the system's clock is set."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never goes back, and counts on while the machine sleeps."""

    async def sleep(self, seconds: float) -> None:
        """Wait that long; zero or less only lets other tasks run."""


class SystemClock:
    """The machine's clocks."""

    # A laptop that slept for an hour holds flags that are an hour old: CLOCK_MONOTONIC would not say so on Linux.
    _boot = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

    def now(self) -> int:
        """See `Clock.now`."""
        return time.time_ns()

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return time.clock_gettime(self._boot)

    async def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        import anyio

        await anyio.sleep(max(0.0, seconds))
