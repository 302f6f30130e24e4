"""
An event loop whose time is a number: nobody waits, and what happens does not depend on the machine.

When no task can go on, time jumps to the next timer. Hours pass in milliseconds, every sleep, deadline and interval
keeps its order, and with seeded random numbers a run is the same each time. `FakeClock` is for the tests that move
time step by step; this is for whole stories, with the deadlines of libraries in them.
"""

import asyncio
from selectors import BaseSelector, SelectorKey
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Mapping

    from _typeshed import FileDescriptorLike

__all__ = ["VirtualClock", "VirtualLoop"]


class VirtualLoop(asyncio.SelectorEventLoop):
    """
    An asyncio event loop on virtual time, which begins at 0.

        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(main())

    Under anyio's pytest plugin, let the fixture `anyio_backend` return `("asyncio", {"loop_factory": VirtualLoop})`.
    There is nothing outside of it: sockets never become readable, and nobody waits for threads. If every task waits
    for something that no time brings about, the loop ends with a `RuntimeError`.
    """

    def __init__(self) -> None:
        self._elapsed = 0.0
        super().__init__(_Nothing(self))

    def time(self) -> float:
        """Return the seconds since the loop was made."""
        return self._elapsed

    def jump(self, seconds: float) -> None:
        """
        Let time pass with nothing done in it, as when the process is stopped: all timers within are late.

        The loop itself calls this when every task waits; override it to look at each moment that lasts.
        """
        self._elapsed += seconds


class VirtualClock:
    """
    The time of a virtual loop as a `grayflow.clock.Clock`.

    Args:
        loop: Whose time it tells.
        now: Nanoseconds since 1970 at the loop's beginning; 2026-01-01T00:00:00Z if left out.
    """

    def __init__(self, loop: VirtualLoop, *, now: int = 1_767_225_600_000_000_000) -> None:
        self._loop, self._start = loop, now
        self._suspended_s = 0.0

    def now(self) -> int:
        """See `Clock.now`."""
        return self._start + round(self.monotonic() * 1e9)

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self._loop.time() + self._suspended_s

    async def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        await anyio.sleep(max(0.0, seconds))  # noqa: TID251 - a clock is what sleeps, and here nobody waits

    def suspend(self, seconds: float) -> None:
        """Put the machine to sleep for so long: the clock goes on, the loop's timers stand still."""
        self._suspended_s += seconds


class _Nothing(BaseSelector):
    """Waits for no file, and instead of waiting moves the time on."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._keys: dict[int, SelectorKey] = {}

    def register(self, fileobj: "FileDescriptorLike", events: int, data: object = None) -> SelectorKey:
        key = SelectorKey(fileobj, _number(fileobj), events, data)
        self._keys[key.fd] = key
        return key

    def unregister(self, fileobj: "FileDescriptorLike") -> SelectorKey:
        return self._keys.pop(_number(fileobj))

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError(
                "every task waits, and no timer is due ever: a deadlock, or a wait for a socket or a thread, "
                "which have no place in virtual time"
            )
        if timeout > 0:
            self._loop.jump(timeout)
        return []

    def get_map(self) -> "Mapping[FileDescriptorLike, SelectorKey]":
        return {key.fileobj: key for key in self._keys.values()}


def _number(fileobj: "FileDescriptorLike") -> int:
    return fileobj if isinstance(fileobj, int) else fileobj.fileno()
