"""What requests feel of handlers that fail for ever, beside the same requests while there is nothing to clean up."""

import asyncio
import logging
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.harness import Row, Table
from grayflow import Admin, Client, Context, Retry, SystemClock
from tests.servers import RedisServer

__all__ = ["run"]

ROUNDS, REQUESTS = 20, 500
"""Short turns, so that whatever else the machine does comes over both alike."""
EVERY_S = 0.001
"""Requests come at fixed times and are timed from then, so one that finds the loop at work waits, and that counts."""
CHECKS = 5
NAMESPACE = "bench-cleanup"
RETRIES = {
    "often": Retry(attempts=10_000, base=0.2, cap=0.5),
    "all the time": Retry(attempts=10_000, base=0.01, cap=0.05),
}
"""Both far quicker than the usual one, which lets minutes pass between attempts."""


def run() -> list[Table]:
    """Start a server of its own and take turns: while handlers fail, and while there is nothing for them to do."""
    with RedisServer() as server, _written_log():
        return [asyncio.run(_compare(server.url, how, retry)) for how, retry in RETRIES.items()]


async def _compare(url: str, how: str, retry: Retry) -> Table:
    calm: list[float] = []
    failing: list[float] = []
    attempts, spent_s = 0, 0.0
    async with Admin(url, namespace=NAMESPACE, actor="benchmark") as admin:
        await admin.init()
        await admin.put({"key": "payment_v2", "otherwise": "off", "rules": [{"percent": 50}], "enabled": True})
        await admin.put({"key": "gone", "enabled": True})
        flags = _client(url, retry)
        async with flags:
            for _ in range(ROUNDS):
                await admin.switch_on("gone")
                await _until(lambda: flags.health.cleanup.pending + flags.health.cleanup.running == 0)
                calm += await _requests(flags)
                before, start = flags.health.cleanup.errors, time.perf_counter()
                await admin.switch_off("gone")
                await _until(lambda at_least=before + 4: flags.health.cleanup.errors >= at_least)
                failing += await _requests(flags)
                attempts += flags.health.cleanup.errors - before
                spent_s += time.perf_counter() - start
    rows = [Row("attempts that failed, per second", attempts / spent_s)]
    for name, share in (("p50", 50), ("p99", 99)):
        floor = _percentile(calm, share)
        rows += [
            Row(f"nothing to do {name}", floor),
            Row(f"handlers fail {name}", _percentile(failing, share), floor),
        ]
    return Table(f"a request of {CHECKS} checks while handlers fail {how}", "µs, but for the first row", tuple(rows))


async def _requests(flags: Client) -> list[float]:
    """Return the microseconds that each request took, from the moment it was due."""
    taken, due = [], asyncio.get_running_loop().time() + EVERY_S
    clock, loop = SystemClock(), asyncio.get_running_loop()
    for number in range(REQUESTS):
        await clock.sleep(due - loop.time())
        with flags.scope(Context(user_id=str(number))):
            for _ in range(CHECKS):
                await flags.is_enabled("payment_v2")
        taken.append((loop.time() - due) * 1e6)
        due = max(due + EVERY_S, loop.time())
    return taken


def _client(url: str, retry: Retry) -> Client:
    """Return a client with four handlers that fail, two of them in threads and two of them for the fleet."""

    async def fails(_: Any) -> None:
        raise RuntimeError("the cache does not answer")

    def fails_in_a_thread(_: Any) -> None:
        raise RuntimeError("the cache does not answer")

    flags = Client(url, namespace=NAMESPACE)
    for function in (fails, fails_in_a_thread):
        flags.on_switch_off("gone", retry=retry)(function)
        flags.on_switch_off("gone", scope="fleet", name=function.__name__, retry=retry)(function)
    return flags


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await SystemClock().sleep(0.01)


@contextmanager
def _written_log() -> Iterator[None]:
    """Let failures be logged as a service does, tracebacks included, to nowhere."""
    with Path(os.devnull).open("w") as nowhere:
        handler, log = logging.StreamHandler(nowhere), logging.getLogger("grayflow.cleanup")
        log.addHandler(handler)
        log.propagate = False
        try:
            yield
        finally:
            log.removeHandler(handler)
            log.propagate = True


def _percentile(taken: list[float], share: int) -> float:
    return statistics.quantiles(taken, n=100)[share - 1]
