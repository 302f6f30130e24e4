"""
Telling the application that a flag's document changed.

Handlers run in tasks of their own, never where changes are received, so a slow one delays nobody but itself. What it
has not heard yet is kept per flag: the newest change wins, the earlier ones are merged into it and counted.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from itertools import chain
from typing import TYPE_CHECKING

import anyio
from anyio.lowlevel import checkpoint

from grayflow.client.cancelling import cancelled_from_within
from grayflow.core.flag import Flag
from grayflow.core.snapshot import Snapshot
from grayflow.errors import ConfigurationError
from grayflow.replica.view import View
from grayflow.store.port import Change

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

__all__ = ["ChangeHandler", "Changes"]

log = logging.getLogger("grayflow.client")

ChangeHandler = Callable[[Flag | None, Flag | None], Awaitable[None] | None]
"""Gets a flag before and after, `None` where there is or was none; may be async."""

_WAITING = 10_000
_SLICE = 100


class Changes:
    """The handlers of one client. `see` is a listener of the holder."""

    def __init__(self) -> None:
        self.dropped = 0
        """Changes that were merged into a newer one, or given up because too many flags waited."""
        self.errors = 0
        """How often a handler raised."""
        self._told: Snapshot | None = None
        self._latest: Snapshot | None = None
        self._handlers: list[_Handler] = []
        self._everything = self._comparing = False
        self._touched: dict[str, int] = {}
        self._wake = anyio.Event()
        self._tasks: TaskGroup | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context: Context | None = None

    def add(self, key: str | None, handler: ChangeHandler, current: Snapshot | None) -> None:
        """
        Let a handler hear of one flag, or of all.

        Raises:
            ConfigurationError: it cannot be called with two flags.
        """
        _check(handler)
        added = _Handler(self, key, handler)
        if not self._handlers:
            self._told = current
        self._handlers.append(added)
        if self._tasks is not None and self._loop is not None and not self._loop.is_closed():
            # In our context: in that of the caller it would be in the caller's scope, and not know whose task it is in.
            self._loop.call_soon_threadsafe(self._start, added, context=self._context)

    def see(self, before: View, after: View, change: Change | None) -> None:
        """Note what changed: at once for a change, whole states are looked at later."""
        if not self._handlers or after.snapshot is before.snapshot:
            return
        if self._told is None:
            self._told = after.snapshot  # the first flags of a process are no change
            return
        if change is None:
            self._everything = True
        elif change.kind == "flag":
            if not (self._everything or self._touched or self._comparing) and after.snapshot is not None:
                told, self._told, self._latest = self._told, after.snapshot, after.snapshot
                self._compare_one(change.key, told, after.snapshot)
                return
            self._touched[change.key] = self._touched.get(change.key, 0) + 1
        self._latest = after.snapshot
        self._wake.set()

    async def run(self) -> None:
        """Compare, and hand out what changed; for ever."""
        self._loop, self._context = asyncio.get_running_loop(), copy_context()
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            try:
                for handler in self._handlers:
                    self._start(handler)
                while True:
                    await self._wake.wait()
                    self._wake = anyio.Event()
                    self._comparing = True
                    await self._compare()
                    self._comparing = False
            finally:
                self._tasks = None

    def _start(self, handler: "_Handler") -> None:
        if self._tasks is not None and not handler.started:
            handler.started = True
            self._tasks.start_soon(handler.run, name=f"grayflow on_change {handler.key or 'any flag'}")

    async def _compare(self) -> None:
        told, latest = self._told, self._latest
        if told is None or latest is None:
            return
        touched, everything = self._touched, self._everything
        self._told, self._touched, self._everything = latest, {}, False
        keys = chain(latest.flags, (key for key in told.flags if key not in latest.flags)) if everything else touched
        for index, key in enumerate(keys):
            self.dropped += max(0, touched.get(key, 1) - 1)
            self._compare_one(key, told, latest)
            if index % _SLICE == _SLICE - 1:
                await checkpoint()

    def _compare_one(self, key: str, told: Snapshot, latest: Snapshot) -> None:
        old, new = told.flag(key), latest.flag(key)
        before, after = (None if old is None else old[0]), (None if new is None else new[0])
        if before is not after and before != after:
            for handler in self._handlers:
                if handler.key is None or handler.key == key:
                    handler.put(key, before, after)


def _check(handler: object) -> None:
    if not callable(handler):
        raise ConfigurationError(
            f"on_change handler is {handler!r}; give a function that takes the old and the new flag"
        )
    try:
        inspect.signature(handler).bind(None, None)
    except TypeError as error:
        raise ConfigurationError(
            f"on_change handler {handler!r} cannot be called with the old and the new flag: {error}"
        ) from None
    except ValueError:  # built in, without a signature that could be looked at
        return


class _Handler:
    """One function, and what it has not heard yet."""

    def __init__(self, changes: Changes, key: str | None, function: ChangeHandler) -> None:
        self.key = key
        self.started = False
        self._changes, self._function = changes, function
        self._told: set[str] = set()
        self._waiting: dict[str, tuple[Flag | None, Flag | None]] = {}
        self._wake = anyio.Event()

    def put(self, key: str, before: Flag | None, after: Flag | None) -> None:
        """Keep a change until the function has time; of one flag, one."""
        if key in self._waiting:
            before = self._waiting.pop(key)[0]
            self._changes.dropped += 1
            if before == after:
                return  # it is as the function knows it
        elif len(self._waiting) >= _WAITING:
            del self._waiting[next(iter(self._waiting))]
            self._changes.dropped += 1
        self._waiting[key] = (before, after)
        self._wake.set()

    async def run(self) -> None:
        """Call the function for each change; for ever."""
        while True:
            await self._wake.wait()
            self._wake = anyio.Event()
            while self._waiting:
                key = next(iter(self._waiting))
                await self._call(key, *self._waiting.pop(key))
                await checkpoint()

    async def _call(self, key: str, before: Flag | None, after: Flag | None) -> None:
        try:
            result = self._function(before, after)
            if inspect.isawaitable(result):
                await result
        except asyncio.CancelledError as error:
            if not cancelled_from_within():
                raise
            self._failed(key, error)
        except Exception as error:  # noqa: BLE001 - the application's code: counted and logged
            self._failed(key, error)

    def _failed(self, key: str, error: BaseException) -> None:
        self._changes.errors += 1
        kind = type(error).__name__
        if kind not in self._told:  # a handler without its cache fails for each change: thousands after a load
            self._told.add(kind)
            text = "on_change handler %r raised for flag %r; the next %s of it are only counted"
            log.warning(text, self._function, key, kind, exc_info=error)
