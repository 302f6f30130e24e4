"""Why a flag answers as it does: the decision and every look on the way to it. Pure."""

from contextlib import suppress
from typing import Any

import msgspec

from grayflow.core.context import as_context
from grayflow.core.decision import Decision
from grayflow.core.reference import Reference, Step
from grayflow.core.snapshot import Snapshot

__all__ = ["Explanation", "explain"]


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """A decision and the way to it."""

    decision: Decision
    steps: tuple[Step, ...]
    """What was looked at in the flag itself, in order; empty where it does not exist or its document is broken."""
    others: dict[str, tuple[Step, ...]]
    """The same for the flags that its conditions asked."""


def explain(snapshot: Snapshot, key: str, context: Any, *, now: int, default: Any = None) -> Explanation:
    """
    Decide one flag and keep the trail.

    Args:
        snapshot: The flag set, of today or of any revision.
        key: The flag.
        context: A context or a mapping.
        now: The instant of evaluation, nanoseconds since the epoch.
        default: The caller's default.

    Raises:
        TypeError: `context` is neither.
    """
    subject = as_context(context, snapshot.context_type)
    decision = snapshot.evaluate(key, subject, default=default, now=now)
    reference = Reference(snapshot, subject, now)
    with suppress(Exception):  # a value of the context raised: the decision says so, and the trail ends there
        reference.decide(key)
    trails = {name: tuple(steps) for name, steps in reference.trails.items()}
    return Explanation(decision=decision, steps=trails.pop(key, ()), others=trails)
