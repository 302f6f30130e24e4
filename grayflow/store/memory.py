"""
The reference adapter: everything the port promises, on plain dictionaries.

Read it to learn what a store does, and use it as the test double of one: clients and admins of one process see each
other's changes through one instance. A verb lets other tasks run first and then awaits nothing more, so each is
atomic by itself.
"""

from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Self
from uuid import uuid4

import anyio
from anyio.lowlevel import checkpoint

from grayflow.clock import Clock, SystemClock
from grayflow.errors import ConfigurationError, ConflictError, LifetimeError, NotInitializedError
from grayflow.store.lifetime import Lifetime
from grayflow.store.memory_board import MemoryBoard
from grayflow.store.port import (
    Change,
    Changed,
    Document,
    DocumentKind,
    Edit,
    Event,
    Gap,
    Generations,
    Position,
    State,
    Store,
    check_namespace,
)

__all__ = ["MemoryStore"]

_WAITING = 1000
"""Events that a follower may leave unread before they are replaced by one `Gap`."""
_RESULTS = 1000
"""Results of commits that are kept for repeated request ids, where the history is shorter."""


class MemoryStore(Store):
    """
    A store in this process's memory; its data lives as long as the instance, open or not.

    Args:
        namespace: Only a name here: two instances share nothing.
        history_limit: Changes to keep, all if left out.
        clock: The time of the board, the machine's if left out.

    Raises:
        ConfigurationError: the namespace or the limit cannot be one.
    """

    initialised_by_writer = True

    board: MemoryBoard

    def __init__(
        self, namespace: str = "default", *, history_limit: int | None = None, clock: Clock | None = None
    ) -> None:
        if history_limit is not None and history_limit < 1:
            raise ConfigurationError(f"history_limit is {history_limit}; keep one change at least, or None for all")
        self.namespace = check_namespace(namespace)
        self.keeps_all_history = history_limit is None
        self._lifetime = Lifetime(type(self).__name__)
        self.board = MemoryBoard(self._lifetime, clock if clock is not None else SystemClock())
        self._position: Position | None = None
        self._replaced: tuple[str, ...] = ()
        self._documents: dict[DocumentKind, dict[str, Document]] = {"flag": {}, "segment": {}}
        self._generations: dict[str, Generations] = {}
        self._log: deque[Change] = deque(maxlen=history_limit)
        self._results: dict[str, Change] = {}
        self._followers: set[_Follower] = set()

    @property
    def place(self) -> str:
        """See `Store.place`."""
        return "memory://"

    async def __aenter__(self) -> Self:
        if self._lifetime.enter():
            self._followers.clear()  # of a loop that ended without leaving, whose events can wake nobody any more
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._lifetime.leave():
            for follower in self._followers:
                follower.close()

    async def init(self, *, replaces: Sequence[str] | None = None) -> Position:
        """See `Store.init`."""
        await self._turn()
        held = self._position
        if held is not None and replaces is None:
            return held
        if held is not None:
            self._replaced = tuple(dict.fromkeys((*(replaces or ()), held.epoch, *self._replaced)))
        else:
            self._replaced = tuple(replaces or ())
        revision = held.revision if held is not None else 0
        self._position = Position(epoch=uuid4().hex, revision=revision, nonce=uuid4().hex)
        self._tell(Gap("the namespace was initialised"))
        return self._position

    async def position(self) -> Position:
        """See `Store.position`."""
        return await self._current()

    async def replaced(self) -> Sequence[str]:
        """See `Store.replaced`."""
        await self._current()
        return self._replaced

    async def load(self) -> State:
        """See `Store.load`."""
        position = await self._current()
        return State(
            position=position,
            flags=dict(self._documents["flag"]),
            segments=dict(self._documents["segment"]),
            generations=dict(self._generations),
        )

    async def get(self, kind: DocumentKind, key: str) -> tuple[Document | None, Generations]:
        """See `Store.get`."""
        await self._current()
        return self._documents[kind].get(key), self._generations.get(key, {}) if kind == "flag" else {}

    async def changes(self, since: Position) -> Sequence[Change] | None:
        """See `Store.changes`."""
        position = await self._current()
        if since == position:
            return ()
        missed = [change for change in self._log if change.revision > since.revision]
        if not missed or missed[0].position.epoch != since.epoch or missed[0].previous != since.nonce:
            return None
        # The log has no hole, so a chain that begins at `since` and ends in this epoch is whole.
        return missed if position.epoch == since.epoch else None

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[AsyncIterator[Event]]:
        """See `Store.follow`."""
        await self._turn()
        follower = _Follower()
        self._followers.add(follower)
        try:
            yield follower
        finally:
            self._followers.discard(follower)

    async def commit(self, edit: Edit, *, expected: int) -> Change:
        """See `Store.commit`."""
        position = await self._current()
        if edit.request_id in self._results:
            return self._results[edit.request_id]
        before = self._documents[edit.kind].get(edit.key)
        actual = before.revision if before is not None else 0
        if actual != expected or (edit.document is None and before is None):
            raise ConflictError(edit.key, expected=expected, actual=actual, kind=edit.kind)
        change = self._change(edit, before, position)
        self._keep(change)
        self._tell(Changed(change))
        return change

    async def history(
        self, key: str | None = None, *, kind: DocumentKind = "flag", before: int | None = None, limit: int = 50
    ) -> Sequence[Change]:
        """See `Store.history`."""
        await self._current()
        found = [
            change
            for change in reversed(self._log)
            if (key is None or (change.key, change.kind) == (key, kind))
            and (before is None or change.revision < before)
        ]
        return found[:limit]

    async def oldest(self) -> int:
        """See `Store.oldest`."""
        position = await self._current()
        return self._log[0].revision if self._log else position.revision + 1

    async def _turn(self) -> None:
        self._lifetime.check()
        await checkpoint()  # without it a loop over a verb would stop every other task and all timers

    async def _current(self) -> Position:
        await self._turn()
        if self._position is None:
            raise NotInitializedError(self.place, namespace=self.namespace)
        return self._position

    def _change(self, edit: Edit, before: Document | None, position: Position) -> Change:
        held = self._generations.get(edit.key, {})
        return edit.committed(position, before, held, nonce=uuid4().hex)

    def _keep(self, change: Change) -> None:
        documents = self._documents[change.kind]
        if change.document is None:
            del documents[change.key]
        else:
            documents[change.key] = Document(change.revision, change.document)
        if change.generations:
            self._generations[change.key] = change.generations
        self._log.append(change)
        self._results[change.request_id] = change
        if self._log.maxlen is not None and len(self._results) > max(self._log.maxlen, _RESULTS):
            del self._results[next(iter(self._results))]
        self._position = change.position

    def _tell(self, event: Event) -> None:
        for follower in self._followers:
            follower.put(event)


class _Follower:
    """What one reader has not read yet."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._wake = anyio.Event()
        self._closed = False

    def put(self, event: Event) -> None:
        if len(self._events) >= _WAITING:
            self._events.clear()
            event = Gap(f"the reader was more than {_WAITING} events late")
        self._events.append(event)
        self._wake.set()

    def close(self) -> None:
        self._closed = True
        self._wake.set()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            if self._closed:
                raise LifetimeError("the store was closed while somebody followed it; leave `follow` first")
            self._wake = anyio.Event()
            await self._wake.wait()
        return self._events.popleft()
