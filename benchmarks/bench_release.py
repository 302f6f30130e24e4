"""What do a switch, a guard and a parallel run add to a call, beside calling the implementation directly?"""

import asyncio
import gc
import time
from collections.abc import Callable, Coroutine, Mapping
from math import inf
from typing import Any

from anyio import fail_after, sleep_forever
from anyio.lowlevel import checkpoint

from benchmarks.cache import Cache, Side, opened
from benchmarks.harness import Row, Table, drive
from grayflow import Admin, Client, Context, MemoryStore, SystemClock
from grayflow.release import FallbackGuard, ImplementationSwitch, ParallelRun, gray

__all__ = ["run"]

SINGLE = 5000
CHUNK = 64
CHUNKS = 500


def run() -> list[Table]:
    """Measure single calls, those of a sampled parallel run, and how much later a caller gets its answer."""
    return asyncio.run(_run())


async def _run() -> list[Table]:
    async with MemoryStore() as store:
        async with Admin(store, actor="benchmark") as admin:
            for key in ("cache", "sampled"):
                await admin.create({"key": key, "enabled": True}, reason="benchmark")
            for key in ("old", "compare"):
                await admin.create({"key": key, "enabled": True, "otherwise": "off"}, reason="benchmark")
        async with Client(store) as flags:
            outside = await _calls(flags, "one awaited call, outside of a scope")
            with flags.scope(Context(user_id="u-1")):
                inside = await _calls(flags, "one awaited call, in a scope")
            return [inside, outside, await _sampled(flags), await _late(flags)]


def _switch(flag: str) -> ImplementationSwitch[Cache]:
    return ImplementationSwitch(Cache, flag=flag, variants={"off": opened, "on": opened}, default="off")


async def _calls(flags: Client, title: str) -> Table:
    direct, new, old = Side(), _switch("cache"), _switch("old")
    guard, turned_away = FallbackGuard(new, new="on", old="off"), FallbackGuard(new, new="on", old="off")
    unlimited = FallbackGuard(new, new="on", old="off", timeout=None)
    beside = FallbackGuard(old, new="on", old="off")
    turned_away.isolate()
    compare = ParallelRun[str]("compare", flag="compare")

    @gray(flags, "cache", old=direct.get)
    async def replaced(key: str) -> str:
        return key

    async def limited(key: str) -> str:
        with fail_after(1):
            return await direct.get(key)

    async with new.running(flags), old.running(flags), compare.running(flags):
        compared = compare.proxy(new, candidates=["off"])
        ways = {
            "switch": new.proxy().get,
            "gray": replaced,
            "guard, the old one serves": beside.proxy().get,
            "anyio.fail_after, nothing of ours": limited,
            "guard, the new one serves": guard.proxy().get,
            "guard without a timeout": unlimited.proxy().get,
            "guard, the breaker is open": turned_away.proxy().get,
            "switch and parallel run, not sampled": compared.get,
        }
        await turned_away.proxy().get("k")
        for way in ways.values():
            await way("k")
        costs = await _best({"directly": direct.get, **ways})
    floor = costs.pop("directly")
    rows = [Row("directly", floor), *(Row(name, cost, floor) for name, cost in costs.items())]
    return Table(title, "ns", tuple(rows))


async def _best(ways: Mapping[str, Callable[[str], Coroutine[Any, Any, str]]]) -> dict[str, float]:
    """
    Measure all in turn, many times, and return the best of each in nanoseconds.

    In chunks, between which the loop runs: it alone removes the timers of time limits that were not reached.
    """
    best = dict.fromkeys(ways, inf)
    for _ in range(CHUNKS):
        for name, way in ways.items():
            best[name] = min(best[name], _chunk(way))
            await checkpoint()
    return best


def _chunk(way: Callable[[str], Coroutine[Any, Any, str]]) -> float:
    rounds = (None,) * CHUNK
    gc.disable()
    try:
        start = time.perf_counter_ns()
        for _ in rounds:
            drive(way("k"))
        return (time.perf_counter_ns() - start) / CHUNK
    finally:
        gc.enable()


async def _sampled(flags: Client) -> Table:
    """The caller's time of a call that is sampled; the candidates' comes when the caller waits for something."""
    direct, rows = Side(), []
    floor = (await _best({"directly": direct.get}))["directly"]
    for name, options in {"arguments copied": {}, "nothing copied": {"snapshot": None}}.items():
        compare = ParallelRun[str]("compare", flag="sampled", **options)
        async with compare.running(flags):
            took = [await _both(compare, direct) for _ in range(CHUNKS)]
        rows.append(Row(f"until the control has answered, {name}", min(own for own, _ in took), floor))
        rows.append(Row(f"and the candidate, its comparison, {name}", min(all_of_it for _, all_of_it in took), floor))
    return Table("one awaited call of a parallel run, sampled", "ns", (Row("directly", floor), *rows))


async def _both(compare: ParallelRun[str], direct: Side) -> tuple[float, float]:
    candidates = {"new": direct.get}
    gc.disable()
    try:
        start = time.perf_counter_ns()
        for _ in range(CHUNK):
            drive(compare(control=direct.get, candidates=candidates, args=("k",)))
        own = time.perf_counter_ns() - start
        await compare.idle()
        return own / CHUNK, (time.perf_counter_ns() - start) / CHUNK
    finally:
        gc.enable()


async def _late(flags: Client) -> Table:
    """When the caller of a control of 1 ms gets its answer, while candidates take 10 s."""
    clock = SystemClock()

    async def control() -> int:
        await clock.sleep(0.001)
        return 1

    compare = ParallelRun[int]("compare", flag="sampled", timeout=10)
    rows = []
    async with compare.running(flags):

        async def beside() -> int:
            return await compare(control=control, candidates={"new": sleep_forever})

        alone, compared = await _times(control), await _times(beside)
    for name, at in {"p50": 0.5, "p99": 0.99}.items():
        floor = alone[int(len(alone) * at)]
        rows += [
            Row(f"alone {name}", floor),
            Row(f"beside candidates {name}", compared[int(len(compared) * at)], floor),
        ]
    return Table("a control of 1 ms, candidates of 10 s, 64 alive and the others dropped", "µs", tuple(rows))


async def _times(call: Callable[[], Coroutine[Any, Any, int]]) -> list[float]:
    took = []
    for _ in range(SINGLE):
        start = time.perf_counter_ns()
        await call()
        took.append((time.perf_counter_ns() - start) / 1e3)
    return sorted(took)
