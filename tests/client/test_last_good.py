"""Starting from the flags on disk: how long entering waits for a store that refuses, and what is served meanwhile."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from grayflow import Client, StoreAccessError, StoreError, StoreFormatError
from grayflow.testing import FakeClock, Faulty
from tests.client.conftest import Make
from tests.replica.kit import ON, Rewinding, put, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("opened")]

LONG_S = 60.0
"""Nobody waits for it: a test that does fails before."""


@pytest.fixture
async def path(tmp_path: Path, make: Make, memory: Rewinding, clock: FakeClock) -> Path:
    """A file in which flag `f` is on."""
    path = tmp_path / "flags"
    async with make(last_good=path) as flags:
        await put(memory, "f", **ON)
        await clock.advance(0)
        assert flags.peek("f") is True
    return path


async def test_an_emptied_store_does_not_delay_the_start(make: Make, memory: Rewinding, path: Path):
    memory.empty()

    with anyio.fail_after(LONG_S / 2):
        async with make(last_good=path, start_timeout=LONG_S) as flags:
            assert flags.peek("f") is True
            assert (flags.health.state, flags.health.incident) == ("stale", True)


async def test_a_foreign_store_does_not_delay_the_start(make: Make, memory: Rewinding, path: Path):
    memory.replace_by("foreign")

    with anyio.fail_after(LONG_S / 2):
        async with make(last_good=path, start_timeout=LONG_S) as flags:
            assert flags.peek("f") is True
            assert "foreign" in (flags.health.last_error or "")


@pytest.mark.parametrize("error", [StoreAccessError("wrong password"), StoreFormatError("schema 2")])
async def test_a_refusal_does_not_delay_the_start(make: Make, store: Faulty, path: Path, error: StoreError):
    store.errors["position"] = error

    with anyio.fail_after(LONG_S / 2):
        async with make(last_good=path, start_timeout=LONG_S) as flags:
            assert flags.peek("f") is True


@asynccontextmanager
async def starting(flags: Client, until_it_shows: Callable[[], object]) -> AsyncIterator[None]:
    """The client starts, and goes on waiting although what is wrong is known; after the block it has started."""
    started: list[Client] = []

    async def start() -> None:
        started.append(await flags.start())

    with anyio.fail_after(LONG_S / 2):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(start)
            await until(until_it_shows)
            await anyio.wait_all_tasks_blocked()
            assert not started
            yield
    await flags.aclose()


async def test_a_store_that_is_away_is_waited_for(make: Make, store: Faulty, path: Path, clock: FakeClock):
    store.down = True
    flags = make(last_good=path, start_timeout=LONG_S)

    async with starting(flags, lambda: flags.health.last_error):
        store.heal()
        await clock.advance(2)
        assert flags.health.state == "fresh"


async def test_without_flags_on_disk_an_emptied_store_is_waited_for(make: Make, memory: Rewinding, clock: FakeClock):
    memory.empty()
    flags = make(start_timeout=LONG_S)

    async with starting(flags, lambda: flags.health.incident):
        await memory.init()
        await clock.advance(15)
        assert flags.health.state == "fresh"


async def test_who_requires_a_proof_waits_for_it(make: Make, memory: Rewinding, path: Path, clock: FakeClock):
    memory.save()
    memory.empty()
    flags = make(last_good=path, require_ready=True, start_timeout=LONG_S)

    async with starting(flags, lambda: flags.health.incident):
        memory.rewind()
        await clock.advance(15)
        assert flags.health.state == "fresh"


async def test_a_file_that_cannot_be_written_is_in_health_until_it_can(
    make: Make, store: Faulty, clock: FakeClock, tmp_path: Path
):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("no directory")
    async with make(last_good=in_the_way / "flags") as flags:
        assert flags.health.unsaved is None
        await clock.advance(1.1)
        await until(lambda: flags.health.unsaved)
        assert str(in_the_way / "flags") in (flags.health.unsaved or "")
        assert flags.health.state == "fresh"

        in_the_way.unlink()
        await put(store, "f", **ON)
        await clock.advance(1.1)

        await until(lambda: flags.health.unsaved is None)
    assert (in_the_way / "flags").exists()
