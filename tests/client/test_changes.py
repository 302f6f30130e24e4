import asyncio
from contextlib import AsyncExitStack
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from grayflow import Flag
from grayflow.client.changes import Changes
from grayflow.core.codec import to_bytes
from grayflow.core.position import Document, Position
from grayflow.core.snapshot import Snapshot
from grayflow.errors import ConfigurationError
from grayflow.replica.view import View
from grayflow.store.port import Change
from grayflow.testing import FakeClock, Faulty
from tests.client.conftest import Make
from tests.replica.kit import OFF, ON, Rewinding, put, put_bytes

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("opened")]


class Heard:
    def __init__(self) -> None:
        self.changes: list[tuple[str, bool | None, bool | None]] = []
        self.go = anyio.Event()
        self.go.set()

    async def __call__(self, old: Flag | None, new: Flag | None) -> None:
        await self.go.wait()
        key = (old or new or Flag(key="?")).key
        self.changes.append((key, old and old.enabled, new and new.enabled))


async def test_a_handler_gets_old_and_new(make: Make, store: Faulty, clock: FakeClock):
    await put(store, "f", **OFF)
    heard = Heard()
    async with make() as flags:
        flags.on_change("f")(heard)
        await put(store, "f", **ON)
        await put(store, "other", **ON)
        await clock.advance(0)
        await put_bytes(store, "f", None)
        await clock.advance(0)
        await put(store, "f", **OFF)
        await clock.advance(0)

    assert heard.changes == [("f", False, True), ("f", True, None), ("f", None, False)]


async def test_without_a_key_it_hears_of_every_flag(make: Make, store: Faulty, clock: FakeClock):
    heard = Heard()
    flags = make()
    flags.on_change()(heard)  # before the start
    async with flags:
        await put(store, "f", **ON)
        await put(store, "g", **OFF)
        await clock.advance(0)

    assert heard.changes == [("f", None, True), ("g", None, False)]


async def test_the_decorator_gives_the_function_back_and_plain_functions_will_do(make: Make, store: Faulty, clock):
    seen: list[Any] = []
    async with make() as flags:

        @flags.on_change("f")
        def changed(old: Flag | None, new: Flag | None) -> None:
            seen.append((old, new and new.key))

        assert flags.on_change("f", changed) is changed
        assert flags.on_change(changed) is changed
        await put(store, "f", **ON)
        await clock.advance(0)

    assert seen == [(None, "f")] * 3


async def test_the_flags_that_a_process_starts_with_are_no_change(make: Make, store: Faulty, clock: FakeClock):
    await put(store, "f", **ON)
    heard = Heard()
    flags = make()
    flags.on_change(None, heard)
    async with flags:
        await clock.advance(0)

    assert heard.changes == []


async def test_after_a_full_load_it_hears_what_differs(make: Make, store: Faulty, memory: Rewinding, clock: FakeClock):
    await put(store, "same", **ON)
    await put(store, "gone", **ON)
    await put(store, "f", **OFF)
    heard = Heard()
    async with make() as flags:
        flags.on_change()(heard)
        store.deaf = True
        await put(memory, "f", **ON)
        await put(memory, "new", **ON)
        await put_bytes(memory, "gone", None)
        memory._log.clear()
        await clock.advance(13)

        assert flags.health.loads == 2
    assert sorted(heard.changes) == [("f", False, True), ("gone", True, None), ("new", None, True)]


async def test_a_document_that_does_not_decode_is_no_change(make: Make, store: Faulty, clock: FakeClock):
    await put(store, "f", **ON)
    heard = Heard()
    async with make() as flags:
        flags.on_change("f")(heard)
        await put_bytes(store, "f", b"no json")
        await clock.advance(0)

    assert heard.changes == []


async def test_for_a_slow_handler_the_newest_change_of_each_flag_wins(make: Make, store: Faulty, clock: FakeClock):
    await put(store, "f", **OFF)
    heard = Heard()
    heard.go = anyio.Event()
    async with make() as flags:
        flags.on_change()(heard)
        await put(store, "first", **ON)
        await clock.advance(0)
        for index in range(5):
            await put(store, "f", enabled=index % 2 == 0, description=f"{index}")
            await clock.advance(0)
        await put(store, "g", **ON)
        await clock.advance(0)
        heard.go.set()
        await clock.advance(0)

        assert heard.changes == [("first", None, True), ("f", False, True), ("g", None, True)]
        assert flags.health.changes_dropped == 4


async def test_what_was_taken_back_before_a_slow_handler_had_time_is_not_told(make: Make, store: Faulty, clock):
    await put(store, "f", **OFF)
    heard = Heard()
    heard.go = anyio.Event()
    async with make() as flags:
        flags.on_change()(heard)
        await put(store, "first", **ON)
        await clock.advance(0)
        await put(store, "f", **ON)
        await clock.advance(0)
        await put(store, "f", **OFF)
        await clock.advance(0)
        heard.go.set()
        await clock.advance(0)

        assert heard.changes == [("first", None, True)]


async def test_a_change_that_comes_while_a_whole_state_is_compared_is_told_after_it():
    def document(key: str, description: str) -> bytes:
        return to_bytes({"key": key, "description": description})

    keys = [f"f{number}" for number in range(300)]
    before, loaded = (Snapshot.build([document(key, text) for key in keys]) for text in "01")
    later = loaded.apply("flag", keys[-1], Document(1, document(keys[-1], "2")), None)
    views = [View(snapshot, {}, "fresh") for snapshot in (before, loaded, later)]
    change = Change(
        position=Position(epoch="e", revision=1, nonce="n"), previous="", kind="flag", key=keys[-1],
        document=None, before=None, generations={}, action="", actor="", reason="", at=0, request_id="",
    )  # fmt: skip
    told: list[tuple[str, str]] = []
    changes = Changes()
    changes.add(keys[-1], lambda old, new: told.append((old.description, new.description)), before)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(changes.run)
        await anyio.wait_all_tasks_blocked()
        changes.see(views[0], views[1], None)
        while not changes._comparing:
            await checkpoint()
        changes.see(views[1], views[2], change)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()

    assert told in ([("0", "2")], [("0", "1"), ("1", "2")])


async def test_a_slow_handler_delays_no_other_and_no_flag(make: Make, store: Faulty, clock: FakeClock):
    slow, quick = Heard(), Heard()
    slow.go = anyio.Event()
    async with make() as flags:
        flags.on_change()(slow)
        flags.on_change()(quick)
        await put(store, "f", **ON)
        await clock.advance(0)

        assert flags.peek("f") is True
        assert quick.changes == [("f", None, True)]


async def test_what_a_handler_raises_is_counted_and_it_goes_on(make: Make, store: Faulty, clock: FakeClock):
    calls = []

    def broken(old: Flag | None, new: Flag | None) -> None:
        calls.append(new)
        raise RuntimeError("no cache")

    async with make() as flags:
        flags.on_change("f")(broken)
        for document in (ON, OFF):
            await put(store, "f", **document)
            await clock.advance(0)

        assert len(calls) == 2
        assert flags.health.handler_errors == 2
        assert flags.health.state == "fresh"


async def test_a_handler_that_awaits_what_it_has_cancelled_hears_of_the_next_change(make: Make, store: Faulty, clock):
    heard: list[Flag | None] = []

    async def restart(_: Flag | None, new: Flag | None) -> None:
        heard.append(new)
        worker: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        worker.cancel()
        await worker

    async with make() as flags:
        flags.on_change("f")(restart)
        for document in (ON, OFF, ON):
            await put(store, "f", **document)
            await clock.advance(0)

        assert len(heard) == 3
        assert flags.health.handler_errors == 3
        assert flags.health.state == "fresh"


async def test_what_handlers_raise_is_logged_once_for_each_of_them_and_kind(make: Make, store: Faulty, clock, caplog):
    errors = [RuntimeError("no cache"), RuntimeError("still none"), KeyError("f"), RuntimeError("and none")]

    def one(old: Flag | None, new: Flag | None) -> None:
        raise errors[int((new and new.description) or 0)]

    def other(old: Flag | None, new: Flag | None) -> None:
        one(old, new)

    async with make() as flags:
        flags.on_change(one)
        flags.on_change(other)
        for index in range(4):
            await put(store, "f", description=str(index))
            await clock.advance(0)

        assert flags.health.handler_errors == 8
    told = sorted((record.args[0].__name__, str(record.exc_info[1])) for record in caplog.records)
    assert told == [("one", "'f'"), ("one", "no cache"), ("other", "'f'"), ("other", "no cache")]


async def test_a_handler_is_in_no_scope_of_whoever_started_the_client(make: Make, store: Faulty, clock: FakeClock):
    seen: list[bool] = []
    flags = make()
    with flags.override(f=False):
        await flags.start()
    try:
        flags.on_change("f", lambda old, new: seen.append(flags.peek("f")))
        await put(store, "f", **ON)
        await clock.advance(0)
    finally:
        await flags.aclose()

    assert seen == [True]


async def test_a_handler_may_close_the_client(make: Make, store: Faulty, clock: FakeClock):
    flags = make()

    @flags.on_change("f")
    async def stop(old: Flag | None, new: Flag | None) -> None:
        await flags.aclose()

    await flags.start()
    await put(store, "f", **ON)
    with anyio.fail_after(2):
        await clock.advance(0)
        await flags.aclose()

    assert flags.health.state == "closed"


@pytest.mark.parametrize("started", [False, True], ids=["before-the-start", "after-the-start"])
async def test_a_handler_is_in_no_scope_of_whoever_registered_it(make: Make, store: Faulty, clock, started: bool):
    seen: list[bool] = []
    flags = make()
    async with AsyncExitStack() as stack:
        if started:
            await stack.enter_async_context(flags)
        with flags.override(f=False):
            flags.on_change("f", lambda old, new: seen.append(flags.peek("f")))
            if not started:
                await stack.enter_async_context(flags)
            await put(store, "f", **ON)
            await clock.advance(0)

    assert seen == [True]


async def test_a_handler_that_was_registered_after_the_start_may_close_the_client(make: Make, store, clock):
    closed = anyio.Event()
    flags = make()
    await flags.start()

    @flags.on_change("f")
    async def stop(old: Flag | None, new: Flag | None) -> None:
        await flags.aclose()
        closed.set()

    await put(store, "f", **ON)
    with anyio.fail_after(2):
        await clock.advance(0)
        await closed.wait()
        await flags.aclose()

    assert flags.health.state == "closed"


@pytest.mark.parametrize("handler", ["f", 5, lambda: None, lambda change: None], ids=["text", "number", "none", "one"])
async def test_what_cannot_be_called_with_two_flags_is_refused(make: Make, handler: Any):
    with pytest.raises(ConfigurationError, match="the old and the new flag"):
        make().on_change("f", handler)


async def test_thousands_of_changed_flags_are_told_in_slices(make: Make, store: Faulty, memory: Rewinding, clock):
    heard = Heard()
    async with make() as flags:
        flags.on_change()(heard)
        store.deaf = True
        for index in range(500):
            await put(memory, f"f{index}", **ON)
        memory._log.clear()
        await clock.advance(13)

    assert len(heard.changes) == 500


async def test_too_many_flags_that_wait_are_given_up_oldest_first(make: Make, store: Faulty, clock, monkeypatch):
    monkeypatch.setattr("grayflow.client.changes._WAITING", 3)
    heard = Heard()
    heard.go = anyio.Event()
    async with make() as flags:
        flags.on_change()(heard)
        for index in range(6):
            await put(store, f"f{index}", **ON)
            await clock.advance(0)
        heard.go.set()
        await clock.advance(0)

        assert [key for key, _, _ in heard.changes] == ["f0", "f3", "f4", "f5"]
        assert flags.health.changes_dropped == 2


async def test_a_handler_that_is_registered_after_the_close_hears_nothing(make: Make, store: Faulty, clock: FakeClock):
    heard = Heard()
    async with make() as flags:
        pass

    assert flags.on_change("f", heard) is heard
    await put(store, "f", **ON)
    await clock.advance(0)

    assert heard.changes == []
    assert flags.health.state == "closed"
