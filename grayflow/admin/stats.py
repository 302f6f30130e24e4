"""The part of `Admin` that knows how often implementations were called, and how that went."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from grayflow.admin.desk import Desk
from grayflow.core.flag import Flag
from grayflow.errors import ConfigurationError
from grayflow.store.board import Board
from grayflow.store.counts import FAILED_LIMIT, WINDOW_NS, Arm, Tally, counter_name, failed_name, read_counter
from grayflow.store.given import Duration, seconds

__all__ = ["Stats", "StatsVerbs", "StatsWindow"]

_WINDOW_S = WINDOW_NS / 1e9
_LONGEST_S = 86_400.0
_AT_ONCE = 120
"""Counters that are asked for together: few enough that no server is busy for long with it."""
_COLUMNS = 60
_WIDTHS = (1, 2, 5, 10, 15, 30, 60)


class StatsWindow(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted from one instant on, for the length of a window."""

    start: int
    """Nanoseconds since the epoch, by the board's clock: when it was told, up to seconds after it happened."""
    arms: Mapping[Arm, Tally]

    def total(self, variant: str) -> Tally:
        """Return all that was counted of a variant."""
        return _total(self.arms, variant)


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """How often the implementations behind a flag were called, and how that went."""

    key: str
    start: int
    """Nanoseconds since the epoch, by the board's clock."""
    end: int
    """When it was looked."""
    window_s: float
    """How long a window is."""
    windows: tuple[StatsWindow, ...]
    """All from `start` to `end`, also those without a call; the last one is not over."""

    @property
    def arms(self) -> Mapping[Arm, Tally]:
        """All that was counted, by arm."""
        return _merged([window.arms for window in self.windows])

    @property
    def variants(self) -> tuple[str, ...]:
        """Those that were called, by name."""
        return tuple(sorted({arm.variant for arm in self.arms}))

    def total(self, variant: str) -> Tally:
        """Return all that was counted of a variant."""
        return _total(self.arms, variant)


class StatsVerbs(Desk):
    """Reads what processes have counted; see `Desk` for how it is opened."""

    async def stats(self, key: str, *, since: Duration = 3600.0, window: Duration | None = None) -> Stats:
        """
        Return what `grayflow.release.Counters` counted of a flag.

        Args:
            key: The flag; it need not exist any more.
            since: How far back, seconds or a `timedelta`: from a minute to a day.
            window: How long each window is: whole minutes. Left out, such that there are 60 of them at most.

        Raises:
            UnknownFlagError: there never was such a flag.
            ConfigurationError: an argument cannot be used, or the store has no board.
        """
        board, length = self._stats_board(), _minutes("since", since)
        width = _width(length) if window is None else _minutes("window", window)
        if width > length:
            raise ConfigurationError(f"window is {width * 60} s, longer than all that is looked at: {length * 60} s")
        await self._read(Flag, key)
        now = await board.now()
        newest = now // WINDOW_NS
        oldest = (newest - length + 1) // width * width
        minutes = await _read_minutes(board, key, range(oldest, newest + 1))
        starts = range(oldest, newest + 1, width)
        windows = [
            StatsWindow(start=start * WINDOW_NS, arms=_merged(minutes[start - oldest :][:width])) for start in starts
        ]
        return Stats(key=key, start=oldest * WINDOW_NS, end=now, window_s=width * _WINDOW_S, windows=tuple(windows))

    def _stats_board(self) -> Board:
        board = self.store.board
        if board is None:
            raise ConfigurationError(f"{self.store.no_board}; so nothing is counted")
        return board


def _minutes(name: str, given: Duration) -> int:
    found = seconds(name, given, least=_WINDOW_S)
    if found > _LONGEST_S or found % _WINDOW_S:
        raise ConfigurationError(
            f"{name} is {found:.15g} s; give whole minutes, and at most a day: that is what is kept"
        )
    return round(found / _WINDOW_S)


def _width(length: int) -> int:
    return next(width for width in _WIDTHS if math.ceil(length / width) <= _COLUMNS)


async def _read_minutes(board: Board, key: str, minutes: range) -> list[Mapping[Arm, Tally]]:
    names = [counter_name(key, minute) for minute in minutes]
    found: list[Mapping[Arm, Tally]] = []
    for first in range(0, len(names), _AT_ONCE):
        found += map(read_counter, await board.counts(names[first : first + _AT_ONCE]))
    failed = [await _read_failed(board, key, arm, minutes) for arm, tally in _merged(found).items() if tally.failures]
    return [_merged([arms, *(one[place] for one in failed)]) for place, arms in enumerate(found)]


async def _read_failed(board: Board, key: str, arm: Arm, minutes: range) -> list[Mapping[Arm, Tally]]:
    """Return who failed for the first time in each minute."""
    first = [0] * len(minutes)
    for member in await board.members(failed_name(key, arm), limit=2 * FAILED_LIMIT):
        minute = member.since // WINDOW_NS
        if minute in minutes:
            first[minute - minutes.start] += 1
    return [{arm: Tally(failed_units=number)} if number else {} for number in first]


def _merged(several: Sequence[Mapping[Arm, Tally]]) -> Mapping[Arm, Tally]:
    found: defaultdict[Arm, Tally] = defaultdict(Tally)
    for arms in several:
        for arm, tally in arms.items():
            found[arm] += tally
    return dict(found)


def _total(arms: Mapping[Arm, Tally], variant: str) -> Tally:
    return sum((tally for arm, tally in arms.items() if arm.variant == variant), Tally())
