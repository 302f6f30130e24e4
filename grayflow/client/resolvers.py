"""
Attributes that are fetched by await, when a rule really needs one that the context does not have.

Each is fetched once per scope and context, however many flags and tasks ask for it; outside a scope once per
evaluation. One that fails or takes too long counts as absent, and the decision says so.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import anyio

from grayflow.client.cancelling import cancelled_from_within
from grayflow.core.context import Context
from grayflow.core.outcomes import told

__all__ = ["Reading", "Resolved", "Resolver", "Resolvers"]

log = logging.getLogger("grayflow.client")

Resolver = Callable[[Any], Awaitable[Any] | Any]
"""Gets the context and returns the attribute, `None` if there is none; usually an async function."""


class Resolvers:
    """The resolvers of one client. `errors` counts failures and timeouts."""

    def __init__(self, resolvers: Mapping[str, Resolver], *, timeout_s: float) -> None:
        self._resolvers, self._timeout_s = resolvers, timeout_s
        self._failing: set[str] = set()
        self.errors = 0

    async def call(self, name: str, context: Context) -> tuple[Any, str | None]:
        """Return the attribute, or `None` and what went wrong."""
        failure: str | None = f"took longer than {self._timeout_s:g} s"
        value = None
        with anyio.move_on_after(self._timeout_s):
            try:
                value = self._resolvers[name](context)
                if inspect.isawaitable(value):
                    value = await value
                failure = None
            except asyncio.CancelledError:
                if not cancelled_from_within():
                    raise
                value, failure = None, "it was cancelled from within"
            except Exception as error:  # noqa: BLE001 - the application's code; the decision says what it raised
                value, failure = None, f"{type(error).__name__}: {told(error)}"
        if failure is None:
            self._failing.discard(name)
            return value, None
        self.errors += 1
        if name not in self._failing:
            self._failing.add(name)
            log.warning("resolver %r failed: %s; the attribute counts as absent", name, failure)
        return None, failure


class Resolved:
    """What was fetched for one context."""

    def __init__(self, resolvers: Resolvers, context: Context) -> None:
        self.values: dict[str, Any] = {}
        self.failures: dict[str, str] = {}
        self._resolvers, self._context = resolvers, context
        self._running: dict[tuple[str, asyncio.AbstractEventLoop], anyio.Event] = {}

    def copy(self) -> "Resolved":
        """Return the same attributes, to be added to apart from these."""
        copied = Resolved(self._resolvers, self._context)
        copied.values, copied.failures = dict(self.values), dict(self.failures)
        return copied

    def give_up(self, name: str, why: str) -> None:
        """Let an attribute count as absent without fetching it."""
        self.values[name], self.failures[name] = None, why

    async def fetch(self, name: str) -> None:
        """Fetch an attribute, or wait for the task that is doing it; if that is cancelled, another one takes over."""
        call = (name, asyncio.get_running_loop())
        while name not in self.values:
            running = self._running.get(call)
            if running is not None:
                await running.wait()
                continue
            self._running[call] = done = anyio.Event()
            try:
                value, failure = await self._resolvers.call(name, self._context)
                if failure is not None:
                    self.failures[name] = failure
                self.values[name] = value
            finally:
                del self._running[call]
                done.set()


class Reading(Mapping[str, Any]):
    """
    Fetched attributes as one evaluation reads them; `failed` says of those that it read which had failed, and how.

    Args:
        values: What was fetched, `None` for what failed.
        failures: Name -> what went wrong.
    """

    def __init__(self, values: Mapping[str, Any], failures: Mapping[str, str]) -> None:
        self._values, self._failures = values, failures
        self.failed: dict[str, str] = {}

    def __getitem__(self, name: str) -> Any:
        if name in self._failures:
            self.failed[name] = self._failures[name]
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)
