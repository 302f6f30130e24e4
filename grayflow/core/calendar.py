"""Instants, days and times of day as whole numbers: what windows of a flag and `during` conditions are made of."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from grayflow.core.flag import During
from grayflow.core.needs import Instant

__all__ = ["as_datetime", "as_instant", "during_test", "from_datetime"]

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday


def from_datetime(when: datetime) -> int:
    """
    Return nanoseconds since the epoch.

    Raises:
        ValueError: `when` has no time zone.
    """
    if when.tzinfo is None:
        raise ValueError(f"{when.isoformat()} has no time zone; grayflow takes aware datetimes only")
    delta = when - _EPOCH
    return ((delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds) * 1_000


def as_instant(when: datetime | int) -> int:
    """Return `when` as nanoseconds since the epoch, whichever of the two it is."""
    return when if isinstance(when, int) else from_datetime(when)


def as_datetime(instant: Instant) -> datetime:
    """Return the instant in UTC, cut to microseconds."""
    return _EPOCH + timedelta(microseconds=instant // 1_000)


def during_test(during: During) -> Callable[[Instant], bool]:
    """Return the function that says whether an instant lies in a `during` condition."""
    low = None if during.from_ is None else from_datetime(during.from_)
    high = None if during.until is None else from_datetime(during.until)
    days = None if during.days is None else frozenset(map(_DAYS.index, during.days))
    start, end = _time_of_day(during.start), _time_of_day(during.end)

    def test(now: Instant) -> bool:
        if low is not None and now < low:
            return False
        if high is not None and now >= high:
            return False
        day, time = now // DAY, now % DAY
        if start < end:
            inside = start <= time < end
        else:
            # The window crosses midnight: what lies before `end` belongs to the window that began the day before.
            inside = time >= start or time < end
            day -= time < start
        return inside and (days is None or (day + _EPOCH_WEEKDAY) % 7 in days)

    return test


def _time_of_day(text: str) -> int:
    hours, minutes, *seconds = map(int, text.split(":"))
    return ((hours * 60 + minutes) * 60 + sum(seconds)) * SECOND
