"""A board lives as long as its store is open; what was written lives longer."""

import asyncio
import os

import pytest
from anyio import to_thread

from grayflow.errors import LifetimeError
from grayflow.store.board import Board
from grayflow.testing.contract.board.kit import LONG, board_of, held, leased, two_boards
from grayflow.testing.contract.board.limits import NAMED
from grayflow.testing.contract.kit import Contract, OpenStore, edit, put, ready


async def use_all(board: Board) -> None:
    """Check that every verb is refused."""
    with pytest.raises(LifetimeError):
        await board.now()
    for verb in NAMED.values():
        with pytest.raises(LifetimeError):
            await verb(board, "jobs")


class Lasting(Contract):
    """Who may use a board, when, and what of it stays."""

    async def test_every_store_object_has_one_board(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            assert store.board is store.board is not None

    async def test_the_board_of_a_closed_store_is_refused(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            pass

        await use_all(board_of(store))

    async def test_another_loop_is_refused(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, _):
            await to_thread.run_sync(lambda: asyncio.run(use_all(board)))

    async def test_a_forked_child_is_refused(self, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
        async with two_boards(open_store) as (board, _):
            with monkeypatch.context() as child:
                child.setattr(os, "getpid", lambda: -1)

                await use_all(board)

    async def test_what_was_written_outlives_the_store_object(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, _):
            await board.put("jobs", "a", b"1", ttl=LONG)
            lease = await held(board)
            await board.count("hits", "w", 1, {"on": 1}, ttl=LONG)
            await board.add("dirty", ["a"])

        async with open_store() as store:
            board = board_of(store)
            record = await board.get("jobs", "a")
            assert record is not None
            assert (record.value, leased(record)) == (b"1", lease)
            assert not await board.count("hits", "w", 1, {"on": 1}, ttl=LONG)
            assert [member.text for member in await board.members("dirty")] == ["a"]
            assert (await held(board, "b")).fence > lease.fence

    async def test_the_time_goes_on(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, other):
            instants = [await board.now(), await other.now(), await board.now()]

            assert instants == sorted(instants)
            assert instants[0] > 1_600_000_000_000_000_000

    async def test_a_board_is_no_flag(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            (change,) = await put(store, edit())
            state = await store.load()
            board = board_of(store)
            await board.put("jobs", "checkout", b"1")
            await held(board)
            await board.count("hits", "w", 1, {"on": 1}, ttl=LONG)
            await board.add("dirty", ["a"])

            assert await store.position() == change.position
            assert await store.load() == state
            assert list(await store.changes(change.position) or ()) == []
            assert len(await store.history()) == 1

    async def test_flags_initialised_anew_leave_the_board_alone(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            board = board_of(store)
            record = await board.put("jobs", "a", b"1")
            lease = await held(board, "b")

            await store.init(replaces=["*"])

            assert await board.get("jobs", "a") == record
            assert leased(await board.get("jobs", "b")) == lease
