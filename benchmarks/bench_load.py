"""
What do loading, the first evaluation and one change cost, how long do they stop the loop, and what do flags weigh?

Times are those of the one thread that does the work: what else the machine does only ever adds.
"""

import asyncio
import gc
import time
import tracemalloc
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import anyio
import msgspec
from anyio.lowlevel import checkpoint
from redis.asyncio import Redis

from benchmarks.harness import Row, Table, per_call
from benchmarks.workloads import CONTEXTS, many_flags
from grayflow import Client
from grayflow.admin import Admin
from grayflow.core.flag import Flag
from grayflow.core.position import Document, Position
from grayflow.core.preparing import in_steps
from grayflow.core.snapshot import Builder, Snapshot
from grayflow.replica.loading import assemble
from grayflow.store.port import State
from tests.servers import RedisServer

__all__ = ["run"]

SIZES = (1_000, 10_000, 50_000)
NAMESPACE = "load"

_DECODER = msgspec.json.Decoder(Flag)


def run() -> list[Table]:
    """Measure loads, the stops that they make, changes and memory."""
    return [_load(), _stops(), asyncio.run(_from_redis()), _apply(), _memory()]


def _load() -> Table:
    rows = []
    for size in SIZES:
        documents = many_flags(size)
        floor = _best(lambda: [_DECODER.decode(document) for document in documents])  # noqa: B023 - called at once
        rows.append(Row(f"build {size:,} flags", _best(lambda: Snapshot.build(documents)), floor))  # noqa: B023
        rows.append(Row(f"build and evaluate all {size:,}", _best(lambda: _first(documents)), floor))  # noqa: B023
    return Table("load, against a bare typed decode", "ms", tuple(rows))


def _first(documents: list[bytes]) -> Snapshot:
    snapshot = Snapshot.build(documents)
    for key in snapshot.flags:
        snapshot.evaluate(key, CONTEXTS[0], default=False)
    return snapshot


def _best(work: Callable[[], Any]) -> float:
    took = []
    for _ in range(5):
        gc.collect()
        start = time.thread_time()
        work()
        took.append(time.thread_time() - start)
    return min(took) * 1000


# How long nobody else gets a turn


def _stops() -> Table:
    rows = [
        Row(f"{size:,} flags are taken in", min(asyncio.run(_longest_stop(size)) for _ in range(3))) for size in SIZES
    ]
    listed = msgspec.json.encode({"key": "f", "enabled": True, "targets": {"on": [f"u{n}" for n in range(100_000)]}})
    rows.append(Row("100,000 ids in one flag, its load", _best(lambda: Snapshot.build([listed]))))
    rows.append(Row("its first evaluation too", _best(lambda: _first([listed]))))
    rows.append(Row("800 conditions in one flag, its first evaluation", min(map(_at_once, range(3)))))
    rows.append(Row("the same, awaited", min(map(_longest_step, range(3, 6)))))
    for size in SIZES:
        snapshot = _first(many_flags(size))
        rows.append(Row(f"a full garbage collection beside {size:,}", _best(gc.collect)))
        del snapshot
    return Table("the loop's longest stop", "ms", tuple(rows))


def _at_once(run: int) -> float:
    snapshot = Snapshot.build([_conditions(run)])
    start = time.thread_time()
    snapshot.evaluate("f", CONTEXTS[0], default=False)
    return (time.thread_time() - start) * 1000


def _longest_step(run: int) -> float:
    snapshot = Snapshot.build([_conditions(run)])
    times = [time.thread_time(), *(time.thread_time() for _ in in_steps(snapshot, "f"))]
    return max(after - before for before, after in pairwise(times)) * 1000


def _conditions(run: int) -> bytes:
    """Return a flag of 64 KiB whose conditions no other run has met."""
    conditions = [
        {"type": "attribute", "name": f"a{number}", "op": "in", "values": [f"{run}-{number}"]} for number in range(800)
    ]
    rules = [{"when": pair, "serve": "on"} for pair in zip(conditions[::2], conditions[1::2], strict=True)]
    return msgspec.json.encode({"key": "f", "enabled": True, "otherwise": "off", "rules": rules})


async def _longest_stop(size: int) -> float:
    documents = {f"flag-{number}": Document(1, data) for number, data in enumerate(many_flags(size))}
    position = Position(epoch="e", revision=1, nonce="n")
    state = State(position=position, flags=documents, segments={}, generations={})
    async with _watched() as stops:
        await assemble(state, Builder(), deque())
    return max(stops) * 1000


@asynccontextmanager
async def _watched() -> AsyncIterator[list[float]]:
    """Note how long the others worked between each two turns of a task of ours."""
    stops: list[float] = []

    async def watch() -> None:
        last = time.thread_time()
        while True:
            await checkpoint()
            now = time.thread_time()
            stops.append(now - last)
            last = now

    gc.collect()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        await checkpoint()
        yield stops
        tasks.cancel_scope.cancel()


# From a server


async def _from_redis() -> Table:
    size = SIZES[1]
    with RedisServer() as server:
        async with Admin(server.url, namespace=NAMESPACE, actor="benchmark") as admin:
            await admin.init()
            await admin.import_(b"[" + b",".join(many_flags(size)) + b"]")
        floor = [await _bare(server.url) for _ in range(3)]
        ours = [await _client(server.url) for _ in range(3)]
    rows = (
        Row("HGETALL and typed decode", min(floor)),
        Row("a client, ready", min(ready for ready, _ in ours), min(floor)),
        Row("its longest stop", min(stop for _, stop in ours)),
    )
    return Table(f"{size:,} flags from Redis", "ms", rows)


async def _bare(url: str) -> float:
    async with Redis.from_url(url) as redis:
        await redis.ping()
        gc.collect()
        start = time.thread_time()
        found: Any = await redis.hgetall(f"{{gf:{NAMESPACE}}}:flags")
        decoded = [_DECODER.decode(value.partition(b":")[2]) for value in found.values()]
        assert len(decoded) == SIZES[1]
        return (time.thread_time() - start) * 1000


async def _client(url: str) -> tuple[float, float]:
    async with _watched() as stops:
        start = time.thread_time()
        async with Client(url, namespace=NAMESPACE) as flags:
            took = time.thread_time() - start
            assert flags.peek("flag-99", CONTEXTS[0])
            longest = max(stops)
    return took * 1000, longest * 1000


# Changes and memory


def _apply() -> Table:
    rows: list[Row] = []
    for size in (100, *SIZES):
        documents = many_flags(size)
        snapshots = [Snapshot.build(documents)]

        def change(documents: list[bytes] = documents, snapshots: list[Snapshot] = snapshots) -> None:
            snapshots[0] = snapshots[0].apply("flag", "flag-7", Document(1, documents[7]), None)

        rows.append(Row(f"among {size:,} flags", per_call(change) / 1000, rows[0].value if rows else None))
    return Table("apply one change", "µs", tuple(rows))


def _memory() -> Table:
    documents = many_flags(10_000)
    tracemalloc.start()
    snapshot = Snapshot.build(documents)
    loaded = tracemalloc.get_traced_memory()[0]
    for key in snapshot.flags:
        snapshot.evaluate(key, CONTEXTS[0], default=False)
    compiled = tracemalloc.get_traced_memory()[0] - loaded
    tracemalloc.stop()
    size = sum(map(len, documents)) / len(documents)
    rows = (
        Row("its document", size / 1024),
        Row("loaded", loaded / len(documents) / 1024),
        Row("more once compiled", compiled / len(documents) / 1024),
    )
    return Table("memory of a flag", "KiB", rows)
