"""Files that are not ours, not there, not allowed, damaged, or exchanged under a live process."""

# ruff: noqa: ASYNC240 - somebody else's hand on the file is what these tests are about

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from grayflow.errors import (
    NotInitializedError,
    StoreAccessError,
    StoreError,
    StoreFormatError,
    StoreUnavailableError,
)
from grayflow.store.port import Change, Changed, Event, Gap, Position
from grayflow.store.sqlite import SQLiteStore
from grayflow.store.sqlite.file import File, translate
from grayflow.store.sqlite.verbs import Verbs
from grayflow.store.sqlite.worker import Worker, close
from grayflow.testing.contract.kit import edit, put

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flags.db"


def run(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


async def assert_refused(path: Path, kind: type[StoreError], text: str) -> None:
    """Check that reading and writing are both refused, with the path and the remedy in the text."""
    async with SQLiteStore(path, busy_timeout=0.1) as store:
        for verb in (store.position(), store.load(), store.init(), store.init(replaces=["*"])):
            with pytest.raises(kind) as caught:
                await verb
            assert text in str(caught.value)
            assert str(path) in str(caught.value)
        with pytest.raises(kind):
            await store.commit(edit(), expected=0)


async def event(events: AsyncIterator[Event]) -> Event:
    with anyio.fail_after(10):
        return await anext(events)


async def settled(path: Path) -> None:
    """Wait until everything is in the file itself."""
    log = path.with_name(f"{path.name}-wal")
    with anyio.fail_after(10):
        while log.exists() and log.stat().st_size:
            await checkpoint()


async def test_a_file_that_another_process_is_making_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        made = threading.Timer(0.2, other.rollback)
        made.start()
        async with SQLiteStore(path) as store:
            await store.init()
            assert (await store.load()).flags == {}
        made.join()


async def test_a_reader_makes_no_file(path: Path) -> None:
    async with SQLiteStore(path) as store:
        with pytest.raises(NotInitializedError, match="no data at ") as caught:
            await store.load()
        with pytest.raises(NotInitializedError):
            await store.commit(edit(), expected=0)
        async with store.follow():
            pass

    assert str(path) in str(caught.value)
    assert names(path.parent) == []


async def test_a_missing_directory_is_no_data_to_a_reader(path: Path) -> None:
    async with SQLiteStore(path.parent / "missing" / "flags.db") as store:
        with pytest.raises(NotInitializedError):
            await store.position()
        with pytest.raises(StoreAccessError, match="its directory does not exist; create it"):
            await store.init()


async def test_an_empty_file_is_nobodys_yet(path: Path) -> None:
    path.touch()
    async with SQLiteStore(path) as store:
        with pytest.raises(NotInitializedError):
            await store.position()

        assert (await store.init()).revision == 0


async def test_a_file_of_another_program_is_left_alone(path: Path) -> None:
    run(path, "CREATE TABLE theirs (a)", "INSERT INTO theirs VALUES (1)")
    before = path.read_bytes()

    await assert_refused(path, StoreFormatError, "a SQLite file of another program")

    assert path.read_bytes() == before
    assert names(path.parent) == ["flags.db"]


async def test_a_file_marked_by_another_program_is_left_alone(path: Path) -> None:
    run(path, "PRAGMA application_id = 7")
    before = path.read_bytes()

    await assert_refused(path, StoreFormatError, "a SQLite file of another program")

    assert path.read_bytes() == before


async def test_what_is_no_database_is_left_alone(path: Path) -> None:
    path.write_bytes(b"flags:\n  - a\n" * 100)
    before = path.read_bytes()

    await assert_refused(path, StoreFormatError, "it is no SQLite file")

    assert path.read_bytes() == before


async def test_a_directory_is_refused(path: Path) -> None:
    path.mkdir()

    await assert_refused(path, StoreAccessError, "is a directory; give the path of a file in it")

    assert list(path.iterdir()) == []


async def test_a_path_through_a_file_is_refused(path: Path) -> None:
    path.touch()

    await assert_refused(path / "flags.db", StoreAccessError, "cannot be looked at")

    assert path.read_bytes() == b""


async def test_a_newer_schema_is_refused_whatever_is_asked(path: Path) -> None:
    async with SQLiteStore(path) as store:
        await store.init()
    run(path, "PRAGMA user_version = 2")
    before = path.read_bytes()

    await assert_refused(path, StoreFormatError, "pip install -U grayflow")

    assert path.read_bytes() == before


async def test_a_damaged_file_is_refused(path: Path) -> None:
    async with SQLiteStore(path) as store:
        await store.init()
        await put(store, *(edit(f"f{number}", b"x" * 3000) for number in range(20)))
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))

    async with SQLiteStore(path) as store:
        with pytest.raises(StoreFormatError, match="Put a copy in its place"):
            await store.load()


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE documents",
        "UPDATE namespaces SET documents = documents + 1",
        "DELETE FROM documents WHERE key = 'a'",
        "DELETE FROM changes WHERE key = 'a'",
        "INSERT INTO documents VALUES ('default', 'flag', 'c', 1)",
        "UPDATE namespaces SET documents = 0",
    ],
)
async def test_rows_that_contradict_each_other_are_refused(path: Path, statement: str) -> None:
    async with SQLiteStore(path) as store:
        await store.init()
        await put(store, edit("a"), edit("b"))
    run(path, "PRAGMA foreign_keys = OFF", statement)

    async with SQLiteStore(path) as store:
        if "INSERT" in statement:  # a pointer at another document's change is as good as none
            assert set((await store.load()).flags) == {"a", "b"}
        else:
            with pytest.raises(StoreFormatError):
                await store.load()


async def test_an_operator_may_declare_what_is_left_to_be_the_truth(path: Path) -> None:
    async with SQLiteStore(path) as store:
        await store.init()
        await put(store, edit("a"), edit("b"))
    run(path, "DELETE FROM documents WHERE key = 'a'")

    async with SQLiteStore(path) as store:
        position = await store.init(replaces=[])

        state = await store.load()
        assert (set(state.flags), state.position) == ({"b"}, position)
        assert position.revision == 2
        assert (await store.commit(edit("a"), expected=0)).revision == 3


async def test_a_lost_head_does_not_bring_revisions_back(path: Path) -> None:
    async with SQLiteStore(path) as store:
        await store.init()
        await put(store, edit("a"), edit("b"), edit("b", None))
    run(path, "DELETE FROM namespaces")

    async with SQLiteStore(path) as store:
        with pytest.raises(NotInitializedError):
            await store.load()

        assert (await store.init(replaces=["*"])).revision == 3
        assert set((await store.load()).flags) == {"a"}


async def test_a_log_that_does_not_fit_the_position_stops_writing(path: Path) -> None:
    async with SQLiteStore(path) as store:
        await store.init()
        await put(store, edit("a"), edit("b"))
    run(path, "UPDATE namespaces SET revision = 1")

    async with SQLiteStore(path) as store:
        with pytest.raises(StoreFormatError, match="has a change of revision 2 already"):
            await store.commit(edit("c"), expected=0)

        assert len(await store.history()) == 2


async def test_unreadable_columns_are_damage(path: Path) -> None:
    async with SQLiteStore(path) as store:
        await store.init()
        await put(store, edit("a"))
    run(path, "UPDATE changes SET generations = '{'", "UPDATE namespaces SET replaces = '{'")

    async with SQLiteStore(path) as store:
        with pytest.raises(StoreFormatError, match="is damaged"):
            await store.history()
        with pytest.raises(StoreFormatError, match="is damaged"):
            await store.replaced()


@contextmanager
def nobody() -> Iterator[Path]:
    """Give a folder in which we may look and not write; root, who may do all, becomes somebody else."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    root = os.geteuid() == 0
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)
        shutil.rmtree(folder)


def become_nobody(folder: Path, mode: int) -> None:
    for file in folder.iterdir():
        file.chmod(mode)
    if os.geteuid() == 0:
        os.seteuid(65534)
    else:
        folder.chmod(0o555)


async def test_a_file_that_may_not_be_written_is_read(path: Path) -> None:
    with nobody() as folder:
        async with SQLiteStore(folder / "flags.db") as keeper:
            await keeper.init()
            (change,) = await put(keeper, edit("a"))
            become_nobody(folder, 0o444)
            async with SQLiteStore(folder / "flags.db") as store:
                assert await store.position() == await store.init() == change.position
                with pytest.raises(StoreAccessError, match="give this user the right to write") as caught:
                    await store.commit(edit("b"), expected=0)
                with pytest.raises(StoreAccessError, match="give this user the right"):
                    await store.init(replaces=[])
                assert str(folder / "flags.db") in str(caught.value)


async def test_a_file_that_may_not_be_read_is_refused() -> None:
    with nobody() as folder:
        async with SQLiteStore(folder / "flags.db") as store:
            await store.init()
        become_nobody(folder, 0)

        async with SQLiteStore(folder / "flags.db") as store:
            with pytest.raises(StoreAccessError, match="give this user the right to read"):
                await store.position()


async def test_a_folder_that_may_not_be_written_gets_no_file() -> None:
    with nobody() as folder:
        become_nobody(folder, 0)

        async with SQLiteStore(folder / "flags.db") as store:
            with pytest.raises(StoreAccessError, match="cannot be opened"):
                await store.init()


FULL = """
import asyncio, resource, signal, sys
from grayflow.errors import StoreUnavailableError
from grayflow.store.sqlite import SQLiteStore
from grayflow.testing.contract.kit import edit, put

async def main():
    async with SQLiteStore(sys.argv[1]) as store:
        await store.init()
        await put(store, edit("a"))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, resource.RLIM_INFINITY))
        try:
            await store.commit(edit("b", b"x" * 100_000), expected=0)
        except StoreUnavailableError as error:
            print(error)
        assert set((await store.load()).flags) == {"a"}
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await store.commit(edit("b", b"x" * 100_000), expected=0)
        assert set((await store.load()).flags) == {"a", "b"}

asyncio.run(main())
"""


def test_a_disk_that_takes_no_more_refuses_the_commit_and_recovers(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert "was not read or written: the file system failed" in done.stdout


def test_a_full_disk_is_told_by_its_name(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA max_page_count = 1")
        with pytest.raises(sqlite3.Error) as caught:
            connection.execute("CREATE TABLE t (a)")

    told = translate(caught.value, path)

    assert isinstance(told, StoreUnavailableError)
    assert "the disk is full; free some space" in str(told)


async def test_a_deleted_file_is_no_data_and_no_update(path: Path) -> None:
    async with SQLiteStore(path) as store:
        await store.init()
        await put(store, edit("a"))
        async with store.follow() as events:
            for file in path.parent.iterdir():
                file.unlink()

            assert isinstance(await event(events), Gap)
            with anyio.move_on_after(0.2):
                raise AssertionError(f"told again: {await anext(events)}")
            with pytest.raises(NotInitializedError):
                await store.position()
            with pytest.raises(NotInitializedError):
                await store.commit(edit("b"), expected=0)
            assert names(path.parent) == []


async def test_a_file_that_is_back_is_followed_again(path: Path) -> None:
    async with SQLiteStore(path) as store:
        await store.init()
        (first,) = await put(store, edit("a"))
        async with store.follow() as events:
            away = shutil.move(path, path.with_name("away.db"))
            assert isinstance(await event(events), Gap)
            shutil.move(away, path)

            assert isinstance(await event(events), Gap)
            assert await store.position() == first.position
            (second,) = await put(store, edit("b"))
            assert await event(events) == Changed(second)


async def other(path: Path) -> Position:
    """Make another store with a longer history than the tests'."""
    async with SQLiteStore(path) as store:
        await store.init()
        await put(store, *(edit(f"other-{number}") for number in range(5)))
        return await store.position()


async def test_another_file_in_its_place_is_another_epoch(path: Path) -> None:
    theirs = await other(path.with_name("other.db"))
    async with SQLiteStore(path) as store:
        await store.init()
        await put(store, edit("a"))
        await settled(path)
        async with store.follow() as events:
            path.with_name("other.db").replace(path)

            assert isinstance(await event(events), Gap)
            assert await store.position() == theirs
            assert "a" not in (await store.load()).flags
            assert (await store.commit(edit("b"), expected=0)).position.epoch == theirs.epoch


@pytest.mark.parametrize("how", ["moved", "copied"])
async def test_an_older_copy_in_its_place_is_older(path: Path, how: str) -> None:
    async with SQLiteStore(path) as store:
        await store.init()
        (kept,) = await put(store, edit("a", b"1"))
    copy = Path(shutil.copy(path, path.with_name("copy.db")))
    async with SQLiteStore(path) as store, SQLiteStore(path) as writer:
        await put(writer, edit("a", b"2"), edit("b"))
        await settled(path)
        later = await store.load()
        async with store.follow() as events:
            if how == "moved":
                copy.replace(path)
            else:
                shutil.copyfile(copy, path)

            assert isinstance(await event(events), Gap)
            assert await store.position() == kept.position
            assert await store.changes(later.position) is None
            assert {key: document.data for key, document in (await store.load()).flags.items()} == {"a": b"1"}


async def test_an_older_copy_takes_new_changes_under_new_nonces(path: Path) -> None:
    async with SQLiteStore(path) as store:
        await store.init()
        await put(store, edit("a", b"1"))
        await settled(path)
        copy = shutil.copy(path, path.with_name("copy.db"))
        (lost,) = await put(store, edit("a", b"2"))
    shutil.move(copy, path)

    async with SQLiteStore(path) as store:
        (again,) = await put(store, edit("a", b"3"))

        assert (again.revision, again.position.epoch) == (lost.revision, lost.position.epoch)
        assert again.position.nonce != lost.position.nonce
        assert await store.changes(lost.position) is None


async def test_a_commit_to_a_file_that_has_gone_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = Verbs.commit

    def interrupted(*arguments: Any) -> Change:
        change = commit(*arguments)
        path.rename(path.with_name("away.db"))
        return change

    monkeypatch.setattr(Verbs, "commit", interrupted)
    async with SQLiteStore(path) as store:
        await store.init()

        with pytest.raises(StoreUnavailableError, match="was moved or deleted while flag 'a' was written"):
            await store.commit(edit("a"), expected=0)


async def test_a_log_is_not_emptied_where_the_path_names_another_file(path: Path) -> None:
    async with SQLiteStore(path) as store:
        await store.init()
    file = File(path, busy_timeout=1)
    file.connection("default").execute("UPDATE namespaces SET revision = revision + 1")
    assert file.written()
    path.rename(path.with_name("away.db"))
    log = path.with_name("flags.db-wal").read_bytes()

    file.settle()
    file.close()

    assert path.with_name("flags.db-wal").read_bytes() == log != b""


async def test_what_comes_after_closing_is_dropped(path: Path) -> None:
    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    worker = Worker(File(path, busy_timeout=1), patience=1)
    worker.later(0, File.settle)
    await close(worker)

    worker.later(0, File.settle)
    await anyio.wait_all_tasks_blocked()
    await anyio.wait_all_tasks_blocked()

    assert errors == []


async def test_a_file_system_that_hangs_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    async with SQLiteStore(path) as store:
        await store.init()
    monkeypatch.setattr("grayflow.store.sqlite.worker._ANSWER_S", 0.01)
    monkeypatch.setattr("grayflow.store.sqlite.worker._CLOSE_S", 0.01)
    monkeypatch.setattr(Verbs, "position", lambda *_: released.wait(10))
    async with SQLiteStore(path, busy_timeout=0.01) as store:
        with pytest.raises(StoreUnavailableError, match="gave no answer"):
            await store.position()

        released.set()


async def test_closing_leaves_the_log_of_another_file_alone(path: Path) -> None:
    await other(path.with_name("other.db"))
    async with SQLiteStore(path) as old:
        await old.init()
        await put(old, edit("a"))
        for file in path.parent.glob("flags.db*"):
            file.unlink()
        path.with_name("other.db").rename(path)
        async with SQLiteStore(path) as new:
            await put(new, edit("new"))
            held = await new.load()

            await old.__aexit__(None, None, None)

            assert await new.load() == held
            async with SQLiteStore(path) as another:
                assert await another.load() == held


async def test_a_commit_is_moved_into_the_file_after_a_pause(path: Path) -> None:
    async with SQLiteStore(path) as store:
        await store.init()
        (change,) = await put(store, edit("a"))

        await settled(path)

        async with SQLiteStore(shutil.copy(path, path.with_name("copy.db"))) as copy:
            assert await copy.position() == change.position
