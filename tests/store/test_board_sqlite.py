"""The board of a SQLite store: the contract, and what its file and its followers see of it."""

# ruff: noqa: ASYNC240 - somebody else's hand on the file is what some of these tests are about

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from grayflow.errors import NotInitializedError, StoreAccessError, StoreFormatError, StoreUnavailableError
from grayflow.store.board import Record
from grayflow.store.port import Changed, Store
from grayflow.store.sqlite import SQLiteStore
from grayflow.store.sqlite.file import File
from grayflow.store.sqlite.verbs import Verbs
from grayflow.testing import BoardContract, FakeClock
from grayflow.testing.contract.board import PassTime
from grayflow.testing.contract.board.kit import LONG, held, leased
from grayflow.testing.contract.board.limits import NAMED
from grayflow.testing.contract.kit import edit, put
from tests.store.test_sqlite_file import become_nobody, names, nobody, run, settled

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flags.db"


def rows(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (number,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(number)


def tables(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


class TestSQLiteBoard(BoardContract):
    @pytest.fixture
    def open_store(self, path: Path, clock: FakeClock) -> Callable[[], Store]:
        return lambda: SQLiteStore(path, "shop", clock=clock)

    @pytest.fixture
    def pass_time(self, clock: FakeClock) -> PassTime:
        return clock.advance


# The file


async def test_a_board_makes_no_file(path: Path) -> None:
    async with SQLiteStore(path) as store:
        for verb in NAMED.values():
            with pytest.raises(NotInitializedError, match="no data at ") as caught:
                await verb(store.board, "jobs")
            assert caught.value.place == str(path)

    assert names(path.parent) == []


async def test_a_namespace_need_not_be_initialised(path: Path) -> None:
    async with SQLiteStore(path, "shop") as shop, SQLiteStore(path, "bank") as bank:
        await shop.init()

        assert await bank.board.put("jobs", "a", b"1") == Record(value=b"1", version=1)

        with pytest.raises(NotInitializedError):
            await bank.position()


async def test_boards_of_one_file_know_nothing_of_each_other(path: Path) -> None:
    async with SQLiteStore(path, "shop") as shop, SQLiteStore(path, "bank") as bank:
        await shop.init()
        for store in (shop, bank):
            assert await store.board.put("jobs", "a", store.namespace.encode(), expected=0)
            assert await store.board.claim("jobs", "a", store.namespace, span=LONG)
            assert await store.board.count("hits", "w", 1, {store.namespace: 1}, ttl=LONG)
            assert await store.board.add("dirty", ["a"]) == {"a"}
        await bank.board.remove("dirty", ["a"])

        record = await shop.board.get("jobs", "a")
        assert record is not None
        assert (record.value, leased(record).owner) == (b"shop", "shop")
        assert list(await shop.board.counts(["hits"])) == [{"shop": 1}]
        assert (await shop.board.size("dirty"), await bank.board.size("dirty")) == (1, 0)


async def test_tables_are_made_by_the_first_write(path: Path) -> None:
    async with SQLiteStore(path) as store:
        await store.init()
        before = tables(path)
        for verb in ("get", "list", "counts", "members", "size"):
            await NAMED[verb](store.board, "jobs")
        assert tables(path) == before

        await store.board.add("dirty", ["a"])

        made = tables(path) - before
        assert "board_members" in made
        assert all(name.startswith("board_") for name in made)


async def test_stores_that_make_the_tables_at_once_agree(path: Path) -> None:
    async with SQLiteStore(path) as store:
        await store.init()

    async def begin(number: int) -> None:
        async with SQLiteStore(path) as store:
            assert await store.board.put("jobs", f"{number}", b"1")

    async with anyio.create_task_group() as tasks:
        for number in range(6):
            tasks.start_soon(begin, number)

    assert rows(path, "board_records") == 6


async def test_after_closing_all_is_in_the_one_file(path: Path) -> None:
    async with SQLiteStore(path) as store:
        await store.init()
        await store.board.put("jobs", "a", b"1")

    assert names(path.parent) == ["flags.db"]
    async with SQLiteStore(shutil.copy(path, path.with_name("copy.db"))) as copy:
        assert await copy.board.get("jobs", "a") == Record(value=b"1", version=1)


async def test_a_write_is_moved_into_the_file_after_a_pause(path: Path) -> None:
    async with SQLiteStore(path) as store:
        await store.init()
        await put(store, edit("a"))
        await store.board.put("jobs", "a", b"1")

        await settled(path)

        async with SQLiteStore(shutil.copy(path, path.with_name("copy.db"))) as copy:
            assert await copy.board.get("jobs", "a") == Record(value=b"1", version=1)
            assert await copy.position() == await store.position()


async def test_a_log_that_somebody_reads_is_emptied_later(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle, told = File.settle, list[bool]()
    monkeypatch.setattr(File, "settle", lambda file: (told.append(settle(file)), told[-1])[1])
    async with SQLiteStore(path) as store:
        await store.init()
        await store.board.put("jobs", "a", b"1")
        await settled(path)
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM board_records").fetchall()
            told.clear()
            await store.board.put("jobs", "a", b"2")
            with anyio.fail_after(30):
                while told.count(False) < 2:
                    await checkpoint()
            reader.execute("COMMIT")

        await settled(path)

        assert await store.board.get("jobs", "a") == Record(value=b"2", version=2)


async def test_a_file_that_may_not_be_written_is_read() -> None:
    with nobody() as folder:
        async with SQLiteStore(folder / "flags.db") as keeper:
            await keeper.init()
            record = await keeper.board.put("jobs", "a", b"1")
            become_nobody(folder, 0o444)
            async with SQLiteStore(folder / "flags.db") as store:
                assert await store.board.get("jobs", "a") == record
                with pytest.raises(StoreAccessError, match="give this user the right to write"):
                    await store.board.put("jobs", "a", b"2")


@pytest.mark.parametrize(
    ("table", "verb"),
    [
        ("board_records", "put"),
        ("board_fences", "claim"),
        ("board_ends", "members"),
        ("board_members", "add"),
        ("board_sums", "count"),
        ("board_writers", "count"),
    ],
)
async def test_damaged_tables_are_refused(path: Path, table: str, verb: str) -> None:
    async with SQLiteStore(path) as store:
        await store.init()
        await store.board.put("jobs", "a", b"1")
    run(path, f"DROP TABLE {table}")

    async with SQLiteStore(path) as store:
        with pytest.raises(StoreFormatError, match=r"(?i)put a copy in its place"):
            await NAMED[verb](store.board, "jobs")

        assert (await store.position()).revision == 0


async def test_a_write_to_a_file_that_has_gone_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        path.rename(path.with_name("away.db"))

    async with SQLiteStore(path) as store:
        await store.init()
        monkeypatch.setattr("grayflow.store.sqlite.board.prune", interrupted)

        with pytest.raises(StoreUnavailableError, match="was moved or deleted while its board was written"):
            await store.board.put("jobs", "a", b"1")


async def test_fences_grow_over_an_older_copy_of_the_file(path: Path, clock: FakeClock) -> None:
    async with SQLiteStore(path, clock=clock) as store:
        await store.init()
        await held(store.board, "a")
        await settled(path)
        copy = Path(shutil.copy(path, path.with_name("copy.db")))
        await clock.advance(1)
        last = await held(store.board, "b")
        await settled(path)
        copy.replace(path)
        await clock.advance(1)

        assert await store.board.get("jobs", "b") is None
        assert (await held(store.board, "b")).fence > last.fence


async def test_fences_grow_while_the_clock_goes_back(path: Path, clock: FakeClock) -> None:
    async with SQLiteStore(path, clock=clock) as store:
        await store.init()
        first = await held(store.board, "a")
        clock.step(-3600)

        assert (await held(store.board, "b")).fence > first.fence


# What is over


async def test_what_is_over_is_cleared_away_by_those_who_write(path: Path, clock: FakeClock) -> None:
    async with SQLiteStore(path, clock=clock) as store:
        await store.init()
        for number in range(300):
            await store.board.put("jobs", f"{number}", b"1", ttl=5)
            await store.board.count("hits", f"{number}", 1, {f"{number}": 1}, ttl=5)
        await store.board.add("dirty", [f"{number}" for number in range(300)], ttl=5)
        await store.board.put("jobs", "stays", b"1")
        await store.board.add("staying", ["a"])
        await clock.advance(6)

        await store.board.put("jobs", "stays", b"2")
        kept = [rows(path, name) for name in ("board_records", "board_sums", "board_writers", "board_members")]
        for _ in range(8):
            await store.board.put("jobs", "stays", b"3")

        assert kept[0] == 101  # a part at a time: no write has to wait for a big one
        assert kept[1:] != [0, 0, 1]
        assert [rows(path, name) for name in ("board_records", "board_sums", "board_writers")] == [1, 0, 0]
        assert (rows(path, "board_members"), rows(path, "board_ends")) == (1, 1)


async def test_what_is_cleared_away_in_part_does_not_come_back(path: Path, clock: FakeClock) -> None:
    async with SQLiteStore(path, clock=clock) as store:
        await store.init()
        await store.board.add("dirty", [f"{number}" for number in range(500)], ttl=5)
        for number in range(500):
            await store.board.count("hits", f"{number}", 7, {f"{number}": 1}, ttl=5)
        await clock.advance(6)
        for _ in range(2):
            await store.board.put("jobs", "a", b"1")
        assert rows(path, "board_members") + rows(path, "board_sums") < 1000

        assert await store.board.add("dirty", ["499"]) == {"499"}
        assert await store.board.count("hits", "499", 1, {"a": 1}, ttl=5)

        assert await store.board.size("dirty") == 1
        assert list(await store.board.counts(["hits"])) == [{"a": 1}]


# Beside others


async def test_a_board_is_no_event_to_followers(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    for verb in ("changes", "load"):
        monkeypatch.setattr(Verbs, verb, lambda *_, verb=verb: read.append(verb))
    async with SQLiteStore(path) as store, SQLiteStore(path) as other:
        await store.init()
        async with store.follow() as events:

            async def write() -> None:
                for number in range(20):
                    await other.board.put("jobs", f"{number}", b"1")
                    await store.board.count("hits", "w", number + 1, {"on": 1}, ttl=LONG)
                    await settled(path)

            with anyio.move_on_after(60) as scope:
                async with anyio.create_task_group() as tasks:

                    async def listen() -> None:
                        raise AssertionError(f"told: {await anext(events)}")

                    tasks.start_soon(listen)
                    await write()
                    tasks.cancel_scope.cancel()
            assert not scope.cancelled_caught

    assert read == []


async def test_a_follower_hears_of_commits_between_writes_to_the_board(path: Path) -> None:
    async with SQLiteStore(path) as store, SQLiteStore(path) as other:
        await store.init()
        async with store.follow() as events:
            for number in range(5):
                await other.board.put("jobs", "a", b"1")
                (change,) = await put(other, edit(f"f{number}"))
                await store.board.put("jobs", "b", b"1")
                with anyio.fail_after(30):
                    assert await anext(events) == Changed(change)


async def test_reading_goes_on_while_a_write_waits(path: Path) -> None:
    async with SQLiteStore(path, busy_timeout=30) as store:
        await store.init()
        record = await store.board.put("jobs", "a", b"1")
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(store.board.put, "jobs", "a", b"2")
                with anyio.fail_after(20):
                    for _ in range(20):
                        assert await store.board.get("jobs", "a") == record
                        assert (await store.position()).revision == 0
                other.execute("ROLLBACK")

        assert await store.board.get("jobs", "a") == Record(value=b"2", version=2)


async def test_a_write_waits_for_another_writer_no_longer_than_told(path: Path) -> None:
    async with SQLiteStore(path, busy_timeout=0.05) as store:
        await store.init()
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailableError, match="another process was writing for too long"):
                await store.board.put("jobs", "a", b"1", expected=0)
            other.execute("ROLLBACK")

        assert await store.board.put("jobs", "a", b"1", expected=0) == Record(value=b"1", version=1)


@pytest.mark.parametrize("native", [False, True], ids=["scope", "task"])
async def test_a_write_given_up_while_it_waits_is_made_once(path: Path, *, native: bool) -> None:
    async with SQLiteStore(path, busy_timeout=30) as store, SQLiteStore(path, busy_timeout=30) as neighbour:
        await store.init()
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            if native:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(store.board.count("hits", "w", 1, {"on": 1}, ttl=LONG), 0.05)
            else:
                with anyio.move_on_after(0.05):
                    await store.board.count("hits", "w", 1, {"on": 1}, ttl=LONG)
            other.execute("ROLLBACK")

        assert not await store.board.count("hits", "w", 1, {"on": 1}, ttl=LONG)
        assert await neighbour.board.count("hits", "v", 1, {"on": 1}, ttl=LONG)
        assert list(await neighbour.board.counts(["hits"])) == [{"on": 2}]


class AskedClock(FakeClock):
    """Notes that somebody asked for the time."""

    asked = False

    def now(self) -> int:
        self.asked = True
        return super().now()


async def test_a_lease_begins_when_the_lock_is_held(path: Path) -> None:
    clock = AskedClock()
    async with SQLiteStore(path, busy_timeout=30, clock=clock) as store:
        await store.init()
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            async with anyio.create_task_group() as tasks:

                async def claim() -> None:
                    lease = await held(store.board, span=10)
                    assert lease.until == clock.now() + 10_000_000_000

                tasks.start_soon(claim)
                with anyio.move_on_after(0.3):
                    while not clock.asked:
                        await checkpoint()
                await clock.advance(60)
                other.execute("ROLLBACK")
