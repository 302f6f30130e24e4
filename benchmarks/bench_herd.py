"""Five hundred clients lose their server and come back at once: what do they ask, and how long is it blocked?"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

from benchmarks.crowds import Done, crowded
from benchmarks.harness import Row, Table
from benchmarks.watch import Watch
from benchmarks.workloads import many_flags
from grayflow import Admin, SystemClock
from tests.servers import RedisServer

__all__ = ["run"]

CLIENTS, FLAGS, MANY = 500, 2_000, 10_000
FROZEN_S = 4.0
NAMESPACE = "herd"

Happening = Callable[[Admin, RedisServer], Awaitable[None]]


def run() -> Iterator[Table]:
    """Measure one client alone, with many flags; then the herd, with jitter and without."""
    yield asyncio.run(_alone())
    for jitter in (True, False):
        yield asyncio.run(_measure(jitter=jitter))


async def _measure(*, jitter: bool) -> Table:
    rows: list[Row] = []
    with RedisServer() as server:
        async with (
            _filled(server, FLAGS) as admin,
            crowded(server.url, NAMESPACE, CLIENTS, jitter=jitter) as crowd,
        ):
            before = await crowd.all_at(await admin.store.position())
            for name, happening in HAPPENINGS.items():
                start = time.monotonic()
                with Watch(server, asking=happening is not _freeze) as watch:
                    await happening(admin, server)
                    after = await crowd.all_at(await admin.store.position())
                    took_s = time.monotonic() - start
                rows += _rows(name, took_s, after.since(before), watch)
                before = after
    how = "with jitter" if jitter else "without jitter"
    return Table(f"{CLIENTS} clients and {FLAGS:,} flags come back, {how}", "see each row", tuple(rows))


def _rows(name: str, took_s: float, done: Done, watch: Watch) -> Iterator[Row]:
    blocked = watch.blocked
    assert blocked is not None
    yield Row(f"{name}: all equal after (s)", took_s)
    yield Row(f"{name}: whole loads", done.loads)
    yield Row(f"{name}: processor time of all clients (s)", done.cpu_s)
    yield from _server_rows(name, watch)


def _server_rows(name: str, watch: Watch) -> Iterator[Row]:
    blocked = watch.blocked
    assert blocked is not None
    how = "" if watch.exact else ", at most"
    yield Row(f"{name}: processor time of the server (s)", blocked.server_cpu_s)
    yield Row(f"{name}: longest command of the server, {blocked.command}{how} (ms)", blocked.longest_ms)
    if blocked.own_ms > 1:
        yield Row(f"{name}: that of the benchmark itself, which cuts the links (ms)", blocked.own_ms)
    if blocked.answer_ms:
        yield Row(f"{name}: longest wait of a PING{how} (ms)", blocked.answer_ms)


async def _alone() -> Table:
    rows: list[Row] = []
    with RedisServer() as server:
        async with _filled(server, MANY) as admin:
            with Watch(server) as watch:
                await admin.store.load()
            rows += _server_rows("a whole load", watch)
            with Watch(server) as watch:
                await admin.init(replaces="*")
            rows += _server_rows("grayflow init --replace", watch)
    return Table(f"one client and {MANY:,} flags", "see each row", tuple(rows))


@asynccontextmanager
async def _filled(server: RedisServer, flags: int) -> AsyncIterator[Admin]:
    async with Admin(server.url, namespace=NAMESPACE, actor="benchmark") as admin:
        await admin.init()
        await admin.import_(b"[" + b",".join(many_flags(flags)) + b"]")
        yield admin


async def _cut(_: Admin, server: RedisServer) -> None:
    for kind in ("pubsub", "normal"):
        server.ask("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")


async def _cut_and_change(admin: Admin, server: RedisServer) -> None:
    await _cut(admin, server)
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
