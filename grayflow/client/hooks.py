"""Functions of the application that watch evaluations: for metrics, traces and logs. They never change a decision."""

import logging
from typing import Any, Protocol

import msgspec

from grayflow.core.context import Context
from grayflow.core.decision import Decision

__all__ = ["Hook", "HookDetails", "Hooks"]

log = logging.getLogger("grayflow.client")


class HookDetails(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked. Later releases may add fields."""

    key: str
    default: Any
    context: Context | None
    """As it was evaluated; `None` if it was unusable."""
    namespace: str
    client: str
    """The client's name."""


class Hook(Protocol):
    """
    Any object with some of the methods `before`, `after` and `error`; those that are missing are not called.

    They are called inline by whoever evaluates, in any thread, so they must be quick and must not block. What they
    raise is counted and logged once, and changes nothing.

        def before(self, details: HookDetails) -> None: ...
        def after(self, details: HookDetails, decision: Decision) -> None: ...
        def error(self, details: HookDetails, decision: Decision) -> None: ...

    After `before` comes `after`, or `error` if the decision carries an error.
    """


class Hooks:
    """Calls the hooks of one client. `errors` counts what they raised."""

    def __init__(self, hooks: tuple[Hook, ...]) -> None:
        self.errors = 0
        self._told: set[tuple[str, str]] = set()
        self._stages = {
            stage: [method for hook in hooks if callable(method := getattr(hook, stage, None))]
            for stage in ("before", "after", "error")
        }

    def before(self, details: HookDetails) -> None:
        """Call them before the evaluation."""
        self._call("before", details)

    def after(self, details: HookDetails, decision: Decision) -> None:
        """Call them with the decision, as one that went well or one that did not."""
        self._call("after" if decision.error is None else "error", details, decision)

    def _call(self, stage: str, *arguments: Any) -> None:
        for method in self._stages[stage]:
            try:
                method(*arguments)
            except Exception as error:  # the application's code: counted, and logged once per kind
                self.errors += 1
                kind = (f"{method!r}", type(error).__name__)
                if kind not in self._told and len(self._told) < 100:
                    self._told.add(kind)
                    log.warning("hook %r raised; this is logged once and then counted", method, exc_info=error)
