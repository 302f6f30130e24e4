"""
Single reads and lists, both by one rule of whose copy of a row counts: what a list shows is what a get returns.

A list is a merge of two streams in one order. Each row is taken from the stream of the store whose copy of it counts,
and dropped from the other; so a copy that is out of date, and therefore stands elsewhere, is never shown, and never
shown twice.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import msgspec

from grayflow.client.client import Client
from grayflow.errors import ConfigurationError
from grayflow.release.migration.adapter import Place
from grayflow.release.migration.arguments import checked_place
from grayflow.release.migration.compass import Compass, Standing
from grayflow.release.migration.pair import Pair
from grayflow.release.migration.rules import Side, Stage, authority, lists_from, needs_gray, needs_probe, reading
from grayflow.release.migration.setup import Setup
from grayflow.release.migration.watching import Watch

__all__ = ["Page", "Reader"]

R = TypeVar("R")


class Page(msgspec.Struct, Generic[R], frozen=True):
    """One page of a list."""

    rows: tuple[R, ...]
    cursor: Place | None
    """Where the next page begins; `None` if this is the last."""
    missing: Side | None = None
    """The store that failed, with `partial="allow"`: rows that only it has are not in the page."""


class _Stream(Generic[R]):
    """The rows of one store that come next, in order."""

    def __init__(self, pair: Pair[R], setup: Setup[R], side: Side, query: Any, size: int) -> None:
        self.side = side
        self.failure: Exception | None = None
        self._pair, self._setup, self._query, self._size = pair, setup, query, size
        self._rows: deque[tuple[Place, R]] = deque()
        self._more = True

    async def fill(self, after: Place | None) -> bool:
        """See to it that there is a next row, if there is one after that place; return whether the store was asked."""
        if self._rows or not self._more:
            return False
        try:
            found = await self._pair.within(self._pair.store(self.side).list(self._query, after, self._size))
        except Exception as error:  # noqa: BLE001 - the reader decides whether it can do without
            self.failure, self._more = error, False
            return True
        self._rows.extend((self._setup.place(row), row) for row in found)
        self._more = len(found) >= self._size
        return True

    @property
    def head(self) -> tuple[Place, R] | None:
        """The next row and its place, `None` at the end."""
        return self._rows[0] if self._rows else None

    def drop(self) -> None:
        """Go on to the next."""
        self._rows.popleft()

    def forget(self) -> None:
        """Ask the store again."""
        self._rows.clear()
        self._more = self.failure is None

    @property
    def ended(self) -> bool:
        """Whether nothing is left."""
        return not self._rows and not self._more


class Reader(Generic[R]):
    """
    Reads rows for one process.

    Args:
        setup: Of the migration.
        flags: Has its stage.
        compass: Reads it.
        watch: Told of what is read, and compares.
    """

    def __init__(self, setup: Setup[R], flags: Client, compass: Compass, watch: Watch[R]) -> None:
        self._setup, self._flags, self._compass, self._watch = setup, flags, compass, watch
        self._pair = Pair(setup)

    async def get(self, subject: Any) -> R | None:
        """Return a row; see `Migration.get`."""
        key = self._setup.key(subject)
        with self._flags.scope():
            standing = self._compass.standing()
            stage, profile = standing.stage, self._setup.terms.profile
            in_old = needs_probe(stage, profile) and await self._in_old(key)
            plan = reading(stage, profile, in_old=in_old, gray=self._gray(standing, subject))
            self._note(standing, plan.side, probed=in_old)
            if plan.compare:
                return await self._watch.read(key, plan.side, subject, standing.revision)
            row = await self._pair.within(self._pair.store(plan.side).get(key))
            if row is not None and not in_old and needs_probe(stage, profile):
                row = None if await self._pair.deleted_from_old(key, row) else row
            return row

    async def list(self, query: Any, *, limit: int, cursor: Place | None, allow_partial: bool) -> Page[R]:
        """Return a page of rows; see `Migration.list`."""
        if limit < 1:
            raise ConfigurationError(f"limit is {limit}; give at least 1")
        last = checked_place(cursor)
        with self._flags.scope():
            standing = self._compass.standing()
            sides = lists_from(standing.stage, self._setup.terms.profile)
            for side in sides:
                self._note(standing, side)
            streams = [_Stream(self._pair, self._setup, side, query, limit + 1) for side in sides]
            return await self._merged(streams, standing, last, limit, allow_partial=allow_partial)

    async def _merged(
        self, streams: Sequence[_Stream[R]], standing: Standing, last: Place | None, limit: int, *, allow_partial: bool
    ) -> Page[R]:
        rows: list[R] = []
        while len(rows) < limit:
            await self._fill(streams, last)
            self._judge(streams, allow_partial=allow_partial)
            heads = [(stream, stream.head) for stream in streams if stream.head is not None]
            if not heads:
                return Page(tuple(rows), None, _missing(streams))
            last = min(head[0] for _, head in heads)
            copies = {stream.side: head[1] for stream, head in heads if head[0] == last}
            row = await self._chosen(copies, streams, standing, last[1])
            rows.extend(() if row is None else (row,))
            for stream in streams:
                if stream.side in copies:
                    stream.drop()
        ended = all(stream.ended for stream in streams)
        return Page(tuple(rows), None if ended else last, _missing(streams))

    @staticmethod
    async def _fill(streams: Sequence[_Stream[R]], last: Place | None) -> None:
        """Look ahead; each stretch first in the old store: a row that moves meanwhile is in the new one then."""
        asked = False
        for stream in streams:
            if asked:
                stream.forget()
            asked = await stream.fill(last) or asked

    async def _chosen(
        self, copies: dict[Side, R], streams: Sequence[_Stream[R]], standing: Standing, key: str
    ) -> R | None:
        """Return the row of a place from the store whose copy counts, `None` if that has it elsewhere or not at all."""
        if len(streams) == 1:
            return next(iter(copies.values()))
        if len(copies) == 2 and standing.stage is not Stage.DUALWRITE:
            await self._watch.compare_listed(key, copies[Side.OLD], copies[Side.NEW], standing.revision)
        side = await self._whose(copies, streams, standing, key)
        if _missing(streams) is not None:
            return copies.get(side)
        if side in copies:
            return await self._unless_deleted(copies, side, standing, key)
        # That store did not list it: its copy stands elsewhere, or came there just now and is this one.
        row, other = copies[side.other], await self._pair.within(self._pair.store(side).get(key))
        return row if other is not None and self._setup.same(row, other) else None

    async def _unless_deleted(self, copies: dict[Side, R], side: Side, standing: Standing, key: str) -> R | None:
        row = copies[side]
        alone = Side.OLD not in copies and needs_probe(standing.stage, self._setup.terms.profile)
        return None if alone and await self._pair.deleted_from_old(key, row) else row

    async def _whose(self, copies: dict[Side, R], streams: Sequence[_Stream[R]], standing: Standing, key: str) -> Side:
        missing = _missing(streams)
        if missing is not None:
            return missing.other
        profile = self._setup.terms.profile
        in_old = Side.OLD in copies or (needs_probe(standing.stage, profile) and await self._in_old(key))
        row = next(iter(copies.values()))
        return authority(standing.stage, profile, in_old=in_old, gray=self._gray(standing, row))

    @staticmethod
    def _judge(streams: Sequence[_Stream[R]], *, allow_partial: bool) -> None:
        failures = [stream.failure for stream in streams if stream.failure is not None]
        if failures and (not allow_partial or len(failures) == len(streams)):
            raise failures[0]

    def _gray(self, standing: Standing, subject: Any) -> bool:
        return needs_gray(standing.stage) and self._compass.gray(self._setup.route(subject))

    def _note(self, standing: Standing, side: Side, *, probed: bool = False) -> None:
        if side is Side.OLD or probed:
            self._watch.read_old(standing.stage)

    async def _in_old(self, key: str) -> bool:
        return await self._pair.within(self._pair.store(Side.OLD).exists(key))


def _missing(streams: Sequence[_Stream[R]]) -> Side | None:
    return next((stream.side for stream in streams if stream.failure is not None), None)
