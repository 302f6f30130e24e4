"""What does a guard cost in the worst of a hundred calls, while Redis answers and while packets are dropped?"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from anyio.lowlevel import checkpoint

from benchmarks.cache import Cache, Side, opened
from benchmarks.harness import Row, Table
from grayflow import Admin, Client, Context, SystemClock
from grayflow.release import Counters, FallbackGuard, FleetTrip, ImplementationSwitch
from tests.faults.proxy import Proxy
from tests.servers import RedisServer

__all__ = ["run"]

CALLS = 20_000
TURN = 64
"""After so many calls the loop runs: it alone removes the timers of time limits that were not reached."""


def run() -> list[Table]:
    """Measure calls of a guard that takes part in its fleet, and of one that counts too."""
    return asyncio.run(_run())


async def _run() -> list[Table]:
    with RedisServer() as server, Proxy(server.port) as proxy:
        async with Admin(server.url, actor="benchmark") as admin:
            await admin.init()
            await admin.create({"key": "cache", "enabled": True}, reason="benchmark")
        flags, counters = Client(f"redis://127.0.0.1:{proxy.port}/0"), Counters()
        switch = ImplementationSwitch(Cache, flag="cache", variants={"off": opened, "on": opened}, default="off")
        trip = FleetTrip(action="report", within=1)
        guard = FallbackGuard(switch, new="on", old="off", fleet=trip)
        counted = FallbackGuard(switch, new="on", old="off", counters=counters)
        ways = {
            "directly": Side().get,
            "switch": switch.proxy().get,
            "switch, counted": counters.proxy(switch).get,
            "guard in a fleet": guard.proxy().get,
            "guard, counted": counted.proxy().get,
        }
        async with flags, switch.running(flags), guard.running(flags), counters.running(flags):
            with flags.scope(Context(user_id="u-1")):
                healthy = await _table("one awaited call in a scope, while Redis answers", ways)
                proxy.swallow()
                await SystemClock().sleep(1)  # reports and counts go unanswered meanwhile
                blocked = await _table("the same, while packets are dropped", ways)
            proxy.heal()
    return [healthy, blocked]


async def _table(title: str, ways: dict[str, Callable[[str], Coroutine[Any, Any, str]]]) -> Table:
    rows: list[Row] = []
    for name, way in ways.items():
        took = await _times(way)
        for share, at in {"p50": 0.5, "p99": 0.99}.items():
            rows.append(Row(f"{name} {share}", took[int(CALLS * at)]))
    return Table(title, "µs", tuple(rows))


async def _times(way: Callable[[str], Coroutine[Any, Any, str]]) -> list[float]:
    await way("k")
    took = []
    for number in range(CALLS):
        start = time.perf_counter_ns()
        await way("k")
        took.append((time.perf_counter_ns() - start) / 1e3)
        if number % TURN == 0:
            await checkpoint()
    return sorted(took)
