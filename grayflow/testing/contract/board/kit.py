"""What the parts of the board's contract share: two boards on one place, and letting the board's time pass."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio

from grayflow.store.board import Board, Lease, Record
from grayflow.store.port import Store
from grayflow.testing.contract.kit import OpenStore, ready

__all__ = ["LONG", "NAMES", "SHORT", "TEXTS", "PassTime", "board_of", "held", "leased", "passed", "two_boards"]

PassTime = Callable[[float], Awaitable[None]]
"""
Lets the board's time go on by so many seconds. `FakeClock.advance` of the clock that the store was given, or
`SystemClock().sleep` where the time is a server's.
"""

SHORT = 0.05
"""Seconds that a test may really have to wait for, and that may be over at once on a slow machine."""
LONG = 600.0
"""Seconds that no test lives through."""
PATIENCE_S = 30

NAMES = {"one sign": "a", "all signs": "Az09._:/-", "long": "x" * 200, "a number": "7", "like a path": "../..//"}
"""Of collections, counters and sets."""
TEXTS = {
    "one sign": "a",
    "nul": "before\x00after",
    "only nul": "\x00",
    "lines": "one\r\ntwo\n",
    "blanks": "  a \t",
    "unicode": "灰度 \U0001f600 e\u0301 \u202e",
    "quotes": """'"; DROP TABLE flags; -- {} % \\""",
    "pattern": "*?[a-z]",
    "a number": "007",
    "like a key": "{gf:shop}:run:jobs",
    "long": "x" * 1000,
    "long in bytes": "灰" * 333,
}
"""Of records, members, owners, writers and fields."""


def board_of(store: Store) -> Board:
    """Return the board that a store under this contract has to have."""
    assert store.board is not None, f"{store!r} has no board"
    return store.board


@asynccontextmanager
async def two_boards(open_store: OpenStore) -> AsyncIterator[tuple[Board, Board]]:
    """Open the test's place as two processes would."""
    async with ready(open_store) as store, open_store() as other:
        yield board_of(store), board_of(other)


async def passed(board: Board, instant: int, pass_time: PassTime) -> None:
    """Wait until the board's time is past an instant."""
    with anyio.fail_after(PATIENCE_S):
        while (now := await board.now()) <= instant:
            await pass_time((instant - now) / 1e9 + 0.001)


async def held(
    board: Board, name: str = "a", owner: str = "ada", *, span: float = LONG, collection: str = "jobs"
) -> Lease:
    """Claim what is free and return the lease."""
    return leased(await board.claim(collection, name, owner, span=span))


def leased(record: Record | None) -> Lease:
    """Return the lease of a record that has to have one."""
    assert record is not None
    assert record.lease is not None
    return record.lease
