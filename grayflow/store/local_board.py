"""
A board on a shelf: all verbs for adapters that keep their data where this process can get at it.

An adapter provides the shelf, which only keeps things, and runs work on it as one transaction. What a verb means is
written here once, so dictionaries and SQL tables cannot come to differ in it.
"""

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Literal, Protocol, TypeVar

from grayflow.store.board import (
    Board,
    Lease,
    Member,
    Record,
    Records,
    check_batch,
    check_name,
    check_page,
    check_text,
    check_texts,
    check_value,
)
from grayflow.store.records import claimed, is_over, may_delete, put_into, released, renewed, span_ns

__all__ = ["Kind", "LocalBoard", "Shelf"]

T = TypeVar("T")
Kind = Literal["counter", "set"]


class Shelf(Protocol):
    """
    Keeps what a board of one namespace holds. Plain functions, all called within one transaction.

    What is over may lie here until it is written anew; the verbs do not see it.
    """

    def record(self, collection: str, name: str) -> Record | None:
        """Return a record."""

    def records(self, collection: str) -> Iterable[tuple[str, Record]]:
        """Return a collection by name."""

    def keep(self, collection: str, name: str, record: Record) -> None:
        """Put a record in the place of the one that may be there."""

    def drop(self, collection: str, name: str) -> None:
        """Take a record away, if there is one."""

    def next_fence(self, now: int) -> int:
        """Return a fence that was never given; see `grayflow.store.records.later_fence`."""

    def end(self, kind: Kind, name: str) -> int | None:
        """Return when a counter or set is gone: `None` if it stays, 0 if there is none."""

    def set_end(self, kind: Kind, name: str, expires: int | None) -> None:
        """Make a counter or set, or let it be gone at another time."""

    def forget(self, kind: Kind, name: str) -> None:
        """Take a counter or set away with all that is in it."""

    def last(self, counter: str, writer: str) -> int:
        """Return the number of a writer's last batch, 0 if there is none."""

    def sums(self, counter: str) -> Mapping[str, int]:
        """Return the sums by field."""

    def add_batch(self, counter: str, writer: str, sequence: int, amounts: Mapping[str, int]) -> None:
        """Add amounts, and take note of the batch's number."""

    def insert(self, name: str, members: Collection[str], now: int) -> frozenset[str]:
        """Put members into a set that are not there, and return them."""

    def remove(self, name: str, members: Collection[str]) -> None:
        """Take members out of a set."""

    def members(self, name: str, limit: int, offset: int) -> Sequence[Member]:
        """Return members by age and text."""

    def size(self, name: str) -> int:
        """Return how many members there are."""


class LocalBoard(Board):
    """All verbs but `now`; an adapter adds that, and `run`."""

    @abstractmethod
    async def run(self, work: Callable[[Shelf, int], T], *, writing: bool) -> T:
        """
        Return what `work` returns, which is given the shelf and the instant; all or nothing of it is done.

        Raises:
            LifetimeError, StoreError: the store is not open, or cannot do it.
        """

    async def get(self, collection: str, name: str) -> Record | None:
        """See `Board.get`."""
        _check_identity(collection, name)
        return await self.run(lambda shelf, now: _held(shelf, collection, name, now), writing=False)

    async def list(self, collection: str) -> Records:
        """See `Board.list`."""
        check_name(collection)

        def work(shelf: Shelf, now: int) -> Records:
            found = shelf.records(collection)
            return Records(now=now, records={name: one for name, one in found if not is_over(one.expires, now)})

        return await self.run(work, writing=False)

    async def put(
        self,
        collection: str,
        name: str,
        value: bytes,
        *,
        expected: int | None = None,
        fence: int | None = None,
        ttl: float | None = None,
    ) -> Record | None:
        """See `Board.put`."""
        _check_identity(collection, name)
        check_value(value)
        length = _optional_span(ttl)

        def work(shelf: Shelf, now: int) -> Record | None:
            held = _held(shelf, collection, name, now)
            expires = None if length is None else now + length
            record = put_into(held, value, expected=expected, fence=fence, expires=expires)
            if record is not None and record is not held:
                shelf.keep(collection, name, record)
            return record

        return await self.run(work, writing=True)

    async def delete(
        self, collection: str, name: str, *, expected: int | None = None, fence: int | None = None
    ) -> bool:
        """See `Board.delete`."""
        _check_identity(collection, name)

        def work(shelf: Shelf, now: int) -> bool:
            if not may_delete(_held(shelf, collection, name, now), expected=expected, fence=fence):
                return False
            shelf.drop(collection, name)
            return True

        return await self.run(work, writing=True)

    async def claim(
        self, collection: str, name: str, owner: str, *, span: float, expected: int | None = None
    ) -> Record | None:
        """See `Board.claim`."""
        _check_identity(collection, name)
        check_text("owner", owner)
        length = span_ns("span", span)

        def work(shelf: Shelf, now: int) -> Record | None:
            asked = Lease(owner=owner, fence=0, until=now + length)
            held = _held(shelf, collection, name, now)
            record = claimed(held, asked, expected=expected, now=now, next_fence=lambda: shelf.next_fence(now))
            if record is not None:
                shelf.keep(collection, name, record)
            return record

        return await self.run(work, writing=True)

    async def renew(self, collection: str, name: str, *, fence: int, span: float) -> bool:
        """See `Board.renew`."""
        _check_identity(collection, name)
        length = span_ns("span", span)

        def work(shelf: Shelf, now: int) -> bool:
            record = renewed(_held(shelf, collection, name, now), fence=fence, until=now + length)
            if record is not None:
                shelf.keep(collection, name, record)
            return record is not None

        return await self.run(work, writing=True)

    async def release(self, collection: str, name: str, *, fence: int) -> bool:
        """See `Board.release`."""
        _check_identity(collection, name)

        def work(shelf: Shelf, now: int) -> bool:
            record = released(_held(shelf, collection, name, now), fence=fence)
            if record is None:
                return False
            if record.version:
                shelf.keep(collection, name, record)
            else:
                shelf.drop(collection, name)
            return True

        return await self.run(work, writing=True)

    async def count(self, counter: str, writer: str, sequence: int, amounts: Mapping[str, int], *, ttl: float) -> bool:
        """See `Board.count`."""
        check_name(counter)
        check_text("writer", writer)
        batch = dict(check_batch(sequence, amounts))
        length = span_ns("ttl", ttl)

        def work(shelf: Shelf, now: int) -> bool:
            _forget_if_over(shelf, "counter", counter, now)
            if sequence <= shelf.last(counter, writer):
                return False
            shelf.set_end("counter", counter, now + length)
            shelf.add_batch(counter, writer, sequence, batch)
            return True

        return await self.run(work, writing=True)

    async def counts(self, counters: Sequence[str]) -> Sequence[Mapping[str, int]]:
        """See `Board.counts`."""
        asked = tuple(check_name(counter) for counter in counters)

        def work(shelf: Shelf, now: int) -> Sequence[Mapping[str, int]]:
            return [{} if is_over(shelf.end("counter", counter), now) else shelf.sums(counter) for counter in asked]

        return await self.run(work, writing=False)

    async def add(self, name: str, members: Collection[str], *, ttl: float | None = None) -> frozenset[str]:
        """See `Board.add`."""
        check_name(name)
        texts = check_texts("member", members)
        length = _optional_span(ttl)

        def work(shelf: Shelf, now: int) -> frozenset[str]:
            if not texts:
                return texts
            _forget_if_over(shelf, "set", name, now)
            shelf.set_end("set", name, None if length is None else now + length)
            return shelf.insert(name, texts, now)

        return await self.run(work, writing=bool(texts))

    async def remove(self, name: str, members: Collection[str]) -> None:
        """See `Board.remove`."""
        check_name(name)
        texts = check_texts("member", members)
        await self.run(lambda shelf, _: shelf.remove(name, texts) if texts else None, writing=bool(texts))

    async def members(self, name: str, *, limit: int = 1000, offset: int = 0) -> Sequence[Member]:
        """See `Board.members`."""
        check_name(name)
        check_page(limit, offset)

        def work(shelf: Shelf, now: int) -> Sequence[Member]:
            return () if is_over(shelf.end("set", name), now) else shelf.members(name, limit, offset)

        return await self.run(work, writing=False)

    async def size(self, name: str) -> int:
        """See `Board.size`."""
        check_name(name)
        return await self.run(
            lambda shelf, now: 0 if is_over(shelf.end("set", name), now) else shelf.size(name), writing=False
        )


def _check_identity(collection: str, name: str) -> None:
    check_name(collection)
    check_text("name", name)


def _optional_span(ttl: float | None) -> int | None:
    return None if ttl is None else span_ns("ttl", ttl)


def _held(shelf: Shelf, collection: str, name: str, now: int) -> Record | None:
    record = shelf.record(collection, name)
    return None if record is None or is_over(record.expires, now) else record


def _forget_if_over(shelf: Shelf, kind: Kind, name: str, now: int) -> None:
    if is_over(shelf.end(kind, name), now):
        shelf.forget(kind, name)
