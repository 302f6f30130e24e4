"""The embedded store: the contract, and what plain SQL and a second look at the file have to find."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from grayflow.core.position import Document
from grayflow.errors import (
    ConfigurationError,
    NotInitializedError,
    StoreUnavailableError,
)
from grayflow.store.port import Changed, Event, Position, Store
from grayflow.store.sqlite import SQLiteStore
from grayflow.testing import FakeClock, StoreContract
from grayflow.testing.contract.kit import AT, edit, put

pytestmark = pytest.mark.anyio


class TestSQLiteStore(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[[], Store]:
        return lambda: SQLiteStore(tmp_path / "flags.db", "shop")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flags.db"


def asked(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


FLAG = (
    b'{"key": "pay", "enabled": true, '
    b'"effective_at": "2027-01-04T02:00:00+02:00", "expires_at": "2027-03-01T00:00:00Z"}'
)


async def test_plain_sql_may_ask_for_the_current_flags(path: Path) -> None:
    async with SQLiteStore(path) as store:
        await store.init()
        await put(store, edit("pay", b'{"key": "pay"}'), edit("pay", FLAG, reason="TICKET-7"), edit("gone"))
        await put(store, edit("gone", None), edit("s", b"[]", kind="segment"))

    assert asked(
        path,
        "SELECT key, revision, enabled, effective_at, expires_at, actor, action, reason, at, document FROM flags",
    ) == [
        (
            "pay",
            2,
            1,
            "2027-01-04T00:00:00.000000Z",
            "2027-03-01T00:00:00.000000Z",
            "ada",
            "edit",
            "TICKET-7",
            "2026-01-01T00:00:00.123456Z",
            FLAG.decode(),
        )
    ]
    assert asked(path, "SELECT key, revision, document FROM segments") == [("s", 5, "[]")]


async def test_plain_sql_may_ask_for_every_version(path: Path) -> None:
    async with SQLiteStore(path) as store:
        await store.init()
        await put(store, edit("pay", FLAG), edit("pay", b'{"enabled": true, "archived": true}'), edit("pay", None))
        await put(store, edit("odd", b"\xff"))

    assert asked(path, "SELECT key, revision, enabled, deleted FROM flag_versions ORDER BY revision") == [
        ("pay", 1, 1, 0),
        ("pay", 2, 0, 0),
        ("pay", 3, None, 1),
        ("odd", 4, None, 0),
    ]


@pytest.mark.parametrize(
    "document",
    [
        b"{",
        b"[]",
        b'{"enabled": 1}',
        b'{"effective_at": "2027-01-04T00:00:00"}',
        b'{"expires_at":"0001-01-01T00:00:00+09:00"}',
    ],
)
async def test_a_document_that_cannot_be_read_has_no_columns(path: Path, document: bytes) -> None:
    async with SQLiteStore(path) as store:
        await store.init()
        await put(store, edit("odd", document))

        assert (await store.load()).flags == {"odd": Document(1, document)}
    assert asked(path, "SELECT effective_at, expires_at FROM flags") == [(None, None)]


async def test_sqlite_reads_our_instants(path: Path) -> None:
    async with SQLiteStore(path) as store:
        await store.init()
        await put(store, edit("pay", FLAG))

    assert asked(path, "SELECT strftime('%s', at), strftime('%s', effective_at) FROM flags") == [
        (str(AT // 10**9), "1799020800")
    ]


async def test_stores_that_initialise_at_once_agree(path: Path) -> None:
    epochs: list[str] = []

    async def begin() -> None:
        async with SQLiteStore(path) as store:
            epochs.append((await store.init()).epoch)

    for _ in range(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(6):
                tasks.start_soon(begin)
        assert len(set(epochs)) == 1
        path.unlink()  # noqa: ASYNC240 - nothing else runs
        epochs.clear()


async def test_namespaces_of_one_file_know_nothing_of_each_other(path: Path) -> None:
    async with SQLiteStore(path, "shop") as shop, SQLiteStore(path, "bank") as bank:
        await shop.init()
        with pytest.raises(NotInitializedError):
            await bank.position()
        await bank.init()

        await put(shop, edit("a", b"shop", request_id="same"), edit("s"))
        await put(bank, edit("a", b"bank", request_id="same"))

        assert (await bank.load()).flags == {"a": Document(1, b"bank")}
        assert [change.document for change in await shop.history("a")] == [b"shop"]
        assert (await shop.position()).revision == 2


async def test_a_commit_in_another_namespace_is_no_event(path: Path) -> None:
    clock = FakeClock()
    async with SQLiteStore(path, "shop", clock=clock) as shop, SQLiteStore(path, "bank") as bank:
        await shop.init()
        await bank.init()
        async with shop.follow() as events:
            await put(bank, edit("theirs"))
            (ours,) = await put(shop, edit("ours"))

            event = await anext(events)

            assert isinstance(event, Changed)
            assert event.change.position == ours.position


async def test_a_relative_path_is_that_of_the_directory_at_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = SQLiteStore("flags.db")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    async with store:
        await store.init()

    assert store.place == str(tmp_path / "flags.db")
    assert (tmp_path / "flags.db").exists()


@pytest.mark.parametrize("name", ["a b", "a%20b", "a?mode=memory", "a#b", "灰度", "a'b\"c", "a&b=c"])
async def test_a_path_is_taken_as_it_is(tmp_path: Path, name: str) -> None:
    async with SQLiteStore(tmp_path / name) as store:
        await store.init()

    assert (tmp_path / name).exists()


@pytest.mark.parametrize("path", ["", ":memory:", "a\x00b"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError):
        SQLiteStore(path)


@pytest.mark.parametrize("busy_timeout", [0, -1, 3601, float("nan")])
def test_a_time_out_out_of_range_is_refused(busy_timeout: float) -> None:
    with pytest.raises(ConfigurationError, match="busy_timeout"):
        SQLiteStore("flags.db", busy_timeout=busy_timeout)


async def test_followers_look_every_fifty_milliseconds(path: Path) -> None:
    clock = FakeClock()
    seen: list[Event] = []
    async with SQLiteStore(path, clock=clock) as store, SQLiteStore(path) as writer:
        await writer.init()

        async def follow() -> None:
            async with store.follow() as events:
                seen.append(await anext(events))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow)
            with anyio.fail_after(10):
                while not clock.sleeping:
                    await checkpoint()
                await put(writer, edit())
                await clock.advance(0.049)
                assert (seen, clock.sleeping) == ([], 1)

                await clock.advance(0.001)
                while not seen:
                    await checkpoint()


async def test_a_commit_waits_for_another_writer_no_longer_than_told(path: Path) -> None:
    async with SQLiteStore(path, busy_timeout=0.05) as store:
        await store.init()
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")

            with pytest.raises(StoreUnavailableError, match="another process was writing for too long"):
                await store.commit(edit(), expected=0)

            assert (await store.position()).revision == 0
            other.execute("ROLLBACK")
        assert (await store.commit(edit(), expected=0)).revision == 1


async def test_reading_goes_on_while_a_commit_waits(path: Path) -> None:
    async with SQLiteStore(path, busy_timeout=30) as store:
        await store.init()
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(put, store, edit())
                with anyio.fail_after(5):
                    for _ in range(20):
                        assert (await store.position()).revision == 0
                other.execute("ROLLBACK")

        assert (await store.position()).revision == 1


@pytest.mark.parametrize("native", [False, True], ids=["scope", "task"])
async def test_a_commit_given_up_while_it_waits_leaves_no_lock_behind(path: Path, *, native: bool) -> None:
    async with SQLiteStore(path, busy_timeout=30) as store, SQLiteStore(path, busy_timeout=5) as neighbour:
        await store.init()
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            waiting = edit("a")
            if native:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(store.commit(waiting, expected=0), 0.05)
            else:
                with anyio.move_on_after(0.05) as scope:
                    await store.commit(waiting, expected=0)
                assert scope.cancelled_caught
            other.execute("ROLLBACK")

        change = await store.commit(waiting, expected=0)
        await put(neighbour, edit("b"))

        assert change.revision == 1
        assert set((await store.load()).flags) == {"a", "b"}


async def test_a_commit_given_up_before_its_turn_is_not_made(path: Path) -> None:
    async with SQLiteStore(path, busy_timeout=30) as store:
        await store.init()
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(partial(store.commit, edit("first"), expected=0))
                await anyio.wait_all_tasks_blocked()
                with anyio.move_on_after(0.05):
                    await store.commit(edit("second"), expected=0)
                other.execute("ROLLBACK")
        (third,) = await put(store, edit("third"))

        assert third.revision == 2
        assert set((await store.load()).flags) == {"first", "third"}


async def test_closing_waits_for_a_commit_that_nobody_waits_for(path: Path) -> None:
    async with SQLiteStore(path, busy_timeout=30) as store:
        await store.init()
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with anyio.move_on_after(0.05):
                await store.commit(edit("a"), expected=0)
            other.execute("ROLLBACK")

    async with SQLiteStore(path) as store:
        assert set((await store.load()).flags) == {"a"}
    assert [file.name for file in path.parent.iterdir()] == ["flags.db"]


async def test_after_closing_all_is_in_the_one_file(path: Path) -> None:
    async with SQLiteStore(path) as reader:
        async with SQLiteStore(path) as writer:
            await writer.init()
            await put(writer, *(edit(f"f{number}") for number in range(10)))
            position = await reader.position()
        copy = shutil.copy(path, path.with_name("copy.db"))

        async with SQLiteStore(copy) as copied:
            assert await copied.position() == position


async def test_a_follower_far_behind_is_sent_to_load(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grayflow.store.sqlite.follower._MOST_CHANGES", 3)
    async with SQLiteStore(path) as store, SQLiteStore(path) as writer:
        start: Position = await writer.init()
        async with store.follow() as events:
            await put(writer, *(edit(f"f{number}") for number in range(4)))

            event = await anext(events)

            assert not isinstance(event, Changed)
            assert len(await store.changes(start) or ()) == 4
