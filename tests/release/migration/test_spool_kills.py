"""A real Redis that is killed and comes back, and processes that are killed while it is away: nothing is lost."""

import signal
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import anyio
import pytest
from msgspec import structs

from grayflow import Admin, Client
from tests.release.kills import Zygote
from tests.release.migration.bench import Bench, order, until
from tests.release.migration.spool_kills import Task
from tests.servers import RedisServer

pytestmark = [pytest.mark.anyio, pytest.mark.redis, pytest.mark.timeout(300)]

POINTS = 16
"""More than a write has, so that each is met before it is over: announced, read, written to both."""


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """Return a server of this test's own, which it kills."""
    with RedisServer() as started:
        yield started


def test_killed_anywhere_while_redis_is_away(server: RedisServer, quick_path: Path) -> None:
    with Zygote(Task) as zygote:
        server.kill()
        whole, *killed = [fresh(server, quick_path, at) for at in range(POINTS + 1)]
        status, points = zygote.run(whole)
        assert status == 0
        assert len(points) >= POINTS
        assert points[:2] == ["before spool.put", "after spool.put"]
        for task in killed:
            assert zygote.run(task)[0] == -signal.SIGKILL
        server.start()
        for task in (whole, *killed):
            later = structs.replace(task, what="settle", kill_at=0, name="later")
            assert zygote.run(later)[0] == 0, f"killed at point {task.kill_at}, {points[task.kill_at - 1]}"


def fresh(server: RedisServer, folder: Path, kill_at: int) -> Task:
    """Return an order for a folder and a namespace of its own."""
    name = uuid4().hex
    (folder / name).mkdir()
    return Task(folder=str(folder / name), url=server.url, space=f"t-{name[:12]}", kill_at=kill_at)


async def test_redis_is_killed_under_a_service_that_goes_on_and_comes_back(server: RedisServer, tmp_path: Path) -> None:
    async with Admin(server.url, namespace="shop", actor="ada") as admin:
        await admin.init()
        async with Client(server.url, namespace="shop") as flags:
            bench = Bench(flags, admin)
            options = {"repair_every": 0.05, "repair_after": 0, "profile": "mirrored", "max_stale": 3600}
            async with bench.running(
                "dualwrite", on_journal_unavailable="proceed", spool=tmp_path / "spool", **options
            ) as orders:
                server.ask("SAVE")
                server.kill()
                bench.new.failing["*"] = ConnectionError("away too")
                for number in range(30):
                    assert (await orders.update(order(f"k{number}"))).mirrored is False
                assert orders.spool.waiting == 30
                bench.new.failing.clear()
                await anyio.to_thread.run_sync(server.start)

                async def repaired() -> bool:
                    return orders.spool.waiting == 0 and await bench.rows("old") == await bench.rows("new")

                await until(repaired, 60)
                assert len(await bench.rows("new")) == 30
