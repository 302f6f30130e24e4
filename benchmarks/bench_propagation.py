"""How long from a write until another process holds it, beside a bare redis-py Pub/Sub message on the same server?"""

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

from redis.asyncio import Redis

from benchmarks.harness import Row, Table
from benchmarks.readers import KEY
from grayflow.core.codec import encode
from grayflow.core.flag import Flag
from grayflow.store.port import Edit
from grayflow.store.urls import open_store
from tests.servers import RedisServer

__all__ = ["run"]

READERS = (1, 50, 200)
PROCESSES = 2
WRITES = 100
GAP_S = 0.001
"""Between two writes, for each reader: flags change now and then, so no change waits for the one before it."""

Send = Callable[[int], Awaitable[object]]


def run() -> list[Table]:
    """Start a server of its own and measure with 1, 50 and 200 readers."""
    with RedisServer() as server:
        return [asyncio.run(_compare(server.url, readers)) for readers in READERS]


async def _compare(url: str, readers: int) -> Table:
    raw = await _raw(url, readers)
    ours = await _grayflow(url, readers)
    rows = []
    for name, share in (("p50", 50), ("p99", 99)):
        floor = _percentile(raw, share)
        rows += [Row(f"redis-py Pub/Sub {name}", floor), Row(f"grayflow {name}", _percentile(ours, share), floor)]
    return Table(f"from write to reader, {readers} readers in {min(PROCESSES, readers)} processes", "µs", tuple(rows))


async def _grayflow(url: str, readers: int) -> list[float]:
    async with open_store(url, namespace=f"bench-{readers}") as store:
        await store.init()
        revision = 0

        async def write(number: int) -> None:
            nonlocal revision
            document = encode(Flag(key=KEY, description=str(number), enabled=True))
            edit = Edit(
                kind="flag", key=KEY, document=document, action="edit", actor="benchmark", reason="",
                at=time.time_ns(), request_id=f"{readers}-{number}",
            )  # fmt: skip
            revision = (await store.commit(edit, expected=revision)).revision

        await write(0)
        return await _measured("grayflow", url, f"bench-{readers}", readers, write)


async def _raw(url: str, readers: int) -> list[float]:
    async with Redis.from_url(url, protocol=2) as redis:
        padding = " " * 600
        channel = f"bench-{readers}"
        return await _measured(
            "raw", url, channel, readers, lambda number: redis.publish(channel, f"{number:010}{padding}")
        )


async def _measured(kind: str, url: str, name: str, readers: int, send: Send) -> list[float]:
    shares = [readers // PROCESSES] * PROCESSES if readers >= PROCESSES else [readers]
    command = [sys.executable, "-m", "benchmarks.readers", kind, url, name]
    processes = [
        subprocess.Popen([*command, str(share)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220 - before anything is timed
        for share in shares
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert (await asyncio.to_thread(process.stdout.readline)).strip() == "ready"
        sent = {}
        for number in range(1, WRITES + 1):
            sent[number] = time.monotonic_ns()
            await send(number)
            await asyncio.sleep(max(0.01, GAP_S * readers))  # noqa: TID251 - paces the load
        await asyncio.sleep(0.5)  # noqa: TID251 - the last messages are on their way
    finally:
        outputs = [process.communicate()[0] for process in processes]
    sightings = [tuple(map(int, line.split())) for output in outputs for line in output.splitlines()]
    return [(at - sent[number]) / 1000 for number, at in sightings if number in sent]


def _percentile(values: list[float], share: int) -> float:
    return statistics.quantiles(values, n=100)[share - 1]
