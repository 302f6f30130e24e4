"""
Reading values: what in a context or a flag is text, a number, a list, and when two values are equal.

A context holds whatever a service put there, so nothing here trusts a value: subclasses are brought to the plain
type with the plain type's own methods, and kinds are told by `type(value)`, because `isinstance` believes an object
that lies about its `__class__` (a mock does). Everything is linear in the size of what it looks at, and whole
numbers of any size are safe: CPython refuses to write out more than 4300 digits, so longer ones are not written.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

__all__ = [
    "DEEPEST",
    "LISTS",
    "LONGEST_NUMBER",
    "Alternatives",
    "as_number",
    "as_text",
    "equal",
    "json_value",
    "kind",
    "number",
    "over_elements",
    "shown",
    "text",
]

DEEPEST = 32
"""How many lists and objects may stand in one another. What is nested deeper equals nothing."""

LONGEST_NUMBER = 400
"""How many characters of text are read as a number, and how many digits a number may have to be read as text."""

LISTS = (list, tuple, set, frozenset)
"""What counts as a list attribute. A set has no order, so it has elements but equals no JSON list."""

_PLAIN = frozenset({str, int, float, bool, type(None), dict})
_TOO_LARGE = 10**LONGEST_NUMBER
_BLANKS = " \t\n\r\f\v"
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(\.[0-9]*)?|(\.[0-9]+))([eE][+-]?[0-9]+)?")
_SHOWN = 60


def text(value: Any) -> str | None:
    """The text that `value` is, as a plain `str`, `StrEnum` and the like included; None if it is none."""
    if type(value) is str:
        return value
    return str.__str__(value) if issubclass(type(value), str) else None


def number(value: Any) -> int | float | None:
    """The number that `value` is, as a plain `int` or `float`; None for booleans, NaN, infinities and all else."""
    given = type(value)
    if given is int:
        return value  # type: ignore[no-any-return]
    if given is float:
        return value if float("-inf") < value < float("inf") else None
    if given is bool:
        return None
    if issubclass(given, int):
        return int.__int__(value)
    return number(float.__float__(value)) if issubclass(given, float) else None


def as_text(value: Any) -> str | None:
    """
    Read a value under `coerce: "text"`.

    Text is kept; booleans become `true` and `false`; whole numbers, floats included, become digits without exponent
    or `.0`; other floats their shortest `repr`. All else, and whole numbers of more than 400 digits, is None.
    """
    if type(value) is bool:
        return "true" if value else "false"
    known = number(value)
    if known is None:
        return text(value)
    if type(known) is float:
        if not known.is_integer():
            return repr(known)
        known = int(known)
    return str(known) if -_TOO_LARGE < known < _TOO_LARGE else None


def as_number(value: Any) -> int | float | None:
    """
    Read a value under `coerce: "number"`.

    Numbers are kept. Text of up to 400 characters that is, ASCII blanks around it aside, sign, digits, point and
    exponent (`5.` and `.5` too) becomes a number: an exact `int` if there is neither point nor exponent. All else, and
    what overflows a float, is None.
    """
    known = number(value)
    if known is not None:
        return known
    written = text(value)
    if written is None or len(written) > LONGEST_NUMBER:
        return None
    found = _NUMBER.fullmatch(written.strip(_BLANKS))
    if found is None:
        return None
    return number(float(found[0])) if any(found.groups()) else int(found[0])


def kind(value: Any) -> str | None:
    """The JSON kind of a value: `boolean`, `number`, `text`, `list` or `object`; None for all else, null included."""
    given = type(value)
    if given is bool:
        return "boolean"
    if issubclass(given, str):
        return "text"
    if number(value) is not None:
        return "number"
    if issubclass(given, LISTS):
        return "list"
    return "object" if _is_object(value) else None


def _is_object(value: Any) -> bool:
    return type(value) is dict or issubclass(type(value), Mapping)


def over_elements(test: Callable[[Any], bool | None]) -> Callable[[Any], bool | None]:
    """
    Carry a test over lists: true if it is for any element; else false if it read one or there is none; else None.

    What is no list is tested as it is.
    """

    def either(value: Any) -> bool | None:
        given = type(value)
        if given in _PLAIN or not issubclass(given, LISTS):
            return test(value)
        answers = False if len(value) == 0 else None
        for element in value:
            found = test(element)
            if found:
                return True
            if found is False:
                answers = False
        return answers

    return either


def json_value(value: Any, depth: int = 0) -> Any:
    """
    Bring a JSON value to plain types, so that `equal` can rely on them.

    Raises:
        ValueError: it is, or holds, what JSON does not have (NaN too), or is nested deeper than 32 levels.
    """
    if value is None or type(value) is bool or type(value) is str:
        return value
    for read in (number, text):
        plain = read(value)
        if plain is not None:
            return plain
    if depth >= DEEPEST:
        raise ValueError(f"it is nested deeper than {DEEPEST} levels")
    if issubclass(type(value), (list, tuple)):
        return tuple(json_value(element, depth + 1) for element in value)
    if _is_object(value):
        return {_name(name): json_value(element, depth + 1) for name, element in value.items()}
    raise ValueError(f"{shown(value)} is no JSON value")


def _name(name: Any) -> str:
    plain = text(name)
    if plain is None:
        raise ValueError(f"{shown(name)} is no name in a JSON object")
    return plain


def equal(value: Any, wanted: Any) -> bool:
    """
    Compare with a value made by `json_value`: typed and deep. `true` is not 1, 1 is 1.0, a tuple is a list.

    The walk follows `wanted`, so a value that is huge, deep, or holds itself, costs no more than `wanted` is large.
    """
    if wanted is None or type(wanted) is bool:
        return value is wanted
    if type(wanted) is str:
        return text(value) == wanted
    if type(wanted) is int or type(wanted) is float:
        return number(value) == wanted
    if type(wanted) is tuple:
        return (
            issubclass(type(value), (list, tuple))
            and len(value) == len(wanted)
            and all(equal(mine, other) for mine, other in zip(value, wanted, strict=False))
        )
    return (
        _is_object(value)
        and len(value) == len(wanted)
        and all(name in value and equal(value[name], other) for name, other in wanted.items())
    )


class Alternatives(msgspec.Struct, frozen=True):
    """JSON values to compare with, arranged so that a scalar is looked up in one step however many there are."""

    strings: frozenset[str]
    numbers: frozenset[int | float]
    booleans: frozenset[bool]
    null: bool
    deep: tuple[Any, ...]

    @classmethod
    def of(cls, values: Iterable[Any]) -> "Alternatives":
        """Arrange values that `json_value` made."""
        given = tuple(values)
        return cls(
            strings=frozenset(value for value in given if type(value) is str),
            numbers=frozenset(value for value in given if type(value) is int or type(value) is float),
            booleans=frozenset(value for value in given if type(value) is bool),
            null=None in given,
            deep=tuple(value for value in given if type(value) is tuple or type(value) is dict),
        )

    def __contains__(self, value: Any) -> bool:
        """Whether any of them equals `value`."""
        given = type(value)
        if given is int or given is float:
            return value in self.numbers
        if given is bool:
            return value in self.booleans
        if value is None:
            return self.null
        written = text(value)
        if written is not None:
            return written in self.strings
        known = number(value)
        if known is not None:
            return known in self.numbers
        return any(equal(value, wanted) for wanted in self.deep)


def shown(value: Any) -> str:
    """A value as messages show it: short, and without trusting it."""
    written, known = text(value), number(value)
    if written is not None:
        return repr(written if len(written) <= _SHOWN else written[:_SHOWN] + "...")
    if value is None or type(value) is bool:
        return {None: "null", True: "true", False: "false"}[value]
    if type(known) is int:
        return str(known) if abs(known) < 10**_SHOWN else "a huge number"
    if issubclass(type(value), float):
        return float.__repr__(value)
    named = {"list": "a list", "object": "an object"}.get(kind(value) or "")
    return named or f"a Python object of type {type(value).__name__[:_SHOWN]}"
