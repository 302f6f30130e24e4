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

from collections.abc import Callable, Mapping
from operator import methodcaller
from typing import TYPE_CHECKING, Any

from grayflow.core.flag import Attribute
from grayflow.core.ordering import ORDERINGS
from grayflow.core.prepared import (
    Prepared,
    Problems,
    Quick,
    Test,
    coercion,
    prepared,
    quick_on,
    spread,
    text_reader,
    understood,
)
from grayflow.core.values import Alternatives, json_value, kind, over_elements, shown, text

if TYPE_CHECKING:
    from grayflow.core.extensions import ForeignOperator
    from grayflow.core.pattern import Pattern

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
    test = _in_test(known, condition)
    if condition.fold or condition.coerce == "number":
        return prepared(good, problems, lambda _: test)
    quick = _looked_up(known) if condition.coerce is None else Quick(("str",), "in", known.strings)
    return prepared(good, problems, lambda _: test, quick=quick)


def _looked_up(known: Alternatives) -> Quick:
    # Text is never equal to a number, so they may stand in one set; a boolean is, and is kept out by its type.
    return Quick(("str", "int"), "in", known.strings | known.numbers)


def _compared_with(condition: Attribute, coerce: Callable[[Any], Any] | None) -> tuple[list[tuple[Any]], Problems]:
    """Read values of which null may be one; each comes wrapped, as None is how a reader says that one is bad."""

    def read(value: Any) -> tuple[Any] | None:
        if coerce is None:
            return (json_value(value),)
        meant = coerce(value)
        return None if meant is None else (meant,)

    return understood(condition, read, f'a value that "coerce": "{condition.coerce}" can turn')


def _in_test(known: Alternatives, condition: Attribute) -> Test:
    coerce, fold = coercion(condition), condition.fold

    def one(value: Any) -> bool | None:
        if coerce is not None and (value := coerce(value)) is None:
            return None
        return (_fold(value) if fold else value) in known

    return over_elements(one if coerce or fold else known.__contains__)


def _fold(value: Any) -> Any:
    written = text(value)
    return value if written is None else written.casefold()


def _equals(condition: Attribute) -> Prepared:
    good, problems = _compared_with(condition, None)
    known = Alternatives.of(value for (value,) in good)
    return prepared(good, problems, lambda _: known.__contains__, quick=_looked_up(known))


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
    return _text(condition, lambda needles: methodcaller("startswith", needles))


def _ends_with(condition: Attribute) -> Prepared:
    return _text(condition, lambda needles: methodcaller("endswith", needles))


def _contains(condition: Attribute) -> Prepared:
    def build(needles: tuple[str, ...]) -> Callable[[str], bool]:
        if len(needles) == 1:
            return methodcaller("__contains__", needles[0])
        return lambda found: any(map(found.__contains__, needles))

    return _text(condition, build)


def _text(condition: Attribute, build: Callable[[tuple[str, ...]], Callable[[str], bool]]) -> Prepared:
    read = text_reader(condition)
    good, problems = understood(condition, read, "text")
    if not condition.fold:
        holds = build(tuple(good))
        quick = None if condition.coerce == "number" else Quick(("str",), "call", holds)
        return prepared(good, problems, lambda _: spread(read, holds), quick=quick)
    folded = build(tuple(needle.casefold() for needle in good))
    return prepared(good, problems, lambda _: spread(read, lambda found: folded(found.casefold())))


def _on_text(condition: Attribute, holds: Callable[[str], bool | None]) -> Test:
    test = spread(text_reader(condition), holds)
    return test if condition.coerce == "number" else quick_on(str, holds, test)


def _matches(condition: Attribute) -> Prepared:
    # Here, as for `cidr`: few flags need it, and every program pays for what is imported at the top.
    from grayflow.core.pattern import compile_pattern

    read = text_reader(condition)

    def compiled(value: Any) -> "Pattern | None":
        written = read(value)
        return None if written is None else compile_pattern(written, fold=condition.fold)

    good, problems = understood(condition, compiled, "text that holds a pattern")
    if len(good) == 1:
        return prepared(good, problems, lambda _: _on_text(condition, good[0].search))

    def holds(found: str) -> bool | None:
        answers = {one.search(found) for one in good}
        if True in answers:
            return True
        return None if None in answers else False

    return prepared(good, problems, lambda _: _on_text(condition, holds))


# Addresses


def _cidr(condition: Attribute) -> Prepared:
    from grayflow.core import addresses

    wanted = 'a network such as "10.0.0.0/8" or "2001:db8::/32", or an address'
    good, problems = understood(condition, addresses.network, wanted)
    known = addresses.Networks.of(good)
    return prepared(good, problems, lambda _: spread(addresses.address, known.__contains__))


_MEANINGS: Mapping[str, Callable[[Attribute], Prepared]] = {
    "in": _in,
    "equals": _equals,
    "is": _is,
    "exists": _exists,
    "starts_with": _starts_with,
    "ends_with": _ends_with,
    "contains": _contains,
    "matches": _matches,
    "cidr": _cidr,
    **ORDERINGS,
}

BUILT_IN: frozenset[str] = frozenset(_MEANINGS)
"""The names of our operators. No foreign operator may have one of them."""
