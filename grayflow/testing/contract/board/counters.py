"""Counters: what several writers add, each batch once."""

import pytest

from grayflow.testing.contract.board.kit import LONG, NAMES, SHORT, TEXTS, PassTime, passed, two_boards
from grayflow.testing.contract.kit import Contract, OpenStore

MOST = 2**53


class Counting(Contract):
    """`count` and `counts`."""

    async def test_a_batch_is_added(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, other):
            assert await board.count("hits", "w", 1, {"on": 3, "off": 1}, ttl=LONG)

            assert list(await other.counts(["hits"])) == [{"on": 3, "off": 1}]

    async def test_batches_and_writers_add_up(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, other):
            await board.count("hits", "v", 1, {"on": 3, "off": 1}, ttl=LONG)
            await other.count("hits", "w", 1, {"on": 4}, ttl=LONG)
            await board.count("hits", "v", 2, {"on": -5, "new": 7}, ttl=LONG)

            assert list(await other.counts(["hits"])) == [{"on": 2, "off": 1, "new": 7}]

    async def test_counters_come_in_the_order_asked(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, _):
            for number, counter in enumerate(["b", "a", "b:a"]):
                await board.count(counter, "w", 1, {"n": number}, ttl=LONG)

            assert list(await board.counts(["b", "none", "b:a", "a", "b"])) == [
                {"n": 0},
                {},
                {"n": 2},
                {"n": 1},
                {"n": 0},
            ]
            assert list(await board.counts([])) == []

    async def test_a_batch_is_added_once(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, other):
            assert await board.count("hits", "w", 1, {"on": 3}, ttl=LONG)

            assert not await board.count("hits", "w", 1, {"on": 3}, ttl=LONG)
            assert not await other.count("hits", "w", 1, {"on": 5, "off": 5}, ttl=LONG)

            assert list(await board.counts(["hits"])) == [{"on": 3}]

    async def test_only_a_higher_number_is_added(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, _):
            told = [await board.count("hits", "w", number, {"on": 1}, ttl=LONG) for number in (5, 4, 1, 6, 5, 90, 10)]

            assert told == [True, False, False, True, False, True, False]
            assert list(await board.counts(["hits"])) == [{"on": 3}]

    async def test_numbers_up_to_2_to_53_are_told_apart(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, _):
            told = [
                await board.count("hits", "w", number, {"on": 1}, ttl=LONG)
                for number in (9, 10, MOST - 1, MOST, MOST, MOST - 1)
            ]

            assert told == [True, True, True, True, False, False]

    async def test_every_writer_has_numbers_of_its_own(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, _):
            assert await board.count("hits", "v", 5, {"on": 1}, ttl=LONG)
            assert await board.count("hits", "w", 1, {"on": 1}, ttl=LONG)
            assert await board.count("other", "v", 1, {"on": 1}, ttl=LONG)

            assert list(await board.counts(["hits", "other"])) == [{"on": 2}, {"on": 1}]

    async def test_sums_are_exact(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, _):
            await board.count("hits", "w", 1, {"up": MOST, "down": -MOST, "none": 0}, ttl=LONG)
            await board.count("hits", "w", 2, {"up": 1, "down": -1, "none": 0}, ttl=LONG)
            await board.count("hits", "w", 3, {"up": MOST, "down": -MOST}, ttl=LONG)

            assert list(await board.counts(["hits"])) == [{"up": 2 * MOST + 1, "down": -2 * MOST - 1, "none": 0}]

    async def test_a_batch_of_nothing_takes_its_number(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, _):
            assert await board.count("hits", "w", 1, {}, ttl=LONG)
            assert not await board.count("hits", "w", 1, {"on": 1}, ttl=LONG)

            assert list(await board.counts(["hits"])) == [{}]

    @pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
    async def test_any_text_names_a_writer_or_a_field(self, open_store: OpenStore, text: str) -> None:
        async with two_boards(open_store) as (board, other):
            assert await board.count("hits", text, 1, {text: 3}, ttl=LONG)
            assert not await other.count("hits", text, 1, {text: 3}, ttl=LONG)
            assert await other.count("hits", "w", 1, {text: 4}, ttl=LONG)

            assert list(await board.counts(["hits"])) == [{text: 7}]

    async def test_writers_and_fields_do_not_meet(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, _):
            await board.count("hits", "a", 7, {"b": 1}, ttl=LONG)
            await board.count("hits", "b", 1, {"a": 1}, ttl=LONG)

            assert not await board.count("hits", "a", 2, {"b": 1}, ttl=LONG)
            assert list(await board.counts(["hits"])) == [{"b": 1, "a": 1}]

    @pytest.mark.parametrize("counter", NAMES.values(), ids=NAMES)
    async def test_any_name_names_a_counter(self, open_store: OpenStore, counter: str) -> None:
        async with two_boards(open_store) as (board, other):
            await board.count(counter, "w", 1, {"on": 1}, ttl=LONG)

            assert list(await other.counts([counter])) == [{"on": 1}]

    async def test_a_counter_is_gone_after_its_time(self, open_store: OpenStore, pass_time: PassTime) -> None:
        async with two_boards(open_store) as (board, other):
            await board.count("hits", "w", 5, {"on": 1, "off": 1}, ttl=SHORT)
            await board.count("stays", "w", 5, {"on": 1}, ttl=LONG)
            await passed(board, await board.now() + int(SHORT * 1e9), pass_time)

            assert list(await other.counts(["hits", "stays"])) == [{}, {"on": 1}]
            assert await other.count("hits", "w", 1, {"on": 2}, ttl=LONG)  # its numbers are gone too
            assert list(await board.counts(["hits"])) == [{"on": 2}]

    async def test_a_batch_counts_the_time_anew(self, open_store: OpenStore, pass_time: PassTime) -> None:
        async with two_boards(open_store) as (board, other):
            await board.count("shorter", "w", 1, {"on": 1}, ttl=LONG)
            await board.count("longer", "w", 1, {"on": 1}, ttl=SHORT)
            await other.count("shorter", "w", 2, {"on": 1}, ttl=SHORT)
            await other.count("longer", "v", 2, {"off": 1}, ttl=LONG)
            await passed(board, await board.now() + int(SHORT * 1e9), pass_time)

            shorter, longer = await board.counts(["shorter", "longer"])

            assert shorter == {}
            assert longer in ({"on": 1, "off": 1}, {"off": 1})  # `on` may have been gone before

    async def test_a_batch_that_was_added_before_does_not(self, open_store: OpenStore, pass_time: PassTime) -> None:
        async with two_boards(open_store) as (board, other):
            await board.count("hits", "w", 1, {"on": 1}, ttl=1)
            added = await other.count("hits", "w", 1, {"on": 1}, ttl=LONG)
            await passed(board, await board.now() + 1_000_000_000, pass_time)

            assert list(await board.counts(["hits"])) == [{"on": 1} if added else {}]
