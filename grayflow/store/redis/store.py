"""
Flags in Redis or Valkey: standalone, encrypted, by a unix socket, behind Sentinels, or in one slot of a cluster.

Every verb asks once and reads the answer; what is where stands in `keys.py`, how a change is written in
`scripts.lua`, how it is heard in `link.py`, what running processes write in `board.py`.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Self

import msgspec

from grayflow.clock import Clock, SystemClock
from grayflow.core.generations import Generations
from grayflow.core.position import Document, Position
from grayflow.errors import ConfigurationError, StoreFormatError
from grayflow.store.address import RedisAddress
from grayflow.store.lifetime import Lifetime
from grayflow.store.port import Change, DocumentKind, Edit, Event, Remark, State, Store, check_namespace
from grayflow.store.redis.board import RedisBoard
from grayflow.store.redis.checkup import checkup
from grayflow.store.redis.commit import (
    commit_arguments,
    commit_keys,
    init_arguments,
    init_keys,
    read_commit,
    read_init,
)
from grayflow.store.redis.keys import REVISION_LIMIT, Keys, field
from grayflow.store.redis.layout import META, Entry, Layout
from grayflow.store.redis.link import open_link
from grayflow.store.redis.script import CHANGES
from grayflow.store.redis.session import Command, Session
from grayflow.store.redis.slices import SLICE, Read, highest, in_slices, slices
from grayflow.store.redis.wire import read_document, write_document, write_request

__all__ = ["RedisStore"]

_PAGE = 100
"""Entries of a stream that one question asks for: the server answers others in between."""


class RedisStore(Store):
    """
    A namespace in a Redis of 7.0 or later, or a Valkey.

    Kept are the last `history_limit` changes, and of each document the last `versions_per_flag`, however old: the
    history of a flag that is rarely touched outlives the log. Both hold whole documents, before and after.

    Args:
        address: Where, or a URL; see `RedisAddress.from_url`.
        namespace: The environment within it, 1 to 64 of `A-Za-z0-9._-`.
        history_limit: Changes in the log; Redis drops them in lumps, so somewhat more are kept.
        versions_per_flag: Changes of one document.
        client_name: The beginning of what CLIENT LIST shows; what may not stand there becomes `-`.
        clock: By which it waits between tries.

    Raises:
        ConfigurationError: the URL, the namespace or a limit cannot be one.
    """

    board: RedisBoard
    reports_on_request = True

    def __init__(
        self,
        address: RedisAddress | str,
        namespace: str = "default",
        *,
        history_limit: int = 10_000,
        versions_per_flag: int = 100,
        client_name: str = "grayflow",
        clock: Clock | None = None,
    ) -> None:
        for name, limit in (("history_limit", history_limit), ("versions_per_flag", versions_per_flag)):
            if not 1 <= limit <= REVISION_LIMIT:
                raise ConfigurationError(f"{name} is {limit}; keep one change at least")
        self.namespace = check_namespace(namespace)
        self._address = RedisAddress.from_url(address) if isinstance(address, str) else address
        self._log_limit, self._history_limit = history_limit, versions_per_flag
        self._client_name = client_name
        self._clock = clock if clock is not None else SystemClock()
        self._keys = Keys(self.namespace)
        self._hashes = (self._keys.documents("flag"), self._keys.documents("segment"), self._keys.offs)
        self._layout = Layout(self.place, self.namespace)
        self._meta: Command = ("HMGET", self._keys.meta, *META)
        self._lifetime = Lifetime(type(self).__name__)
        self._opened: Session | None = None
        self.board = RedisBoard(self._session, self._keys, place=self.place)

    @property
    def place(self) -> str:
        """See `Store.place`."""
        return self._address.safe_url

    async def __aenter__(self) -> Self:
        if self._lifetime.enter():
            self._opened = Session(self._address, key=self._keys.meta, client_name=self._client_name, clock=self._clock)
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._lifetime.leave() and self._opened is not None:
            session, self._opened = self._opened, None
            await session.aclose()

    def _session(self) -> Session:
        self._lifetime.check()
        assert self._opened is not None  # noqa: S101 - open and closed with the lifetime
        return self._opened

    async def init(self, *, replaces: Sequence[str] | None = None) -> Position:
        """See `Store.init`."""
        # Without `replaces` nothing can be there that has to be looked through.
        top = 0 if replaces is None else await self._highest()
        answer = await self._session().write(CHANGES, init_keys(self._keys), init_arguments(self._keys, replaces, top))
        return read_init(answer, self._layout)

    async def _highest(self) -> int:
        """Return the highest revision that documents and generations name; later ones are named by `meta`."""
        *documents, offs = self._hashes
        top = 0
        async with self._session().at_leisure() as read:
            for key in documents:
                async for values in slices(read, key):
                    top = max(top, highest(values.values(), ()))
            async for values in slices(read, offs):
                top = max(top, highest((), values.values()))
        return top

    async def position(self) -> Position:
        """See `Store.position`."""
        (meta,) = await self._session().read(self._meta)
        return self._layout.meta(meta)[0]

    async def replaced(self) -> Sequence[str]:
        """See `Store.replaced`."""
        (meta,) = await self._session().read(self._meta)
        return self._layout.epochs(self._layout.meta(meta)[1].get("replaces"))

    async def load(self) -> State:
        """See `Store.load`."""
        async with self._session().at_leisure() as read:
            meta, *sizes = await read(self._meta, *(("HLEN", key) for key in self._hashes))
            start, _ = self._layout.meta(meta)
            if sum(sizes) > SLICE and (state := await self._load_in_slices(read, start, sizes[2])) is not None:
                return state
            answers = await read(self._meta, *(("HGETALL", key) for key in self._hashes))
        return await self._layout.state(*answers)

    async def _load_in_slices(self, read: Read, start: Position, known_offs: int) -> State | None:
        """
        Return everything, of the instant at which the last slice was there; `None` if that cannot be told.

        A commit writes its document and its entry of the log at once: what the slices missed stands in the log since
        `start`. After a fail-over, or if another epoch has begun, the log does not continue `start`. A scan that lost
        its place, because the server was started anew, is found out by the number of documents, and of generations:
        they are never deleted, so there are as many as before or more.
        """
        flags, segments, offs = [await in_slices(read, key) for key in self._hashes]
        if len(offs) < known_offs:
            return None
        since = await self._since(read, start)
        if since is None:
            return None
        meta, changes = since
        for change in changes:
            documents = flags if change.kind == "flag" else segments
            if change.document is None:
                documents.pop(field(change.key), None)
            else:
                documents[field(change.key)] = write_document(change.revision, change.document)
        try:
            state = await self._layout.state(meta, flags, segments, offs)
        except StoreFormatError:
            return None  # asked for at once, it tells whether this is so
        later = {change.key: change.generations for change in changes if change.generations}
        return msgspec.structs.replace(state, generations={**state.generations, **later})

    async def get(self, kind: DocumentKind, key: str) -> tuple[Document | None, Generations]:
        """See `Store.get`."""
        meta, value, offs = await self._session().read(
            self._meta,
            ("HGET", self._keys.documents(kind), field(key)),
            ("HGET", self._keys.offs, field(key)),
        )
        self._layout.meta(meta)
        document = read_document(value) if value is not None else None
        return document, self._layout.generations(offs) if kind == "flag" else {}

    async def changes(self, since: Position) -> Sequence[Change] | None:
        """
        See `Store.changes`.

        Each change names the nonce before it, so a chain that begins at `since` and ends at the current position is
        whole; revision 0 and the first revision of an epoch, which have no entry of their own, need no exception.
        """
        async with self._session().at_leisure() as read:
            found = await self._since(read, since)
        return None if found is None else found[1]

    async def _since(self, read: Read, since: Position) -> tuple[Sequence[bytes | None], list[Change]] | None:
        """Return what `META` is now and the changes that lead there, `None` if they do not."""
        found: list[Change] = []
        reached = since
        while True:
            lowest = min(max(reached.revision, 0), REVISION_LIMIT) + 1
            meta, entries = await read(self._meta, ("XRANGE", self._keys.log, f"{lowest}-0", "+", "COUNT", _PAGE))
            position, _ = self._layout.meta(meta)
            following = self._chain(reached, entries)
            if following is None:
                return None
            found += following
            reached = found[-1].position if found else since
            if reached == position:
                return meta, found
            if not following:
                return None

    def _chain(self, start: Position, entries: Sequence[Entry]) -> list[Change] | None:
        """Return the changes that lead on from `start`, `None` if one does not fit."""
        found: list[Change] = []
        for entry in entries:
            try:
                change = self._layout.change(entry)
            except StoreFormatError:
                return None  # a hole like any other: the state itself may be sound
            if (change.previous, change.revision) != (start.nonce, start.revision + 1):
                return None
            if change.position.epoch != start.epoch:
                return None
            found.append(change)
            start = change.position
        return found

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[AsyncIterator[Event]]:
        """See `Store.follow`."""
        line = self._session().line("link")
        async with open_link(
            line, self._keys.channel, place=self.place, check=self._lifetime.check, clock=self._clock
        ) as link:
            yield link

    async def request_reports(self, position: Position) -> None:
        """See `Store.request_reports`."""
        await self._session().read(("PUBLISH", self._keys.channel, write_request(position)))

    async def commit(self, edit: Edit, *, expected: int) -> Change:
        """See `Store.commit`."""
        answer = await self._session().write(
            CHANGES,
            commit_keys(self._keys, edit),
            commit_arguments(
                self._keys, edit, expected=expected, log_limit=self._log_limit, history_limit=self._history_limit
            ),
        )
        return read_commit(answer, edit, expected=expected, layout=self._layout)

    async def history(
        self, key: str | None = None, *, kind: DocumentKind = "flag", before: int | None = None, limit: int = 50
    ) -> Sequence[Change]:
        """See `Store.history`."""
        stream = self._keys.log if key is None else self._keys.history(kind, key)
        below = REVISION_LIMIT if before is None else min(before, REVISION_LIMIT)
        found: list[Change] = []
        async with self._session().at_leisure() as read:
            while len(found) < limit and below > 0:
                page = min(_PAGE, limit - len(found))
                meta, entries = await read(self._meta, ("XREVRANGE", stream, f"({below}-0", "-", "COUNT", page))
                self._layout.meta(meta)
                found += [self._layout.change(entry) for entry in entries]
                if len(entries) < page:
                    break
                below = found[-1].revision
        return found

    async def oldest(self) -> int:
        """See `Store.oldest`."""
        meta, entries = await self._session().read(self._meta, ("XRANGE", self._keys.log, "-", "+", "COUNT", 1))
        position, values = self._layout.meta(meta)
        if not entries:
            return position.revision + 1
        # Below `base` there may be entries with a hole behind them, from before a repair.
        return max(self._layout.change(entries[0]).revision, self._layout.base(values) + 1)

    async def clock_offset(self) -> float | None:
        """See `Store.clock_offset`."""
        before = self._clock.now()
        ((seconds, microseconds),) = await self._session().read(("TIME",))
        middle = (before + self._clock.now()) // 2
        return ((int(seconds) * 1_000_000 + int(microseconds)) * 1_000 - middle) / 1e9

    async def checkup(self) -> Sequence[Remark]:
        """See `Store.checkup`."""
        return await checkup(self._session())
