"""
The contract of the two stores of a migration, as tests: what `MigrationStore` says in prose.

    class TestMyOrders(MigrationStoreContract):
        @pytest.fixture
        def rows(self, tmp_path):
            return MyOrders(tmp_path / "orders.db")

        @pytest.fixture
        def make_row(self):
            return lambda key, version, at: Order(key, version, at)
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import anyio
import pytest

from grayflow.release.migration.adapter import MigrationStore
from grayflow.testing.contract.kit import Contract

__all__ = ["MakeRow", "MigrationStoreContract"]

MakeRow = Callable[[str, int, int], Any]
"""
Makes a row: of that key, of that version, and so that it stands at that place in lists (a whole number that grows).
Called twice alike it makes equal rows.
"""

KEYS = ("10", "9", "A", "B", "a", "a b", "b", "ä", "灰", "\U0001f600")
"""In ascending order of code points, which is not that of any language."""


class _Reading(Contract):
    """What is read back."""

    @pytest.fixture
    def query(self) -> Any:
        """The query for all rows; override it where `None` is another one."""
        return None

    async def test_nothing_is_there_at_first(self, rows: MigrationStore[Any], query: Any) -> None:
        assert await rows.get("a") is None
        assert await rows.exists("a") is False
        assert await rows.tombstone("a") is None
        assert list(await rows.list(query, None, 10)) == list(await rows.scan(None, 10)) == []

    async def test_a_row_is_found_as_it_was_written(
        self, rows: MigrationStore[Any], make_row: MakeRow, query: Any
    ) -> None:
        row = make_row("a", 3, 7)
        assert await rows.upsert_if_newer(row, 3) is True

        assert await rows.get("a") == row
        assert await rows.exists("a") is True
        assert await rows.tombstone("a") is None
        assert list(await rows.list(query, None, 10)) == list(await rows.scan(None, 10)) == [row]

    async def test_a_scan_goes_by_code_points_and_from_behind_a_key(
        self, rows: MigrationStore[Any], make_row: MakeRow
    ) -> None:
        made = [make_row(key, 1, 0) for key in KEYS]
        for row in reversed(made):
            await rows.upsert_if_newer(row, 1)

        assert list(await rows.scan(None, 100)) == made
        for number, key in enumerate(KEYS):
            assert list(await rows.scan(key, 2)) == made[number + 1 : number + 3]
        assert list(await rows.scan("a ", 1)) == [made[5]]  # a key need not be there

    async def test_a_list_goes_by_place_and_then_by_key(
        self, rows: MigrationStore[Any], make_row: MakeRow, query: Any
    ) -> None:
        places = [(at, key) for at in (2, 10) for key in KEYS]
        made = [make_row(f"{key}{at}", 1, at) for at, key in places]
        keys = [(at, f"{key}{at}") for at, key in places]
        in_order = [row for _, row in sorted(zip(keys, made, strict=True), key=lambda pair: pair[0])]
        for row in reversed(made):
            await rows.upsert_if_newer(row, 1)

        assert list(await rows.list(query, None, 100)) == in_order
        for number, place in enumerate(sorted(keys)):
            assert list(await rows.list(query, place, 3)) == in_order[number + 1 : number + 4]


class _Versions(Contract):
    """The newest stays, whatever comes in which order."""

    async def test_what_is_newer_is_written_over(self, rows: MigrationStore[Any], make_row: MakeRow) -> None:
        await rows.upsert_if_newer(make_row("a", 3, 0), 3)

        assert await rows.upsert_if_newer(make_row("a", 4, 1), 4) is True
        assert await rows.get("a") == make_row("a", 4, 1)

    @pytest.mark.parametrize("version", [3, 2, 0])
    async def test_what_is_not_newer_changes_nothing(
        self, rows: MigrationStore[Any], make_row: MakeRow, version: int
    ) -> None:
        await rows.upsert_if_newer(make_row("a", 3, 0), 3)

        assert await rows.upsert_if_newer(make_row("a", version, 9), version) is False
        assert await rows.get("a") == make_row("a", 3, 0)

    @pytest.mark.parametrize("version", [2, 3, 4])
    async def test_an_insert_changes_no_row_that_is_there(
        self, rows: MigrationStore[Any], make_row: MakeRow, version: int
    ) -> None:
        assert await rows.insert(make_row("a", 3, 0), 3) is True

        assert await rows.insert(make_row("a", version, 9), version) is False
        assert await rows.get("a") == make_row("a", 3, 0)

    async def test_large_versions_are_compared_as_numbers(self, rows: MigrationStore[Any], make_row: MakeRow) -> None:
        large = 1_767_225_600_123_456_789
        await rows.upsert_if_newer(make_row("a", 9, 0), 9)
        assert await rows.upsert_if_newer(make_row("a", 10, 0), 10) is True
        assert await rows.upsert_if_newer(make_row("a", large, 0), large) is True
        assert await rows.upsert_if_newer(make_row("a", large, 0), large) is False
        assert await rows.delete_if_not_newer("a", large - 1) is False

    async def test_of_many_at_once_the_newest_stays(self, rows: MigrationStore[Any], make_row: MakeRow) -> None:
        versions = (3, 9, 1, 7, 10, 2, 8)
        await _at_once([partial(rows.upsert_if_newer, make_row("a", one, one), one) for one in versions])

        assert await rows.get("a") == make_row("a", 10, 10)

    async def test_of_many_inserts_at_once_one_is_done(self, rows: MigrationStore[Any], make_row: MakeRow) -> None:
        done = await _at_once([partial(rows.insert, make_row("a", one, one), one) for one in range(1, 9)])

        assert done.count(True) == 1


class _Deletions(Contract):
    """A deletion counts like a write, and is remembered."""

    @pytest.fixture
    def query(self) -> Any:
        """The query for all rows; override it where `None` is another one."""
        return None

    @pytest.mark.parametrize("version", [3, 4])
    async def test_a_deleted_row_is_nowhere_and_leaves_a_tombstone(
        self, rows: MigrationStore[Any], make_row: MakeRow, query: Any, version: int
    ) -> None:
        await rows.upsert_if_newer(make_row("a", 3, 0), 3)

        assert await rows.delete_if_not_newer("a", version) is True
        assert await rows.get("a") is None
        assert await rows.exists("a") is False
        assert await rows.tombstone("a") == version
        assert list(await rows.list(query, None, 10)) == list(await rows.scan(None, 10)) == []

    async def test_a_row_that_is_newer_stays(self, rows: MigrationStore[Any], make_row: MakeRow) -> None:
        await rows.upsert_if_newer(make_row("a", 3, 0), 3)

        assert await rows.delete_if_not_newer("a", 2) is False
        assert await rows.get("a") == make_row("a", 3, 0)
        assert await rows.tombstone("a") is None

    async def test_the_deletion_of_what_never_was_is_remembered(
        self, rows: MigrationStore[Any], make_row: MakeRow
    ) -> None:
        """The copy of that row may be on its way."""
        assert await rows.delete_if_not_newer("a", 3) is True

        assert await rows.tombstone("a") == 3
        assert await rows.upsert_if_newer(make_row("a", 3, 0), 3) is False
        assert await rows.get("a") is None

    @pytest.mark.parametrize("version", [1, 3])
    async def test_no_late_copy_brings_a_deleted_row_back(
        self, rows: MigrationStore[Any], make_row: MakeRow, version: int
    ) -> None:
        await rows.upsert_if_newer(make_row("a", 3, 0), 3)
        await rows.delete_if_not_newer("a", 3)

        assert await rows.upsert_if_newer(make_row("a", version, 0), version) is False
        assert await rows.insert(make_row("a", version, 0), version) is False
        assert await rows.get("a") is None
        assert await rows.tombstone("a") == 3

    async def test_a_newer_row_takes_the_place_of_a_tombstone(
        self, rows: MigrationStore[Any], make_row: MakeRow
    ) -> None:
        for key, write in (("a", rows.upsert_if_newer), ("b", rows.insert)):
            await rows.delete_if_not_newer(key, 3)
            assert await write(make_row(key, 4, 0), 4) is True
            assert await rows.get(key) == make_row(key, 4, 0)
            assert await rows.tombstone(key) is None

    async def test_the_newest_of_several_deletions_is_remembered(self, rows: MigrationStore[Any]) -> None:
        for version in (3, 5, 4):
            assert await rows.delete_if_not_newer("a", version) is True

        assert await rows.tombstone("a") == 5

    async def test_a_copy_and_its_deletion_at_once_end_without_it(
        self, rows: MigrationStore[Any], make_row: MakeRow
    ) -> None:
        for number in range(20):
            key = f"k{number}"
            works = [
                partial(rows.upsert_if_newer, make_row(key, 3, 0), 3),
                partial(rows.delete_if_not_newer, key, 3),
            ]
            await _at_once(works if number % 2 else works[::-1])
            assert await rows.get(key) is None


class MigrationStoreContract(_Reading, _Versions, _Deletions):
    """
    Everything that a `grayflow.release.MigrationStore` promises.

    Subclasses provide two fixtures. `rows` is the store, without any row. `make_row` is a function that makes a row of
    a key, a version and a place, a whole number; `Migration(order=)` has to return that place, whatever it is in the
    row. `query` may be overridden: what `list` is given to return all rows.
    """


async def _at_once(works: Sequence[Callable[[], Any]]) -> list[Any]:
    done: list[Any] = []

    async def run(work: Callable[[], Any]) -> None:
        done.append(await work())

    async with anyio.create_task_group() as tasks:
        for work in works:
            tasks.start_soon(run, work)
    return done
