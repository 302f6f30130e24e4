"""LaunchDarkly's clauses as conditions."""

import re
from collections.abc import Mapping
from typing import Any

from grayflow.admin.moving.launchdarkly.model import Clause
from grayflow.admin.moving.launchdarkly.subjects import BadReferenceError, Subjects, steps_of
from grayflow.admin.moving.remarks import Ledger
from grayflow.admin.moving.wording import (
    NEVER,
    attribute,
    either,
    every,
    exists,
    opposite,
    without_bad,
)
from grayflow.core.flag import Attribute, Condition, SegmentIs

__all__ = ["Clauses"]

_OPERATORS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "in": ("in", {}),
    "startsWith": ("starts_with", {}),
    "endsWith": ("ends_with", {}),
    "contains": ("contains", {}),
    "matches": ("matches", {}),
    "lessThan": ("lt", {}),
    "lessThanOrEqual": ("le", {}),
    "greaterThan": ("gt", {}),
    "greaterThanOrEqual": ("ge", {}),
    "before": ("before", {"epoch": "ms"}),
    "after": ("after", {"epoch": "ms"}),
    "semVerEqual": ("semver_eq", {"lenient": "partial"}),
    "semVerLessThan": ("semver_lt", {"lenient": "partial"}),
    "semVerGreaterThan": ("semver_gt", {"lenient": "partial"}),
}


class Clauses:
    """
    Translates clauses.

    Args:
        subjects: Where contexts are found.
        segments: LaunchDarkly's key of a segment -> ours.
        ledger: For remarks.
    """

    def __init__(self, subjects: Subjects, segments: Mapping[str, str], ledger: Ledger) -> None:
        self._subjects, self._segments, self._ledger = subjects, segments, ledger

    def condition(self, clause: Clause, path: str) -> Condition:
        """Return a clause as a condition; one that cannot be translated never holds, negated or not."""
        if clause.op == "segmentMatch":
            return self._either_way(clause, self._members(clause, path))
        if clause.attribute == "kind":
            return self._of_kind(clause, path)
        try:
            steps = steps_of(clause.attribute, clause.context_kind)
        except BadReferenceError as error:
            return self._lost(path, str(error))
        if self._subjects.displaced(clause.context_kind, steps):
            called = self._subjects.path(clause.context_kind, steps)
            what = f"{steps[0]!r} has a meaning of its own in a grayflow context"
            self._ledger.note(path, what, f"it is read as {called!r}")
        return self._comparison(clause, steps, path)

    def _either_way(self, clause: Clause, found: Condition) -> Condition:
        return opposite(found) if clause.negate else found

    def _lost(self, path: str, why: str) -> Condition:
        self._ledger.left_out(path, why, "the rule never matches")
        return NEVER

    def _members(self, clause: Clause, path: str) -> Condition:
        known = [key for key in clause.values if isinstance(key, str) and key in self._segments]
        for key in (key for key in clause.values if key not in known):
            what = f"the data does not hold the segment {key!r}"
            self._ledger.changed(path, what, "nobody is in it, as in LaunchDarkly")
        return either(SegmentIs(key=self._segments[key]) for key in known)

    def _of_kind(self, clause: Clause, path: str) -> Condition:
        if clause.op != "in":
            return self._lost(path, f"kinds of contexts can be compared by `in`, not by {clause.op!r}")
        kinds = (str(kind) for kind in clause.values)
        return self._either_way(clause, either(self._subjects.present(kind) for kind in kinds))

    def _comparison(self, clause: Clause, steps: tuple[str, ...], path: str) -> Condition:
        kind, negate = clause.context_kind, bool(clause.negate)
        where = self._subjects.path(kind, steps)
        guards = self._subjects.guards(kind, steps)
        values = self._texts(clause.values) if steps == ("key",) else tuple(clause.values)
        if clause.op not in _OPERATORS:
            self._ledger.left_out(path, f"there is no operator {clause.op!r}", "it matches nothing")
            return every([*guards, self._held(kind, steps)]) if negate else NEVER
        op, options = _OPERATORS[clause.op]
        if steps == ("key",) and op in {"in", "starts_with", "ends_with", "contains", "matches"}:
            options = {**options, "coerce": "text"}  # a service may have whole numbers for ids
        if steps == ("anonymous",):
            # Every context of LaunchDarkly has it: false, if nothing else is said.
            guards.append(self._subjects.present(kind))
            options = {**options, "absent": (op == "in" and any(value is False for value in values)) is not negate}
        written = attribute(where, op, *values, negate=negate, unreadable=negate, **options)
        nothing = self._held(kind, steps) if negate else NEVER
        return every([*guards, self._usable(written, path, nothing)])

    def _held(self, kind: str | None, steps: tuple[str, ...]) -> Condition:
        """Return the condition that a context has an attribute."""
        return self._subjects.present(kind) if steps == ("anonymous",) else exists(self._subjects.path(kind, steps))

    def _texts(self, values: tuple[Any, ...]) -> tuple[str, ...]:
        return tuple(value for value in values if isinstance(value, str))

    def _usable(self, written: Attribute, path: str, nothing: Condition) -> Condition:
        """Return a comparison without values that match nothing; `nothing` stands for one with none left."""
        found, why = without_bad(written)
        for message in why:
            if written.op == "matches" and all(_is_pattern(value) for value in written.values):
                return self._lost(path, message)
            self._ledger.note(path, message, "it matches nothing, as in LaunchDarkly")
        return nothing if found is None else found


def _is_pattern(value: Any) -> bool:
    """Tell whether LaunchDarkly's client takes a pattern that ours refuse."""
    try:
        return isinstance(value, str) and re.compile(value) is not None
    except (re.error, RecursionError, OverflowError):
        return False
