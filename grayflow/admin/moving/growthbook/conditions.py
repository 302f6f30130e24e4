"""
GrowthBook's targeting conditions as conditions.

GrowthBook has a third answer: what depends on an operator that it does not know fails the whole condition, negated or
not. So such a part is translated to what makes the condition around it false: never, or always inside of a negation.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from grayflow.admin.moving.growthbook.groups import SavedGroups
from grayflow.admin.moving.paths import Attributes
from grayflow.admin.moving.remarks import Ledger
from grayflow.admin.moving.wording import (
    ALWAYS,
    NEVER,
    attribute,
    either,
    every,
    exists,
    is_kind,
    opposite,
    without_bad,
)
from grayflow.core.flag import Condition, Path
from grayflow.core.foreign import mongo
from grayflow.core.foreign.growthbook import CONDITION, version_operator
from grayflow.core.pattern import compile_pattern

__all__ = ["Conditions", "MalformedError"]

_ORDER = {"$lt": "lt", "$lte": "le", "$gt": "gt", "$gte": "ge"}
_VERSIONS = {"$veq", "$vlt", "$vlte", "$vgt", "$vgte"}
_KINDS = {"string": "text", "number": "number", "boolean": "boolean", "array": "list", "object": "object"}
_OPPOSITES = {
    "$ne": "$eq",
    "$nin": "$in",
    "$nini": "$ini",
    "$vne": "$veq",
    "$notRegex": "$regex",
    "$notRegexi": "$regexi",
    "$notInGroup": "$inGroup",
}
_LISTS = {"$in", "$nin", "$ini", "$nini", "$all", "$alli"}
_KNOWN = {*_ORDER, *_VERSIONS, *_OPPOSITES, *_OPPOSITES.values(), *_LISTS} | {
    *("$eq", "$exists", "$type", "$not", "$elemMatch", "$size", "$or", "$nor", "$and", "$savedGroup", "$savedGroups"),
}


class MalformedError(ValueError):
    """A condition that GrowthBook's client cannot evaluate; it counts as false."""


class Conditions:
    """
    Translates conditions.

    Args:
        attributes: Where attributes are found.
        groups: The saved groups.
        ledger: For remarks.
    """

    def __init__(self, attributes: Attributes, groups: SavedGroups, ledger: Ledger) -> None:
        self._attributes, self._groups, self._ledger = attributes, groups, ledger

    def condition(self, given: Mapping[str, Any], path: str) -> Condition:
        """Return a whole condition."""
        try:
            return self._whole(given, path, holds=True)
        except MalformedError as error:
            self._ledger.left_out(path, str(error), "the rule never matches, as in GrowthBook")
            return NEVER

    def inlined(self, given: Any, within: tuple[Any, ...] = ()) -> Any:
        """Return a condition with what saved groups hold in their places; one that is within itself holds nobody."""
        if isinstance(given, list):
            return [self.inlined(one, within) for one in given]
        if not isinstance(given, Mapping):
            return given
        found: dict[str, Any] = {}
        for name, wanted in given.items():
            if name in {"$inGroup", "$notInGroup"}:
                values = self._groups.values(wanted)
                found["$in" if name == "$inGroup" else "$nin"] = values
            elif name == "$savedGroup":
                inner = None if wanted in within else self._groups.condition_of(wanted)
                said = {"$not": {}} if inner is None else self.inlined(inner, (*within, wanted))
                found["$and"] = [*found.get("$and", []), said]
            else:
                found[name] = self.inlined(wanted, within)
        return found

    def _whole(self, given: Any, path: str, *, holds: bool) -> Condition:
        if not isinstance(given, Mapping):
            raise MalformedError("a condition must be an object")
        return every(self._entry(name, wanted, f"{path}.{name}", holds=holds) for name, wanted in given.items())

    def _entry(self, name: str, wanted: Any, path: str, *, holds: bool) -> Condition:
        match name:
            case "$or":
                return self._either(wanted, path, holds=holds)
            case "$nor":
                return opposite(self._either(wanted, path, holds=not holds))
            case "$and":
                return every(self._each(wanted, path, holds=holds))
            case "$not":
                return opposite(self._whole(wanted, path, holds=not holds))
            case "$savedGroup":
                return self._groups.matching(wanted, lambda inner: self._whole(inner, path, holds=True))
            case "$savedGroups":
                return NEVER
        return self._attribute(name, wanted, path, holds=holds)

    def _either(self, wanted: Any, path: str, *, holds: bool) -> Condition:
        return either(self._each(wanted, path, holds=holds)) if wanted else ALWAYS

    def _each(self, wanted: Any, path: str, *, holds: bool) -> list[Condition]:
        if not isinstance(wanted, list):
            raise MalformedError("a list of conditions is needed")
        return [self._whole(one, f"{path}[{place}]", holds=holds) for place, one in enumerate(wanted)]

    # One attribute

    def _attribute(self, name: str, wanted: Any, path: str, *, holds: bool) -> Condition:
        steps = name.split(".")
        found = self._matches(self._path(steps, path), wanted, path, name=name, holds=holds)
        if len(steps) == 1 or steps[-1] != "length":
            return found
        above = self._path(steps[:-1], path)
        sized = self._foreign(above, {"$size": wanted}, path, holds=holds)
        is_list = is_kind(above, "list")
        return either([every([is_list, sized]), every([opposite(is_list), found])])

    def _path(self, steps: list[str], path: str) -> Path:
        found = self._attributes.path(*steps)
        if self._attributes.is_displaced(steps[0]):
            what = f"{steps[0]!r} has a meaning of its own in a grayflow context"
            self._ledger.note(path, what, f"it is read as {found!r}")
        return found

    def _matches(self, where: Path, wanted: Any, path: str, *, name: str, holds: bool) -> Condition:
        if not mongo.is_operators(wanted):
            return opposite(exists(where)) if wanted is None else attribute(where, "equals", wanted)
        return every(
            self._operator(where, operator, operand, f"{path}.{operator}", name=name, holds=holds)
            for operator, operand in wanted.items()
        )

    def _operator(self, where: Path, op: str, wanted: Any, path: str, *, name: str, holds: bool) -> Condition:
        if op in _LISTS and not isinstance(wanted, list):
            return NEVER
        if op in _OPPOSITES:
            if op == "$notInGroup" and self._groups.values(wanted) is None:
                return NEVER
            return opposite(self._operator(where, _OPPOSITES[op], wanted, path, name=name, holds=not holds))
        plain: dict[str, Callable[[], Condition]] = {
            "$eq": lambda: self._equal(where, wanted),
            "$in": lambda: self._in(where, wanted, fold=False),
            "$ini": lambda: self._in(where, wanted, fold=True),
            "$exists": lambda: exists(where) if wanted else opposite(exists(where)),
            "$type": lambda: self._of_kind(where, wanted),
            "$not": lambda: opposite(self._matches(where, wanted, path, name=name, holds=not holds)),
            "$inGroup": lambda: self._groups.members(wanted, name) if isinstance(wanted, str) else NEVER,
        }
        return plain[op]() if op in plain else self._other(where, op, wanted, path, holds=holds)

    def _other(self, where: Path, op: str, wanted: Any, path: str, *, holds: bool) -> Condition:
        if op in _ORDER and isinstance(wanted, int | float) and not isinstance(wanted, bool):
            return every([is_kind(where, "number"), attribute(where, _ORDER[op], wanted)])
        if op in {"$regex", "$regexi"}:
            return self._pattern(where, wanted, path, fold=op == "$regexi", holds=holds)
        if op in _VERSIONS:
            usable = isinstance(wanted, str | int | float) and not isinstance(wanted, bool)
            return attribute(where, version_operator(op), wanted) if usable else NEVER
        if op in {"$all", "$alli"} and not any(isinstance(one, dict | list) for one in wanted):
            fold = {"fold": True} if op == "$alli" else {}
            return every([is_kind(where, "list"), *(attribute(where, "in", one, **fold) for one in wanted)])
        return self._foreign(where, {op: wanted}, path, holds=holds)

    def _equal(self, where: Path, wanted: Any) -> Condition:
        if wanted is None:
            return opposite(exists(where))
        # Lists and objects equal nothing under JavaScript's ===, not even themselves.
        return NEVER if isinstance(wanted, dict | list) else attribute(where, "equals", wanted)

    def _in(self, where: Path, wanted: list[Any], *, fold: bool) -> Condition:
        values = [one for one in wanted if not isinstance(one, dict | list)]
        options = {"fold": True} if fold else {}
        return attribute(where, "in", *values, absent=None in values, **options) if values else NEVER

    def _of_kind(self, where: Path, wanted: Any) -> Condition:
        if wanted == "null":
            return opposite(exists(where))
        return is_kind(where, _KINDS[wanted]) if isinstance(wanted, str) and wanted in _KINDS else NEVER

    def _pattern(self, where: Path, wanted: Any, path: str, *, fold: bool, holds: bool) -> Condition:
        if not _is_pattern(wanted):
            return NEVER
        found, why = without_bad(attribute(where, "matches", wanted, **({"fold": True} if fold else {})))
        if found is None:
            return self._unknown(path, "; ".join(why), holds=holds)
        return every([is_kind(where, "text"), found])

    def _foreign(self, where: Path, wanted: dict[str, Any], path: str, *, holds: bool) -> Condition:
        """Leave it to the operator that evaluates as GrowthBook does."""
        given = self.inlined(wanted)
        for why in _obstacles(given):
            return self._unknown(path, why, holds=holds)
        try:
            absent = mongo.matches(given, None) is True
        except (TypeError, ValueError, AttributeError, RecursionError) as error:
            raise MalformedError(f"it cannot be evaluated: {error}") from error
        return attribute(where, CONDITION, given, absent=absent)

    def _unknown(self, path: str, why: str, *, holds: bool) -> Condition:
        self._ledger.left_out(path, why, "what depends on it never holds")
        return NEVER if holds else ALWAYS


def _obstacles(given: Any) -> Iterator[str]:
    """Yield why our operator cannot evaluate something: operators that nobody knows, patterns that we refuse."""
    if isinstance(given, list):
        for one in given:
            yield from _obstacles(one)
    elif isinstance(given, Mapping):
        for name, wanted in given.items():
            if name.startswith("$") and name not in _KNOWN:
                yield f"there is no operator {name!r}"
            elif name in _PATTERNS and _is_pattern(wanted):
                yield from _refusal(wanted, fold=name.endswith("i"))
            else:
                yield from _obstacles(wanted)


_PATTERNS = {"$regex", "$regexi", "$notRegex", "$notRegexi"}


def _refusal(pattern: str, *, fold: bool) -> Iterator[str]:
    try:
        compile_pattern(pattern, fold=fold)
    except ValueError as error:
        yield str(error)


def _is_pattern(value: Any) -> bool:
    """Tell whether GrowthBook's client takes a pattern."""
    try:
        return isinstance(value, str) and re.compile(value) is not None
    except (re.error, RecursionError, OverflowError):
        return False
