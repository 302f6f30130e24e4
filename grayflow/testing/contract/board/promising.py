"""Durable writes: a board that takes a durability keeps to it, or says at the write that it could not."""

from contextlib import suppress
from typing import Any

import pytest

from grayflow.errors import ConfigurationError, UnacknowledgedError
from grayflow.store.board import Board
from grayflow.store.durability import Durability
from grayflow.testing.contract.board.kit import LONG, two_boards
from grayflow.testing.contract.board.limits import NAMED
from grayflow.testing.contract.kit import Contract, OpenStore

DURABILITIES = [
    Durability(local=True, timeout=0.05),
    Durability(replicas=1, timeout=0.05),
    Durability(synced_replicas=1, timeout=0.05),
]
WRITES: dict[str, Any] = {
    "put": lambda board: board.put("jobs", "a", b"1", expected=0),
    "claim": lambda board: board.claim("jobs", "a", "ada", span=LONG),
    "count": lambda board: board.count("hits", "w", 1, {"on": 1}, ttl=LONG),
    "add": lambda board: board.add("dirty", ["a"]),
}
"""Verbs of which an observer can tell whether they were done."""


class Promising(Contract):
    """`durable`."""

    @pytest.mark.parametrize("verb", WRITES)
    @pytest.mark.parametrize("durability", DURABILITIES, ids=["local", "replicas", "synced replicas"])
    async def test_a_write_that_has_to_be_safe_is_made_or_never_promised(
        self, open_store: OpenStore, durability: Durability, verb: str
    ) -> None:
        async with two_boards(open_store) as (board, other):
            if (safe := taken(board, durability)) is None:
                assert await traces(other) == 0
                return
            with suppress(UnacknowledgedError):
                assert await WRITES[verb](safe)

            assert await traces(other) == 1

    @pytest.mark.parametrize("durability", DURABILITIES, ids=["local", "replicas", "synced replicas"])
    async def test_reading_and_what_is_refused_need_no_acknowledgement(
        self, open_store: OpenStore, durability: Durability
    ) -> None:
        async with two_boards(open_store) as (board, _):
            record = await board.put("jobs", "a", b"1")
            if (safe := taken(board, durability)) is None:
                return

            assert await safe.get("jobs", "a") == record
            assert await safe.put("jobs", "a", b"2", expected=7) is None
            assert await board.get("jobs", "a") == record
            assert await safe.now() >= await board.now() - 1_000_000_000

    @pytest.mark.parametrize("durability", DURABILITIES, ids=["local", "replicas", "synced replicas"])
    async def test_asking_for_it_changes_nothing_for_others(
        self, open_store: OpenStore, durability: Durability
    ) -> None:
        """The board that was asked goes on as before, whatever became of the other."""
        async with two_boards(open_store) as (board, _):
            taken(board, durability)

            for verb in NAMED.values():
                await verb(board, "jobs")


def taken(board: Board, durability: Durability) -> Board | None:
    """Return the board that promises it, `None` if it is refused."""
    with suppress(ConfigurationError):
        return board.durable(durability)
    return None


async def traces(board: Board) -> int:
    """Count what `WRITES` leave."""
    counts = await board.counts(["hits"])
    return (await board.get("jobs", "a") is not None) + len(counts[0]) + await board.size("dirty")
