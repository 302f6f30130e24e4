"""
Replace the cache of a service, and be able to go back: files first, Redis later, with users on it all the time.

    GRAYFLOW_URL=redis://localhost:6379/0 python -m tests.examples.cache_switch

This starts three workers, which serve pages as fast as they can, and tells what happens to them: a pilot, a comparison
of both caches, a release to half of the users, a bug in the new cache, and the way back, which nobody has to take by
hand. A worker is `serve`; what there is to know of grayflow in a service stands there.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import anyio
import msgspec
from redis.asyncio import Redis

from grayflow import Admin, Client, Context, Decision, SwitchOff, SystemClock
from grayflow.release import (
    BreakerPolicy,
    Counters,
    FallbackGuard,
    FleetTrip,
    ImplementationSwitch,
    ParallelOutcome,
    ParallelRun,
)
from tests.examples.cache_service import CacheService, FileCache, RedisCache, product_page, rendered

URL = os.environ.get("GRAYFLOW_URL", "redis://localhost:6379/0")
PATIENCE_S = 60.0
WORKERS, CALLERS, USERS, PRODUCTS = 3, 5, 200, 50


class Status(msgspec.Struct):
    """What a worker says of itself, twenty times a second."""

    pages: int = 0
    errors: int = 0
    """What users saw of all this."""
    file: int = 0
    redis: int = 0
    """Pages by the cache that the flag chose."""
    fallbacks: int = 0
    """How often the old cache answered for the new one that had failed."""
    breaker: str = "closed"
    compared: dict[str, int] = {}
    """Outcomes of the parallel run."""


# A worker


async def serve(namespace: str, folder: str) -> None:
    """Serve pages until the process is ended."""
    flags = Client(URL, namespace=namespace, name="shop", on_failure="last_known")
    prefix = f"{namespace}:cache:"
    switch = ImplementationSwitch(
        CacheService,
        flag="cache.backend",
        variants={
            "file": partial(FileCache.open, Path(folder)),
            "redis": partial(RedisCache.open, URL, prefix, lambda: flags.peek("cache.bug")),
        },
        default="file",
        by="user_id",
    )

    @flags.on_switch_off("cache.backend", "redis", scope="fleet", name="purge-redis-cache")
    async def purge(off: SwitchOff) -> None:
        async with Redis.from_url(URL) as redis:
            await off.purge_keys(redis, f"{prefix}*")

    counters = Counters(flush_every=0.5)
    async with Admin(URL, namespace=namespace, actor="shop") as admin:
        guard = FallbackGuard(
            switch,
            new="redis",
            old="file",
            timeout=10,
            breaker=BreakerPolicy(window=5, minimum_calls=20, failure_ratio=0.5, open_for=60),
            fleet=FleetTrip(admin=admin, quorum=0.5, at_least=2, within=5),
            counters=counters,
        )
        run = ParallelRun[bytes | None](
            "cache",
            flag="cache.compare",
            ignore=[lambda old, new: new is None],  # not in Redis yet: it is filled by those who are served from it
            timeout=10,
            counters=counters,
        )
        async with flags, counters.running(flags), switch.running(flags), guard.running(flags), run.running(flags):
            cache = run.proxy(switch, control=guard.proxy(), candidates=["redis"])
            await work(cache, flags, guard, run)


async def work(
    cache: CacheService, flags: Client, guard: FallbackGuard[CacheService], run: ParallelRun[bytes | None]
) -> None:
    """Serve pages to random users in several tasks, and tell how that goes."""
    status, random = Status(), Random()

    async def caller() -> None:
        while True:
            product = random.randrange(PRODUCTS)
            with flags.scope(Context(user_id=f"u-{random.randrange(USERS)}")):
                count(status, flags.peek_decision("cache.backend"))
                try:
                    status.errors += await product_page(cache, product) != rendered(product)
                except Exception:  # noqa: BLE001 - whatever it was, a user saw it
                    status.errors += 1
            status.pages += 1
            await SystemClock().sleep(0.005)

    async with anyio.create_task_group() as tasks:
        for _ in range(CALLERS):
            tasks.start_soon(caller)
        while True:
            status.fallbacks, status.breaker = guard.status.fallbacks, guard.status.state
            status.compared = {str(key): times for key, times in run.counts.outcomes.get("redis", {}).items()}
            sys.stdout.write(f"{msgspec.json.encode(status).decode()}\n")
            sys.stdout.flush()
            await SystemClock().sleep(0.05)


def count(status: Status, decision: Decision) -> None:
    """Count a page by what the flag says."""
    if decision.variant == "redis":
        status.redis += 1
    else:
        status.file += 1


# The story


class Worker:
    """One of the processes, and what it said last."""

    def __init__(self, namespace: str, folder: str) -> None:
        command = [sys.executable, "-m", __spec__.name, "serve", namespace, folder]
        self.status, self.said = Status(), 0
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        for line in self.process.stdout or ():
            self.status = msgspec.json.decode(line, type=Status)
            self.said += 1

    def end(self) -> None:
        """Kill it: what grayflow keeps needs no farewell."""
        self.process.kill()
        self.process.wait()
        self._listener.join()
        if self.process.stdout is not None:
            self.process.stdout.close()


class Fleet:
    """All workers."""

    def __init__(self, workers: list[Worker]) -> None:
        self.workers = workers

    def sum(self, name: str) -> int:
        """Add something up."""
        return sum(getattr(worker.status, name) for worker in self.workers)

    def compared(self, *outcomes: ParallelOutcome) -> int:
        """Add outcomes of the parallel run up."""
        return sum(worker.status.compared.get(str(one), 0) for worker in self.workers for one in outcomes)

    async def fresh(self) -> None:
        """Wait until every worker has said how it is doing at this moment or later."""
        heard = [worker.said for worker in self.workers]
        # The next line may have been on its way already.
        await until(lambda: all(worker.said >= said + 2 for worker, said in zip(self.workers, heard, strict=True)))

    async def serves(self, name: str) -> str:
        """Wait for some more pages of one kind; tell how many of both there were meanwhile."""
        await self.fresh()
        before = {each: self.sum(each) for each in ("file", "redis")}
        await until(lambda: self.sum(name) - before[name] >= 300)
        return f"{self.sum('file') - before['file']} pages from files, {self.sum('redis') - before['redis']} from Redis"


async def until(met: Callable[[], Any]) -> None:
    """Wait until something holds."""
    with anyio.fail_after(PATIENCE_S):
        while not met():
            await SystemClock().sleep(0.02)


@contextmanager
def fleet(namespace: str, folder: str) -> Iterator[Fleet]:
    """Let workers run for the length of the block."""
    workers = [Worker(namespace, folder) for _ in range(WORKERS)]
    try:
        yield Fleet(workers)
    finally:
        for worker in workers:
            worker.end()


FLAG = {
    "key": "cache.backend",
    "kind": "string",
    "variants": {"file": "file", "redis": "redis"},
    "off": "file",
    "otherwise": "file",
    "rules": [{"name": "canary", "percent": 0, "serve": "redis"}],
    "on_failure": "last_known",
    "owner": "shop",
}


def tell(text: str) -> None:
    """Print a line of the story."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def story() -> None:
    """Tell it, with what really happens."""
    namespace = f"cache-switch-{uuid4().hex[:8]}"
    with TemporaryDirectory() as folder:
        async with Admin(URL, namespace=namespace, actor="anna") as admin, Redis.from_url(URL) as redis:
            await admin.init()
            await admin.put({**FLAG, "enabled": True}, reason="the seam: everybody on the old cache")
            await admin.put({"key": "cache.compare"}, reason="compare both caches")
            await admin.put({"key": "cache.bug"}, reason="the bug that nobody saw in review")
            with fleet(namespace, folder) as workers:
                await promote(admin, workers)
                await fall_back(admin, workers, redis, f"{namespace}:cache:*")
                await try_again(admin, workers)
            tell(f"Users saw {workers.sum('errors')} errors in {workers.sum('pages')} pages.")
            await redis.unlink(*[key async for key in redis.scan_iter(f"*{namespace}*")])


async def promote(admin: Admin, workers: Fleet) -> None:
    """From nobody to half of the users."""
    pages = await workers.serves("file")
    tell(f"1. {WORKERS} workers serve from the old cache: {pages}.")
    await switched(admin, 10, "pilot")
    pages = await workers.serves("redis")
    tell(f"2. 10 % of the users are served from Redis: {pages}.")
    await admin.set_percent("cache.compare", 50, reason="compare for half of the others")
    await until(lambda: workers.compared(ParallelOutcome.MATCH) >= 200)
    different = workers.compared(ParallelOutcome.MISMATCH, ParallelOutcome.CANDIDATE_RAISED)
    match, absent = workers.compared(ParallelOutcome.MATCH), workers.compared(ParallelOutcome.IGNORED)
    tell(f"3. Both are asked, and compared: {match} equal, {different} different, {absent} not in Redis yet.")
    await admin.switch_off("cache.compare", reason="nothing differs")
    await switched(admin, 50, "nothing differs")
    pages = await workers.serves("redis")
    tell(f"4. 50 % of the users are served from Redis: {pages}.")


async def fall_back(admin: Admin, workers: Fleet, redis: Redis, pattern: str) -> None:
    """A bug, and what nobody had to do about it."""
    kept = len([key async for key in redis.scan_iter(pattern)])
    began = SystemClock().monotonic()
    await admin.switch_on("cache.bug", reason="version 1.1 of the new cache")
    await until(lambda: workers.sum("fallbacks") > 0)
    tell(f"5. The new cache breaks, and the old one answers in its place: users saw {workers.sum('errors')} errors.")
    with anyio.fail_after(PATIENCE_S):
        while (await admin.flags())["cache.backend"].enabled:
            await SystemClock().sleep(0.05)
    newest = (await admin.history("cache.backend", limit=1))[0]
    took_s = SystemClock().monotonic() - began
    tell(f"6. After {took_s:.1f} s the flag is off, by {newest.actor!r}: {newest.reason}.")
    with anyio.fail_after(PATIENCE_S):
        while not (new := (await admin.stats("cache.backend")).total("redis")).failures:
            await SystemClock().sleep(0.05)
    tell(f"   The fleet has counted (grayflow stats cache.backend): {new.calls} calls of Redis, {new.failures} failed.")
    with anyio.fail_after(PATIENCE_S):
        while not any(job.state == "done" for job in await admin.jobs("cache.backend")):
            await SystemClock().sleep(0.05)
    left = len([key async for key in redis.scan_iter(pattern)])
    tell(f"7. Cleaned up, once in the fleet: of {kept} keys in Redis {left} are left.")
    pages = await workers.serves("file")
    tell(f"8. Everybody is back on the old cache: {pages}.")


async def try_again(admin: Admin, workers: Fleet) -> None:
    """The corrected cache, to everybody."""
    await admin.switch_off("cache.bug", reason="version 1.2 of the new cache")
    await switched(admin, 100, "corrected")
    await until(lambda: all(worker.status.breaker == "closed" for worker in workers.workers))
    await workers.fresh()
    fallbacks = workers.sum("fallbacks")
    pages = await workers.serves("redis")
    again = workers.sum("fallbacks") - fallbacks
    tell(f"9. Corrected, to everybody: {pages}, {again} answers of the old one.")


async def switched(admin: Admin, percent: float, reason: str) -> None:
    """Release to that share of the users, and wait until every process knows."""
    saved = await admin.set_percent("cache.backend", percent, "redis", reason=reason)
    await admin.wait_until_seen(saved.token, timeout=PATIENCE_S)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        anyio.run(serve, *sys.argv[2:])
    else:
        anyio.run(story)
