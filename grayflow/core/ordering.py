"""
The operators that order: numbers, instants and versions.

To be below one of several values is to be below the largest, so one comparison does, however many values there are.
"""

import operator
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from grayflow.core import instants, semver
from grayflow.core.flag import Attribute
from grayflow.core.prepared import (
    Prepared,
    Quick,
    coercion,
    number_reader,
    prepared,
    spread,
    text_reader,
    understood,
)

__all__ = ["ORDERINGS"]

_Farthest = Callable[[Iterable[Any]], Any]
_Compare = Callable[[Any, Any], bool]

_SIGNS: Mapping[_Compare, Literal["<", "<=", ">", ">="]] = {
    operator.lt: "<",
    operator.le: "<=",
    operator.gt: ">",
    operator.ge: ">=",
}


def _numbers(condition: Attribute, farthest: _Farthest, compare: _Compare) -> Prepared:
    read = number_reader(condition)
    good, problems = understood(condition, read, "a number")
    test = spread(read, _beyond(good, farthest, compare))
    readable = bool(good) and condition.coerce != "text"
    quick = Quick(("int",), _SIGNS[compare], farthest(good)) if readable else None
    return prepared(good, problems, lambda _: test, quick=quick)


def _never(_found: Any) -> bool:
    return False


def _beyond(good: list[Any], farthest: _Farthest, compare: _Compare) -> Callable[[Any], bool]:
    if not good:
        return _never
    edge = farthest(good)
    return lambda found: compare(found, edge)


def _before(condition: Attribute) -> Prepared:
    return _instants(condition, max, operator.lt, instants.not_before)


def _after(condition: Attribute) -> Prepared:
    return _instants(condition, min, operator.gt, instants.not_after)


def _instants(
    condition: Attribute,
    farthest: _Farthest,
    compare: _Compare,
    nearest: Callable[[instants.Instant], datetime | None],
) -> Prepared:
    coerce = coercion(condition)

    def read(value: Any) -> instants.Instant | None:
        turned = value if coerce is None else coerce(value)
        return instants.instant(value if turned is None else turned, condition.epoch)

    good, problems = understood(condition, read, _instant_wanted(condition))
    test = spread(read, _beyond(good, farthest, compare))
    # `now` comes as a datetime in UTC with every evaluation: it is compared as it is.
    limit = nearest(farthest(good)) if good else None

    def quick_test(value: Any) -> bool | None:
        return compare(value, limit) if type(value) is datetime and value.tzinfo is UTC else test(value)

    return prepared(good, problems, lambda _: test if limit is None else quick_test)


def _instant_wanted(condition: Attribute) -> str:
    epoch = {None: "", "s": " or seconds since 1970", "ms": " or milliseconds since 1970"}[condition.epoch]
    return f'an instant such as "2027-01-04T00:00:00Z"{epoch}'


# Versions


def _versions(condition: Attribute, build: Callable[[list[semver.Version]], Callable[[Any], bool]]) -> Prepared:
    read = _version_reader(condition)
    good, problems = understood(condition, read, _version_wanted(condition))
    return prepared(good, problems, lambda values: spread(read, build(values)))


def _version_order(condition: Attribute, farthest: _Farthest, compare: _Compare) -> Prepared:
    return _versions(condition, lambda good: _beyond(good, farthest, compare))


def _version_equal(condition: Attribute) -> Prepared:
    return _versions(condition, lambda good: frozenset(good).__contains__)


def _version_range(condition: Attribute, sign: Literal["^", "~"]) -> Prepared:
    read = text_reader(condition)

    def allowed(value: Any) -> semver.Range | None:
        written = read(value)
        return None if written is None else semver.allowed(written, sign, condition.lenient)

    good, problems = understood(condition, allowed, _version_wanted(condition))

    def holds(found: semver.Version) -> bool:
        return any(semver.within(found, borders) for borders in good)

    return prepared(good, problems, lambda _: spread(_version_reader(condition), holds))


def _version_reader(condition: Attribute) -> Callable[[Any], semver.Version | None]:
    read, lenient = text_reader(condition), condition.lenient

    def version(value: Any) -> semver.Version | None:
        written = read(value)
        return None if written is None else semver.version(written, lenient)

    return version


def _version_wanted(condition: Attribute) -> str:
    forms = {"no": '"1.2.3"', "partial": '"1.2.3", "1.2" or "1"', "any": '"v1.2.3", "1.2" or "1"'}
    return f'a semantic version such as {forms[condition.lenient]} ("lenient" is "{condition.lenient}")'


def _ordering(
    build: Callable[[Attribute, _Farthest, _Compare], Prepared], farthest: _Farthest, compare: _Compare
) -> Callable[[Attribute], Prepared]:
    return lambda condition: build(condition, farthest, compare)


ORDERINGS: Mapping[str, Callable[[Attribute], Prepared]] = {
    "lt": _ordering(_numbers, max, operator.lt),
    "le": _ordering(_numbers, max, operator.le),
    "gt": _ordering(_numbers, min, operator.gt),
    "ge": _ordering(_numbers, min, operator.ge),
    "before": _before,
    "after": _after,
    "semver_eq": _version_equal,
    "semver_lt": _ordering(_version_order, max, operator.lt),
    "semver_le": _ordering(_version_order, max, operator.le),
    "semver_gt": _ordering(_version_order, min, operator.gt),
    "semver_ge": _ordering(_version_order, min, operator.ge),
    "semver_caret": lambda condition: _version_range(condition, "^"),
    "semver_tilde": lambda condition: _version_range(condition, "~"),
}
"""Name -> what builds the test of a condition."""
