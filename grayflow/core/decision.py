"""What evaluation answers: the value, and enough to explain it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

__all__ = ["Decision", "ErrorCode", "Reason"]


class Reason(StrEnum):
    """Why this value; OpenFeature's words, and three of ours."""

    STATIC = "STATIC"
    """The flag is on and has neither rules nor targets."""
    TARGETING_MATCH = "TARGETING_MATCH"
    """A rule or the gray list chose."""
    SPLIT = "SPLIT"
    """A percentage, bucket or split chose."""
    DEFAULT = "DEFAULT"
    """No rule matched, or the flag leaves the answer to the caller's default."""
    DISABLED = "DISABLED"
    """The flag is switched off."""
    STALE = "STALE"
    """The snapshot is too old to be believed; the failure policy answered."""
    ERROR = "ERROR"
    """The decision failed; `error` says how."""
    UNKNOWN = "UNKNOWN"
    """Reserved for answers whose origin is not known."""
    SCHEDULED = "SCHEDULED"
    """Outside `[effective_at, expires_at)`."""
    PREREQUISITE_FAILED = "PREREQUISITE_FAILED"
    """Something in `requires` does not hold."""
    OVERRIDE = "OVERRIDE"
    """`Client.override` answered."""


class ErrorCode(StrEnum):
    """What went wrong in a decision; OpenFeature's codes in lower case, and some of ours."""

    PROVIDER_NOT_READY = "provider_not_ready"
    """There is no snapshot yet."""
    FLAG_NOT_FOUND = "flag_not_found"
    PARSE_ERROR = "parse_error"
    """The flag's document is broken and no good form of it is known."""
    TYPE_MISMATCH = "type_mismatch"
    """The flag serves another type than the caller's default."""
    TARGETING_KEY_MISSING = "targeting_key_missing"
    """A split has nothing to go by."""
    INVALID_CONTEXT = "invalid_context"
    """The context is neither a `Context` nor a mapping."""
    CYCLE = "cycle"
    """The flag is part of a circle of flags or segments, or reaches one."""
    NOW_MISSING = "now_missing"
    """The flag depends on the time and `now` was not given."""
    RESOLVER_FAILED = "resolver_failed"
    """An attribute could not be fetched and was taken as absent."""
    EXPIRED = "expired"
    """The snapshot is older than `max_staleness`."""
    GENERAL = "general"
    """A value in the context raised when it was touched, or a defect of ours."""


class Decision(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    The answer to one question about one flag.

    Fresh decisions are shared between callers: all of it is read-only.
    """

    key: str
    value: Any
    variant: str | None = None
    """`None`: the value is the caller's default."""
    reason: Reason
    rule: str | int | None = None
    """The matching rule: its name, or its index where it has none."""
    revision: int = 0
    """The revision of the flag's document."""
    stale: bool = False
    error: ErrorCode | None = None
    detail: str = ""
    """The error in words, with the remedy where there is one."""
    metadata: Mapping[str, bool | int | float | str] = {}
