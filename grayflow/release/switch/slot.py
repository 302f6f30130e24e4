"""
The place of one variant's implementation: closed, being opened, open, being closed; one at a time, in one task.

A task of its own, because what `async with` opened has to be closed in the same task, and because neither callers nor
their cancellation may meet it halfway.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import anyio
import msgspec

from grayflow.client.cancelling import cancelled_from_within
from grayflow.clock import Clock
from grayflow.release.switch.factories import Factory
from grayflow.release.switch.instance import Instance, Use
from grayflow.replica.backoff import Backoff
from grayflow.replica.waiting import either, pause

__all__ = ["Limits", "Slot"]

S = TypeVar("S")

log = logging.getLogger("grayflow.release")

_RETRY_FIRST_S = 0.2
_RETRY_CAP_S = 30.0


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How long things may take, in seconds."""

    open_s: float
    """How long a call waits for its implementation to be opened."""
    drain_s: float
    """How long an implementation that is not wanted any more is left to those who use it."""
    close_s: float
    """How long closing it may take."""


class Slot(Generic[S]):
    """
    Opens and closes one variant.

    Args:
        flag: For messages.
        factory: Opens it.
        limits: How long things may take.
        clock: The client's.
        random: Draws from `[0, 1)`.
    """

    def __init__(
        self, flag: str, factory: Factory, limits: Limits, *, clock: Clock, random: Callable[[], float]
    ) -> None:
        self.variant = factory.variant
        self.instance: Instance[S] | None = None
        """What is open."""
        self.reachable = True
        """Whether the flag can serve this variant to anybody."""
        self.error: Exception | None = None
        """Why it could not be opened when that was tried last."""
        self.failures = 0
        """How often in a row it could not be opened."""
        self.attempts = 0
        """How often the factory was called."""
        self.over = anyio.Event()
        """Set when it will never be opened again."""
        self._flag, self._factory, self._limits, self._clock = flag, factory, limits, clock
        self._backoff = Backoff(random, first_s=_RETRY_FIRST_S, cap_s=_RETRY_CAP_S)
        self._wanted, self._settled, self._ending = anyio.Event(), anyio.Event(), anyio.Event()
        self._opening: anyio.CancelScope | None = None
        self._begun: float | None = None

    # From any thread

    def take(self) -> Instance[S] | None:
        """Return what is open and can be used."""
        instance = self.instance
        return None if instance is None or instance.closing else instance

    def enter(self) -> Use[S] | None:
        """Begin a call, if it is open."""
        instance = self.instance
        return None if instance is None else instance.enter()

    # In the loop

    def want(self) -> None:
        """Have it opened as soon as that may be tried."""
        self._wanted.set()

    async def obtain(self) -> Instance[S] | None:
        """
        Return what is open, and wait for it if need be.

        Returns:
            `None` if it could not be opened, or not within the limit, counted from the beginning of the attempt. As
            long as it fails nobody waits for it.
        """
        begun = anyio.current_time() if self._begun is None else self._begun
        with anyio.CancelScope(deadline=begun + self._limits.open_s):
            while self.take() is None and not self._ending.is_set():
                self.want()
                if self.failures:
                    break
                await self._settled.wait()
        return self.take()

    def retire(self) -> None:
        """Close it when those who use it are done."""
        if self.instance is not None and not self.instance.retired:
            self.instance.retired = True
            self.instance.wake()

    def revive(self) -> None:
        """Keep it open after all, if it still is."""
        if self.instance is not None and self.instance.retired:
            self.instance.retired = False
            self.instance.wake()

    def end(self) -> None:
        """Close it when the calls that are going on are done, and never open it again."""
        self._ending.set()
        if self._opening is not None:
            self._opening.cancel()
        self.retire()

    async def tend(self) -> None:
        """Open it when it is wanted and close it when it is not, until `end`."""
        try:
            while True:
                await either(self._wanted, self._ending)
                if self._ending.is_set():
                    return
                self._wanted = anyio.Event()
                if not await self._opened_once() and not self._ending.is_set():
                    await pause(self._clock, self._backoff.wait_s(), self._ending)
        finally:
            self._settle()
            self.over.set()

    async def _opened_once(self) -> bool:
        """Open it, leave it open while it is wanted, and close it; return whether it could be opened."""
        opened = False
        try:
            # Shielded: what is open is closed in order whatever happens to the block around; `end` is what ends it.
            with anyio.CancelScope(shield=True) as scope:
                self._opening, self._begun = scope, anyio.current_time()
                self.attempts += 1
                async with self._factory.open() as value:
                    self._factory.check(value)
                    instance = self._show(value)
                    opened = True
                    await self._serve(instance)
                    scope.deadline = anyio.current_time() + self._limits.close_s
            if opened and scope.cancelled_caught:
                log.warning("%s did not close within %g s", self._name, self._limits.close_s)
        except asyncio.CancelledError as error:
            if not cancelled_from_within():
                raise
            told = RuntimeError("it was cancelled from within")
            told.__cause__ = error
            self._note(told, opened=opened)
        except Exception as error:  # noqa: BLE001 - the application's code; what it raises is told to callers and the log
            self._note(error, opened=opened)
        finally:
            before, self.instance = self.instance, None
            self._opening = self._begun = None
            if before is not None:
                before.closing = True
            self._settle()
        return opened

    def _show(self, value: Any) -> Instance[S]:
        instance = self.instance = Instance(self.variant, value)
        self._opening = self._begun = self.error = None
        self.failures = 0
        self._backoff.reset()
        self._settle()
        return instance

    def _settle(self) -> None:
        settled, self._settled = self._settled, anyio.Event()
        settled.set()

    def _note(self, error: Exception, *, opened: bool) -> None:
        if opened:
            log.warning("%s raised while it was closed", self._name, exc_info=error)
            return
        self.error = error
        self.failures += 1
        if self.failures == 1:
            log.warning("%s cannot be opened; it is tried again when it is asked for", self._name, exc_info=error)

    async def _serve(self, instance: Instance[S]) -> None:
        """Return when it can be closed: nobody wants it any more and nobody uses it, or for too long."""
        since: float | None = None
        while True:
            instance.moved = anyio.Event()
            ending = self._ending.is_set()
            if not instance.retired:
                since = None
                await instance.moved.wait()
                continue
            if instance.close(holders_too=not ending):
                return
            since = self._clock.monotonic() if since is None else since
            left_s = since + self._limits.drain_s - self._clock.monotonic()
            if left_s <= 0:
                instance.closing = True
                log.warning(
                    "%s is closed although %d calls still use it after %g s",
                    self._name,
                    instance.users,
                    self._limits.drain_s,
                )
                return
            await pause(self._clock, left_s, instance.moved)

    @property
    def _name(self) -> str:
        return f"the implementation {self.variant!r} of {self._flag!r}"
