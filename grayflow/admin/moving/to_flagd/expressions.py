"""Conditions, buckets and splits as JSONLogic; segments and other flags as shared evaluators."""

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any

import msgspec

from grayflow.admin.moving.flagd.logic import UnsayableError
from grayflow.admin.moving.remarks import Ledger
from grayflow.admin.moving.to_flagd.comparing import TIMESTAMP, comparison, either, exists, idiom, seconds, variable
from grayflow.core.flag import (
    SLOTS,
    All,
    AnyOf,
    Attribute,
    Bucket,
    By,
    Condition,
    During,
    First,
    Flag,
    FlagIs,
    Not,
    Segment,
    SegmentIs,
    Split,
)
from grayflow.core.foreign import foreign_extensions
from grayflow.core.picking import split_ranges

__all__ = ["Expressions", "Scope", "scope_of"]

GAP = "(none)"
"""What a share names that goes on to the next rule."""

_IN = "in"
_DAY = 86_400
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FLAGD = re.compile("flagd3:(pair|prefix|suffix)/[0-9]+")


class Scope(msgspec.Struct, frozen=True):
    """What a condition inherits from where it stands."""

    by: By
    salt: str


class Expressions:
    """
    Translates conditions. Methods raise `UnsayableError` for what flagd cannot say.

    Args:
        flags: All that may be named, by key.
        segments: All that may be named, by key.
        ledger: For remarks.
    """

    def __init__(self, flags: Mapping[str, Flag], segments: Mapping[str, Segment], ledger: Ledger) -> None:
        self._flags, self._segments, self._ledger = flags, segments, ledger
        self.evaluators: dict[str, Any] = {}
        """What several flags share, by name."""
        self.key: str | None = None
        """The flag that is being written, which flagd hashes by itself; `None` within an evaluator."""
        self._open: list[str] = []

    def every(self, conditions: Iterable[Condition], scope: Scope) -> Any:
        """Return the expression that all conditions hold."""
        found = [self.condition(one, scope) for one in conditions]
        if False in [one for one in found if isinstance(one, bool)]:
            return False
        told = [one for one in found if one is not True]
        return told[0] if len(told) == 1 else {"and": told} if told else True

    def condition(self, condition: Condition, scope: Scope) -> Any:
        """Return the expression of a condition."""
        said = idiom(condition)
        return self._plain(condition, scope) if said is None else said

    def _plain(self, condition: Condition, scope: Scope) -> Any:
        match condition:
            case All(of=inner):
                return self.every(inner, scope)
            case AnyOf(of=inner):
                return either([self.condition(one, scope) for one in inner])
            case Not(of=one):
                return {"!": [self.condition(one, scope)]}
            case SegmentIs(key=key):
                return self._segment(key)
            case FlagIs():
                return self._flag(condition)
            case Bucket():
                return self._bucket(condition, scope)
            case During():
                return _during(condition)
            case Attribute():
                return comparison(condition)

    # Other documents

    def _shared(self, name: str, make: Callable[[], Any]) -> Any:
        """
        Return a reference to an evaluator, which is made when it is first asked for.

        Within an evaluator the others are written out: not every flagd follows references that stand in one.
        """
        if name in self._open:
            raise UnsayableError(f"{name} needs itself")
        if name not in self.evaluators:
            self._open.append(name)
            key, self.key = self.key, None
            try:
                made = make()
            finally:
                self._open.pop()
                self.key = key
            if not isinstance(made, dict):
                return made
            self.evaluators[name] = made
        return self.evaluators[name] if self._open else {"$ref": name}

    def _segment(self, key: str) -> Any:
        segment = self._segments.get(key)
        return False if segment is None else self._shared(f"segment {key}", lambda: self._members(segment))

    def _members(self, segment: Segment) -> Any:
        scope = Scope(segment.by or "user_id", segment.key if segment.salt is None else segment.salt)
        inside: list[Any] = [] if segment.when is None else [self.every(segment.when, scope)]
        if segment.include:
            inside.insert(0, self.listed(segment.include, scope.by))
        if not segment.exclude:
            return either(inside)
        return {"and": [{"!": [self.listed(segment.exclude, scope.by)]}, either(inside)]}

    def _flag(self, condition: FlagIs) -> Any:
        flag = self._flags.get(condition.key)
        if flag is None:
            return False
        on = self._shared(f"flag {flag.key} is on", lambda: self.is_on(flag))
        if condition.off:
            return {"!": [on]} if isinstance(on, dict) else not on
        if condition.variants is None or on is False:
            return on
        served = self._shared(f"flag {flag.key}", lambda: self.served(flag))
        return _both(on, {"in": [served, list(condition.variants)]})

    # Whole flags

    def is_on(self, flag: Flag) -> Any:
        """Return the expression that a flag is enabled, within its window, and has what it requires."""
        if not flag.enabled or flag.archived:
            return False
        window = During(from_=flag.effective_at, until=flag.expires_at)
        return self.every((window, *flag.requires), scope_of(flag))

    def served(self, flag: Flag) -> Any:
        """Return the expression that names the variant of a flag that is on; null for the caller's default."""
        scope, steps = scope_of(flag), list[Any]()
        for variant, ids in flag.targets.items():
            if ids:
                steps += [self.listed(ids, scope.by), variant]
        for place in range(len(flag.rules)):
            try:
                matches, serve = self._rule(flag, place, scope)
            except UnsayableError as error:
                self._ledger.left_out(f"rules[{place}]", str(error), "the rule was left out")
                continue
            if matches is True:
                return _chain(steps, serve)
            if matches is not False:
                steps += [matches, serve]
        return _chain(steps, self._otherwise(flag, scope))

    def _rule(self, flag: Flag, place: int, outer: Scope) -> tuple[Any, Any]:
        """Return the expression that a rule matches, and what it serves."""
        rule = flag.rules[place]
        scope = outer if rule.by is None else Scope(rule.by, outer.salt)
        shares = () if rule.percent is None else (Bucket(ranges=((0, round(rule.percent * 1000)),)),)
        matches, serve = self.every((*rule.when, *shares), scope), flag.rule_serves(rule)
        if not isinstance(serve, Split):
            return matches, serve
        shared, answers = self._split(serve, scope)
        return _both(matches, answers), shared

    def _otherwise(self, flag: Flag, scope: Scope) -> Any:
        serve = flag.otherwise_serves
        if not isinstance(serve, Split):
            return serve
        shared, answers = self._split(serve, scope)
        return shared if answers is True else {"if": [answers, shared, flag.off_variant]}

    # Ids and shares

    def unit(self, by: By) -> Any:
        """Return the expression of an id."""
        if not isinstance(by, First):
            return variable(by)
        *earlier, last = map(variable, by.first)
        return _chain([part for one in earlier for part in (exists(one), one)], last)

    def listed(self, ids: Iterable[str | int], by: By) -> Any:
        """Return the expression that an id is on a list, whether it is text or a whole number."""
        return {"in": [{"cat": [self.unit(by)]}, [str(one) for one in ids]]}

    def _bucket(self, bucket: Bucket, scope: Scope) -> Any:
        by = scope.by if bucket.by is None else bucket.by
        shared, _ = self._fractional(bucket, scope, "exposure", [(_IN, low, high) for low, high in bucket.ranges])
        return {"if": [exists(self.unit(by)), {"===": [shared, _IN]}, bucket.absent]}

    def _split(self, split: Split, scope: Scope) -> tuple[Any, Any]:
        """Return the expression of what is served, and the expression that anything is."""
        shared, has_gaps = self._fractional(split, scope, "choice", list(split_ranges(split)))
        there = exists(self.unit(scope.by if split.by is None else split.by))
        inside: Any = {"!==": [shared, GAP]} if has_gaps else True
        if split.absent is None:
            return shared, _both(there, inside)
        answers = {"if": [there, inside, True]} if has_gaps else True
        return {"if": [there, shared, split.absent]}, answers

    def _fractional(
        self, what: Bucket | Split, scope: Scope, lane: str, shares: list[tuple[str, int, int]]
    ) -> tuple[Any, bool]:
        """Return the expression that shares ids out, and whether some get none of the shares."""
        unit = self.unit(scope.by if what.by is None else what.by)
        salt = scope.salt if what.salt is None else what.salt
        parts = _laid_out(shares, _size(what.hash, shares))
        has_gaps = any(name == GAP for name, _ in parts)
        theirs = None if what.hash is None else _FLAGD.fullmatch(what.hash)
        if theirs is not None and theirs[1] != "pair":
            texts = [salt, unit] if theirs[1] == "prefix" else [unit, salt]
            return {"fractional": [{"cat": texts} if salt else unit, *parts]}, has_gaps
        if theirs is not None and salt == self.key and unit == variable("user_id"):
            return {"fractional": parts}, has_gaps
        self._ledger.changed(
            "",
            "flagd has one hash, and the flag goes by another",
            "shares are as large as they were, with other users in them",
        )
        return {"fractional": [{"cat": [f"{salt}/{lane}/", unit]}, *parts]}, has_gaps


def scope_of(flag: Flag) -> Scope:
    """Return what the conditions of a flag inherit."""
    return Scope("user_id" if flag.by is None else flag.by, flag.key if flag.salt is None else flag.salt)


def _size(name: str | None, shares: list[tuple[str, int, int]]) -> int:
    """Return what ranges and weights count in."""
    known = None if name is None else foreign_extensions().hashes.get(name)
    if known is not None:
        return known.size
    return SLOTS if name is None else max((high for _, _, high in shares), default=1)


def _laid_out(shares: list[tuple[str, int, int]], whole: int) -> list[Any]:
    """Return what `fractional` takes: shares side by side from 0 on, with gaps under a name of their own."""
    edges = sorted({0, whole, *(edge for _, low, high in shares for edge in (low, high))})
    found: list[Any] = []
    for low, high in pairwise(edges):
        name = next((name for name, start, end in shares if start <= low < end), GAP)
        if found and found[-1][0] == name:
            found[-1][1] += high - low
        else:
            found.append([name, high - low])
    return found


def _chain(steps: list[Any], last: Any) -> Any:
    return {"if": [*steps, last]} if steps else last


def _both(one: Any, other: Any) -> Any:
    if one is True or other is False:
        return other
    return one if other is True or one is False else {"and": [one, other]}


def _during(during: During) -> Any:
    found: list[Any] = []
    if during.from_ is not None:
        found.append({">=": [TIMESTAMP, seconds(during.from_)]})
    if during.until is not None:
        found.append({"<": [TIMESTAMP, seconds(during.until)]})
    start, end = _time_of_day(during.start), _time_of_day(during.end)
    if during.days is not None or start != end:
        found.append(_daily(during, start, end))
    return found[0] if len(found) == 1 else {"and": found} if found else True


def _daily(during: During, start: int, end: int) -> Any:
    """Return the expression of hours of a day; those that cross midnight belong to the day on which they begin."""
    time: Any = {"%": [TIMESTAMP, _DAY]}
    after, before = {">=": [time, start]}, {"<": [time, end]}
    if start < end:
        return _and([after, before], during, 0)
    if start == end:
        late: Any = _and([after], during, 0)
        return either([late, _and([before], during, 1)]) if start else _and([], during, 0)
    return either([_and([after], during, 0), _and([before], during, 1)])


def _and(parts: list[Any], during: During, days_ago: int) -> Any:
    if during.days is not None:
        since = {"/": [{"-": [TIMESTAMP, {"%": [TIMESTAMP, _DAY]}]}, _DAY]}
        # 1970-01-01 was a Thursday.
        weekday = {"%": [{"+": [since, 3 - days_ago + 7]}, 7]}
        parts = [*parts, {"in": [weekday, [_DAYS.index(day) for day in during.days]]}]
    return parts[0] if len(parts) == 1 else {"and": parts} if parts else True


def _time_of_day(text: str) -> int:
    hours, minutes, *rest = map(int, text.split(":"))
    return (hours * 60 + minutes) * 60 + sum(rest)
