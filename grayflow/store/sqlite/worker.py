"""
One thread, and the file that only it touches.

A piece of work runs there from its first statement to its last. Whoever stops waiting, by any kind of cancellation,
leaves no transaction open and no connection in use by two. `anyio.to_thread` would not do: a native `task.cancel()`
ends its wait at once and frees the limiter while the thread goes on (anyio 4.16.0).
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

import anyio
import msgspec

from grayflow.errors import StoreFormatError, StoreUnavailableError
from grayflow.store.fork import remember
from grayflow.store.sqlite.file import File, translate

__all__ = ["Worker", "close"]

T = TypeVar("T")

_ANSWER_S = 5.0
"""What a piece of work may take beyond the wait for other writers, before the file system is taken for dead."""
_CLOSE_S = 2.0
_PAUSE_S = 1.0
"""The longest pause between two tries of what is done later."""


async def close(*workers: "Worker") -> None:
    """Close them all, and wait a moment for that. It happens in any case, even if the caller is cancelled at once."""
    closing = {asyncio.wrap_future(worker.close()) for worker in workers}
    with anyio.CancelScope(shield=True):
        await asyncio.wait(closing, timeout=_CLOSE_S)


class Worker:
    """
    Runs work on a file, one piece after the other. Its thread starts with the first one.

    Args:
        file: Nobody else may use it.
        patience: Seconds that a piece of work may wait for other processes.
    """

    def __init__(self, file: File, *, patience: float) -> None:
        self._file = file
        self._patience = patience + _ANSWER_S
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="grayflow sqlite")
        remember(self)

    async def run(self, work: Callable[[File], T]) -> T:
        """
        Return what `work` returns.

        Cancelled before its turn it is not done; later it is done to the end, unseen.

        Raises:
            StoreError: `work` could not do it, or gave no answer within the time.
        """
        future = self._executor.submit(self._do, work)
        try:
            with anyio.fail_after(self._patience):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise StoreUnavailableError(
                f"{self._file.path} gave no answer in {self._patience:g} s: the file system hangs, or other processes "
                "write without a break. What was to be written may have been"
            ) from error

    def later(self, seconds: float, work: Callable[[File], bool]) -> None:
        """
        Do `work` after a pause, unless there is other work for `later` until then; its errors are nobody's.

        As long as it returns False it is done again, after pauses that grow.
        """
        self._forget()
        if not self._closed:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(seconds, self._try, loop, seconds, work)

    def close(self) -> Future[None]:
        """Close the file after the work that is running, and end the thread; whoever wants to know may wait for it."""
        self._forget()
        self._closed = True
        closed = self._executor.submit(self._file.close)
        self._executor.shutdown(wait=False)
        return closed

    def _try(self, loop: asyncio.AbstractEventLoop, seconds: float, work: Callable[[File], bool]) -> None:
        timer = self._timer

        def again() -> None:
            if self._timer is timer:  # no other work came in between
                self.later(min(2 * seconds, _PAUSE_S), work)

        def ended(done: Future[bool]) -> None:
            if done.exception() is None and not done.result():
                with suppress(RuntimeError):  # the loop is closed, and the file will be too
                    loop.call_soon_threadsafe(again)

        self._executor.submit(self._do, work).add_done_callback(ended)

    def _forget(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _do(self, work: Callable[[File], T]) -> T:
        try:
            return work(self._file)
        except sqlite3.Error as error:
            self._file.close()  # whatever it was, the next one begins with a connection that is known to be sound
            raise translate(error, self._file.path) from error
        except msgspec.MsgspecError as error:
            raise StoreFormatError(
                f"{self._file.path} is damaged ({error})", remedy="Put a copy in its place"
            ) from error
