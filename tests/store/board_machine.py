"""
A board against the reference board, whatever is done in whatever order.

Subclass it with an `open` that returns a store on one place, again and again, and a `pass_time` like that of the
contract; `tests/store/test_board_machine.py` shows how. Two instances are used in turn.

The board's time may be a server's, so the two clocks agree only roughly. Hence times are either long, and compared by
their order of magnitude, or so short that the machine lets them end at once, on both sides.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import anyio
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from grayflow.store.board import Board, Record
from grayflow.store.memory import MemoryStore
from grayflow.store.port import Store
from grayflow.testing import FakeClock
from grayflow.testing.contract.board.kit import board_of

T = TypeVar("T")

SHORT = 0.002
AGE = 2000.0
"""Times are multiples of it; no example takes as long."""

COLLECTIONS = st.sampled_from(["jobs", "a"])
NAMES = st.sampled_from(["a", "b", "a\x00", "灰"])
OWNERS = st.sampled_from(["ada", "ben", "a"])
VALUES = st.sampled_from([b"", b"1", b"2", b"\xff\x00"])
SPANS = st.sampled_from([AGE, 2 * AGE, 3 * AGE, SHORT])
TTLS = st.sampled_from([None, None, AGE, 2 * AGE, SHORT])
OFFSETS = st.none() | st.integers(-2, 1)
"""How far the version that is expected is from the one that is there."""
BACK = st.sampled_from([1, 1, 1, 2, 3, 5])
"""Whose fence is used: that of the last claim, of the one before …"""
MEMBERS = st.lists(NAMES, max_size=4)
AMOUNTS = st.dictionaries(NAMES, st.integers(-(2**53), 2**53) | st.integers(-2, 2), max_size=3)


class BoardMachine(RuleBasedStateMachine):
    """All verbs; each answer and, after each step, everything that can be read is that of the reference."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = FakeClock()
        self.model = MemoryStore(clock=self.clock)
        self.stores: list[Store] = []
        self.turn = 0
        self.fences: list[tuple[int, int]] = []

    def open(self) -> Store:
        """Return a store on this machine's place, which is empty when the machine begins."""
        raise AssertionError("a subclass opens its store here")

    async def pass_time(self, seconds: float) -> None:
        """Let the time of the stores go on; a server's does by itself, and this waits."""
        raise AssertionError("a subclass says how its time passes")

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @property
    def board(self) -> Board:
        self.turn += 1
        return board_of(self.stores[self.turn % 2])

    @initialize()
    def begin(self) -> None:
        self.stores = [self.open(), self.open()]
        for store in (self.model, *self.stores):
            self.run(store.__aenter__())
        self.run(self.stores[0].init())

    def teardown(self) -> None:
        for store in (self.model, *self.stores):
            self.run(store.__aexit__(None, None, None))
        self.runner.close()

    def both(self, verb: Callable[[Board, int], Coroutine[Any, Any, T]], *, ends: bool = False) -> tuple[T, T]:
        """Do it on the reference and on the board; the verb is told which of the two it is on."""

        async def work() -> tuple[T, T]:
            board = self.board
            await self.clock.advance(0.001)  # so that nothing is of one instant on one side only
            await self.pass_time(0.000_01)
            answers = await verb(self.model.board, 0), await verb(board, 1)
            if ends:
                end = await board.now() + int(SHORT * 1e9)
                await self.clock.advance(2 * SHORT)
                with anyio.fail_after(30):
                    while await board.now() <= end:
                        await self.pass_time(SHORT)
            return answers

        return self.run(work())

    def plain(self, record: Record | None, side: int, now: int) -> object:
        """Return what two records have in common that are one to their callers."""
        if record is None:
            return None
        lease, held = record.lease, None
        if lease is not None:
            held = lease.owner, [pair[side] for pair in self.fences].index(lease.fence), age(lease.until, now)
        return record.value, record.version, held, age(record.expires, now)

    def version(self, collection: str, name: str, offset: int | None) -> int | None:
        if offset is None:
            return None
        record = self.run(self.model.board.get(collection, name))
        return max(0, (record.version if record is not None else 0) + offset)

    def fence(self, back: int | None) -> tuple[Any, Any]:
        """Return the fence of a late claim, or one that was never given, as it is on each side."""
        if back is None:
            return None, None
        return self.fences[-back] if back <= len(self.fences) else (1, 1)

    @rule(collection=COLLECTIONS, name=NAMES, value=VALUES, offset=OFFSETS, ttl=TTLS, back=st.none() | BACK)
    def put(self, collection, name, value, offset, ttl, back):
        expected, fence = self.version(collection, name, offset), self.fence(back)

        async def verb(board: Board, side: int) -> object:
            record = await board.put(collection, name, value, expected=expected, fence=fence[side], ttl=ttl)
            return self.plain(record, side, await board.now())

        one, other = self.both(verb, ends=ttl == SHORT)
        assert one == other

    @rule(collection=COLLECTIONS, name=NAMES, offset=OFFSETS, back=st.none() | BACK)
    def delete(self, collection, name, offset, back):
        expected, fence = self.version(collection, name, offset), self.fence(back)

        one, other = self.both(lambda board, side: board.delete(collection, name, expected=expected, fence=fence[side]))
        assert one == other

    @rule(collection=COLLECTIONS, name=NAMES, owner=OWNERS, span=SPANS, offset=OFFSETS)
    def claim(self, collection, name, owner, span, offset):
        expected = self.version(collection, name, offset)

        async def verb(board: Board, _: int) -> tuple[Record | None, int]:
            return await board.claim(collection, name, owner, span=span, expected=expected), await board.now()

        (one, now), (other, then) = self.both(verb, ends=span == SHORT)
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert one.lease is not None
            assert other.lease is not None
            pair = (one.lease.fence, other.lease.fence)
            if pair not in self.fences:
                assert all(old < new for last in self.fences[-1:] for old, new in zip(last, pair, strict=True))
                self.fences.append(pair)
            assert self.plain(one, 0, now) == self.plain(other, 1, then)

    @rule(collection=COLLECTIONS, name=NAMES, span=SPANS, back=BACK)
    def renew(self, collection, name, span, back):
        fence = self.fence(back)

        one, other = self.both(
            lambda board, side: board.renew(collection, name, fence=fence[side], span=span), ends=span == SHORT
        )
        assert one == other

    @rule(collection=COLLECTIONS, name=NAMES, back=BACK)
    def release(self, collection, name, back):
        fence = self.fence(back)

        one, other = self.both(lambda board, side: board.release(collection, name, fence=fence[side]))
        assert one == other

    @rule(
        counter=COLLECTIONS,
        writer=NAMES,
        sequence=st.integers(1, 12),
        amounts=AMOUNTS,
        ttl=TTLS.filter(bool),
    )
    def count(self, counter, writer, sequence, amounts, ttl):
        one, other = self.both(
            lambda board, _: board.count(counter, writer, sequence, amounts, ttl=ttl), ends=ttl == SHORT
        )
        assert one == other

    @rule(name=COLLECTIONS, members=MEMBERS, ttl=TTLS)
    def add(self, name, members, ttl):
        one, other = self.both(lambda board, _: board.add(name, members, ttl=ttl), ends=ttl == SHORT)
        assert one == other

    @rule(name=COLLECTIONS, members=MEMBERS)
    def remove(self, name, members):
        self.both(lambda board, _: board.remove(name, members))

    @rule(name=COLLECTIONS, limit=st.integers(1, 3), offset=st.integers(0, 4))
    def page(self, name, limit, offset):
        async def verb(board: Board, _: int) -> list[str]:
            return [member.text for member in await board.members(name, limit=limit, offset=offset)]

        one, other = self.both(verb)
        assert one == other

    @invariant()
    def holds_what_the_reference_holds(self) -> None:
        if self.stores:
            one, other = self.both(self.everything)
            assert one == other

    async def everything(self, board: Board, side: int) -> object:
        held = []
        for name in ("jobs", "a"):
            found = await board.list(name)
            records = {key: self.plain(record, side, found.now) for key, record in found.records.items()}
            single = {key: self.plain(await board.get(name, key), side, found.now) for key in found.records}
            assert single == records
            members = [member.text for member in await board.members(name)]
            assert len(members) == await board.size(name)
            held.append((records, members))
        return held, list(await board.counts(["jobs", "a"]))


def age(instant: int | None, now: int) -> int | None:
    """Return how long something lasts from now on, in steps that no slowness can blur; 0 if it is over."""
    return None if instant is None else max(0, round((instant - now) / 1e9 / AGE + 0.25))
