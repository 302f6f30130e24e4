"""What a process says of a store that it cannot use: what is true now, and the remedy that fits the cause."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from grayflow.core.position import Position
from grayflow.errors import NotInitializedError, StoreAccessError, StoreError, StoreFormatError, StoreUnavailableError
from grayflow.replica.troubles import Troubles, foreign
from grayflow.store.redis.layout import Layout
from grayflow.store.redis.translate import foreign as foreign_data
from grayflow.store.sqlite import SQLiteStore

pytestmark = pytest.mark.anyio

HELD = Position(epoch="e", revision=7, nonce="n")


class Serving:
    """A process, as far as its troubles look at it."""

    def __init__(self, held: Position | None = HELD):
        self.held = held
        self.troubles = Troubles("redis://h/0", "shop", lambda: self.held)

    def told(self, error: StoreError) -> str:
        self.troubles.report("store", error)
        assert self.troubles.text is not None
        return self.troubles.text


async def newer_file(path: Path) -> StoreError:
    async with SQLiteStore(path, "shop") as store:
        await store.init()
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 2")
    async with SQLiteStore(path, "shop") as store:
        with pytest.raises(StoreFormatError) as caught:
            await store.position()
    return caught.value


async def test_what_a_newer_release_wrote_is_never_to_be_replaced(tmp_path: Path):
    for error in (Layout("redis://h/0", "shop").newer(b"2"), await newer_file(tmp_path / "flags.db")):
        text = Serving().told(error)

        assert "Install a newer grayflow: pip install -U grayflow (still serving revision 7)" in text
        assert "grayflow init" not in text


def test_data_of_somebody_elses_is_to_be_avoided_or_removed():
    text = Serving().told(foreign_data("redis://h/0", ["{gf:shop}:meta"], [b"list"]))

    assert "holds a list under '{gf:shop}:meta'" in text
    assert "another namespace" in text
    assert "grayflow init" not in text


def test_damage_of_an_unknown_kind_is_not_to_be_replaced_either():
    text = Serving().told(StoreFormatError("it is odd."))

    assert "it is odd. If a newer grayflow wrote it, run: pip install -U grayflow. If it is damaged" in text
    assert "grayflow init" not in text


def test_an_emptied_store_is_set_up_again_from_what_was_kept_and_replaced_last():
    text = Serving().told(NotInitializedError("redis://h/0", namespace="shop"))

    steps = ("grayflow init --namespace shop", "grayflow export --last-good FILE", "grayflow init --replace")
    places = [text.index(step) for step in steps]
    assert places == sorted(places)


@pytest.mark.parametrize(
    "error",
    [
        Layout("redis://h/0", "shop").newer(b"2"),
        Layout("redis://h/0", "shop").damaged("its position cannot be read"),
        foreign("redis://h/0", "shop", held=HELD, found=HELD),
        foreign_data("redis://h/0", (), ()),
        NotInitializedError("redis://h/0", namespace="shop"),
        StoreAccessError("refused user and password. Nothing was read or changed."),
        StoreUnavailableError("redis://h/0 did not answer in time."),
        StoreFormatError("odd"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("held", [HELD, None])
def test_sentences_end_once(error: StoreError, held: Position | None):
    text = Serving(held).told(error)

    assert ".." not in text
    assert ". (" not in text
    assert "?." not in text


def test_what_is_served_is_said_as_of_now():
    process = Serving(held=None)
    assert process.told(StoreUnavailableError("gone")) == "gone (no flags yet: callers get their defaults)"

    process.held = HELD

    assert process.troubles.text == "gone (still serving revision 7)"
