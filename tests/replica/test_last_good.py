import os
import stat
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import anyio
import pytest

from grayflow.clock import SystemClock
from grayflow.core.position import Document, Position
from grayflow.core.snapshot import Builder
from grayflow.replica.holder import Holder
from grayflow.replica.last_good import Kept, Unusable, read, write
from grayflow.replica.saver import Saver
from grayflow.store.port import State, Store
from grayflow.store.wrappers import Call, Recording, Wrapper
from grayflow.testing import FakeClock, Faulty
from tests.replica.conftest import Run
from tests.replica.kit import OFF, ON, Rewinding, put, put_bytes, until

pytestmark = pytest.mark.anyio

T = TypeVar("T")

DAY_S = 86_400.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "flags"


def kept(namespace: str = "default", saved_at: int = 7) -> Kept:
    position = Position(epoch="e", revision=3, nonce="n3")
    flags = {"a": Document(2, b'{"key":"a","enabled":true}')}
    return Kept(
        namespace=namespace,
        saved_at=saved_at,
        state=State(position=position, flags=flags, segments={}, generations={}),
    )


# The file


def test_what_was_written_is_read(path: Path):
    write(path, kept())

    assert read(path, "default") == kept()


def test_only_the_owner_may_read_it(path: Path):
    write(path, kept())

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_nothing_else_is_left_beside_it(path: Path):
    write(path, kept())
    write(path, kept(saved_at=8))

    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch):
    write(path, kept())

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write(path, kept(saved_at=8))

    assert read(path, "default") == kept()
    assert list(path.parent.iterdir()) == [path]


def test_a_missing_file_says_so(path: Path):
    with pytest.raises(Unusable) as caught:
        read(path, "default")

    assert caught.value.missing


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda data: b"", "not written by this release"),
        (lambda data: b"hello", "not written by this release"),
        (lambda data: data.replace(b"last-good 1", b"last-good 2"), "not written by this release"),
        (lambda data: data[:-1], "checksum"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "checksum"),
        (lambda data: data + b"x", "checksum"),
    ],
)
def test_a_damaged_file_is_not_used(path: Path, spoil, why: str):
    write(path, kept())
    path.write_bytes(spoil(path.read_bytes()))

    with pytest.raises(Unusable, match=why):
        read(path, "default")


def test_a_file_of_another_namespace_is_not_used(path: Path):
    write(path, kept("shop"))

    with pytest.raises(Unusable, match="'shop'"):
        read(path, "default")


def test_a_directory_is_not_used(tmp_path: Path):
    with pytest.raises(Unusable):
        read(tmp_path, "default")


# The replica


async def test_flags_are_saved_a_moment_after_they_changed(run: Run, store: Recording, clock: FakeClock, path: Path):
    async with run(last_good=path) as replica:
        await until(replica.holder.contacted.is_set)
        change = await put(store, "a", **ON)
        await clock.advance(0.9)
        assert not path.exists()  # noqa: ASYNC240 - a temporary directory of ours
        await clock.advance(0.2)
        await until(path.exists)

        assert read(path, "default").state.flags == {"a": Document(change.revision, change.document)}


async def test_a_change_shortly_before_the_end_is_saved(run: Run, store: Recording, clock: FakeClock, path: Path):
    async with run(last_good=path) as replica:
        await until(replica.holder.contacted.is_set)
        change = await put(store, "a", **ON)
        await clock.advance(0)

    assert read(path, "default").state.position == change.position


async def saved(run: Run, store: Recording, clock: FakeClock, path: Path) -> None:
    async with run(last_good=path) as replica:
        await until(replica.holder.contacted.is_set)
        await put(store, "a", **ON)
        await clock.advance(0)


async def test_a_start_without_the_store_serves_the_file_as_stale(run, store, clock, path, faulty: Faulty):
    await saved(run, store, clock, path)
    faulty.down = True

    async with run(init=False, last_good=path) as replica:
        await until(lambda: replica.view.snapshot is not None)

        assert replica.view.snapshot.evaluate("a").value is True
        assert replica.view.freshness == "stale"
        assert not replica.holder.contacted.is_set()


async def test_it_is_served_beyond_the_ordinary_bound_up_to_its_own(run, store, clock, path, faulty: Faulty):
    await saved(run, store, clock, path)
    faulty.down = True
    clock.step(DAY_S / 2)

    async with run(init=False, last_good=path) as replica:
        await until(lambda: replica.view.snapshot is not None)
        await clock.advance(600)
        assert replica.view.freshness == "stale"

        clock._monotonic += int(DAY_S / 2 * 1e9)
        replica.holder.tick()
        assert replica.view.freshness == "expired"


async def test_the_time_that_the_file_takes_to_read_counts_too(memory: Rewinding, clock: FakeClock, path: Path):
    class Slow(Builder):
        def add_flag(self, key: str | None, document: Document) -> None:
            clock.step(30)
            super().add_flag(key, document)

    write(path, kept(saved_at=clock.now()))
    holder = Holder(clock, ttl_s=10, max_staleness_s=300)

    await Saver(path, "default", holder, clock, max_age_s=DAY_S).recall(Slow())

    assert holder.age_s == 30


async def test_after_the_first_contact_the_ordinary_bound_applies(run, store, clock, path, faulty: Faulty):
    await saved(run, store, clock, path)

    async with run(init=False, last_good=path) as replica:
        await until(lambda: replica.view.freshness == "fresh")
        faulty.down = True
        await clock.advance(302)

        assert replica.view.freshness == "expired"


async def test_the_start_goes_on_from_the_file_without_loading(run, store, clock, path):
    await saved(run, store, clock, path)
    async with store:
        change = await put(store, "a", **OFF)

        async with run(init=False, last_good=path) as replica:
            await until(lambda: replica.view.position == change.position)

            assert replica.sync.loads == 0
            assert store.count("load") == 1  # of the process before


async def test_a_file_that_is_too_old_is_not_used(run, store, clock, path, faulty: Faulty, caplog):
    await saved(run, store, clock, path)
    faulty.down = True
    clock.step(DAY_S + 1)

    async with run(init=False, last_good=path) as replica:
        await until(lambda: any("are allowed" in record.message for record in caplog.records))

        assert replica.view.snapshot is None


async def test_a_damaged_file_costs_one_line_in_the_log(run, store, clock, path, faulty: Faulty, caplog):
    path.parent.mkdir()
    path.write_bytes(b"garbage")

    async with run(last_good=path) as replica:
        await until(lambda: replica.view.freshness == "fresh")

        told = [record.message for record in caplog.records if str(path) in record.message]
        assert len(told) == 1
        assert "not written by this release" in told[0]


async def test_another_life_of_the_namespace_does_not_replace_the_file(run, memory: Rewinding, store, clock, path):
    await saved(run, store, clock, path)
    memory.replace_by("foreign")

    async with run(init=False, last_good=path) as replica:
        await until(lambda: replica.troubles.text is not None)

        assert "grayflow init --replace" in (replica.troubles.text or "")
        assert replica.view.freshness == "stale"
    assert read(path, "default").state.position.epoch != "foreign"


async def test_the_last_good_form_of_a_broken_flag_is_what_is_kept(run, store, clock, path):
    async with run(last_good=path) as replica:
        await until(replica.holder.contacted.is_set)
        good = await put(store, "a", **ON)
        await clock.advance(0)
        await put_bytes(store, "a", b"no json")
        await clock.advance(0)

    assert read(path, "default").state.flags["a"] == Document(good.revision, good.document)


async def test_the_file_of_an_unchanged_set_is_renewed(run, store, clock, path):
    async with run(last_good=path) as replica:
        await until(replica.holder.contacted.is_set)
        await clock.advance(1.1)
        await until(path.exists)
        first = read(path, "default")

        def renewed() -> bool:
            return read(path, "default").saved_at > first.saved_at + 3000 * 10**9

        with anyio.fail_after(10):
            while not renewed():
                await clock.advance(480)
                await SystemClock().sleep(0.005)  # for the thread that writes
        assert read(path, "default").state == first.state


async def test_a_disk_that_refuses_is_told_once(run, store, clock, tmp_path: Path, caplog):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")

    async with run(last_good=blocked / "flags") as replica:
        await until(replica.holder.contacted.is_set)
        for _ in range(3):
            await put(store, "a", **ON)
            await clock.advance(1.1)
            await until(lambda: any("were not saved" in record.message for record in caplog.records))

    assert len([record for record in caplog.records if "were not saved" in record.message]) == 1


async def test_a_disk_that_hangs_does_not_keep_it_from_asking_the_store(run, store, clock, path, monkeypatch, caplog):
    gate = threading.Event()
    monkeypatch.setattr("grayflow.replica.saver._READING_S", 0.05)
    monkeypatch.setattr("grayflow.replica.saver.read", lambda *_: gate.wait(20))

    try:
        async with run(last_good=path) as replica:
            await until(lambda: replica.view.freshness == "fresh")
    finally:
        gate.set()

    assert "could not be read in 0.05 s" in caplog.text


class Late(Wrapper):
    """Two changes are committed and pushed between the moment that a load shows and the moment that it arrives."""

    armed = False

    async def around(self, call: Call, proceed: Callable[[], Awaitable[T]]) -> T:
        answer = await proceed()
        if call.verb == "load" and self.armed:
            await put(self.inner, "changed", **OFF)
            await put_bytes(self.inner, "deleted", None)
            await anyio.wait_all_tasks_blocked()
        return answer


async def test_changes_that_arrive_during_a_load_are_kept_too(run: Run, memory: Rewinding, clock, path):
    store = Late(memory)
    async with run(on=store, last_good=path) as replica:
        await until(replica.holder.contacted.is_set)
        await put(memory, "changed", **ON)
        await put(memory, "deleted", **ON)
        await clock.advance(0)
        store.armed = True
        memory._log.clear()
        memory.replace_by("restored")
        memory._replaced = ("*",)

        assert await replica.confirm() is None

        assert replica.view.position == await memory.position()
    kept = read(path, "default").state
    assert kept.position == replica.view.position
    assert dict(kept.flags) == dict((await held_by(memory)).flags)


async def held_by(store: Store) -> State:
    async with store:
        return await store.load()


async def test_segments_and_deletions_are_kept_too(run, store, clock, path):
    async with run(last_good=path) as replica:
        await until(replica.holder.contacted.is_set)
        await put(store, "staff", kind="segment", include=["anna"])
        await put(store, "f", **ON)
        await put_bytes(store, "f", None)
        await clock.advance(0)

    state = read(path, "default").state
    assert set(state.segments) == {"staff"}
    assert dict(state.flags) == {}
