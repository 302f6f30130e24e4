"""Real processes at one SQLite board."""

import signal
import subprocess
from pathlib import Path

import anyio
import pytest

from grayflow.clock import SystemClock
from grayflow.store.sqlite import SQLiteStore
from grayflow.testing.contract.board.kit import held, passed
from tests.store.test_processes import finish, line, start

pytestmark = pytest.mark.anyio

CLAIM = """
async def main():
    name = sys.argv[2]
    async with SQLiteStore(path, busy_timeout=60) as store:
        for number in range(40):
            record = await store.board.claim("jobs", f"{number}", name, span=600)
            if record is not None:
                print(number, record.lease.fence)
            await store.board.add("dirty", [f"{number}"])
            await store.board.count("hits", name, number + 1, {"on": 1, name: 1}, ttl=600)

asyncio.run(main())
"""
HOLD = """
async def main():
    name = sys.argv[2]
    async with SQLiteStore(path, busy_timeout=60) as store:
        record = await store.board.claim("jobs", "a", name, span=0.3)
        print(record.lease.fence, record.lease.until, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""
WRITE = """
async def main():
    name = sys.argv[2]
    async with SQLiteStore(path, busy_timeout=60) as store:
        number = 0
        while True:
            number += 1
            await store.board.count("hits", name, number, {"on": 1, "off": -1}, ttl=600)
            print(number, flush=True)

asyncio.run(main())
"""


def kill(process: subprocess.Popen[str]) -> str:
    """Kill a process where it stands, and return what else it had said."""
    process.send_signal(signal.SIGKILL)
    out, _ = process.communicate(timeout=50)
    return out


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    async with SQLiteStore(tmp_path / "flags.db") as store:
        await store.init()
    return tmp_path / "flags.db"


async def test_of_several_processes_one_gets_each_lease(path: Path) -> None:
    workers = [start(CLAIM, path, name) for name in "abc"]

    told = [answer.split() for worker in workers for answer in finish(worker).splitlines()]

    assert sorted(int(number) for number, _ in told) == list(range(40))
    assert len({fence for _, fence in told}) == 40
    async with SQLiteStore(path) as store:
        assert list(await store.board.counts(["hits"])) == [{"on": 120, "a": 40, "b": 40, "c": 40}]
        assert await store.board.size("dirty") == 40


async def test_the_lease_of_a_killed_process_is_taken_over(path: Path) -> None:
    holder = start(HOLD, path, "dead")
    fence, until = map(int, (await anyio.to_thread.run_sync(line, holder)).split())
    kill(holder)
    async with SQLiteStore(path) as store:
        await passed(store.board, until, SystemClock().sleep)

        taken = await held(store.board, owner="heir")

        assert taken.fence > fence
        assert await store.board.put("jobs", "a", b"late", fence=fence) is None
        assert await store.board.put("jobs", "a", b"done", fence=taken.fence) is not None


async def test_a_process_killed_while_it_writes_leaves_whole_batches(path: Path) -> None:
    for round_ in range(4):
        writer = start(WRITE, path, f"w{round_}")
        for _ in range(5 * round_ + 1):
            await anyio.to_thread.run_sync(line, writer)
        kill(writer)

    async with SQLiteStore(path, busy_timeout=30) as store:
        (sums,) = await store.board.counts(["hits"])
        assert sums["on"] == -sums["off"] >= 34
        assert await store.board.put("jobs", "a", b"1") is not None
        assert (await store.position()).revision == 0


async def test_batches_told_to_be_added_survive_the_kill(path: Path) -> None:
    writer = start(WRITE, path, "w")
    await anyio.to_thread.run_sync(line, writer)
    told = kill(writer).split()

    async with SQLiteStore(path, busy_timeout=30) as store:
        (sums,) = await store.board.counts(["hits"])
        last = int(told[-1]) if told else 1
        assert last <= sums["on"] <= last + 1
        assert not await store.board.count("hits", "w", last, {"on": 1}, ttl=600)
        assert await store.board.count("hits", "w", last + 2, {"on": 1}, ttl=600)
