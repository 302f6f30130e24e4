"""
One worker process of the demo: a service that asks a flag for each request.

It reports on standard output, a JSON line each, and ends when its standard input closes: so no worker outlives the
demo, however that ends.
"""

import random
import sys
import time
from typing import Any

import anyio
import anyio.to_thread
import msgspec

from grayflow.cli.demo.figures import Seen, Tick
from grayflow.client.client import Client
from grayflow.clock import SystemClock
from grayflow.core.context import Context

__all__ = ["FLAG", "main"]

FLAG = "payment_v2"
TTL_S = 0.5
"""Far below the usual ten seconds, so that a lost store is noticed while somebody watches."""
REPORT_S = 0.1
BATCH = 50
PAUSE_S = 0.005


class _Counts:
    """What happened since the last report."""

    def __init__(self) -> None:
        self.requests = self.on = self.stale = self.failed = 0
        self.spent_ns = 0


async def _serve(url: str, namespace: str, worker: int) -> None:
    flags = Client(url, namespace=namespace, ttl=TTL_S, on_failure="last_known", name=f"demo-{worker}")

    @flags.on_change(FLAG)
    def seen(*_: Any) -> None:
        position = flags.health.position
        if position is not None:
            _say(Seen(worker, position.revision, time.monotonic_ns()))

    counts = _Counts()
    async with flags, anyio.create_task_group() as tasks:
        tasks.start_soon(_traffic, flags, worker, counts)
        tasks.start_soon(_reports, flags, worker, counts)
        await _until_input_closes()
        tasks.cancel_scope.cancel()


async def _traffic(flags: Client, worker: int, counts: _Counts) -> None:
    clock = SystemClock()
    source = random.Random(worker)  # noqa: S311 - users of a demo
    while True:
        contexts = [Context(user_id=f"user-{source.randrange(1_000_000)}") for _ in range(BATCH)]
        start = time.perf_counter_ns()
        for context in contexts:
            counts.on += await flags.is_enabled(FLAG, context)
        counts.spent_ns += time.perf_counter_ns() - start
        sample = await flags.evaluate(FLAG, contexts[0], default=False)
        counts.requests += BATCH
        counts.stale += BATCH * sample.stale
        counts.failed += BATCH * (sample.error is not None)
        await clock.sleep(PAUSE_S)


async def _reports(flags: Client, worker: int, counts: _Counts) -> None:
    clock = SystemClock()
    while True:
        await clock.sleep(REPORT_S)
        health = flags.health
        _say(
            Tick(
                worker=worker,
                requests=counts.requests,
                on=counts.on,
                stale=counts.stale,
                failed=counts.failed,
                state=health.state,
                revision=0 if health.position is None else health.position.revision,
                nanoseconds=counts.spent_ns / max(1, counts.requests),
            )
        )
        counts.__init__()  # type: ignore[misc]


def _say(report: Tick | Seen) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    sys.stdout.buffer.flush()


async def _until_input_closes() -> None:
    await anyio.to_thread.run_sync(sys.stdin.buffer.read, abandon_on_cancel=True)


def main() -> None:
    """`python -m grayflow.cli.demo.worker URL NAMESPACE NUMBER`."""
    _, url, namespace, number = sys.argv
    anyio.run(_serve, url, namespace, int(number))


if __name__ == "__main__":
    main()
