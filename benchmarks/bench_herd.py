"""Five hundred clients lose their server and come back at once: what do they ask, and how long is it blocked?"""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis

from benchmarks.harness import Row, Table
from benchmarks.workloads import many_flags
from grayflow import Admin, Position, SystemClock
from tests.servers import RedisServer

__all__ = ["run"]

CLIENTS, FLAGS = 500, 2_000
PROCESSES = 2
FROZEN_S = 4.0
NAMESPACE = "herd"

Crowd = list["subprocess.Popen[str]"]
Happening = Callable[[Admin, RedisServer], Awaitable[None]]


def run() -> list[Table]:
    """Measure with jitter, and without."""
    return [asyncio.run(_measure(jitter=jitter)) for jitter in (True, False)]


async def _measure(*, jitter: bool) -> Table:
    rows: list[Row] = []
    with RedisServer() as server:
        async with Admin(server.url, namespace=NAMESPACE, actor="benchmark") as admin:
            await admin.init()
            await admin.import_(b"[" + b",".join(many_flags(FLAGS)) + b"]")
            async with _crowd(server.url, jitter=jitter) as crowd:
                loads = await _all_at(crowd, await admin.store.position())
                for name, happening in HAPPENINGS.items():
                    await _watch(server.url)
                    start = time.monotonic()
                    await happening(admin, server)
                    before, loads = loads, await _all_at(crowd, await admin.store.position())
                    took_s = time.monotonic() - start
                    longest_ms = await _longest_ms(server.url)
                    rows += [
                        Row(f"{name}: all equal after (s)", took_s),
                        Row(f"{name}: whole loads", loads - before),
                        Row(f"{name}: longest block of the server (ms)", longest_ms),
                    ]
    how = "with jitter" if jitter else "without jitter"
    return Table(f"{CLIENTS} clients and {FLAGS:,} flags come back, {how}", "see each row", tuple(rows))


async def _watch(url: str) -> None:
    async with Redis.from_url(url) as redis:
        await redis.config_set("slowlog-log-slower-than", 500)
        await redis.slowlog_reset()


async def _longest_ms(url: str) -> float:
    async with Redis.from_url(url) as redis:  # a connection from before was cut with the others
        return max((entry["duration"] for entry in await redis.slowlog_get(1000)), default=0) / 1000


async def _cut(_: Admin, server: RedisServer) -> None:
    async with Redis.from_url(server.url) as redis:
        await _kill_all(redis)


async def _cut_and_change(admin: Admin, server: RedisServer) -> None:
    async with Redis.from_url(server.url) as redis:
        await _kill_all(redis)
        for number in range(20):
            await admin.set_percent(f"flag-{number}", number)


async def _freeze(_: Admin, server: RedisServer) -> None:
    server.freeze()
    await SystemClock().sleep(FROZEN_S)
    server.thaw()


async def _replace(admin: Admin, _: RedisServer) -> None:
    await admin.init(replaces="*")


HAPPENINGS: dict[str, Happening] = {
    "links cut": _cut,
    "cut, and 20 changes": _cut_and_change,
    f"frozen {FROZEN_S:g} s": _freeze,
    "another epoch": _replace,
}


async def _kill_all(redis: "Redis[Any]") -> None:
    await redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    await redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


@asynccontextmanager
async def _crowd(url: str, *, jitter: bool) -> AsyncIterator[Crowd]:
    how = "jitter" if jitter else "none"
    command = [sys.executable, "-m", "benchmarks.crowd", url, NAMESPACE, str(CLIENTS // PROCESSES), how]
    crowd = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220
        for _ in range(PROCESSES)
    ]
    try:
        for process in crowd:
            assert await _line(process) == "ready"
        yield crowd
    finally:
        for process in crowd:
            process.kill()
            process.communicate()


async def _all_at(crowd: Crowd, position: Position) -> int:
    """Wait until all clients are there, and return how often they have loaded everything."""
    for process in crowd:
        assert process.stdin is not None
        process.stdin.write(f"{position.token()}\n")
        process.stdin.flush()
    answers = await asyncio.gather(*(_line(process) for process in crowd))
    return sum(int(answer.split()[1]) for answer in answers)


async def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return (await asyncio.to_thread(process.stdout.readline)).strip()
