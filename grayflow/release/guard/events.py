"""What a guard tells: its breaker changed its state, or the fleet's did."""

import logging
from collections.abc import Callable
from typing import Literal

import msgspec

__all__ = ["EventKind", "GuardEvent", "GuardHandler", "Herald"]

log = logging.getLogger("grayflow.release")

EventKind = Literal["opened", "half_opened", "closed", "isolated", "fleet_tripped", "fleet_would_trip"]
"""The first four are of this process; then: the flag was switched off, or would have been and is only told."""


class GuardEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something happened to a guarded implementation."""

    flag: str
    variant: str
    """The new implementation."""
    kind: EventKind
    why: str
    """In words."""


GuardHandler = Callable[[GuardEvent], None]
"""Synchronous and quick: it is called by whichever call moved the breaker."""


class Herald:
    """
    Logs events and hands them to the application.

    Args:
        flag: Of all events.
        variant: Likewise.
        handler: The application's.
    """

    def __init__(self, flag: str, variant: str, handler: GuardHandler | None) -> None:
        self._flag, self._variant, self._handler = flag, variant, handler

    def tell(self, kind: EventKind, why: str) -> None:
        """Tell one event."""
        grave = kind in ("opened", "isolated", "fleet_tripped", "fleet_would_trip")
        level = logging.ERROR if kind.startswith("fleet") else logging.WARNING if grave else logging.INFO
        log.log(level, "breaker of %r in %r: %s: %s", self._variant, self._flag, kind.replace("_", " "), why)
        if self._handler is None:
            return
        try:
            self._handler(GuardEvent(flag=self._flag, variant=self._variant, kind=kind, why=why))
        except Exception:
            log.exception("the handler of guard events raised; the guard goes on")
