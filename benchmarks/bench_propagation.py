"""
How long from a write until another process holds it, beside a bare redis-py Pub/Sub message on the same server?

Server, writer and readers run before all other processes where that is allowed: whatever else the machine does would be
the larger part of these figures.
"""

import asyncio
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from importlib.util import find_spec
from typing import NamedTuple

from redis.asyncio import Redis

from benchmarks.harness import Row, Table
from benchmarks.priority import first
from benchmarks.readers import KEY
from benchmarks.watch import put_first
from grayflow.core.codec import encode
from grayflow.core.flag import Flag
from grayflow.store.port import Edit
from grayflow.store.urls import open_store
from tests.servers import RedisServer

__all__ = ["run"]

READERS = (1, 50, 200)
HOWS = ("plain", "hiredis", "uvloop", "hiredis+uvloop")
PROCESSES = 4
WRITES = 100
GAP_S = 0.001
"""Between two writes, for each reader: flags change now and then, so no change waits for the one before it."""
SETTLE_S = 3.0
"""Before that: two hundred clients that have just connected are not idle."""
IDLE_S = 5.0
"""
How long is looked what everybody does while nothing changes; that is taken off. A link that hears changes needs no
heartbeats, so with many readers nothing may be left.
"""

Send = Callable[[int], Awaitable[object]]


class Cpu(NamedTuple):
    """Processor time in seconds."""

    server: float
    writer: float
    readers: float

    def less(self, other: "Cpu", times: float = 1.0) -> "Cpu":
        """Return what is left."""
        return Cpu(*(one - times * two for one, two in zip(self, other, strict=True)))


class Measured(NamedTuple):
    """Of one kind of message."""

    delays_us: dict[str, list[float]]
    """Until it is `visible`, and until a handler is `told`."""
    cpu: Cpu
    """For one change."""

    def percentile(self, share: int, what: str = "visible") -> float:
        """Return that of the delays."""
        return statistics.quantiles(self.delays_us[what], n=100)[share - 1]


def run() -> Iterator[Table]:
    """Start a server of its own and measure with 1, 50 and 200 readers, then with what may be installed besides."""
    with RedisServer() as server:
        put_first(server)
        first(0)
        for readers in READERS:
            yield asyncio.run(_compare(server, readers))
        hows = [how for how in HOWS if all(find_spec(name) for name in how.split("+") if name != "plain")]
        yield asyncio.run(_options(server, hows))


async def _compare(server: RedisServer, readers: int) -> Table:
    raw = await _raw(server, readers, "plain")
    ours = await _grayflow(server, readers, "plain")
    rows = []
    for name, share in (("p50", 50), ("p99", 99)):
        floor = raw.percentile(share)
        rows += [Row(f"redis-py Pub/Sub {name}", floor), Row(f"grayflow {name}", ours.percentile(share), floor)]
        rows.append(Row(f"grayflow, its handler called, {name}", ours.percentile(share, "told"), floor))
    rows += _cpu_rows("", raw, ours)
    return Table(f"from write to reader, {readers} readers in {min(PROCESSES, readers)} processes", "µs", tuple(rows))


async def _options(server: RedisServer, hows: list[str]) -> Table:
    rows: list[Row] = []
    readers = READERS[1]
    for how in hows:
        raw, ours = await _raw(server, readers, how), await _grayflow(server, readers, how)
        rows.append(Row(f"{how}: redis-py Pub/Sub p50", raw.percentile(50)))
        rows.append(Row(f"{how}: grayflow p50", ours.percentile(50), raw.percentile(50)))
        rows += [row for row in _cpu_rows(f"{how}: ", raw, ours) if "readers" in row.name]
    return Table(f"what hiredis and uvloop bring to {readers} readers", "µs", tuple(rows))


def _cpu_rows(prefix: str, raw: Measured, ours: Measured) -> Iterator[Row]:
    for who in Cpu._fields:
        floor, value = (1e6 * getattr(measured.cpu, who) for measured in (raw, ours))
        yield Row(f"{prefix}redis-py Pub/Sub, work of {who} for a change", floor)
        yield Row(f"{prefix}grayflow, work of {who} for a change", max(0.0, value), floor if floor > 0 else None)


async def _grayflow(server: RedisServer, readers: int, how: str) -> Measured:
    namespace = f"bench-{time.monotonic_ns()}"  # what was written before would be taken for repetitions
    async with open_store(server.url, namespace=namespace) as store:
        await store.init()
        revision = 0

        async def write(number: int) -> None:
            nonlocal revision
            document = encode(Flag(key=KEY, description=str(number), enabled=True))
            edit = Edit(
                kind="flag", key=KEY, document=document, action="edit", actor="benchmark", reason="",
                at=time.time_ns(), request_id=f"{namespace}-{number}",
            )  # fmt: skip
            revision = (await store.commit(edit, expected=revision)).revision

        await write(0)
        return await _measured(server, ("grayflow", how, server.url, namespace), readers, write)


async def _raw(server: RedisServer, readers: int, how: str) -> Measured:
    async with Redis.from_url(server.url, protocol=2) as redis:
        padding = " " * 600
        channel = f"bench-{readers}"

        async def write(number: int) -> None:
            await redis.publish(channel, f"{number:010}{padding}")

        return await _measured(server, ("raw", how, server.url, channel), readers, write)


async def _measured(server: RedisServer, words: tuple[str, ...], readers: int, send: Send) -> Measured:
    shares = [readers // PROCESSES + (number < readers % PROCESSES) for number in range(min(PROCESSES, readers))]
    command = [sys.executable, "-m", "benchmarks.readers", *words]
    processes = [
        subprocess.Popen([*command, str(share)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220 - before anything is timed
        for share in shares
    ]
    try:
        for process in processes:
            assert await _line(process) == "ready"
        await asyncio.sleep(SETTLE_S)  # noqa: TID251 - the length is what counts
        start = await _cpu(server, processes)
        await asyncio.sleep(IDLE_S)  # noqa: TID251 - the length is what counts
        idle = await _cpu(server, processes)
        began = time.monotonic()
        sent = await _sent(send, readers)
        busy = await _cpu(server, processes)
        times = (time.monotonic() - began) / IDLE_S
        await asyncio.sleep(0.5)  # noqa: TID251 - the last messages are on their way
    finally:
        outputs = [process.communicate()[0] for process in processes]
    cpu = busy.less(idle).less(idle.less(start), times)
    delays: dict[str, list[float]] = defaultdict(list)
    for what, number, at in (line.split() for output in outputs for line in output.splitlines()):
        if int(number) in sent:
            delays[what].append((int(at) - sent[int(number)]) / 1000)
    return Measured(delays, Cpu(*(seconds / WRITES for seconds in cpu)))


async def _sent(send: Send, readers: int) -> dict[int, int]:
    sent = {}
    for number in range(1, WRITES + 1):
        sent[number] = time.monotonic_ns()
        await send(number)
        await asyncio.sleep(max(0.01, GAP_S * readers))  # noqa: TID251 - paces the load
    return sent


async def _cpu(server: RedisServer, processes: list["subprocess.Popen[str]"]) -> Cpu:
    with server.connect() as redis:
        used = redis.info("cpu")
    readers = 0.0
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        readers += float(await _line(process))
    return Cpu(float(used["used_cpu_user"]) + float(used["used_cpu_sys"]), time.process_time(), readers)


async def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return (await asyncio.to_thread(process.stdout.readline)).strip()
