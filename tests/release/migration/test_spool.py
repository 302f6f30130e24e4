"""Writes while the board does not answer: announced on the disk, within bounds, and brought to the board later."""

import asyncio
import errno
import os
import threading
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from grayflow.errors import ConfigurationError, StoreAccessError, StoreUnavailableError
from grayflow.release.migration.errors import NotAnnouncedError, StageRefusedError
from grayflow.release.migration.rules import Side
from grayflow.release.migration.setup import Written
from grayflow.release.migration.spool import Spool, SpoolPlace
from tests.release.migration.bench import Bench, make, of, order
from tests.release.migration.stores import SqliteOrders
from tests.release.migration.test_writing import RESTAMP

pytestmark = pytest.mark.anyio

DOWN = ConnectionError("the store is down")


class Board:
    """A board that can be away."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.away: Exception | None = None
        self.log: list[str] = []

    def __getattr__(self, verb: str) -> Any:
        work = getattr(self._inner, verb)

        async def call(*args: Any, **options: Any) -> Any:
            self.log.append(verb)
            if self.away is not None:
                raise self.away
            return await work(*args, **options)

        return call


class Told:
    """Takes members in the place of a board."""

    def __init__(self) -> None:
        self.members: list[str] = []

    async def __call__(self, members: Collection[str]) -> None:
        self.members += members

    @property
    def keys(self) -> list[str]:
        return sorted(member.partition(":")[2] for member in self.members)


def spooling(folder: Path, **options: Any) -> dict[str, Any]:
    return {"on_journal_unavailable": "proceed", "spool": folder, "profile": "mirrored", **options}


def away(orders: Any) -> Board:
    journal = orders._open().journal
    journal._board = Board(journal._board)
    journal._board.away = StoreUnavailableError("no answer")
    return journal._board


def held(folder: Path) -> list[Path]:
    """Return the files in it."""
    return sorted(folder.iterdir())


async def test_a_write_goes_on_without_a_board_and_is_announced_there_later(bench: Bench, tmp_path: Path) -> None:
    async with bench.running("dualwrite", **spooling(tmp_path)) as orders:
        board = away(orders)
        bench.new.failing["*"] = DOWN

        assert await orders.update(order("k")) == Written(Side.OLD, applied=True, mirrored=False)
        assert orders.spool.waiting == 1

        bench.new.failing.clear()
        board.away = None
        assert (await orders.repair(at_once=True)).rows == 1
        assert orders.spool.waiting == 0
        assert (await orders.repair(at_once=True)).left == 0

    assert await bench.rows("old") == await bench.rows("new") == {"k": order("k")}
    assert held(tmp_path) == []


async def test_a_board_that_was_found_away_is_not_waited_for_with_each_write(bench: Bench, tmp_path: Path) -> None:
    async with bench.running("dualwrite", **spooling(tmp_path)) as orders:
        board = away(orders)
        for number in range(5):
            await orders.update(order(f"k{number}"))

        assert board.log.count("add") == 1
        assert orders.spool.waiting == 5


async def test_the_status_tells_how_many_announcements_have_waited_on_a_disk(bench: Bench, tmp_path: Path) -> None:
    async with bench.running("dualwrite", **spooling(tmp_path)) as orders:
        board = away(orders)
        for number in range(3):
            await orders.update(order(f"k{number}"))
        board.away = None
        await orders.repair()
        await orders._open().watch.flush()

        status = await orders.status()
        assert (status.spooled, status.unfinished) == (3, 3)


async def test_writes_of_one_row_are_one_line(bench: Bench, tmp_path: Path) -> None:
    async with bench.running("dualwrite", **spooling(tmp_path)) as orders:
        board = away(orders)
        for version in range(1, 6):
            await orders.update(order("k", version))
        assert orders.spool.waiting == 1
        board.away = None
        await orders.repair()

        assert (await orders.status()).unfinished == 1


async def test_what_waits_when_the_block_is_left_is_brought_to_the_board_by_the_next(
    bench: Bench, tmp_path: Path
) -> None:
    async with bench.running("dualwrite", **spooling(tmp_path)) as orders:
        away(orders)
        bench.new.failing["*"] = DOWN
        await orders.update(order("k"))
    bench.new.failing.clear()

    async with bench.running("dualwrite", **spooling(tmp_path)) as orders:
        await orders.repair(at_once=True)

    assert await bench.rows("new") == {"k": order("k")}


async def test_without_the_word_a_write_is_refused(bench: Bench) -> None:
    async with bench.running("dualwrite", profile="mirrored") as orders:
        away(orders)

        with pytest.raises(NotAnnouncedError, match="'k' was not written"):
            await orders.update(order("k"))
        assert orders.spool is None

    assert await bench.rows("old") == {}


async def test_a_board_that_refuses_this_user_is_not_taken_for_one_that_is_away(bench: Bench, tmp_path: Path) -> None:
    async with bench.running("dualwrite", **spooling(tmp_path)) as orders:
        away(orders).away = StoreAccessError("not allowed")

        with pytest.raises(NotAnnouncedError, match="not allowed"):
            await orders.update(order("k"))

    assert await bench.rows("old") == {}


async def test_a_spool_that_is_full_refuses_writes_of_further_rows(bench: Bench, tmp_path: Path) -> None:
    async with bench.running("dualwrite", **spooling(tmp_path, spool_limit=2)) as orders:
        board = away(orders)
        for key in ("a", "b", "a"):
            await orders.update(order(key))

        with pytest.raises(NotAnnouncedError, match="it is full: 2 rows wait"):
            await orders.update(order("c"))
        assert "full" in orders.spool.problem
        assert sorted(await bench.rows("old")) == ["a", "b"]

        board.away = None
        await orders.update(order("c"))
        await orders.repair()
        assert orders.spool.problem is None


async def test_a_spool_that_cannot_be_written_refuses_writes(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    async with bench.running("dualwrite", **spooling(tmp_path / "file" / "spool")) as orders:
        away(orders)

        with pytest.raises(NotAnnouncedError, match="the spool does not take it"):
            await orders.update(order("k"))
        assert orders.spool.problem

    assert await bench.rows("old") == {}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"on_journal_unavailable": "proceed"}, "spool is None; give the path of a folder"),
        ({"on_journal_unavailable": "proceed", "spool": 7}, "spool is 7; give the path"),
        ({"on_journal_unavailable": "perhaps"}, "'fail' or 'proceed'"),
        ({"spool": "here"}, "on_journal_unavailable='proceed', which uses it"),
        ({"on_journal_unavailable": "proceed", "spool": "here", "spool_limit": 0}, "spool_limit"),
        ({"on_journal_unavailable": "proceed", "spool": "here", **RESTAMP}, "cannot be had with"),
    ],
)
def test_what_cannot_be_used_is_refused_when_it_is_built(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        make(SqliteOrders(":memory:"), SqliteOrders(":memory:"), **options)


# The files


def spool(folder: Path, *, limit: int = 100, namespace: str = "shop", migration: str = "orders") -> Spool:
    return Spool(SpoolPlace(folder, limit), namespace, migration)


async def test_a_file_that_a_process_has_is_left_to_it(tmp_path: Path) -> None:
    one, other, told = spool(tmp_path), spool(tmp_path), Told()
    await one.put("a")

    assert await other.drain(told) == 0
    await one.seal()
    assert await other.drain(told) == 1
    assert told.keys == ["a"]


async def test_a_file_is_handed_over_as_the_same_members_each_time(tmp_path: Path) -> None:
    one, told = spool(tmp_path), Told()
    await one.put("a")

    async def broken(members: Collection[str]) -> None:
        await told(members)
        raise StoreUnavailableError("the answer was lost")

    with pytest.raises(StoreUnavailableError):
        await one.drain(broken)
    assert await one.drain(told) == 1
    assert len(told.members) == 2
    assert len(set(told.members)) == 1


async def test_a_last_line_without_an_end_is_passed_over(tmp_path: Path) -> None:
    one, told = spool(tmp_path), Told()
    for key in ("a", "b"):
        await one.put(key)
    await one.seal()
    (path,) = held(tmp_path)
    path.write_bytes(path.read_bytes()[:-2])

    assert await spool(tmp_path).drain(told) == 1
    assert told.keys == ["a"]
    assert held(tmp_path) == []


async def test_a_file_torn_at_any_byte_keeps_the_lines_before(tmp_path: Path) -> None:
    one = spool(tmp_path)
    keys = ["a", "ключ", 'with "quotes"\nand lines', "z"]
    for key in keys:
        await one.put(key)
    await one.seal()
    (path,) = held(tmp_path)
    whole = path.read_bytes()
    begin = whole.index(b"\n") + 1
    for end in range(begin, len(whole) + 1):
        path.write_bytes(whole[:end])
        told = Told()
        await spool(tmp_path).drain(told)
        assert told.keys == sorted(keys[: whole[begin:end].count(b"\n")])


async def test_a_damaged_line_is_told_and_the_others_are_handed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one, told = spool(tmp_path), Told()
    for key in ("a", "b", "c"):
        await one.put(key)
    await one.seal()
    (path,) = held(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"b"', b'"\xff"'))

    assert await one.drain(told) == 2
    assert told.keys == ["a", "c"]
    assert [each.suffix for each in held(tmp_path)] == [".damaged"]
    assert "cannot be read, the file is kept; run a reconciliation" in caplog.text


async def test_what_a_disk_took_half_does_not_spoil_the_next_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, told, write = spool(tmp_path), Told(), os.write
    await one.put("a")

    def full(handle: int, content: Any) -> int:
        if len(content) > 2:
            return write(handle, content[:2])
        raise OSError(errno.ENOSPC, "no space left")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        assert not await one.put("b")
        assert "no space left" in str(one.status.problem)
    assert await one.put("c")

    await one.drain(told)
    assert told.keys == ["a", "c"]


async def test_who_is_cancelled_while_the_disk_works_does_not_spoil_the_next_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """asyncio takes the caller away and leaves the thread where it is."""
    one, told, sync = spool(tmp_path), Told(), os.fsync
    await one.put("a")
    reached, go_on = threading.Event(), threading.Event()

    def slow(handle: int) -> None:
        if not reached.is_set():
            reached.set()
            assert go_on.wait(20)
        sync(handle)

    monkeypatch.setattr(os, "fsync", slow)
    cancelled = asyncio.ensure_future(one.put("b"))  # noqa: TID251 - cancelled as asyncio does
    await anyio.to_thread.run_sync(reached.wait)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    following = asyncio.ensure_future(one.put("c"))  # noqa: TID251 - likewise
    await asyncio.wait([following], timeout=0.2)  # it has to wait; if it did not, this is when it would do harm
    go_on.set()
    assert await following

    waiting = one.waiting
    assert await one.drain(told) == waiting
    assert told.keys in (["a", "b", "c"], ["a", "c"])


async def test_nothing_is_proved_while_something_waits_on_the_disk(bench: Bench, tmp_path: Path) -> None:
    async with bench.running("shadow", **spooling(tmp_path)) as orders:
        board = away(orders)
        bench.new.failing["*"] = DOWN
        await orders.update(order("k"))
        board.away = None

        with pytest.raises(StageRefusedError, match="1 writes are in one store and perhaps not in the other"):
            await orders.advance()


async def test_what_was_not_synced_is_not_announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = spool(tmp_path)

    def broken(_: int) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    assert not await one.put("a")
    assert held(tmp_path) == []


@pytest.mark.parametrize("stranger", [{"namespace": "test"}, {"migration": "items"}])
async def test_what_others_announce_in_the_same_folder_is_left_to_them(
    tmp_path: Path, stranger: dict[str, str]
) -> None:
    one, told = spool(tmp_path, **stranger), Told()
    await one.put("a")
    await one.seal()

    assert await spool(tmp_path).drain(told) == 0
    assert await one.drain(told) == 1


async def test_a_file_that_its_process_has_just_made_is_left_alone(tmp_path: Path) -> None:
    one = spool(tmp_path)
    await one.put("a")
    await one.seal()
    (path,) = held(tmp_path)
    path.write_bytes(path.read_bytes()[:5])

    assert await one.drain(Told()) == 0
    assert path.exists()


async def test_only_its_owner_may_read_what_waits(tmp_path: Path) -> None:
    await spool(tmp_path / "spool").put("a")

    (path,) = held(tmp_path / "spool")
    assert path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700


# Announcements of one row


async def test_failed_writes_of_one_row_leave_one_announcement(bench: Bench) -> None:
    async with bench.running("dualwrite", profile="mirrored") as orders:
        bench.new.failing["*"] = DOWN
        for version in range(1, 50):
            await orders.update(order("k", version))
        await orders.update(order("other"))
        assert (await orders.status()).unfinished == 2

        bench.new.failing.clear()
        assert (await orders.repair(at_once=True)).rows == 2

    assert await bench.rows("old") == await bench.rows("new")


async def test_a_repair_that_began_before_a_write_was_over_takes_no_announcement_of_it_back(bench: Bench) -> None:
    """It has looked at the row already, listed what was announced then, and is about to take that back."""
    async with bench.running("dualwrite", profile="mirrored") as orders:
        journal = orders._open().journal
        member = await journal.announce("k")
        listed = [one.member for one in await journal.unfinished()]
        await journal.keep(member)
        await journal.finished(listed)

        assert (await orders.status()).unfinished == 1


async def test_of_a_row_that_goes_on_being_written_each_write_in_progress_is_announced(bench: Bench) -> None:
    async with bench.running("dualwrite", profile="mirrored") as orders:
        bench.new.failing["*"] = DOWN
        await orders.update(order("k"))
        bench.new.failing.clear()
        gate = bench.new.gate("upsert_if_newer")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(orders.update, order("k", 2)))
            await gate.reached.wait()
            assert (await orders.status()).unfinished == 2
            gate.open.set()

        assert (await orders.get(of("k"))) == order("k", 2)
        assert (await orders.status()).unfinished == 1
