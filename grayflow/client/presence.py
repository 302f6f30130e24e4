"""
Says on the board which flags this process serves, so that somebody can know when nobody uses the old ones any more.

Reports are regular, so that a process that dies is missed. Somebody may wait for one: cleanup after a switch-off, and
whoever asks (`Store.request_reports`). Those are prompt, and no others: two hundred processes that confirm each change
at once cost a server twenty times the change. No evaluation and no scope does anything for it: what is pinned is looked
at from here.
"""

import logging
import os
import socket
from collections.abc import Callable, Collection
from contextlib import suppress
from uuid import uuid4

import anyio
import msgspec

import grayflow
from grayflow.client.options import ClientOptions
from grayflow.client.scope import Frame
from grayflow.core.position import Position
from grayflow.errors import ReadOnlyError, StoreAccessError, StoreError
from grayflow.replica.alarm import Alarm
from grayflow.replica.holder import Holder
from grayflow.replica.view import View
from grayflow.store.fleet import PROCESSES, REPORT_TTL_S, Process
from grayflow.store.port import Change, Store

__all__ = ["Presence"]

log = logging.getLogger("grayflow.client")

_EVERY_S = REPORT_TTL_S / 3
_PROMPT_S = 0.05
"""Processes that hear of a change at the same moment spread their reports over so long."""
_APART_S = 0.25
"""Between two reports at least; also how often it is looked whether a scope that held old flags is closed."""
_REFUSED_S = 60.0
_LEAVE_S = 0.5


class Presence:
    """
    Reports for one client, from its first flags until it closes.

    Args:
        store: Whose board is written.
        holder: Has the current flags.
        pinned: The frames of the scopes that are open now.
        options: The client's.
    """

    def __init__(self, store: Store, holder: Holder, pinned: Collection[Frame], options: ClientOptions) -> None:
        self.missing: str | None = store.no_board if store.board is None else "no flags to report yet"
        """Why the last report did not arrive; `None` if it did."""
        self.handlers: Callable[[], tuple[str, ...]] = tuple
        """Returns the names of the fleet handlers that this process can run."""
        self._store, self._holder, self._pinned = store, holder, pinned
        self._clock, self._random, self._name = options.clock, options.random, options.name
        self._id = uuid4().hex
        self._started = options.clock.now()
        self._alarm = Alarm(options.clock)
        self._said: Process | None = None
        """The last report that arrived."""
        self._awaited: Position | None = None
        """What somebody waits for, until a report has said that nothing older is used here."""

    def touch(self) -> None:
        """Report soon. Only in the client's own loop."""
        self._alarm.ring()

    def hurry(self, position: Position) -> None:
        """Report soon that nothing from before `position` is used here, unless the last report said so already."""
        if self._said is None or self._said.uses_older_than(position):
            self._awaited = position
            self.touch()

    async def run(self) -> None:
        """Report until cancelled, and take the report back then."""
        if self._store.board is None:
            return
        # Not when it is built: a pre-fork server builds it once for all its workers, which would pass for one process.
        self._id, self._started = uuid4().hex, self._clock.now()
        self._holder.listeners.append(self._see)
        try:
            while True:
                await self._rest(await self._report())
                await self._clock.sleep(_PROMPT_S * self._random())
        finally:
            self._holder.listeners.remove(self._see)
            await self._leave()

    def process(self, position: Position) -> Process:
        """Return what there is to say now, with `position` being served."""
        views = [(frame.view, frame.instant) for frame in tuple(self._pinned)]
        now = self._clock.now()
        return Process(
            id=self._id,
            host=socket.gethostname(),
            pid=os.getpid(),
            name=self._name,
            started=self._started,
            epoch=position.epoch,
            revision=position.revision,
            oldest=min((_revision(view, position) for view, _ in views), default=position.revision),
            instant=min((instant for _, instant in views if instant is not None), default=now),
            state=self._holder.view.freshness,
            handlers=self.handlers(),
            version=grayflow.__version__,
        )

    def _see(self, before: View, after: View, change: Change | None) -> None:
        if before.position == after.position:
            return
        if change is None or self._awaited is not None or _switches_off(change) or not self._store.reports_on_request:
            self.touch()

    async def _rest(self, seconds: float) -> None:
        """Return when the next report is due: that is after so long, or if it is touched, or has something to say."""
        said, left_s = self._said, seconds
        held_back = said is not None and said.oldest < said.revision
        while left_s > 0:
            look_s = min(left_s, _APART_S) if held_back else left_s
            if await self._alarm.sleep(look_s):
                return
            left_s -= look_s
            position = self._holder.position
            if held_back and said is not None and position is not None and self.process(position).oldest != said.oldest:
                return

    async def _report(self) -> float:
        """Report once, and return how long to wait for the next."""
        self._alarm.clear()
        position, board = self._holder.position, self._store.board
        if position is None or board is None:
            return _EVERY_S
        process = self.process(position)
        try:
            await board.put(PROCESSES, self._id, msgspec.json.encode(process), ttl=REPORT_TTL_S)
        except StoreError as error:
            self._note(str(error))
            return (
                _REFUSED_S if isinstance(error, StoreAccessError | ReadOnlyError) else _EVERY_S * (0.5 + self._random())
            )
        self._note(None)
        self._said = process
        if self._awaited is not None and not _owes(process, self._awaited):
            self._awaited = None
        await self._clock.sleep(_APART_S)
        return _EVERY_S * (0.8 + 0.4 * self._random())

    def _note(self, why: str | None) -> None:
        if why is not None and self.missing != why:
            log.info("this process is not shown in the fleet: %s", why)
        self.missing = why

    async def _leave(self) -> None:
        board = self._store.board
        if board is None or self.missing is not None:
            return
        with anyio.move_on_after(_LEAVE_S, shield=True), suppress(StoreError):
            await board.delete(PROCESSES, self._id)


def _switches_off(change: Change) -> bool:
    """Tell whether a change took a variant away: cleanup may wait then until nobody is served it any more."""
    return any(generation.off == 2 * change.revision for generation in change.generations.values())


def _owes(process: Process, awaited: Position) -> bool:
    """Tell whether another report has to follow this one; another epoch comes as a whole, and is told at once."""
    return process.epoch == awaited.epoch and process.uses_older_than(awaited)


def _revision(view: View | None, current: Position) -> int:
    """Return the revision of a pinned view, 0 if it does not compare with the current one."""
    position = None if view is None else view.position
    if position is None:
        return current.revision  # without flags nothing is decided by old ones
    return position.revision if position.epoch == current.epoch else 0
