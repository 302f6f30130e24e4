"""
What a condition becomes before it is tested, and the parts that its operators are built from.

An operator is a *reader*, which brings an attribute into the form that the operator compares or says None, and a
function of what was read. `spread` joins the two into a test and carries it over the elements of a list.
"""

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import msgspec

from grayflow.core.flag import Attribute
from grayflow.core.values import as_number, as_text, number, over_elements, shown, text

__all__ = [
    "Prepared",
    "Problems",
    "Quick",
    "Test",
    "coercion",
    "number_reader",
    "prepared",
    "quick_on",
    "spread",
    "text_reader",
    "understood",
]

T = TypeVar("T")

Test = Callable[[Any], bool | None]
"""Gets the attribute, never missing and never null; None: the operator cannot read it."""

Problems = tuple[tuple[str, str], ...]
"""Where in the condition (`values[1]`, `op`), and what was found there and what is allowed."""


class Quick(msgspec.Struct, frozen=True, gc=False):
    """The same answer as the test's, sooner, for attributes of exactly the types that are named."""

    types: tuple[Literal["str", "int"], ...]
    sign: Literal["in", "<", "<=", ">", ">=", "call"]
    """`value <sign> wanted`, or `wanted(value)`, is True or False for them."""
    wanted: Any


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A condition that is ready to be tested."""

    test: Test | None = None
    """None: the condition is false, whatever `negate`, `absent` and `unreadable` say."""

    problems: Problems = ()
    """What was bad. It matches nothing; if it was all there was, or the operator is unknown, `test` is None."""

    missing: bool | None = None
    """The answer of the comparison if the attribute is missing or null. None, `absent` decides: all but `exists`."""

    quick: Quick | None = None
    """A way that takes no call, if there is one."""


def prepared(
    good: list[T], problems: Problems, build: Callable[[list[T]], Test], *, quick: Quick | None = None
) -> Prepared:
    """Build the test of the good values; there is none if values were given and all were bad."""
    if problems and not good:
        return Prepared(problems=problems)
    return Prepared(test=build(good), problems=problems, quick=quick)


def understood(condition: Attribute, read: Callable[[Any], T | None], wanted: str) -> tuple[list[T], Problems]:
    """
    Read the values of a condition.

    Args:
        condition: The condition.
        read: Says None to what is none of what is `wanted`, or raises ValueError with a message of its own.
        wanted: For the message: what the operator compares with.

    Returns:
        The good ones in their order, and a problem for each of the others.
    """
    good: list[T] = []
    problems: list[tuple[str, str]] = []
    for index, value in enumerate(condition.values):
        try:
            meant = read(value)
        except ValueError as error:
            problems.append((f"values[{index}]", str(error)))
            continue
        if meant is not None:
            good.append(meant)
        else:
            why = f"{shown(value)} is not {wanted}, and {condition.op} compares with nothing else"
            problems.append((f"values[{index}]", why))
    return good, tuple(problems)


def spread(read: Callable[[Any], T | None], holds: Callable[[T], bool | None]) -> Test:
    """Return the test of one value, or of the elements of a list."""

    def one(value: Any) -> bool | None:
        meant = read(value)
        return None if meant is None else holds(meant)

    return over_elements(one)


def quick_on(plain: type, holds: Callable[[Any], bool | None], otherwise: Test) -> Test:
    """Return a test that is the same as `otherwise`, with a short way for the type that needs no reading."""

    def test(value: Any) -> bool | None:
        return holds(value) if type(value) is plain else otherwise(value)

    return test


def coercion(condition: Attribute) -> Callable[[Any], Any] | None:
    """Return what `coerce` does to a value: None for what cannot be turned."""
    return {None: None, "text": as_text, "number": as_number}[condition.coerce]


def text_reader(condition: Attribute) -> Callable[[Any], str | None]:
    """Return how an operator on text reads: nothing at all where everything is turned into numbers."""
    return {None: text, "text": as_text, "number": _nothing}[condition.coerce]


def number_reader(condition: Attribute) -> Callable[[Any], int | float | None]:
    """Return how an operator on numbers reads: nothing at all where everything is turned into text."""
    return {None: number, "text": _nothing, "number": as_number}[condition.coerce]


def _nothing(_value: Any) -> None:
    return None
