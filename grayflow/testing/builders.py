"""Documents for tests in one line: `flag("checkout", enabled=True)`, checked as if they had been read from a store."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, Literal, TypedDict, Unpack

from grayflow.core.codec import decode_flag, decode_segment, to_bytes
from grayflow.core.flag import By, Condition, Flag, Kind, Rule, Segment, ServeOnFailure, Split

__all__ = ["FlagFields", "SegmentFields", "flag", "segment"]

Conditions = Iterable[Condition | Mapping[str, Any]]
"""Structs, or mappings as in JSON: `{"type": "segment", "key": "staff"}`."""

Ids = Iterable[str | int]


class FlagFields(TypedDict, total=False):
    """The fields of a flag in the spelling that is easiest to write."""

    kind: Kind
    enabled: bool
    archived: bool
    variants: Mapping[str, Any]
    off: str | None
    otherwise: str | Split | Mapping[str, Any] | None
    requires: Conditions
    targets: Mapping[str, Ids]
    rules: Iterable[Rule | Mapping[str, Any]]
    by: By | Mapping[str, Any]
    salt: str | None
    effective_at: datetime | str | None
    expires_at: datetime | str | None
    on_failure: Literal["caller_default", "last_known"] | ServeOnFailure | Mapping[str, str] | None
    off_checklist: Iterable[str]
    metadata: Mapping[str, bool | float | str]
    owner: str | None
    description: str | None
    tags: Iterable[str]
    lifetime: str | None
    remove_by: date | str | None


class SegmentFields(TypedDict, total=False):
    """The fields of a segment in the spelling that is easiest to write."""

    when: Conditions | None
    include: Ids
    exclude: Ids
    by: By | Mapping[str, Any]
    salt: str | None
    owner: str | None
    description: str | None
    tags: Iterable[str]


def flag(key: str, **fields: Unpack[FlagFields]) -> Flag:
    """
    Return a flag; what is left out has its default, so `flag("x")` is a boolean flag that is not enabled.

    Raises:
        InvalidFlagError: the document is not valid; every problem is listed with its path.
    """
    return decode_flag(to_bytes({"key": key, **_lists(fields)}), key)


def segment(key: str, **fields: Unpack[SegmentFields]) -> Segment:
    """
    Return a segment.

    Raises:
        InvalidFlagError: the document is not valid; every problem is listed with its path.
    """
    return decode_segment(to_bytes({"key": key, **_lists(fields)}), key)


def _lists(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Spell out iterables that JSON has no form for, such as generators of ids."""
    return {name: _spelled(value) for name, value in fields.items()}


def _spelled(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _lists(value)
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | list | tuple):
        return list(value)
    return value
