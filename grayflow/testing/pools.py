"""
Small pools of names and values that documents and contexts are both drawn from, so that conditions often hold.

Each topic ties attributes to the operators that suit them and to values that these operators can read, or nearly.
"""

from datetime import UTC, datetime
from typing import Any, NamedTuple

from grayflow.core.extensions import Extensions, Hash
from grayflow.core.flag import Path

__all__ = ["EXTENSIONS", "FLAG_KEYS", "IDS", "INSTANTS", "SALTS", "SEGMENT_KEYS", "TOPICS", "Topic"]

FLAG_KEYS = ("alpha", "beta", "gamma", "delta")
SEGMENT_KEYS = ("staff", "trial", "eu")
IDS: tuple[str | int, ...] = ("u-1", "u-2", "u-3", "u-4", 42, 7, "", "ünï-çødé", 0, -1, "0042")
SALTS = (None, None, "", "salt", "alpha", "ü\0x")
"""Empty text is a salt of its own; `None` is the usual one."""

INSTANTS = (
    datetime(2027, 1, 4, tzinfo=UTC),
    datetime(2027, 1, 4, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2027, 1, 9, 12, 30, tzinfo=UTC),
    datetime(2027, 3, 1, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 0, tzinfo=UTC),
)


def _sum_of_digits(salt: str, unit: str) -> int:
    if unit == "u-3":
        raise RuntimeError("a foreign hash that cannot take this id")
    return sum(map(ord, salt + unit)) * 7919 % (11_000 if unit == "u-4" else 10_000)


def _longer(attribute: Any, values: tuple[Any, ...]) -> bool | None:
    if not isinstance(attribute, str):
        return None
    return any(isinstance(value, int) and len(attribute) > value for value in values)


def _raising(attribute: Any, values: tuple[Any, ...]) -> bool | None:
    raise RuntimeError(f"a foreign operator that fails on {type(attribute).__name__} and {len(values)} values")


EXTENSIONS = Extensions(
    hashes={"digits": Hash(10_000, _sum_of_digits)}, operators={"longer": _longer, "raising": _raising}
)
"""What generated documents use: give it to whatever evaluates them. `digits` fails for some ids, as others may."""


class Topic(NamedTuple):
    """Attributes that hold the same sort of thing, and what is done with it."""

    names: tuple[Path, ...]
    operators: tuple[str, ...]
    values: tuple[Any, ...]
    """For `values` of conditions and for attributes of contexts alike; some of them the operators cannot read."""


_TEXT = ("in", "starts_with", "ends_with", "contains", "equals", "matches", "longer", "raising", "no_such_operator")

TOPICS = (
    Topic(("user_id", "session_id", "tenant_id"), ("in", "equals", "starts_with", "is", "exists"), IDS),
    Topic(
        ("country", "region", "platform", ("address", "country"), "address.country"),
        _TEXT,
        ("DE", "de", "FR", "straße", "STRASSE", "İ", "\u0131", "", "D", "E", True, 1, None),
    ),
    Topic(
        ("path", "user_agent", "device"),
        ("matches", "contains", "starts_with"),
        (
            "^/api/v[0-9]+$",
            "/api/v2",
            "/API/v2\n",
            "a.b",
            "(",
            "(a+)+b",
            "x" * 600,
            "[[:alpha:]]+",
            r"\bv2\b",
            "(?i)api",
            7,
        ),
    ),
    Topic(
        ("app_version", "os_version"),
        ("semver_eq", "semver_lt", "semver_le", "semver_gt", "semver_ge", "semver_caret", "semver_tilde", "in"),
        (
            "1.2.3",
            "1.2.3-rc.1",
            "1.2.3-rc.1+build.5",
            "1.2",
            "1",
            "v1.2.3",
            "V2",
            "0.2.3",
            "0.0.3",
            "1.02.3",
            "",
            1,
            1.2,
        ),
    ),
    Topic(
        ("ip",),
        ("cidr",),
        (
            "10.0.0.0/8",
            "10.1.2.3",
            "10.1.2.3/33",
            "192.168.0.1",
            "2001:db8::/32",
            "2001:db8::1",
            "::ffff:10.1.2.3",
            "x",
            10,
        ),
    ),
    Topic(
        ("age", "score", "limit", ("scores", 0), "scores.1"),
        ("lt", "le", "gt", "ge", "in", "equals", "is"),
        (
            0,
            1,
            1.0,
            -1.5,
            18,
            "18",
            " 18 ",
            "1e3",
            "1,000",
            "inf",
            "nan",
            2**53,
            2**53 + 1,
            2**63,
            1e308,
            -0.0,
            True,
            None,
        ),
    ),
    Topic(
        ("created_at", "now"),
        ("before", "after"),
        (
            "2027-01-04T00:00:00Z",
            "2027-01-04T01:00:00+01:00",
            "2027-01-04T00:00:00.000000001Z",
            "2027-01-04",
            "2027-01-04 00:00:00Z",
            "2027-02-30T00:00:00Z",
            1_798_934_400,
            1_798_934_400_000,
            1_798_934_400.5,
            10**40,
        ),
    ),
    Topic(
        ("tags", "vip", "plan", "address", "a.b", ("a.b",), "missing"),
        ("in", "equals", "is", "exists", "contains"),
        (
            True,
            False,
            "a",
            "b",
            ["a", "b"],
            [],
            [1, 1.0, True],
            {"country": "DE"},
            {"a": {"b": [1]}},
            1,
            "true",
            "boolean",
            "list",
        ),
    ),
)
