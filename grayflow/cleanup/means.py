"""What the parts of cleanup work with: where jobs are recorded, whose time counts, what is counted."""

from collections.abc import Callable

import anyio
import msgspec

from grayflow.cleanup.handlers import Scope
from grayflow.cleanup.sites import Site, site
from grayflow.clock import Clock
from grayflow.core.position import Position
from grayflow.replica.holder import Holder
from grayflow.replica.view import View
from grayflow.store.board import Board
from grayflow.store.fleet import Process
from grayflow.store.port import Store

__all__ = ["CleanupStatus", "Means", "Shelf", "Tally", "Time"]


class Time:
    """
    A board's time as this process reckons it: what the board said last, and the seconds since.

    Counted with the monotonic clock, so that setting the machine's clock ends no lease and no wait. A `Clock`, since
    the board of this process's own jobs goes by it.

    Args:
        clock: The machine's; its time counts until the board has said something.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._said, self._at = clock.now(), clock.monotonic()
        self.offset_s: float | None = None
        """By how much the board is ahead of the machine's clock; `None` before it said anything."""

    def now(self) -> int:
        """See `Clock.now`."""
        return self._said + round((self._clock.monotonic() - self._at) * 1e9)

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        await self._clock.sleep(seconds)

    def hear(self, now: int) -> None:
        """Take note of what the board says."""
        self._said, self._at = now, self._clock.monotonic()
        self.offset_s = (now - self._clock.now()) / 1e9


class CleanupStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How the handlers of one client are doing."""

    handlers: int
    """How many are registered here."""
    pending: int
    """Jobs of these handlers that are due and wait: for others, for a drain, for the next attempt."""
    running: int
    """Jobs that this process is at work on."""
    failed: int
    """Jobs whose attempts all failed: `grayflow jobs` for the fleet's; those of this process stay until it restarts."""
    orphaned: int
    """Jobs of the fleet for which nobody alive has the handler, as far as this process has seen."""
    done: int
    """Jobs that this process has finished."""
    errors: int
    """Attempts that failed in this process."""
    superseded: int
    """Jobs that this process gave up because the flag was switched again."""
    last_error: str | None
    """Of the newest attempt that failed here; `None` if none did."""
    unavailable: str | None
    """Why this process can do nothing for the fleet now; `None` if it can, or if no handler asks for it."""
    clock_offset_s: float | None
    """By how many seconds the board's clock is ahead of this machine's; `None` if it has not said."""


class Tally:
    """Counts for the status; changed by whoever does what is counted."""

    def __init__(self) -> None:
        self.done = self.errors = self.superseded = 0
        self.last_error: str | None = None


class Shelf(msgspec.Struct, frozen=True):
    """A board and its time."""

    board: Board
    time: Time


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What all jobs of one scope are done with."""

    store: Store
    """Asked for the history, and whether a switch still holds."""
    holder: Holder
    """Has the current flags."""
    shelf: Shelf
    """Where the jobs are recorded."""
    fleet_time: Time
    """The time that edges of windows are compared with, besides the machine's."""
    scope: Scope
    """Whose jobs: this process's, or the fleet's."""
    clock: Clock
    """The machine's."""
    random: Callable[[], float]
    """Draws from `[0, 1)`."""
    who: str
    """This process, for people."""
    owner: str
    """This client's life, for leases."""
    here: Callable[[Position], Process]
    """Says what this process still decides by."""
    touch: Callable[[], None]
    """Called when this process has something new to report."""
    doubt: Callable[[], object]
    """Called when the store seems to know of a change that has not come here."""
    tally: Tally
    """What is counted."""
    lease_s: float
    """How long a job is held without a sign of life."""
    limiter: anyio.CapacityLimiter
    """For synchronous handlers: of their own, so that those which hang leave the application its threads."""

    @property
    def board(self) -> Board:
        """Where the jobs are recorded."""
        return self.shelf.board

    @property
    def time(self) -> Time:
        """The board's time."""
        return self.shelf.time

    @property
    def shared(self) -> bool:
        """Whether the jobs are the fleet's."""
        return self.scope == "fleet"

    def instant(self) -> int:
        """Return the time that has come by this machine's clock and by the board's: what both say is over, is."""
        now = self.clock.now()
        return now if self.fleet_time.offset_s is None else min(now, self.fleet_time.now())

    def site(self, view: View, flag: str, variant: str) -> Site:
        """Look at a variant now."""
        return site(view, flag, variant, self.instant())
