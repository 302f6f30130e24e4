"""
flagd's targeting logic as conditions: when an expression counts as true.

What our operators say in the same way is said by them. All else that asks for one attribute goes to an operator that
evaluates JSONLogic; what compares several attributes with one another cannot be said.

Three things are simpler than in JSONLogic: numbers are compared with numbers and text that is one, not with booleans
and lists; a list of one element is no text; and versions are no lists.
"""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from grayflow.admin.moving.flagd.logic import (
    TIMESTAMP,
    UnsayableError,
    constant,
    has_shares,
    is_constant,
    of_it,
    plain_variable,
    variables,
)
from grayflow.admin.moving.flagd.shares import Shares, fractional
from grayflow.admin.moving.paths import Attributes
from grayflow.admin.moving.wording import ALWAYS, NEVER, attribute, either, every, exists, is_kind, opposite
from grayflow.core.flag import Condition, During, Path
from grayflow.core.foreign import jsonlogic
from grayflow.core.foreign.flagd import IT, LOGIC, Generation
from grayflow.core.foreign.jsonlogic import operation, truth
from grayflow.core.semver import version
from grayflow.core.values import as_number

__all__ = ["Conditions", "within_text_or_list"]

_NUMERIC = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_NEGATED = {"!=": "==", "!==": "==="}
_TEXT = {"starts_with": "starts_with", "ends_with": "ends_with"}
_OF_TWO = {"==", "===", "in", *_NUMERIC, *_TEXT}
_VERSIONS = {
    "=": "semver_eq",
    "!=": "semver_eq",
    "<": "semver_lt",
    "<=": "semver_le",
    ">": "semver_gt",
    ">=": "semver_ge",
}
_LENIENT: dict[str, Any] = {"coerce": "text", "lenient": "any"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_Later = Callable[[], Condition]

Said = Condition | None
"""None: our own operators do not say it."""


class Conditions:
    """
    Translates expressions. All methods raise `UnsayableError` for what cannot be said.

    Args:
        attributes: Where attributes are found.
        key: The flag's key in flagd, which is hashed.
        generation: How ids are hashed.
    """

    def __init__(self, attributes: Attributes, key: str, generation: Generation) -> None:
        self._attributes, self._key, self._generation = attributes, key, generation

    def shares(self, arguments: list[Any]) -> Shares:
        """Return the distribution that `fractional` makes."""
        return fractional(arguments, self._key, self.path, self._generation)

    def path(self, name: str) -> Path:
        """Return where an attribute is found; dots lead into objects."""
        return self._attributes.path(*name.split("."))

    def holds(self, expression: Any) -> Condition:
        """Return the condition that an expression is true."""
        found = operation(expression)
        if is_constant(expression):
            return ALWAYS if truth(constant(expression)) else NEVER
        if found is None:
            raise UnsayableError("a list of expressions is no condition")
        name, arguments = found
        together: dict[str, _Later] = {
            "and": lambda: every(map(self.holds, arguments)),
            "or": lambda: either(map(self.holds, arguments)),
            "!": lambda: opposite(self.holds(arguments[0])),
            "!!": lambda: self.holds(arguments[0]),
            "if": lambda: self._branches(arguments),
            "?:": lambda: self._branches(arguments),
            "missing": lambda: either(
                attribute(self.path(one), "equals", "", absent=True) for one in variables(expression)
            ),
        }
        if name in together:
            return together[name]()
        said = self._said(name, arguments)
        return self._evaluated(expression) if said is None else said

    def _branches(self, arguments: list[Any]) -> Condition:
        found: list[Condition] = []
        before: list[Condition] = []
        for at in range(0, len(arguments) - 1, 2):
            tested = self.holds(arguments[at])
            found.append(every([*before, tested, self.holds(arguments[at + 1])]))
            before.append(opposite(tested))
        if len(arguments) % 2:
            found.append(every([*before, self.holds(arguments[-1])]))
        return either(found)

    def _evaluated(self, expression: Any) -> Condition:
        """Leave an expression of one attribute to the operator that evaluates it."""
        names = variables(expression)
        if has_shares(expression):
            raise UnsayableError("it computes with a share")
        if len(names) != 1 or TIMESTAMP in names:
            raise UnsayableError(
                "it computes with the time"
                if TIMESTAMP in names
                else f"it sets {' and '.join(sorted(names))} in relation"
            )
        (name,) = names
        asked = of_it(expression)
        try:
            absent = truth(jsonlogic.evaluate(asked, {IT: None}))
        except (ValueError, TypeError, ArithmeticError, RecursionError):
            absent = False  # flagd answers an error, and so the caller's default
        return attribute(self.path(name), LOGIC, asked, absent=absent)

    # What our operators say

    def _said(self, name: str, arguments: list[Any]) -> Said:
        if name == "var":
            return self._truthy(arguments)
        if name in _NEGATED:
            found = self._said(_NEGATED[name], arguments)
            return None if found is None else opposite(found)
        if name in _NUMERIC and len(arguments) == 3:
            return self._between(name, arguments)
        if name == "sem_ver" and len(arguments) == 3:
            return self._version(*arguments)
        if len(arguments) != 2 or name not in _OF_TWO:
            return None
        return self._share(name, *arguments) or self._two(name, *arguments)

    def _share(self, name: str, left: Any, right: Any) -> Said:
        """Whether the share that an id falls into has a certain name."""
        found = operation(left)
        if found is None or found[0] != "fractional" or not isinstance(right, str) or name not in {"==", "==="}:
            return None
        return self.shares(found[1]).named(right)

    def _truthy(self, arguments: list[Any]) -> Said:
        found = plain_variable({"var": arguments})
        if found is None or found[0] == TIMESTAMP:
            return None
        name, default = found
        return attribute(self.path(name), "equals", False, 0, "", [], negate=True, absent=truth(default))

    def _two(self, name: str, left: Any, right: Any) -> Said:
        turned, mine, other = False, plain_variable(left), right
        if mine is None or not is_constant(right):
            turned, mine, other = True, plain_variable(right), left
        if mine is None or not is_constant(other):
            return None
        given = constant(other)
        if mine[0] == TIMESTAMP:
            return self._time(_TURNED.get(name, "") if turned else name, given)
        where, default = self.path(mine[0]), mine[1]
        if name in {"==", "==="}:
            return self._equal(where, given, default, strictly=name == "===")
        if name in _NUMERIC:
            return self._number(where, _TURNED[name] if turned else name, given, default)
        if default is not None:
            return None
        if name == "in":
            return self._in(where, given, within=turned)
        if name in _TEXT and not turned and isinstance(given, str):
            return every([is_kind(where, "text"), attribute(where, _TEXT[name], given)])
        return None

    def _equal(self, where: Path, given: Any, default: Any, *, strictly: bool) -> Said:
        if given is None:
            return opposite(exists(where)) if default is None else None
        if isinstance(given, dict | list):
            return None
        # `==` turns numbers, booleans and text into one another; with text that is no number it is `===`.
        if not strictly and not (isinstance(given, str) and given and as_number(given) is None):
            return None
        return attribute(where, "equals", given, absent=_is_same(default, given))

    def _number(self, where: Path, name: str, given: Any, default: Any) -> Said:
        if isinstance(given, bool) or not isinstance(given, int | float):
            return None
        absent = truth(constant({name: [default, given]}))  # a missing attribute counts as 0
        return attribute(where, _NUMERIC[name], given, coerce="number", absent=absent)

    def _between(self, name: str, arguments: list[Any]) -> Said:
        low, middle, high = arguments
        return every([one for pair in ([low, middle], [middle, high]) for one in [self.holds({name: pair})]])

    def _in(self, where: Path, given: Any, *, within: bool) -> Said:
        if within:
            if not isinstance(given, str | int | float) or isinstance(given, bool):
                return None
            written = given if isinstance(given, str) else constant({"cat": [given]})
            return within_text_or_list(where, written, given)
        if not isinstance(given, list):
            return None
        return attribute(where, "equals", *given, absent=None in given) if given else NEVER

    def _version(self, left: Any, sign: Any, right: Any) -> Said:
        mine = plain_variable(left)
        if mine is None or mine[1] is not None or mine[0] == TIMESTAMP:
            return None
        if not (isinstance(sign, str) and isinstance(right, str)):
            return None
        where, read = self.path(mine[0]), version(right, "any")
        if read is None:
            return NEVER
        if sign in _VERSIONS:
            return attribute(where, _VERSIONS[sign], right, negate=sign == "!=", **_LENIENT)
        numbers = [int(digits) for _, digits in read[0]]
        if sign not in {"^", "~"}:
            return NEVER
        kept = numbers[: 1 if sign == "^" else 2]
        low, high = _lowest(kept), _lowest([*kept[:-1], kept[-1] + 1])
        return every([attribute(where, "semver_ge", low, **_LENIENT), attribute(where, "semver_lt", high, **_LENIENT)])

    def _time(self, name: str, given: Any) -> Said:
        """Compare whole seconds since 1970 with a number."""
        if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
            return None
        edges = {">=": math.ceil(given), ">": math.floor(given) + 1, "<": math.ceil(given), "<=": math.floor(given) + 1}
        if name not in edges:
            return None
        try:
            at = _EPOCH + timedelta(seconds=edges[name])
        except OverflowError:
            return ALWAYS if (edges[name] < 0) is (name in {">", ">="}) else NEVER
        return During(from_=at) if name in {">", ">="} else During(until=at)

    def is_version(self, where: Path) -> Condition:
        """Return the condition that an attribute is a version."""
        return attribute(where, "semver_ge", _lowest([0]), **_LENIENT)


def within_text_or_list(where: Path, written: str, given: Any) -> Condition:
    """Return the condition that an attribute is text with a part, or a list with an element."""
    in_text = every([is_kind(where, "text"), attribute(where, "contains", written)])
    return either([in_text, every([is_kind(where, "list"), attribute(where, "in", given)])])


def _lowest(numbers: list[int]) -> str:
    """Return the lowest pre-release of a version, which is below all others with these numbers."""
    return ".".join(map(str, [*numbers, 0, 0][:3])) + "-0"


def _is_same(default: Any, given: Any) -> bool:
    return default is not None and bool(constant({"===": [default, given]}))
