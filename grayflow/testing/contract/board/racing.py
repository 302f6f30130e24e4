"""Many tasks at once, and tasks that give up half-way: each verb is done whole and once, or not at all."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from random import Random
from typing import TypeVar

import anyio
import pytest

from grayflow.store.board import Board, Record
from grayflow.testing.contract.board.kit import LONG, PassTime, held, leased, passed, two_boards
from grayflow.testing.contract.kit import Contract, OpenStore

T = TypeVar("T")

MANY = 50


async def at_once(boards: Sequence[Board], verb: Callable[[Board, int], Awaitable[T]], times: int = MANY) -> list[T]:
    """Call a verb many times at once, on the boards in turn, and return the answers."""
    answers: list[T] = []

    async def call(number: int) -> None:
        answers.append(await verb(boards[number % len(boards)], number))

    async with anyio.create_task_group() as tasks:
        for number in range(times):
            tasks.start_soon(call, number)
    return answers


class Racing(Contract):
    """Several tasks and instances at once."""

    async def test_of_many_that_claim_one_gets_it(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as boards:
            answers = await at_once(
                boards, lambda board, number: board.claim("jobs", "a", f"owner {number}", span=LONG)
            )

            (won,) = [record for record in answers if record is not None]
            assert await boards[0].get("jobs", "a") == won

    async def test_of_many_that_take_over_one_gets_it(self, open_store: OpenStore, pass_time: PassTime) -> None:
        async with two_boards(open_store) as boards:
            first = await held(boards[0], owner="dead", span=0.05)
            await passed(boards[0], first.until, pass_time)

            answers = await at_once(
                boards, lambda board, number: board.claim("jobs", "a", f"owner {number}", span=LONG)
            )

            (won,) = [record for record in answers if record is not None]
            assert leased(won).fence > first.fence

    async def test_every_holder_has_a_fence_of_its_own(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as boards:
            leases = await at_once(boards, lambda board, number: held(board, f"{number}", "ada"))

            assert len({lease.fence for lease in leases}) == MANY

    async def test_of_many_that_put_from_one_version_one_does(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as boards:
            answers = await at_once(boards, lambda board, number: board.put("jobs", "a", b"%d" % number, expected=0))

            (won,) = [record for record in answers if record is not None]
            assert await boards[0].get("jobs", "a") == won == Record(value=won.value, version=1)

    async def test_no_update_is_lost(self, open_store: OpenStore) -> None:
        async def count_up(board: Board, number: int) -> None:
            for turn in range(5):
                done = None
                while done is None:
                    found = await board.get("jobs", "a")
                    count = int(found.value.split()[0]) if found is not None else 0
                    # Whose it is stands in it, because equal bytes would be taken for one write and its repetition.
                    value = b"%d by %d in turn %d" % (count + 1, number, turn)
                    done = await board.put("jobs", "a", value, expected=found.version if found is not None else 0)

        async with two_boards(open_store) as boards:
            await at_once(boards, count_up, 8)

            record = await boards[0].get("jobs", "a")
            assert record is not None
            assert (record.version, record.value.split()[0]) == (40, b"40")

    async def test_puts_without_conditions_are_all_made(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as boards:
            answers = await at_once(boards, lambda board, number: board.put("jobs", "a", b"%d" % number))

            assert sorted(record.version for record in answers if record is not None) == list(range(1, MANY + 1))

    async def test_all_batches_are_added(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as boards:
            told = await at_once(
                boards, lambda board, number: board.count("hits", f"w{number}", 1, {"on": number, "all": 1}, ttl=LONG)
            )

            assert told == [True] * MANY
            assert list(await boards[0].counts(["hits"])) == [{"on": sum(range(MANY)), "all": MANY}]

    async def test_a_batch_that_many_send_is_added_once(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as boards:
            told = await at_once(boards, lambda board, _: board.count("hits", "w", 1, {"on": 1}, ttl=LONG))

            assert sorted(told) == [False] * (MANY - 1) + [True]
            assert list(await boards[0].counts(["hits"])) == [{"on": 1}]

    async def test_of_many_that_add_a_member_one_is_told(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as boards:
            told = await at_once(
                boards, lambda board, number: board.add("dirty", [f"{number % 7}", f"{number % 5}", "all"])
            )

            assert Counter(member for new in told for member in new) == dict.fromkeys([*"0123456", "all"], 1)
            assert await boards[0].size("dirty") == 8

    async def test_a_list_is_read_together(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, other):
            await board.put("jobs", "first", b"")
            await board.put("jobs", "second", b"")
            done = anyio.Event()

            async def write() -> None:
                for _ in range(40):
                    await board.put("jobs", "first", b"")
                    await board.put("jobs", "second", b"")
                done.set()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(write)
                while not done.is_set():
                    records = (await other.list("jobs")).records
                    assert records["first"].version - records["second"].version in (0, 1)


either_way = pytest.mark.parametrize("native", [False, True], ids=["scope", "task"])


class GivingUp(Contract):
    """A cancelled verb was done or was not, and repeating it does no harm."""

    @either_way
    async def test_a_cancelled_put_may_be_repeated(self, open_store: OpenStore, *, native: bool) -> None:
        async with two_boards(open_store) as (board, other):
            for number in range(40):

                async def put(number: int = number) -> Record | None:
                    return await board.put("jobs", "a", b"%d" % number, expected=number)

                await give_up(put, number, native=native)

                assert await put() == Record(value=b"%d" % number, version=number + 1) == await other.get("jobs", "a")

    @either_way
    async def test_a_cancelled_claim_may_be_repeated(self, open_store: OpenStore, *, native: bool) -> None:
        async with two_boards(open_store) as (board, other):
            for number in range(40):

                async def claim(name: str = f"{number}") -> Record | None:
                    return await board.claim("jobs", name, "ada", span=LONG)

                await give_up(claim, number, native=native)

                lease = leased(await claim())
                assert leased(await other.get("jobs", f"{number}")) == lease
                assert await other.claim("jobs", f"{number}", "ben", span=LONG) is None
                assert await other.release("jobs", f"{number}", fence=lease.fence)

    @either_way
    async def test_a_cancelled_batch_may_be_repeated(self, open_store: OpenStore, *, native: bool) -> None:
        async with two_boards(open_store) as (board, other):
            for number in range(1, 41):

                async def count(number: int = number) -> bool:
                    return await board.count("hits", "w", number, {"on": 1, "sum": number}, ttl=LONG)

                await give_up(count, number, native=native)
                await count()

            assert list(await other.counts(["hits"])) == [{"on": 40, "sum": sum(range(41))}]

    @either_way
    async def test_a_cancelled_add_may_be_repeated(self, open_store: OpenStore, *, native: bool) -> None:
        async with two_boards(open_store) as (board, other):
            for number in range(40):

                async def add(number: int = number) -> frozenset[str]:
                    return await board.add("dirty", [f"{number}", f"{number}b"])

                await give_up(add, number, native=native)

                assert await add() in (frozenset(), {f"{number}", f"{number}b"})
                assert await other.size("dirty") == 2 * number + 2


async def give_up(verb: Callable[[], Awaitable[object]], seed: int, *, native: bool) -> None:
    """Call a verb and do not wait for its answer, or not quite."""
    after_s = Random(seed).random() * 0.004  # noqa: S311 - the same each time
    if native:
        with suppress(TimeoutError):
            await asyncio.wait_for(verb(), after_s)
    else:
        with anyio.move_on_after(after_s):
            await verb()
