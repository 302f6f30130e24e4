"""Real processes on one SQLite file."""

import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from grayflow.store.port import Changed
from grayflow.store.sqlite import SQLiteStore
from grayflow.testing.contract.kit import edit, put

pytestmark = pytest.mark.anyio

KIT = """
import asyncio, os, sys
from grayflow.errors import ConflictError, LifetimeError
from grayflow.store.sqlite import SQLiteStore
from grayflow.testing.contract.kit import edit, put
path = sys.argv[1]
"""
FOLLOW = """
async def main():
    async with SQLiteStore(path) as store, store.follow() as events:
        print("ready", flush=True)
        async for event in events:
            print(type(event).__name__, event.change.key, event.change.position.token(), flush=True)
            if event.change.key == "last":
                return

asyncio.run(main())
"""
WRITE = """
async def main():
    name = sys.argv[2]
    async with SQLiteStore(path, busy_timeout=60) as store:
        for number in range(50):
            await put(store, edit(f"{name}-{number % 10}", b"%d" % number))
            while True:
                held, _ = await store.get("flag", "shared")
                try:
                    await store.commit(edit("shared", b"%d" % (int(held.data) + 1)), expected=held.revision)
                    break
                except ConflictError:
                    continue

asyncio.run(main())
"""
INIT = """
async def main():
    async with SQLiteStore(path) as store:
        print((await store.init()).epoch)

asyncio.run(main())
"""
FORK = """
async def main():
    async with SQLiteStore(path) as store:
        await store.init()
        await put(store, edit("parent"))
        if os.fork() == 0:
            try:
                await store.position()
            except LifetimeError as error:
                os.write(1, str(error).encode())
            finally:
                os._exit(0)
        os.wait()
        await put(store, edit("after"))
        assert set((await store.load()).flags) == {"parent", "after"}

asyncio.run(main())
"""


def start(script: str, path: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", KIT + script, str(path), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


def finish(process: subprocess.Popen[str]) -> str:
    out, errors = process.communicate(timeout=50)
    assert (process.returncode, errors) == (0, "")
    return out


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


async def test_a_commit_in_one_process_is_seen_in_another(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    async with SQLiteStore(path) as store:
        await store.init()
        reader = start(FOLLOW, path)
        assert await anyio.to_thread.run_sync(line, reader) == "ready"

        first, last = await put(store, edit("first"), edit("last"))

        told = await anyio.to_thread.run_sync(finish, reader)
        assert told.splitlines() == [
            f"Changed first {first.position.token()}",
            f"Changed last {last.position.token()}",
        ]


async def test_four_processes_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    async with SQLiteStore(path, busy_timeout=60) as store:
        begin = await store.init()
        await put(store, edit("shared", b"0"))
        async with store.follow() as events:
            writers = [start(WRITE, path, name) for name in "abcd"]
            seen: list[int] = []
            with anyio.fail_after(50):
                while not seen or seen[-1] < 401:
                    event = await anext(events)
                    assert isinstance(event, Changed)
                    seen.append(event.change.revision)
            for writer in writers:
                await anyio.to_thread.run_sync(finish, writer)

        changes = await store.changes(begin)
        state = await store.load()

    assert seen == list(range(2, 402))
    assert changes is not None
    assert [change.revision for change in changes] == list(range(1, 402))
    assert state.flags["shared"].data == b"200"
    assert len(state.flags) == 41
    assert {document.data for key, document in state.flags.items() if key != "shared"} == {
        b"%d" % number for number in range(40, 50)
    }


def test_processes_that_initialise_at_once_agree(tmp_path: Path) -> None:
    starters = [start(INIT, tmp_path / "flags.db") for _ in range(6)]

    epochs = {finish(starter) for starter in starters}

    assert len(epochs) == 1


def test_a_forked_child_is_refused_and_its_parent_goes_on(tmp_path: Path) -> None:
    told = finish(start(FORK, tmp_path / "flags.db"))

    assert "make a new one after the fork" in told
