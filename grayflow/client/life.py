"""
The life of a client: started once, closed once, from whichever tasks, and used only where it was started.

The owner's task refers to this object and not to the client, so a client that is dropped without being closed is
noticed.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Literal

import anyio

from grayflow.cleanup.runner import Cleanup
from grayflow.client.changes import Changes
from grayflow.client.live import Live
from grayflow.client.options import ClientOptions
from grayflow.client.owner import Owner
from grayflow.client.presence import Presence
from grayflow.client.scope import Frame
from grayflow.core.position import Position
from grayflow.errors import LifetimeError, StoreError, StoreUnavailableError
from grayflow.replica.replica import Replica
from grayflow.store.port import Store

__all__ = ["NEVER_STARTED", "Life"]

log = logging.getLogger("grayflow.client")

NEVER_STARTED = "this client was not started; use it inside: async with Client(...) as flags:"
_CLOSED = "this client is closed; make a new one: async with Client(...) as flags:"

_CLOSE_S = 5.0
_LEAVE_STORE_S = 2.0


class Life:
    """
    Starts and ends what a client runs.

    Args:
        store: Entered for as long as the client runs. One that is open already stays open.
        replica: Run inside.
        changes: Run inside.
        live: Shows the replica's views while it runs.
        presence: Run inside, unless the store is private.
        cleanup: Run inside.
        options: The client's.
        private: Nobody else can ever reach the store, so it is initialised here.
    """

    def __init__(
        self,
        store: Store,
        replica: Replica,
        changes: Changes,
        live: Live,
        presence: Presence,
        cleanup: Cleanup,
        options: ClientOptions,
        *,
        private: bool,
    ) -> None:
        self.phase: Literal["new", "started", "closed"] = "new"
        self.failure: Exception | None = None
        """The defect that ended the client."""
        self._store, self._replica, self._changes, self._live, self._options = store, replica, changes, live, options
        self._presence, self._cleanup, self._private = presence, cleanup, private
        self._owner: Owner | None = None
        self._settled = anyio.Event()
        self._told = False

    async def start(self, frames: ContextVar[Frame]) -> None:
        """
        Begin, and wait for the first proof of freshness up to the start timeout.

        Where there are last good flags to serve, the wait is over as soon as the store was refused or refused us.

        Raises:
            LifetimeError: started or closed before.
            StoreError: `require_ready`, and the store did not answer in time; the client is closed then.
        """
        if self.phase != "new":
            raise LifetimeError(_CLOSED if self.phase == "closed" else self._started())
        self.phase = "started"
        started = False
        try:
            self._live.attend(self)
            self._owner = Owner(lambda: self._work(frames), self._over)
            with anyio.move_on_after(self._options.start_timeout_s):
                await self._settled.wait()
            self._raise_failure()
            if self.phase != "started":
                raise LifetimeError("this client was closed while it was starting")
            if self._options.require_ready and not self._replica.holder.contacted.is_set():
                raise self._not_ready()
            started = True
        finally:
            if not started:
                await self.stop(quiet=True)

    async def stop(self, *, quiet: bool) -> None:
        """
        End and clean up; what was done already is not done again.

        Args:
            quiet: A defect of ours is not raised: another exception is on its way.
        """
        owner = self._owner
        if owner is not None and not self._live.forked and owner.running and not owner.loop.is_closed():
            if owner.loop is not asyncio.get_running_loop():
                raise LifetimeError("this client runs in another event loop; close it there")
            self.phase = "closed"
            await owner.stop(_CLOSE_S)
        self.phase = "closed"
        if owner is None:
            self._live.detach(_CLOSED)
        if not quiet:
            self._raise_failure()

    def abandon(self) -> None:
        """End without waiting, from any thread: nobody refers to the client any more."""
        if self._owner is not None and not self._owner.loop.is_closed():
            self._owner.loop.call_soon_threadsafe(self._owner.cancel)

    def check(self) -> None:
        """
        Pass if the client can be asked to wait for its store here.

        Raises:
            LifetimeError: not started, closed, in another event loop, or in a forked child.
        """
        if self._live.why is not None or self._owner is None:
            raise LifetimeError(self._live.why or NEVER_STARTED)
        if self._owner.loop is not asyncio.get_running_loop():
            raise LifetimeError("this client was started in another event loop; only there it can wait for its store")

    async def prove(self, at_least: Position | None) -> str:
        """Make the snapshot the store's, having reached a change if one is given; return why it is not, or nothing."""
        if at_least is not None and self._replica.holder.reached(at_least):
            return ""
        try:
            self.check()
        except LifetimeError as error:
            return str(error)
        limit_s = self._options.confirm_timeout_s
        with anyio.move_on_after(limit_s):
            if at_least is not None:
                return "" if await self._replica.reach(at_least) else self._not_reached(at_least)
            error_found = await self._replica.confirm()
            return "" if error_found is None else f"not confirmed: {error_found}"
        if at_least is not None:
            return self._not_reached(at_least, waited_s=limit_s)
        return f"{self._store.place} did not confirm the flags within {limit_s:g} s"

    async def wait_for(self, position: Position, timeout_s: float) -> None:
        """
        Wait until the snapshot has that change.

        Raises:
            TimeoutError: not in time, or never.
            LifetimeError: see `check`.
        """
        self.check()
        with anyio.move_on_after(timeout_s):
            if await self._replica.reach(position):
                return
            raise TimeoutError(self._not_reached(position))
        raise TimeoutError(self._not_reached(position, waited_s=timeout_s))

    def _not_reached(self, wanted: Position, *, waited_s: float | None = None) -> str:
        waited = "" if waited_s is None else f" (waited {waited_s:g} s)"
        error = self._replica.troubles.error
        return self._where_instead(wanted) + waited + ("" if error is None else f"; {error}")

    def _where_instead(self, wanted: Position) -> str:
        held = self._replica.holder.position
        if held is None:
            return f"revision {wanted.revision} is not reached: there are no flags yet"
        if held.epoch != wanted.epoch:
            return f"the change belongs to epoch {wanted.epoch}, and the flags here to {held.epoch}"
        if held.revision < wanted.revision:
            return f"revision {wanted.revision} is not reached; the flags here are of revision {held.revision}"
        return f"the change of revision {wanted.revision} was lost by the store, as after a failover"

    async def _work(self, frames: ContextVar[Frame]) -> None:
        # The task began as a copy of its starter's context; handlers must not see the scope that happened to be open.
        frames.set(self._live.frame)
        async with _opened(self._store), anyio.create_task_group() as tasks:
            tasks.start_soon(self._changes.run, name="grayflow changes")
            if self._private:
                await self._store.init()
            else:
                tasks.start_soon(self._presence.run, name="grayflow presence")
            tasks.start_soon(self._cleanup.run, name="grayflow cleanup")
            tasks.start_soon(self._settle, name="grayflow start")
            await self._replica.run()

    async def _settle(self) -> None:
        # With `require_ready` only a proof will do, and somebody may be setting the store right at this moment.
        if self._options.require_ready:
            await self._replica.holder.contacted.wait()
        else:
            await self._replica.settle()
        self._settled.set()

    def _over(self, failure: Exception | None) -> None:
        self.failure = failure
        if failure is None:
            self._live.detach(_CLOSED)
            self._live.states.become("closed")
        else:
            self._live.states.become("failed")
            self._live.detach(f"a defect ended the client: {type(failure).__name__}: {failure}")
            log.error("a defect ended the client; flags are answered from memory", exc_info=failure)
        self._settled.set()

    def _raise_failure(self) -> None:
        if self.failure is not None and not self._told:
            self._told = True
            raise self.failure

    def _not_ready(self) -> StoreError:
        error = self._replica.troubles.error
        if error is not None:
            return error
        return StoreUnavailableError(
            f"no flags arrived from {self._store.place} within {self._options.start_timeout_s:g} s"
        )

    def _started(self) -> str:
        return (
            self._live.why or "this client is running already; enter it once and share it: async with client as flags:"
        )


@asynccontextmanager
async def _opened(store: Store) -> AsyncIterator[None]:
    await store.__aenter__()
    try:
        yield
    finally:
        # A server that hangs must not keep the service from stopping.
        with anyio.move_on_after(_LEAVE_STORE_S, shield=True) as scope:
            await store.__aexit__(None, None, None)
        if scope.cancelled_caught:
            log.warning("%s did not close within %g s", store.place, _LEAVE_STORE_S)
