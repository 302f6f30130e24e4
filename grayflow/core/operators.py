"""
What the operators of `attribute` conditions mean: one table, from the name to a function that builds the test.

`prepare` reads the condition once: it sorts out bad entries among `values`, brings the others into the form that is
quickest to compare with, and returns a closure without any choice left to make. A test knows three answers: the
comparison holds, it does not, or the operator cannot read the attribute. What a missing attribute, `negate`, `absent`
and `unreadable` mean is for the callers.

Where the operators agree:

* A list attribute (list, tuple, set) matches if any element does; otherwise the comparison failed if an element could
  be read or there was none. Not under `equals`, `exists`, `is` and foreign operators, which take the list as it is.
  Null elements, and lists in lists, can only be read by `in`.
* Without `values` nothing matches; that is an ordinary comparison, which `negate` inverts.
* `fold` is `str.casefold` on both sides, under `in` (text only, not inside lists and objects), `starts_with`,
  `ends_with` and `contains`, and ignores case in patterns of `matches`.
* `coerce` turns attribute and values into text or numbers first (see `values.py`). What cannot be turned cannot be
  read, except by `before`, `after` and `cidr`, which have kinds of their own and take it as it is.
"""

import operator
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from grayflow.core import addresses, instants, semver
from grayflow.core.flag import Attribute
from grayflow.core.pattern import Pattern, compile_pattern
from grayflow.core.prepared import (
    Prepared,
    Problems,
    Test,
    coercion,
    number_reader,
    prepared,
    quick_on,
    spread,
    text_reader,
    understood,
)
from grayflow.core.values import LISTS, Alternatives, any_element, json_value, kind, shown, text

if TYPE_CHECKING:
    from grayflow.core.extensions import ForeignOperator

__all__ = ["BUILT_IN", "Prepared", "Problems", "Test", "prepare"]


def prepare(condition: Attribute, foreign: "Mapping[str, ForeignOperator]") -> Prepared:
    """
    Build the test of a condition.

    Args:
        condition: Any decoded condition.
        foreign: Operators that are not built in, by name.

    Returns:
        A test that takes time linear in the size of the attribute, and raises only what the attribute's own methods
        raise.
    """
    build = _MEANINGS.get(condition.op)
    if build is not None:
        return build(condition)
    fn = foreign.get(condition.op)
    if fn is not None:
        return Prepared(test=_foreign(fn, condition.values))
    known = ", ".join(sorted({*BUILT_IN, *foreign}))
    return Prepared(problems=(("op", f"{shown(condition.op)} is no operator; known are {known}"),))


def _foreign(fn: "ForeignOperator", values: tuple[Any, ...]) -> Test:
    def test(value: Any) -> bool | None:
        try:
            answer = fn(value, values)
        except Exception:  # noqa: BLE001 - somebody else's code; the caller answers as for an unreadable attribute
            return None
        return answer if answer is True or answer is False else None

    return test


# Equality and kinds


def _in(condition: Attribute) -> Prepared:
    good, problems = _compared_with(condition, coercion(condition))
    known = Alternatives.of(_fold(value) if condition.fold else value for (value,) in good)
    return prepared(
        good, problems, lambda _: _in_test(known, condition), strings=None if condition.fold else known.strings
    )


def _compared_with(condition: Attribute, coerce: Callable[[Any], Any] | None) -> tuple[list[tuple[Any]], Problems]:
    """Read values of which null may be one; each comes wrapped, as None is how a reader says that one is bad."""

    def read(value: Any) -> tuple[Any] | None:
        if coerce is None:
            return (json_value(value),)
        meant = coerce(value)
        return None if meant is None else (meant,)

    return understood(condition, read, f'a value that "coerce": "{condition.coerce}" can turn')


def _in_test(known: Alternatives, condition: Attribute) -> Test:
    coerce, fold, strings = coercion(condition), condition.fold, known.strings

    def one(value: Any) -> bool | None:
        if coerce is not None and (value := coerce(value)) is None:
            return None
        return (_fold(value) if fold else value) in known

    def test(value: Any) -> bool | None:
        return any_element(one, value) if issubclass(type(value), LISTS) else one(value)

    return test if fold or condition.coerce == "number" else quick_on(str, strings.__contains__, test)


def _fold(value: Any) -> Any:
    written = text(value)
    return value if written is None else written.casefold()


def _equals(condition: Attribute) -> Prepared:
    good, problems = _compared_with(condition, None)
    known = Alternatives.of(value for (value,) in good)
    return prepared(good, problems, lambda _: known.__contains__, strings=known.strings)


def _is(condition: Attribute) -> Prepared:
    coerce = coercion(condition)
    good, problems = understood(condition, _kind_name, f"one of {', '.join(_KINDS)}")
    kinds = frozenset(good)

    def test(value: Any) -> bool | None:
        if coerce is not None and (value := coerce(value)) is None:
            return None
        return kind(value) in kinds

    return prepared(good, problems, lambda _: test)


_KINDS = ("boolean", "number", "text", "list", "object")


def _kind_name(value: Any) -> str | None:
    written = text(value)
    return written if written in _KINDS else None


def _exists(condition: Attribute) -> Prepared:
    good, problems = understood(condition, lambda value: (value,) if type(value) is bool else None, "true or false")
    if problems and not good:
        return Prepared(problems=problems)
    present = not good or (True,) in good
    return Prepared(test=lambda _: present, problems=problems, missing=(False,) in good)


# Text


def _starts_with(condition: Attribute) -> Prepared:
    return _text(condition, lambda needles: lambda found: found.startswith(needles))


def _ends_with(condition: Attribute) -> Prepared:
    return _text(condition, lambda needles: lambda found: found.endswith(needles))


def _contains(condition: Attribute) -> Prepared:
    return _text(condition, lambda needles: lambda found: any(map(found.__contains__, needles)))


def _text(condition: Attribute, build: Callable[[tuple[str, ...]], Callable[[str], bool]]) -> Prepared:
    read = text_reader(condition)
    good, problems = understood(condition, read, "text")
    if not condition.fold:
        return prepared(good, problems, lambda _: _on_text(condition, build(tuple(good))))
    folded = build(tuple(needle.casefold() for needle in good))
    return prepared(good, problems, lambda _: spread(read, lambda found: folded(found.casefold())))


def _on_text(condition: Attribute, holds: Callable[[str], bool | None]) -> Test:
    test = spread(text_reader(condition), holds)
    return test if condition.coerce == "number" else quick_on(str, holds, test)


def _matches(condition: Attribute) -> Prepared:
    read = text_reader(condition)

    def compiled(value: Any) -> Pattern | None:
        written = read(value)
        return None if written is None else compile_pattern(written, fold=condition.fold)

    good, problems = understood(condition, compiled, "text that holds a pattern")
    if len(good) == 1:
        return prepared(good, problems, lambda _: _on_text(condition, good[0].search))

    def holds(found: str) -> bool | None:
        return any_element(lambda one: one.search(found), good)

    return prepared(good, problems, lambda _: _on_text(condition, holds))


# Order. To be below one of several values is to be below the largest, so one comparison does.


_Farthest = Callable[[Iterable[Any]], Any]
_Compare = Callable[[Any, Any], bool]


def _numbers(condition: Attribute, farthest: _Farthest, compare: _Compare) -> Prepared:
    read = number_reader(condition)
    good, problems = understood(condition, read, "a number")
    holds = _beyond(good, farthest, compare)
    test = spread(read, holds)
    return prepared(good, problems, lambda _: test if condition.coerce == "text" else quick_on(int, holds, test))


def _beyond(good: list[Any], farthest: _Farthest, compare: _Compare) -> Callable[[Any], bool]:
    if not good:
        return lambda _: False
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


# Versions and addresses


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


def _cidr(condition: Attribute) -> Prepared:
    wanted = 'a network such as "10.0.0.0/8" or "2001:db8::/32", or an address'
    good, problems = understood(condition, addresses.network, wanted)
    known = addresses.Networks.of(good)
    return prepared(good, problems, lambda _: spread(addresses.address, known.__contains__))


def _ordering(
    build: Callable[[Attribute, _Farthest, _Compare], Prepared], farthest: _Farthest, compare: _Compare
) -> Callable[[Attribute], Prepared]:
    return lambda condition: build(condition, farthest, compare)


_MEANINGS: Mapping[str, Callable[[Attribute], Prepared]] = {
    "in": _in,
    "equals": _equals,
    "is": _is,
    "exists": _exists,
    "starts_with": _starts_with,
    "ends_with": _ends_with,
    "contains": _contains,
    "matches": _matches,
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
    "cidr": _cidr,
}

BUILT_IN: frozenset[str] = frozenset(_MEANINGS)
"""The names of our operators. No foreign operator may have one of them."""
