"""
The reference board: a shelf made of dictionaries.

It belongs to a `MemoryStore` and tells the time by that one's clock, so a test ends a lease by moving the clock. A
verb lets other tasks run first and then awaits nothing more, so each is atomic by itself.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Protocol, TypeVar

import msgspec
from anyio.lowlevel import checkpoint

from grayflow.clock import Clock
from grayflow.store.board import Member, Record
from grayflow.store.lifetime import Lifetime
from grayflow.store.local_board import Kind, LocalBoard, Shelf
from grayflow.store.records import is_over, later_fence

__all__ = ["MemoryBoard"]

T = TypeVar("T")

_SWEPT = 2
"""How many records, counters and sets are looked at in passing; what is not over goes to the end of the row."""


class MemoryBoard(LocalBoard):
    """
    A board in this process's memory; its data lives as long as the instance.

    Args:
        lifetime: Of the store that it belongs to.
        clock: The board's time.
    """

    def __init__(self, lifetime: Lifetime, clock: Clock) -> None:
        self._lifetime = lifetime
        self._clock = clock
        self._shelf = _Dictionaries()

    async def now(self) -> int:
        """See `Board.now`."""
        return await self.run(lambda _, now: now, writing=False)

    async def run(self, work: Callable[[Shelf, int], T], *, writing: bool) -> T:
        """See `LocalBoard.run`."""
        self._lifetime.check()
        await checkpoint()  # without it a loop over a verb would stop every other task and all timers
        now = self._clock.now()
        if writing:
            self._shelf.sweep(now)
        return work(self._shelf, now)


class _Heap(msgspec.Struct):
    """A counter, with the sum of every field and the last batch of every writer, or a set, with every member's time."""

    expires: int | None = None
    numbers: dict[str, int] = {}
    batches: dict[str, int] = {}


class _Dictionaries:
    """See `Shelf`."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, str], Record] = {}
        self._heaps: dict[tuple[Kind, str], _Heap] = {}
        self._fence = 0

    def sweep(self, now: int) -> None:
        """Drop a part of what is over, so that what nobody asks for again does not stay for ever."""
        _sweep(self._records, now)
        _sweep(self._heaps, now)

    def record(self, collection: str, name: str) -> Record | None:
        return self._records.get((collection, name))

    def records(self, collection: str) -> Iterable[tuple[str, Record]]:
        return [(name, record) for (home, name), record in self._records.items() if home == collection]

    def keep(self, collection: str, name: str, record: Record) -> None:
        self._records[collection, name] = record

    def drop(self, collection: str, name: str) -> None:
        self._records.pop((collection, name), None)

    def next_fence(self, now: int) -> int:
        self._fence = later_fence(self._fence, now)
        return self._fence

    def end(self, kind: Kind, name: str) -> int | None:
        heap = self._heaps.get((kind, name))
        return heap.expires if heap is not None else 0

    def set_end(self, kind: Kind, name: str, expires: int | None) -> None:
        self._heaps.setdefault((kind, name), _Heap()).expires = expires

    def forget(self, kind: Kind, name: str) -> None:
        self._heaps.pop((kind, name), None)

    def last(self, counter: str, writer: str) -> int:
        return self._heap("counter", counter).batches.get(writer, 0)

    def sums(self, counter: str) -> Mapping[str, int]:
        return dict(self._heap("counter", counter).numbers)

    def add_batch(self, counter: str, writer: str, sequence: int, amounts: Mapping[str, int]) -> None:
        heap = self._heap("counter", counter)
        heap.batches[writer] = sequence
        for field, amount in amounts.items():
            heap.numbers[field] = heap.numbers.get(field, 0) + amount

    def insert(self, name: str, members: Collection[str], now: int) -> frozenset[str]:
        since = self._heap("set", name).numbers
        new = frozenset(members) - since.keys()
        since.update(dict.fromkeys(new, now))
        return new

    def remove(self, name: str, members: Collection[str]) -> None:
        since = self._heap("set", name).numbers
        for member in members:
            since.pop(member, None)

    def members(self, name: str, limit: int, offset: int) -> Sequence[Member]:
        since = self._heap("set", name).numbers
        ordered = sorted(since.items(), key=lambda member: (member[1], member[0]))
        return [Member(text, instant) for text, instant in ordered[offset : offset + limit]]

    def size(self, name: str) -> int:
        return len(self._heap("set", name).numbers)

    def _heap(self, kind: Kind, name: str) -> _Heap:
        return self._heaps.get((kind, name)) or _Heap()


class _Ending(Protocol):
    @property
    def expires(self) -> int | None: ...


K = TypeVar("K")
E = TypeVar("E", bound=_Ending)


def _sweep(row: dict[K, E], now: int) -> None:
    for key in tuple(islice(row, _SWEPT)):
        held = row.pop(key)
        if not is_over(held.expires, now):
            row[key] = held
