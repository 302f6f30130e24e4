"""
From a decision about a flag to the implementation that serves.

Pure. A switch always has an answer: where the flag names nothing that could serve, the default does, and the reason
says why.
"""

from collections.abc import Container
from enum import StrEnum
from typing import Generic, TypeVar

import msgspec

from grayflow.core.decision import Decision, ErrorCode, Reason
from grayflow.core.flag import Flag, Split
from grayflow.core.liveness import live

__all__ = ["Choice", "Selection", "SelectionReason", "choose_variant", "named", "reachable"]

S_co = TypeVar("S_co", covariant=True)


class SelectionReason(StrEnum):
    """Why this implementation."""

    DECIDED = "decided"
    """The flag chose it; the decision says how."""
    NO_UNIT = "no_unit"
    """The context has no id to decide by."""
    NO_VARIANT = "no_variant"
    """The flag does not exist, could not be decided, or leaves the answer to its caller."""
    UNKNOWN_VARIANT = "unknown_variant"
    """The flag serves a variant that has no implementation here."""
    FACTORY_FAILED = "factory_failed"
    """The variant's implementation cannot be opened; it is tried again."""
    OPENING = "opening"
    """The variant's implementation is still being opened."""
    BREAKER_OPEN = "breaker_open"
    """The variant's implementation failed too often; see `FallbackGuard`."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What serves, before it is known whether it can."""

    variant: str
    reason: SelectionReason
    decision: Decision


class Selection(msgspec.Struct, Generic[S_co], frozen=True, kw_only=True):
    """What `ImplementationSwitch.choose` returns."""

    variant: str
    """The one that serves."""
    implementation: S_co
    """Calls that variant, whatever the flag says meanwhile; opened with its first call, like the switch's proxy."""
    reason: SelectionReason
    decision: Decision
    """What the flag said."""

    @property
    def revision(self) -> int:
        """Of the flag's document."""
        return self.decision.revision


def choose_variant(decision: Decision, known: Container[str], default: str, *, has_unit: bool) -> Choice:
    """
    Choose an implementation.

    Args:
        decision: About the switch's flag.
        known: The variants that have implementations.
        default: The one that serves where nothing else can.
        has_unit: Whether the context has what the switch decides by.
    """
    name = named(decision)
    if decision.reason is not Reason.OVERRIDE and (not has_unit or decision.error is ErrorCode.TARGETING_KEY_MISSING):
        return Choice(variant=default, reason=SelectionReason.NO_UNIT, decision=decision)
    if name is None:
        return Choice(variant=default, reason=SelectionReason.NO_VARIANT, decision=decision)
    if name not in known:
        return Choice(variant=default, reason=SelectionReason.UNKNOWN_VARIANT, decision=decision)
    return Choice(variant=name, reason=SelectionReason.DECIDED, decision=decision)


def named(decision: Decision) -> str | None:
    """Return the variant; an override has a value only, and that names one."""
    if decision.variant is not None or decision.reason is not Reason.OVERRIDE:
        return decision.variant
    if isinstance(decision.value, bool):
        return "on" if decision.value else "off"
    return decision.value if isinstance(decision.value, str) else None


def reachable(flag: Flag | None, at: int, default: str) -> frozenset[str]:
    """
    Return the variants that somebody could be served at that instant; rather one too many than one too few.

    Beside what is live (see `grayflow.core.liveness`) that is what is served to everybody else: the flag's `off`
    variant, and the default where the flag leaves the answer to its caller.

    Args:
        flag: The document, `None` if there is none.
        at: Nanoseconds since the epoch.
        default: What the switch serves of itself.
    """
    if flag is None:
        return frozenset({default})
    found, off = live(flag, at), flag.off_variant or default
    leaves_it = flag.otherwise_serves is None or any(flag.rule_serves(rule) is None for rule in flag.rules)
    if not found or flag.requires or isinstance(flag.otherwise_serves, Split):
        found |= {off}
    return found | {default} if leaves_it else found
