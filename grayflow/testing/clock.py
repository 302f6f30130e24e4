"""
Time that stands still until a test moves it.

A test of an interval or a back-off advances the clock and looks; it never waits, and it fails the same way each time.
"""

import asyncio
from bisect import insort
from itertools import count

import anyio
from anyio.lowlevel import checkpoint

__all__ = ["FakeClock"]

_ROUNDS = 1000
"""After so many turns of the loop a task that is still running is taken for one that never blocks."""


class FakeClock:
    """
    A `grayflow.clock.Clock` moved by hand.

    Args:
        now: Nanoseconds since 1970; 2026-01-01T00:00:00Z if left out.
        monotonic: Seconds.
    """

    def __init__(self, *, now: int = 1_767_225_600_000_000_000, monotonic: float = 1000.0) -> None:
        # Counted in whole nanoseconds: ten advances of 0.1 s must reach a sleeper of 1 s.
        self._now = now
        self._monotonic = _nanoseconds(monotonic)
        self._order = count()
        self._sleepers: list[tuple[int, int, anyio.Event]] = []

    def now(self) -> int:
        """See `Clock.now`."""
        return self._now

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self._monotonic / 1e9

    async def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`: returns when the clock has been advanced that far."""
        if seconds <= 0:
            await checkpoint()
            return
        sleeper = (self._monotonic + _nanoseconds(seconds), next(self._order), anyio.Event())
        insort(self._sleepers, sleeper)
        try:
            await sleeper[2].wait()
        finally:
            if sleeper in self._sleepers:
                self._sleepers.remove(sleeper)

    @property
    def sleeping(self) -> int:
        """How many tasks sleep on this clock now."""
        return len(self._sleepers)

    async def advance(self, seconds: float) -> None:
        """
        Let time pass, and every task do what it does meanwhile.

        Sleepers wake one by one in the order of their times, each at its own time, and all tasks run until they
        block before the next one wakes, so a loop that sleeps 1 s goes round ten times in `advance(10)`. Work in
        other threads and on sockets is not waited for.
        """
        await _settle()
        end = self._monotonic + _nanoseconds(seconds)
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, wake = self._sleepers.pop(0)
            self._move_to(max(due, self._monotonic))
            wake.set()
            await _settle()
        self._move_to(end)
        await _settle()

    def step(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an administrator would: `now` moves, nothing else does."""
        self._now += _nanoseconds(seconds)

    def _move_to(self, monotonic: int) -> None:
        self._now += monotonic - self._monotonic
        self._monotonic = monotonic


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)


async def _settle() -> None:
    """Let the other tasks run until each waits for something."""
    this = asyncio.current_task()
    for _ in range(_ROUNDS):
        await checkpoint()
        if not any(_runnable(task) for task in asyncio.all_tasks() if task is not this):
            return


def _runnable(task: asyncio.Task[object]) -> bool:
    # CPython: what a task waits for. anyio 4.16.0 reads it for `wait_all_tasks_blocked`, but looks every 0.1 s only.
    waits_for = getattr(task, "_fut_waiter", None)
    return waits_for is None or waits_for.done()
