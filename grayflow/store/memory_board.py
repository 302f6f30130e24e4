"""
The reference board: everything the port promises, on plain dictionaries.

It belongs to a `MemoryStore` and tells the time by that one's clock, so a test ends a lease by moving the clock. A
verb lets other tasks run first and then awaits nothing more, so each is atomic by itself.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Protocol, TypeVar

import msgspec
from anyio.lowlevel import checkpoint

from grayflow.clock import Clock
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
from grayflow.store.lifetime import Lifetime
from grayflow.store.records import claimed, is_over, later_fence, may_delete, put_into, released, renewed, span_ns

__all__ = ["MemoryBoard"]

K = TypeVar("K")

_SWEPT = 2
"""How many of each kind are looked at in passing; what is not over goes to the end of the row."""


class _Counter(msgspec.Struct):
    """Sums by field, and the number of each writer's last batch."""

    expires: int | None = None
    sums: dict[str, int] = {}
    last: dict[str, int] = {}


class _Set(msgspec.Struct):
    """Members, and since when they are in it."""

    expires: int | None = None
    since: dict[str, int] = {}


class MemoryBoard(Board):
    """
    A board in this process's memory; its data lives as long as the instance.

    Args:
        lifetime: Of the store that it belongs to.
        clock: The board's time.
    """

    def __init__(self, lifetime: Lifetime, clock: Clock) -> None:
        self._lifetime = lifetime
        self._clock = clock
        self._records: dict[tuple[str, str], Record] = {}
        self._counters: dict[str, _Counter] = {}
        self._sets: dict[str, _Set] = {}
        self._fence = 0

    async def now(self) -> int:
        """See `Board.now`."""
        return await self._turn()

    async def get(self, collection: str, name: str) -> Record | None:
        """See `Board.get`."""
        return self._held(_identity(collection, name), await self._turn())

    async def list(self, collection: str) -> Records:
        """See `Board.list`."""
        check_name(collection)
        now = await self._turn()
        found = {
            name: record
            for (home, name), record in self._records.items()
            if home == collection and not is_over(record.expires, now)
        }
        return Records(now=now, records=found)

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
        identity = _identity(collection, name)
        check_value(value)
        span = span_ns("ttl", ttl) if ttl is not None else None
        now = await self._turn()
        expires = now + span if span is not None else None
        written = put_into(self._held(identity, now), value, expected=expected, fence=fence, expires=expires)
        return self._keep(identity, written)

    async def delete(
        self, collection: str, name: str, *, expected: int | None = None, fence: int | None = None
    ) -> bool:
        """See `Board.delete`."""
        identity = _identity(collection, name)
        if not may_delete(self._held(identity, await self._turn()), expected=expected, fence=fence):
            return False
        self._records.pop(identity, None)
        return True

    async def claim(
        self, collection: str, name: str, owner: str, *, span: float, expected: int | None = None
    ) -> Record | None:
        """See `Board.claim`."""
        identity = _identity(collection, name)
        check_text("owner", owner)
        length = span_ns("span", span)
        now = await self._turn()

        def next_fence() -> int:
            self._fence = later_fence(self._fence, now)
            return self._fence

        asked = Lease(owner=owner, fence=0, until=now + length)
        held = self._held(identity, now)
        return self._keep(identity, claimed(held, asked, expected=expected, now=now, next_fence=next_fence))

    async def renew(self, collection: str, name: str, *, fence: int, span: float) -> bool:
        """See `Board.renew`."""
        identity = _identity(collection, name)
        length = span_ns("span", span)
        now = await self._turn()
        return self._keep(identity, renewed(self._held(identity, now), fence=fence, until=now + length)) is not None

    async def release(self, collection: str, name: str, *, fence: int) -> bool:
        """See `Board.release`."""
        identity = _identity(collection, name)
        record = self._keep(identity, released(self._held(identity, await self._turn()), fence=fence))
        if record is not None and not record.version:
            del self._records[identity]
        return record is not None

    async def count(self, counter: str, writer: str, sequence: int, amounts: Mapping[str, int], *, ttl: float) -> bool:
        """See `Board.count`."""
        check_name(counter)
        check_text("writer", writer)
        check_batch(sequence, amounts)
        span = span_ns("ttl", ttl)
        now = await self._turn()
        held = _there(self._counters.get(counter), now) or _Counter()
        if sequence <= held.last.get(writer, 0):
            return False
        for field, amount in amounts.items():
            held.sums[field] = held.sums.get(field, 0) + amount
        held.last[writer], held.expires = sequence, now + span
        self._counters[counter] = held
        return True

    async def counts(self, counters: Sequence[str]) -> Sequence[Mapping[str, int]]:
        """See `Board.counts`."""
        for counter in counters:
            check_name(counter)
        now = await self._turn()
        found = [_there(self._counters.get(counter), now) for counter in counters]
        return [dict(held.sums) if held is not None else {} for held in found]

    async def add(self, name: str, members: Collection[str], *, ttl: float | None = None) -> frozenset[str]:
        """See `Board.add`."""
        check_name(name)
        texts = check_texts("member", members)
        span = span_ns("ttl", ttl) if ttl is not None else None
        now = await self._turn()
        if not texts:
            return frozenset()
        held = _there(self._sets.get(name), now) or _Set()
        new = texts - held.since.keys()
        held.since.update(dict.fromkeys(new, now))
        held.expires = now + span if span is not None else None
        self._sets[name] = held
        return new

    async def remove(self, name: str, members: Collection[str]) -> None:
        """See `Board.remove`."""
        check_name(name)
        texts = check_texts("member", members)
        await self._turn()
        held = self._sets.get(name)
        if held is not None:
            for text in texts:
                held.since.pop(text, None)
            if not held.since:
                del self._sets[name]

    async def members(self, name: str, *, limit: int = 1000, offset: int = 0) -> Sequence[Member]:
        """See `Board.members`."""
        check_name(name)
        check_page(limit, offset)
        held = _there(self._sets.get(name), await self._turn()) or _Set()
        ordered = sorted(held.since.items(), key=lambda member: (member[1], member[0]))
        return [Member(text, since) for text, since in ordered[offset : offset + limit]]

    async def size(self, name: str) -> int:
        """See `Board.size`."""
        check_name(name)
        held = _there(self._sets.get(name), await self._turn())
        return len(held.since) if held is not None else 0

    async def _turn(self) -> int:
        self._lifetime.check()
        await checkpoint()  # without it a loop over a verb would stop every other task and all timers
        now = self._clock.now()
        _sweep(self._records, now)
        _sweep(self._counters, now)
        _sweep(self._sets, now)
        return now

    def _held(self, identity: tuple[str, str], now: int) -> Record | None:
        return _there(self._records.get(identity), now)

    def _keep(self, identity: tuple[str, str], record: Record | None) -> Record | None:
        if record is not None:
            self._records[identity] = record
        return record


class _Ending(Protocol):
    @property
    def expires(self) -> int | None: ...


E = TypeVar("E", bound=_Ending)


def _there(held: E | None, now: int) -> E | None:
    return None if held is None or is_over(held.expires, now) else held


def _sweep(kind: dict[K, E], now: int) -> None:
    """Look at the first few: drop what is over, so that what nobody asks for again does not stay for ever."""
    for key in tuple(islice(kind, _SWEPT)):
        held = kind.pop(key)
        if not is_over(held.expires, now):
            kind[key] = held


def _identity(collection: str, name: str) -> tuple[str, str]:
    return check_name(collection), check_text("name", name)
