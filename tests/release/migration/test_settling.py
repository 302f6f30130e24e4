"""Two copies of a row come to agree, from any state and in any order."""

import itertools

import pytest

from grayflow.release.migration.rules import Side
from grayflow.release.migration.settling import Copy, Settlement, settlement

STATES = [None, *(Copy(version, deleted) for version in (1, 2) for deleted in (False, True))]
PAIRS = list(itertools.product(STATES, STATES))


def apply(pair: tuple[Copy | None, Copy | None], todo: Settlement) -> tuple[Copy | None, Copy | None]:
    """Do it as a store does: never over what is newer."""
    copies = dict(zip(Side, pair, strict=True))
    held = copies[todo.side]
    if todo.delete and (held is None or held.version <= todo.version):
        copies[todo.side] = Copy(todo.version, deleted=True)
    elif not todo.delete and (held is None or held.version < todo.version):
        copies[todo.side] = Copy(todo.version)
    return copies[Side.OLD], copies[Side.NEW]


def row(copy: Copy | None) -> int | None:
    return None if copy is None or copy.deleted else copy.version


def newest(pair: tuple[Copy | None, Copy | None]) -> tuple[int, bool]:
    return max((copy.version, copy.deleted) for copy in pair if copy is not None)


@pytest.mark.parametrize("profile", ["split", "mirrored"])
@pytest.mark.parametrize("pair", PAIRS)
def test_one_settlement_is_enough(pair: tuple[Copy | None, Copy | None], profile: str) -> None:
    todo = settlement(*pair, profile)
    after = pair if todo is None else apply(pair, todo)

    assert settlement(*after, profile) is None
    assert after != pair or todo is None


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair != (None, None)])
def test_mirrored_stores_end_with_the_newest_write(pair: tuple[Copy | None, Copy | None]) -> None:
    todo = settlement(*pair, "mirrored")
    after = pair if todo is None else apply(pair, todo)

    version, deleted = newest(pair)
    assert [row(copy) for copy in after] == ([None, None] if deleted else [version, version])


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair != (None, None)])
def test_split_stores_are_equal_on_the_rows_of_the_old_one(pair: tuple[Copy | None, Copy | None]) -> None:
    todo = settlement(*pair, "split")
    old, new = pair if todo is None else apply(pair, todo)

    version, deleted = newest(pair)
    assert row(new) == (None if deleted else version)
    assert row(old) in {None, row(new)}


def test_a_row_that_is_only_in_the_new_store_stays_there_alone_in_a_split_migration() -> None:
    assert settlement(None, Copy(1), "split") is None
    assert settlement(Copy(1, deleted=True), Copy(2), "split") is None
    assert settlement(None, Copy(1), "mirrored") == Settlement(Side.OLD, 1)


def test_a_row_that_was_deleted_from_the_old_store_leaves_the_new_one() -> None:
    assert settlement(Copy(1, deleted=True), Copy(1), "split") == Settlement(Side.NEW, 1, delete=True)


def test_a_late_copy_changes_nothing() -> None:
    deleted = (Copy(2, deleted=True), Copy(2, deleted=True))

    assert apply(deleted, Settlement(Side.NEW, 1)) == deleted
    assert apply(deleted, Settlement(Side.NEW, 2)) == deleted
