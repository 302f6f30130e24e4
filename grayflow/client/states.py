"""Tells the application when its flags became fresh, stale or expired: for alerts, metrics and other SDKs' events."""

import logging
from collections.abc import Callable
from typing import Literal

from grayflow.errors import ConfigurationError
from grayflow.replica.view import View
from grayflow.store.given import refuse_async
from grayflow.store.port import Change

__all__ = ["HealthState", "StateHandler", "States"]

log = logging.getLogger("grayflow.client")

HealthState = Literal["starting", "fresh", "stale", "expired", "failed", "closed"]

StateHandler = Callable[[HealthState, HealthState], None]
"""Gets the state before and after."""


class States:
    """Knows the state that was told last, and whom to tell of the next one."""

    def __init__(self) -> None:
        self.current: HealthState = "starting"
        self.errors = 0
        """What handlers raised."""
        self._handlers: list[StateHandler] = []

    def add(self, handler: StateHandler) -> None:
        """
        Tell one more.

        Raises:
            ConfigurationError: it cannot be called, or is async.
        """
        if not callable(handler):
            raise ConfigurationError(f"on_state handler is {handler!r}; give a function of the old and the new state")
        refuse_async("on_state handler", handler)
        self._handlers.append(handler)

    def see(self, _: View, after: View, __: Change | None) -> None:
        """Note a new view."""
        if after.snapshot is not None:
            self.become(after.freshness)

    def become(self, state: HealthState) -> None:
        """Note the state, and tell everybody if it is another."""
        before, self.current = self.current, state
        if before == state:
            return
        for handler in tuple(self._handlers):
            try:
                handler(before, state)
            except Exception:
                self.errors += 1
                log.exception("on_state handler %r raised when the flags went from %s to %s", handler, before, state)
