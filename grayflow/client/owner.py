"""
The one task that owns everything a client runs, or another part of grayflow that has a lifetime.

Task groups must end in the task that began them, and a client may be started in one task and closed in another, as
fixtures do. So a task of its own holds the group, and whoever starts or closes the client only talks to it. This is
the only place in the package that creates a task outside a group.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextvars import ContextVar

import anyio

from grayflow.errors import lone

__all__ = ["Owner"]

log = logging.getLogger("grayflow.client")

_inside: ContextVar["Owner | None"] = ContextVar("grayflow owner", default=None)

_GRACE_S = 0.5


class Owner:
    """
    Runs one coroutine in a task of its own until it is stopped.

    Args:
        work: Runs until cancelled. Anything else that ends it is a failure.
        ended: Called when the task is over, with the failure if it was one.
        name: Of what it owns, for messages and debuggers.
    """

    def __init__(
        self,
        work: Callable[[], Awaitable[None]],
        ended: Callable[[Exception | None], None],
        *,
        name: str = "client",
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self._work, self._report, self._name = work, ended, name
        self._scope = anyio.CancelScope()
        self._task: asyncio.Task[None] = self.loop.create_task(self._run(), name=f"grayflow {name}")

    @property
    def running(self) -> bool:
        """Whether the task is not over yet."""
        return not self._task.done()

    def cancel(self) -> None:
        """Make the work end. May be called more than once."""
        self._scope.cancel()

    async def stop(self, limit_s: float, ask: Callable[[], None] | None = None) -> None:
        """
        End the work and wait until it has cleaned up, or for that long.

        The wait is shielded: a caller that is cancelled meanwhile is told when it is over. Called by the work itself
        (by a handler that closes its own client) it does not wait.

        Args:
            limit_s: After that long the work is abandoned.
            ask: Makes the work end by itself; else it is cancelled at once.
        """
        (ask or self.cancel)()
        if _inside.get() is self:
            return
        cancelled = await self._over_within(limit_s)
        if self.running:
            log.error(
                "the %s did not close within %g s and is abandoned; a store or a handler hangs", self._name, limit_s
            )
            self._task.cancel()
            cancelled = await self._over_within(_GRACE_S) or cancelled
        if cancelled is not None:
            raise cancelled

    async def _over_within(self, limit_s: float) -> asyncio.CancelledError | None:
        cancelled: asyncio.CancelledError | None = None
        until = self.loop.time() + limit_s
        with anyio.CancelScope(shield=True):
            while self.running and (left_s := until - self.loop.time()) > 0:
                try:
                    await asyncio.wait({self._task}, timeout=left_s)
                except asyncio.CancelledError as error:  # native: anyio's shield does not hold it; raised by `stop`
                    cancelled = error
        return cancelled

    async def _run(self) -> None:
        _inside.set(self)
        failure: Exception | None = None
        try:
            with self._scope:
                await self._work()
        except Exception as error:  # noqa: BLE001 - a defect: handed to whoever closes the client
            failure = lone(error)
        finally:
            self._report(failure)
