"""
The decisions that a flag can come to, built once.

A compiled flag answers with objects made here, so the hot path allocates nothing. Where the answer is the caller's
default, `value` is `UNSET` and `finish` puts the default in. The reason then still tells an off flag from an open
question; the caller sees `DEFAULT`, as no variant was served.
"""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import UNSET, structs

from grayflow.core.decision import Decision, ErrorCode, Reason
from grayflow.core.flag import Flag, Kind
from grayflow.core.frozen import FrozenDict, freeze

__all__ = ["OFF_REASONS", "Outcomes", "failed", "finish", "fits", "told"]

OFF_REASONS = frozenset({Reason.DISABLED, Reason.SCHEDULED, Reason.PREREQUISITE_FAILED})
"""The internal reasons of a flag that is off, for others that ask whether it is."""


_NO_METADATA = FrozenDict()
_CONVERT: Mapping[Kind, Callable[[Any], Any]] = {"float": float, "json": freeze}


class Outcomes:
    """Makes the decisions of one document."""

    def __init__(self, flag: Flag, revision: int) -> None:
        self._flag, self._revision = flag, revision
        self._metadata = FrozenDict(flag.metadata) if flag.metadata else _NO_METADATA
        convert = _CONVERT.get(flag.kind)
        self._values = flag.variants
        if convert is not None:
            self._values = {name: convert(value) for name, value in flag.variants.items()}

    def make(
        self,
        variant: str | None,
        reason: Reason,
        rule: str | int | None = None,
        error: ErrorCode | None = None,
        detail: str = "",
    ) -> Decision:
        """Return the decision that serves `variant`, or leaves the value to the caller."""
        return Decision(
            key=self._flag.key,
            value=UNSET if variant is None else self._values[variant],
            variant=variant,
            reason=reason,
            rule=rule,
            revision=self._revision,
            error=error,
            detail=detail,
            metadata=self._metadata,
        )

    def cycle(self) -> Decision:
        """Return the decision of a flag in, or on the way to, a circle."""
        detail = (
            f"flag {self._flag.key!r} is part of a circle of flags and segments, or needs one that is; "
            "`grayflow lint` shows it"
        )
        return self.make(None, Reason.ERROR, error=ErrorCode.CYCLE, detail=detail)

    def no_id(self) -> Decision:
        """Return the decision of a flag that splits everybody and has no id to go by."""
        detail = f"flag {self._flag.key!r} splits by an id that the context does not have"
        return self.make(self._flag.off_variant, Reason.ERROR, error=ErrorCode.TARGETING_KEY_MISSING, detail=detail)


def failed(key: str, default: Any, error: ErrorCode, detail: str, *, revision: int = 0) -> Decision:
    """Return the caller's default with what went wrong."""
    return Decision(key=key, value=default, reason=Reason.ERROR, revision=revision, error=error, detail=detail)


def told(error: Exception) -> str:
    """Return the message of an error that foreign code raised; its own methods may raise again."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - nothing is left to ask it
        return "its message cannot be read"


def finish(decision: Decision, kind: Kind, default: Any) -> Decision:
    """
    Return what the caller sees: its default where none was served, and only values of the type it asked for.

    A shared decision comes back as it is whenever it can.
    """
    value = decision.value
    if value is UNSET:
        reason = Reason.ERROR if decision.reason is Reason.ERROR else Reason.DEFAULT
        return structs.replace(decision, value=default, reason=reason)
    # The first two tests say the same as the third, only sooner.
    if default is None or _KINDS.get(default.__class__) == kind or fits(value, kind, default):
        return decision
    return structs.replace(
        decision,
        value=default,
        variant=None,
        reason=Reason.ERROR,
        error=ErrorCode.TYPE_MISMATCH,
        detail=f"flag {decision.key!r} is of kind {kind!r}; the default {_short(default)} asks for another",
    )


def fits(value: Any, kind: Kind, default: Any) -> bool:
    """
    Tell whether a served value is of the type that the caller's default asks for.

    By kind, so that an integer flag never answers a float default; a json flag by the value, where null is an answer
    to any default and a whole number fits a float. A default of a type that no flag has asks for nothing.
    """
    wanted = _kind_of(default)
    if wanted is None or wanted == kind:
        return kind != "json" or value is None or isinstance(value, dict) == isinstance(default, dict)
    if kind != "json":
        return False
    found = _kind_of(value)
    return value is None or found == wanted or (found == "integer" and wanted == "float")


_KINDS: dict[type, Kind] = {bool: "boolean", int: "integer", float: "float", str: "string"}


def _kind_of(value: Any) -> Kind | None:
    if isinstance(value, bool):
        return "boolean"
    for kind, types in _TYPES:
        if isinstance(value, types):
            return kind
    return None


_TYPES: tuple[tuple[Kind, Any], ...] = (
    ("integer", int),
    ("float", float),
    ("string", str),
    ("json", (dict, list, tuple)),
)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
