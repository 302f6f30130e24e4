"""
How often an implementation was called and how that went: what processes add up on the board, minute by minute.

Counters write these sums (`grayflow.release.counters`), admins and rollouts read them, and this is what both agree on.
A contract: other releases read these names, fields and cut points, and pass over fields that they do not know.

Pure. A flag has one counter of the board for each minute (the board's, in which a batch arrives), whose fields are
`METRIC:REVISION:HOW:VARIANT`. Sums only grow, so whoever wants finer slices than minutes takes differences between
two looks. Units that failed are members of sets instead: adding one twice is harmless, and says who was first.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Mapping
from typing import Self, TypeVar

import msgspec

__all__ = [
    "EDGES_S",
    "FAILED_LIMIT",
    "KEEP_S",
    "WINDOW_NS",
    "Arm",
    "Latency",
    "Tally",
    "bin_of",
    "counter_name",
    "failed_name",
    "field_name",
    "is_mark",
    "read_counter",
    "unit_digest",
]

K = TypeVar("K")

WINDOW_NS = 60_000_000_000
"""How long a counter is added to, nanoseconds."""

KEEP_S = 25 * 3600.0
"""How long it is kept after that, seconds: a day, and an hour to be late in."""

FAILED_LIMIT = 10_000
"""About so many units that failed are kept for each arm; who fails after them is not told from those any more."""

EDGES_S = tuple(1e-6 * 2 ** (step / 4) for step in range(128))
"""
The cut points of latency, seconds: from a microsecond to an hour, each 19 % above the one before. Never changed: sums
of several releases lie in one counter.
"""

_CALLS, _FAILURES, _UNITS = "calls", "failures", "units"
_CHANCE, _OTHERWISE = "s", "o"


class Arm(msgspec.Struct, frozen=True, order=True):
    """Calls that may be compared with each other: of one variant, decided in one way by one version of the flag."""

    variant: str
    """Which one answered; empty where the flag left the answer to its caller."""
    revision: int = 0
    """Of the flag's document."""
    chance: bool = False
    """
    Whether a percentage or split decided so. Only such arms may be compared as an experiment: who was named, matched a
    rule or was served for want of another is not like the rest.
    """


class Latency(msgspec.Struct, frozen=True):
    """How long calls took, to within 19 %."""

    bins: Mapping[int, int] = {}
    """How many calls took longer than `EDGES_S[bin - 1]` and up to `EDGES_S[bin]`; the last bin takes all others."""

    @property
    def count(self) -> int:
        """How many calls were timed."""
        return sum(self.bins.values())

    def quantile(self, share: float) -> float | None:
        """
        Return how long that share of the calls took at most, seconds; `None` if none was timed.

        Args:
            share: Above 0 and up to 1: 0.5 is the median.
        """
        wanted, passed = share * self.count, 0
        for place in sorted(self.bins):
            passed += self.bins[place]
            if passed >= wanted:
                return EDGES_S[place]
        return None

    def slower_than(self, seconds: float) -> int:
        """Return how many calls took longer than that; exact at the cut points, elsewhere at the next one above."""
        place = bin_of(seconds)
        return sum(number for each, number in self.bins.items() if each > place)

    def __add__(self, other: "Latency") -> "Latency":
        return Latency(_added(self.bins, other.bins))


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the calls of an arm."""

    calls: int = 0
    """How many came to an end that says something: callers that went away are not counted."""
    failures: int = 0
    """How many of them failed, whether or not something else answered in their place."""
    units: int = 0
    """Who made them: distinct ids, counted in each minute and process anew; about 2 % off above 4,000."""
    failed_units: int = 0
    """How many distinct ids failed for the first time since the flag was changed, in all processes together."""
    latency: Latency = Latency()
    """How long they took."""
    marks: Mapping[str, int] = {}
    """Whatever else was counted, such as `turned_away`: calls that a breaker did not let through."""

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            calls=self.calls + other.calls,
            failures=self.failures + other.failures,
            units=self.units + other.units,
            failed_units=self.failed_units + other.failed_units,
            latency=self.latency + other.latency,
            marks=_added(self.marks, other.marks),
        )

    @property
    def failure_ratio(self) -> float:
        """The share of calls that failed; 0 if there were none."""
        return self.failures / self.calls if self.calls else 0.0

    def amounts(self, arm: Arm) -> Mapping[str, int]:
        """Return what is added to a counter for it, by field; units that failed are not among it."""
        found = {_CALLS: self.calls, _FAILURES: self.failures, _UNITS: self.units}
        found |= {f"l{place}": number for place, number in self.latency.bins.items()}
        found |= self.marks
        return {field_name(metric, arm): amount for metric, amount in found.items() if amount}

    @classmethod
    def of(cls, metrics: Mapping[str, int]) -> Self:
        """Return the tally that metrics were written from."""
        bins = {int(name[1:]): number for name, number in metrics.items() if _is_bin(name)}
        return cls(
            calls=metrics.get(_CALLS, 0),
            failures=metrics.get(_FAILURES, 0),
            units=metrics.get(_UNITS, 0),
            latency=Latency(bins),
            marks={name: number for name, number in metrics.items() if is_mark(name)},
        )


def bin_of(seconds: float) -> int:
    """Return the bin of `Latency` for a call that took so long."""
    return bisect_left(EDGES_S, seconds, 0, len(EDGES_S) - 1)


def is_mark(name: str) -> bool:
    """Tell whether something else may be counted under that name: lower-case letters and `_`, up to 40."""
    plain = name.replace("_", "a")
    return len(name) <= 40 and plain.isascii() and plain.isalpha() and name == name.lower() and name not in _OWN


_OWN = frozenset({_CALLS, _FAILURES, _UNITS})


def _is_bin(name: str) -> bool:
    return name[:1] == "l" and len(name) <= 4 and name[1:].isdecimal() and int(name[1:]) < len(EDGES_S)


def counter_name(flag: str, window: int) -> str:
    """Return the name of a flag's counter for one minute, counted from the epoch."""
    return f"stats/{_digest(flag)}/{window}"


def failed_name(flag: str, arm: Arm) -> str:
    """Return the name of the set of units that failed in an arm."""
    return f"failed/{_digest(f'{flag} {arm.revision} {_how(arm)} {arm.variant}')}"


def unit_digest(unit: str) -> str:
    """Return what stands for an id: nobody reads from the board who a service's users are."""
    return hashlib.blake2b(unit.encode(), digest_size=9).hexdigest()


def field_name(metric: str, arm: Arm) -> str:
    """Return the field of a counter for a metric of an arm."""
    return f"{metric}:{arm.revision}:{_how(arm)}:{arm.variant}"


def read_counter(fields: Mapping[str, int]) -> Mapping[Arm, Tally]:
    """Return the arms of one counter; fields that say nothing to this release are passed over."""
    found: dict[Arm, dict[str, int]] = {}
    for field, amount in fields.items():
        metric, *rest = field.split(":", 3)
        if len(rest) == 3 and rest[0].isdecimal() and len(rest[0]) <= 16 and rest[1] in (_CHANCE, _OTHERWISE):
            arm = Arm(rest[2], int(rest[0]), rest[1] == _CHANCE)
            found.setdefault(arm, {})[metric] = amount
    return {arm: Tally.of(metrics) for arm, metrics in found.items()}


def _how(arm: Arm) -> str:
    return _CHANCE if arm.chance else _OTHERWISE


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _added(one: Mapping[K, int], other: Mapping[K, int]) -> Mapping[K, int]:
    return {key: one.get(key, 0) + other.get(key, 0) for key in (*one, *other)}
