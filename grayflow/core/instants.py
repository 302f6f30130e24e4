"""
Instants: points in time, read from RFC 3339 text, aware datetimes or epoch numbers, and compared exactly.

An instant is a pair that compares like the time it stands for: whole nanoseconds since 1970, and the decimal digits
below them as text (`"4" < "49" < "5"`). So fractions of any length, and floats, lose nothing, and no date is out of
range: a leap second at the end of the year 9999 is one second more.
"""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from grayflow.core.values import number, text

__all__ = ["Instant", "instant", "not_after", "not_before"]

Instant = tuple[int, str]

_RFC_3339 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 86_400
_SECOND = 1_000_000_000
_PER_UNIT = {"s": _SECOND, "ms": 1_000_000}
_DIGITS = 18


def instant(value: Any, epoch: Literal["s", "ms"] | None) -> Instant | None:
    """
    Read an instant; None for what is none.

    Text is RFC 3339 with a zone; `t`, `z` and a space between date and time are accepted, and second 60 where UTC
    has 23:59:60. A `datetime` must be aware. Numbers count if `epoch` says what they count, seconds or milliseconds
    since 1970, before it if negative.
    """
    given = type(value)
    if issubclass(given, datetime):
        return _from_datetime(value)
    written = text(value)
    if written is not None:
        return _from_text(written)
    known = number(value) if epoch is not None else None
    if known is None or epoch is None:
        return None
    return _from_ratio(*known.as_integer_ratio(), _PER_UNIT[epoch])


def not_after(when: Instant) -> datetime | None:
    """Return the latest datetime that is not after an instant; None where `datetime` has none."""
    try:
        return _EPOCH + timedelta(microseconds=when[0] // 1000)
    except OverflowError:
        return None


def not_before(when: Instant) -> datetime | None:
    """Return the earliest datetime that is not before an instant; None where `datetime` has none."""
    return not_after((when[0] + 999 + bool(when[1]), ""))


def _from_datetime(value: datetime) -> Instant | None:
    offset = value.utcoffset()
    if offset is None:
        return None
    seconds = _seconds(value.toordinal(), value.hour, value.minute, value.second)
    seconds -= offset.days * _DAY + offset.seconds
    return seconds * _SECOND + (value.microsecond - offset.microseconds) * 1000, ""


def _from_text(written: str) -> Instant | None:
    found = _RFC_3339.fullmatch(written)
    if found is None:
        return None
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    ahead = _offset(found[8], found[9], found[10])
    if ahead is None or hour > 23 or minute > 59 or second > 60:
        return None
    try:
        days = date(year, month, day).toordinal()
    except ValueError:
        return None
    seconds = _seconds(days, hour, minute, second) - ahead
    if second == 60 and seconds % _DAY:
        return None
    digits = (found[7] or "").rstrip("0")
    return seconds * _SECOND + int(digits[:9].ljust(9, "0")), digits[9:]


def _offset(sign: str | None, hours: str, minutes: str) -> int | None:
    """Seconds east of UTC; None if there is no such offset."""
    if sign is None:
        return 0
    if int(hours) > 23 or int(minutes) > 59:
        return None
    return (int(hours) * 3600 + int(minutes) * 60) * (-1 if sign == "-" else 1)


def _seconds(days: int, hour: int, minute: int, second: int) -> int:
    return (days - _EPOCH_DAY) * _DAY + hour * 3600 + minute * 60 + second


def _from_ratio(above: int, below: int, unit: int) -> Instant:
    whole, rest = divmod(above * unit, below)
    digits = []
    # Ends: the denominator of a float is a power of two, so its decimal fraction is finite (at most 1074 digits).
    while rest:
        part, rest = divmod(rest * 10**_DIGITS, below)
        digits.append(str(part).zfill(_DIGITS))
    return whole, "".join(digits).rstrip("0")
