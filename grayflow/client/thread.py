"""
A client for programs without an event loop: it runs in a thread of its own, and they ask it by `peek`.

One for each process, started after the fork: a thread does not survive it.
"""

from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio
from anyio.from_thread import BlockingPortal

from grayflow.client.client import Client
from grayflow.errors import LifetimeError
from grayflow.store.given import Duration, seconds

__all__ = ["ClientThread"]

T = TypeVar("T")


class ClientThread:
    """
    Runs a client in a thread.

        with ClientThread(flags):
            flags.peek("payment_v2", {"user_id": "42"})

    Everything of the client that is not awaited may be used from any thread. Handlers of changes and switch-offs run in
    the thread's event loop. The thread is a daemon: a process that ends without `stop` ends, and is missed by the fleet
    only when its last report is too old.

    Args:
        flags: The client, not started.
    """

    def __init__(self, flags: Client) -> None:
        self.flags = flags
        self._portal: BlockingPortal | None = None
        self._thread: Thread | None = None
        self._lock = Lock()

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._portal is not None

    def start(self, *, at_most: Duration | None = None) -> Self:
        """
        Start the client, and wait for the flags as `Client.start` does.

        Args:
            at_most: Wait no longer than that. The client goes on starting; its decisions say that there are no flags
                yet. What it raises then is not seen, but in its health.

        Raises:
            LifetimeError: it was started before.
            StoreError: `require_ready`, and there was no proof in time. It is stopped then.
        """
        limit_s = None if at_most is None else seconds("at_most", at_most, least=0.0)
        with self._lock:
            if self._portal is not None:
                raise LifetimeError("the thread of this client is running already")
            self._thread, self._portal = _begin()
        starting = self._portal.start_task_soon(self.flags.start)
        try:
            starting.result(limit_s)
        except TimeoutError:
            if not starting.done():
                return self
            self.stop()
            raise
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """
        Close the client and end the thread. May be called more than once, and without a start.

        Raises:
            Exception: the defect that ended the client before, if one did.
        """
        with self._lock:
            portal, self._portal = self._portal, None
        if portal is None or self._thread is None:
            return
        try:
            portal.call(self.flags.aclose)
        finally:
            portal.call(portal.stop)
            self._thread.join()

    def call(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        """
        Run an async function in the client's event loop and return its result: `thread.call(flags.wait_for, token)`.

        Context variables of the caller are seen by it, scopes among them.

        Raises:
            LifetimeError: the thread is not running.
            Exception: whatever the function raises.
        """
        portal = self._portal
        if portal is None:
            raise LifetimeError("the thread of this client is not running; use it inside: with ClientThread(flags):")
        try:
            return portal.call(function, *args)
        except CancelledError:
            raise LifetimeError("the thread of this client was stopped meanwhile") from None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Thread of {self.flags!r}: {'running' if self.running else 'not running'}>"


def _begin() -> tuple[Thread, BlockingPortal]:
    """
    Start an event loop in a thread, and return both when it runs.

    anyio 4.16.0: its own `start_blocking_portal` is a generator; where that is forgotten, it waits at the end of the
    interpreter for a thread that is no more.
    """
    begun: Future[BlockingPortal] = Future()

    async def serve() -> None:
        async with BlockingPortal() as portal:
            begun.set_result(portal)
            await portal.sleep_until_stopped()

    def run() -> None:
        try:
            anyio.run(serve)
        except Exception as error:
            if begun.done():
                raise
            begun.set_exception(error)  # raised by whoever waits

    thread = Thread(target=run, name="grayflow client", daemon=True)
    thread.start()
    return thread, begun.result()
