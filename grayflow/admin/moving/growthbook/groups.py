"""GrowthBook's saved groups as segments, one for each attribute that a group is asked about."""

from collections.abc import Callable, Mapping
from typing import Any

from grayflow.admin.moving.naming import free_name, legal_keys
from grayflow.admin.moving.paths import Attributes
from grayflow.admin.moving.remarks import Ledger
from grayflow.admin.moving.wording import NEVER, attribute, flat
from grayflow.core.flag import Condition, Path, Segment, SegmentIs

__all__ = ["SavedGroups"]

_MANY = 500
"""Longer lists of ids become id lists of their segments: conditions are limited to 64 KiB, id lists are not."""


class SavedGroups:
    """
    Translates saved groups, once they are asked for.

    Args:
        groups: As the payload holds them: a list, or an object with `type`.
        attributes: Where attributes are found.
        ledger: For remarks.
    """

    def __init__(self, groups: Mapping[str, Any], attributes: Attributes, ledger: Ledger) -> None:
        self._groups, self._attributes, self._ledger = groups, attributes, ledger
        self._keys = legal_keys(groups)
        self._segments: dict[tuple[str, Path | None], Segment | None] = {}

    @property
    def segments(self) -> list[Segment]:
        """All that were asked for so far."""
        return [one for one in self._segments.values() if one is not None]

    def values(self, group: Any) -> list[Any] | None:
        """Return the members of a list, none for a group that does not exist; `None` if it is no list."""
        found = self._groups.get(group, []) if isinstance(group, str) else None
        if isinstance(found, Mapping) and found.get("type") == "list":
            found = found.get("values")
        return found if isinstance(found, list) else None

    def condition_of(self, reference: Any) -> dict[str, Any] | None:
        """Return what a reference to a group says of the user's attributes, `None` if it says nothing."""
        group, entry = self._entry(reference)
        if isinstance(entry, Mapping) and entry.get("type") == "condition" and isinstance(entry.get("condition"), dict):
            return dict(entry["condition"])
        if isinstance(entry, Mapping) and entry.get("type") == "list":
            name = reference.get("attributeKey", entry.get("attributeKey"))
            values = self.values(group)
            return {name: {"$in": values}} if isinstance(name, str) and values is not None else None
        return None

    def _entry(self, reference: Any) -> tuple[str, Any]:
        group = reference.get("id") if isinstance(reference, Mapping) else None
        return (group, self._groups.get(group)) if isinstance(group, str) else ("", None)

    def members(self, group: str, name: str) -> Condition:
        """Return the condition that an attribute is in a list."""
        values, path = self.values(group) or [], self._attributes.path(*name.split("."))
        if not values:
            return NEVER
        return self._asked(group, path, name, lambda key: self._listed(key, values, path))

    def matching(self, reference: Any, translate: Callable[[dict[str, Any]], Condition]) -> Condition:
        """Return the condition that the context is in a group; one that is defined by itself holds nobody."""
        group, entry = self._entry(reference)
        condition = self.condition_of(reference)
        if condition is None:
            return NEVER
        if entry.get("type") == "list":
            return self.members(group, *condition)
        return self._asked(group, None, "", lambda key: Segment(key=key, when=flat([translate(condition)])))

    def _asked(self, group: str, path: Path | None, name: str, make: Callable[[str], Segment]) -> Condition:
        if (group, path) not in self._segments:
            key = self._key(group, path, name)
            self._segments[group, path] = None  # while it is made: whoever comes back to it goes round in a circle
            self._segments[group, path] = make(key)
        made = self._segments[group, path]
        return NEVER if made is None else SegmentIs(key=made.key)

    def _key(self, group: str, path: Path | None, name: str) -> str:
        wanted = self._keys[group]
        if any(known == group for known, _ in self._segments):
            wanted = legal_keys([f"{wanted[:100]}.{name or path}"]).popitem()[1]
        return free_name(wanted, [one.key for one in self.segments], "-{}")

    def _listed(self, key: str, values: list[Any], path: Path) -> Segment:
        if len(values) <= _MANY or not all(isinstance(value, str) for value in values):
            return Segment(key=key, when=(attribute(path, "in", *values, absent=None in values),))
        what = f"{len(values)} values are too many for a condition"
        self._ledger.note("condition", what, f'they are the ids of the segment {key!r}, where 7 and "7" are one')
        return Segment(key=key, include=tuple(dict.fromkeys(values)), by=path)
