"""Values that no sane service puts into a context, and that some service will."""

# ruff: noqa: DTZ001, DTZ901 - naive and extreme datetimes are meant

import enum
import ipaddress
import uuid
from collections import ChainMap, OrderedDict, UserDict, deque
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import NamedTuple
from unittest.mock import Mock

__all__ = ["Colour", "Level", "zoo"]


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Point(NamedTuple):
    x: int
    y: int


class Liar(str):
    """Text whose own methods are of no use."""

    __slots__ = ()

    def __eq__(self, other):
        raise RuntimeError("eq")

    def __hash__(self):
        raise RuntimeError("hash")

    def casefold(self):
        raise RuntimeError("casefold")

    def encode(self, *args):
        raise RuntimeError("encode")


class Thorny:
    """An object that raises at every touch."""

    def __eq__(self, other):
        raise RuntimeError("eq")

    def __hash__(self):
        raise RuntimeError("hash")

    def __bool__(self):
        raise RuntimeError("bool")

    def __repr__(self):
        raise RuntimeError("repr")


def nested(make, levels):
    value = make(None)
    for _ in range(levels):
        value = make(value)
    return value


def zoo():
    """A fresh list, as some of them change when they are read."""
    loop_list, loop_dict = [], {}
    loop_list.append(loop_list)
    loop_dict["self"] = loop_dict
    values = [
        True, False, 0, 1, -1, 10**5000, -(10**5000), 2**64, 0.0, -0.0, 1.5, 1e308, 5e-324,
        float("nan"), float("inf"), float("-inf"), 1j,
        "", "a", "1", "1.5", "1e999", "9" * 5000, "\ud800", "\x00", "x" * 10_000_000, "1." * 5_000_000, ":" * 100_000,
        "1.2.3-" + "a." * 100_000, "a" * 512, "a" * 513, "true", "nan", "inf", "١٢٣",
        b"a", bytearray(b"a"), memoryview(b"a"), Decimal("1.5"), Decimal("nan"), Fraction(1, 2),
        datetime(2027, 1, 1), datetime(2027, 1, 1, tzinfo=UTC), datetime.min, datetime.max,
        datetime.min.replace(tzinfo=timezone(timedelta(hours=23))),
        datetime.max.replace(tzinfo=timezone(-timedelta(hours=23))),
        date(2027, 1, 1), time(1, 2), timedelta(1), uuid.UUID(int=1),
        Colour.RED, Level.HIGH, Liar("a"), Thorny(), object(), int, len, Mock(), Mock(spec=str), Mock(spec=list),
        Mock(spec=dict),
        [], [None], [[]], [Thorny()], (), (1, "a"), set(), {1, "a"}, frozenset({None}), range(3), iter([1]),
        deque([1]), Point(1, 2),
        {}, {"a": 1}, {1: 1}, {None: None}, OrderedDict(a=1), UserDict(a=1), ChainMap({"a": 1}),
        MappingProxyType({"a": 1}),
        loop_list, loop_dict, nested(lambda inner: [inner], 100_000), nested(lambda inner: {"a": inner}, 100_000),
        ipaddress.ip_address("10.0.0.1"), ipaddress.ip_address("::1%eth0"), ipaddress.ip_network("10.0.0.0/8"),
    ]  # fmt: skip
    return [*values, values[:40]]
