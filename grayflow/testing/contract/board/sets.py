"""Sets: members in the order in which they came."""

from collections.abc import Sequence

import pytest

from grayflow.store.board import Board
from grayflow.testing.contract.board.kit import LONG, NAMES, SHORT, TEXTS, PassTime, passed, two_boards
from grayflow.testing.contract.kit import Contract, OpenStore


async def texts(board: Board, name: str = "dirty", *, limit: int = 1000, offset: int = 0) -> Sequence[str]:
    """Return the members without their times."""
    return [member.text for member in await board.members(name, limit=limit, offset=offset)]


class Collecting(Contract):
    """`add`, `remove`, `members` and `size`."""

    async def test_a_set_that_nobody_made_is_empty(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, _):
            assert list(await board.members("dirty")) == []
            assert await board.size("dirty") == 0
            await board.remove("dirty", ["a"])

    async def test_what_was_added_is_there(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, other):
            before = await board.now()
            assert await board.add("dirty", ["a", "b"]) == {"a", "b"}
            after = await board.now()

            found = await other.members("dirty")

            assert [member.text for member in found] == ["a", "b"]
            assert all(before <= member.since <= after for member in found)
            assert await other.size("dirty") == 2

    async def test_only_what_was_not_there_is_told(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, other):
            await board.add("dirty", ["a", "b"])

            assert await other.add("dirty", ["b", "c", "c"]) == {"c"}
            assert await board.add("dirty", {"a": 1, "b": 2}) == frozenset()
            assert await board.size("dirty") == 3

    async def test_the_oldest_comes_first(self, open_store: OpenStore, pass_time: PassTime) -> None:
        async with two_boards(open_store) as (board, other):
            for member in ("c", "a", "d", "b"):
                await board.add("dirty", [member])
                await passed(board, await board.now() + 1_000_000, pass_time)

            assert await texts(other) == ["c", "a", "d", "b"]

    async def test_members_of_one_instant_come_by_their_text(self, open_store: OpenStore) -> None:
        names = ["b", "a", "B", "\x00", "\xe9", "\uffee", "\U0001f600", "aa", "10", "9", "a\x00", " "]
        async with two_boards(open_store) as (board, other):
            await board.add("dirty", names)

            assert await texts(other) == sorted(names)
            assert len({member.since for member in await other.members("dirty")}) == 1

    async def test_what_is_there_keeps_its_time(self, open_store: OpenStore, pass_time: PassTime) -> None:
        async with two_boards(open_store) as (board, other):
            await board.add("dirty", ["b"])
            (first,) = await board.members("dirty")
            await passed(board, first.since + 1_000_000, pass_time)

            await other.add("dirty", ["a", "b"])

            kept, new = await board.members("dirty")
            assert kept == first
            assert (new.text, new.since > first.since) == ("a", True)

    async def test_what_was_removed_is_gone(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, other):
            await board.add("dirty", ["a", "b", "c"])

            await other.remove("dirty", ["a", "c", "never"])
            await other.remove("dirty", ["a"])

            assert await texts(board) == ["b"]
            assert await board.size("dirty") == 1

    async def test_what_was_removed_may_come_again(self, open_store: OpenStore, pass_time: PassTime) -> None:
        async with two_boards(open_store) as (board, other):
            await board.add("dirty", ["a"])
            (first,) = await board.members("dirty")
            await board.remove("dirty", ["a"])
            assert await board.size("dirty") == 0
            await passed(board, first.since + 1_000_000, pass_time)

            assert await other.add("dirty", ["a"]) == {"a"}

            (again,) = await board.members("dirty")
            assert again.since > first.since

    async def test_nothing_is_nothing_to_do(self, open_store: OpenStore, pass_time: PassTime) -> None:
        async with two_boards(open_store) as (board, _):
            await board.remove("none", [])
            assert await board.add("none", []) == frozenset()
            await board.add("dirty", ["a"], ttl=SHORT)
            ends = await board.now() + int(SHORT * 1e9)

            assert await board.add("dirty", [], ttl=LONG) == frozenset()
            await board.remove("dirty", [])

            assert await board.size("none") == 0
            await passed(board, ends, pass_time)
            assert await board.size("dirty") == 0

    async def test_a_part_can_be_asked_for(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, _):
            await board.add("dirty", list("fbdace"))

            assert await texts(board, limit=2) == ["a", "b"]
            assert await texts(board, limit=2, offset=2) == ["c", "d"]
            assert await texts(board, limit=1, offset=5) == ["f"]
            assert await texts(board, limit=3, offset=4) == ["e", "f"]
            assert await texts(board, offset=6) == []
            assert await texts(board, offset=5000) == []

    async def test_a_thousand_are_given_at_once(self, open_store: OpenStore) -> None:
        names = [f"m{number:04}" for number in range(1203)]
        async with two_boards(open_store) as (board, other):
            assert await board.add("dirty", names) == frozenset(names)

            assert await texts(other) == names[:1000]
            assert await texts(other, offset=1000) == names[1000:]
            assert await texts(other, limit=5000) == names
            assert await other.size("dirty") == 1203
            await other.remove("dirty", names[1:])
            assert await texts(board) == names[:1]

    async def test_sets_know_nothing_of_each_other(self, open_store: OpenStore) -> None:
        async with two_boards(open_store) as (board, _):
            await board.add("dirty", ["a"])
            await board.add("dirty:a", ["b"])
            await board.add("Dirty", ["c"])
            await board.remove("dirty", ["b", "c"])

            assert [await texts(board, name) for name in ("dirty", "dirty:a", "Dirty")] == [["a"], ["b"], ["c"]]

    @pytest.mark.parametrize("member", TEXTS.values(), ids=TEXTS)
    async def test_any_text_is_a_member(self, open_store: OpenStore, member: str) -> None:
        async with two_boards(open_store) as (board, other):
            assert await board.add("dirty", [member]) == {member}
            assert await other.add("dirty", [member]) == frozenset()
            assert await texts(other) == [member]

            await board.remove("dirty", [member])

            assert await texts(other) == []

    @pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
    async def test_any_name_names_a_set(self, open_store: OpenStore, name: str) -> None:
        async with two_boards(open_store) as (board, other):
            await board.add(name, ["a"])

            assert await texts(other, name) == ["a"]


class Fading(Contract):
    """`ttl` of sets."""

    async def test_a_set_is_gone_after_its_time(self, open_store: OpenStore, pass_time: PassTime) -> None:
        async with two_boards(open_store) as (board, other):
            await board.add("dirty", ["a", "b"], ttl=SHORT)
            await board.add("stays", ["a"])
            ends = await board.now() + int(SHORT * 1e9)
            await passed(board, ends, pass_time)

            assert list(await other.members("dirty")) == []
            assert await other.size("dirty") == 0
            assert await texts(other, "stays") == ["a"]
            await other.remove("dirty", ["a"])
            assert await other.add("dirty", ["b"]) == {"b"}
            (member,) = await board.members("dirty")
            assert (member.text, member.since >= ends) == ("b", True)

    async def test_every_add_counts_the_time_anew(self, open_store: OpenStore, pass_time: PassTime) -> None:
        async with two_boards(open_store) as (board, other):
            await board.add("longer", ["a"], ttl=SHORT)
            await board.add("shorter", ["a"], ttl=LONG)
            await board.add("staying", ["a"], ttl=SHORT)
            await board.add("going", ["a"])
            await other.add("longer", ["a"], ttl=LONG)
            await other.add("shorter", ["a", "b"], ttl=SHORT)
            await other.add("staying", ["a"])
            await other.add("going", ["a"], ttl=SHORT)
            await passed(board, await board.now() + int(SHORT * 1e9), pass_time)

            found = [await texts(board, name) for name in ("longer", "shorter", "staying", "going")]

            assert found == [["a"], [], ["a"], []]

    async def test_removing_does_not(self, open_store: OpenStore, pass_time: PassTime) -> None:
        async with two_boards(open_store) as (board, other):
            await board.add("dirty", ["a", "b"], ttl=SHORT)
            ends = await board.now() + int(SHORT * 1e9)
            await other.remove("dirty", ["a"])
            await passed(board, ends, pass_time)

            assert await board.size("dirty") == 0
