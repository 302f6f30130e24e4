"""
Unleash's constraints as conditions.

All values of an Unleash context are text. Here `in` and the operators on text turn numbers and booleans into text
first, and the others text into numbers, so that a service may hand over what it has.
"""

from collections.abc import Mapping
from typing import Any

from grayflow.admin.moving.paths import Attributes
from grayflow.admin.moving.remarks import Ledger
from grayflow.admin.moving.unleash.model import Constraint
from grayflow.admin.moving.wording import NEVER, attribute, either, every, exists, opposite, without_bad
from grayflow.core.flag import Attribute, Condition, Path
from grayflow.core.values import as_number, as_text

__all__ = ["Constraints"]

_OF_MANY: Mapping[str, tuple[str, dict[str, Any]]] = {
    "IN": ("in", {"coerce": "text"}),
    "NOT_IN": ("in", {"coerce": "text", "negate": True, "absent": True, "unreadable": True}),
    "STR_STARTS_WITH": ("starts_with", {"coerce": "text"}),
    "STR_ENDS_WITH": ("ends_with", {"coerce": "text"}),
    "STR_CONTAINS": ("contains", {"coerce": "text"}),
    "IN_CIDR": ("cidr", {}),
}
_OF_ONE: Mapping[str, tuple[str, dict[str, Any]]] = {
    "NUM_EQ": ("in", {"coerce": "number"}),
    "NUM_GT": ("gt", {"coerce": "number"}),
    "NUM_GTE": ("ge", {"coerce": "number"}),
    "NUM_LT": ("lt", {"coerce": "number"}),
    "NUM_LTE": ("le", {"coerce": "number"}),
    "DATE_AFTER": ("after", {}),
    "DATE_BEFORE": ("before", {}),
    "SEMVER_EQ": ("semver_eq", {}),
    "SEMVER_GT": ("semver_gt", {}),
    "SEMVER_GTE": ("semver_ge", {}),
    "SEMVER_LT": ("semver_lt", {}),
    "SEMVER_LTE": ("semver_le", {}),
    "REGEX": ("matches", {"coerce": "text"}),
}
_FOLDING = {"starts_with", "ends_with", "contains", "matches"}


class Constraints:
    """
    Translates constraints.

    Args:
        attributes: Where context fields are found.
        ledger: For remarks.
    """

    def __init__(self, attributes: Attributes, ledger: Ledger) -> None:
        self._attributes, self._ledger = attributes, ledger

    def condition(self, constraint: Constraint, path: str) -> Condition:
        """Return a constraint as a condition; one that cannot be translated never holds."""
        if self._attributes.is_displaced(constraint.context_name):
            self._displaced(constraint.context_name, path)
        found = self._comparison(constraint, path)
        if found is None:
            return NEVER
        timed = found.op in {"after", "before"} and constraint.context_name == "currentTime"
        meant = self._by_the_clock(found) if timed else found
        return opposite(meant) if constraint.inverted else meant

    def _displaced(self, name: str, path: str) -> None:
        called = self._attributes.path(name)
        self._ledger.note(path, f"{name!r} has a meaning of its own in a grayflow context", f"it is read as {called!r}")

    def _comparison(self, constraint: Constraint, path: str) -> Attribute | None:
        options: dict[str, Any]
        if constraint.operator in _OF_MANY:
            op, options = _OF_MANY[constraint.operator]
            values: list[Any] = [as_text(value) for value in constraint.values or ()]
        elif constraint.operator in _OF_ONE:
            op, options = _OF_ONE[constraint.operator]
            values = [as_number(constraint.value) if options.get("coerce") == "number" else as_text(constraint.value)]
        else:
            self._lost(path, f"there is no operator {constraint.operator!r}")
            return None
        if constraint.case_insensitive and op in _FOLDING:
            options = {**options, "fold": True}
        written = attribute(self._attributes.path(constraint.context_name), op, *values, **options)
        found, why = without_bad(written)
        for message in why:
            self._lost(path, message)
        return found

    def _lost(self, path: str, why: str) -> None:
        self._ledger.left_out(path, why, "what depends on it never matches")

    def _by_the_clock(self, found: Attribute) -> Condition:
        """Compare the time that the context names, and the instant of evaluation where it names none."""
        named: Path = found.name
        return either([found, every([opposite(exists(named)), attribute("now", found.op, *found.values)])])
