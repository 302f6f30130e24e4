"""
One worker process of the demo: a service that asks a flag for each request, and cleans up when the flag goes off.

It reports on standard output, a JSON line each, and ends when its standard input closes: so no worker outlives the
demo, however that ends.
"""

import random
import sys
import time
from pathlib import Path
from typing import Any, Literal

import anyio
import anyio.to_thread
import msgspec

from grayflow.cleanup.event import SwitchOff
from grayflow.cli.demo.figures import Cleaned, Report, Seen, Tick
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


class _Leftovers:
    """What the new code leaves behind: entries in the memory of this process, and a file in a folder that all share."""

    def __init__(self, shared: Path, worker: int) -> None:
        self._shared, self._worker = shared, worker
        self._entries: set[str] = set()

    def keep(self, user_id: str) -> None:
        """Remember a user who was served by the new code."""
        if not self._entries:
            (self._shared / f"worker-{self._worker}").touch()
        self._entries.add(user_id)

    def clear(self) -> int:
        """Forget all users, and return how many there were."""
        count = len(self._entries)
        self._entries.clear()
        return count

    def clear_shared(self) -> int:
        """Remove every worker's file, and return how many there were; harmless when it runs again."""
        files = list(self._shared.iterdir())
        for file in files:
            file.unlink(missing_ok=True)
        return len(files)


def _register(flags: Client, worker: int, leftovers: _Leftovers) -> None:
    def say(scope: Literal["process", "fleet"], removed: int) -> None:
        _say(Cleaned(worker, scope, removed, time.monotonic_ns()))

    @flags.on_switch_off(FLAG)
    async def forget(_: SwitchOff) -> None:
        say("process", leftovers.clear())

    @flags.on_switch_off(FLAG, scope="fleet", name="demo-shared-files")
    def remove_files(_: SwitchOff) -> None:
        say("fleet", leftovers.clear_shared())


async def _serve(url: str, namespace: str, worker: int, shared: Path) -> None:
    flags = Client(url, namespace=namespace, ttl=TTL_S, on_failure="last_known", name=f"demo-{worker}")

    @flags.on_change(FLAG)
    def seen(*_: Any) -> None:
        position = flags.health.position
        if position is not None:
            _say(Seen(worker, position.revision, time.monotonic_ns()))

    counts, leftovers = _Counts(), _Leftovers(shared, worker)
    _register(flags, worker, leftovers)
    async with flags, anyio.create_task_group() as tasks:
        tasks.start_soon(_traffic, flags, worker, counts, leftovers)
        tasks.start_soon(_reports, flags, worker, counts)
        await _until_input_closes()
        tasks.cancel_scope.cancel()


async def _traffic(flags: Client, worker: int, counts: _Counts, leftovers: _Leftovers) -> None:
    clock = SystemClock()
    source = random.Random(worker)  # noqa: S311 - users of a demo
    while True:
        contexts = [Context(user_id=f"user-{source.randrange(1_000_000)}") for _ in range(BATCH)]
        start = time.perf_counter_ns()
        for context in contexts:
            counts.on += await flags.is_enabled(FLAG, context)
        counts.spent_ns += time.perf_counter_ns() - start
        sample = await flags.evaluate(FLAG, contexts[0], default=False)
        if sample.value:
            leftovers.keep(str(contexts[0].user_id))
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


def _say(report: Report) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    sys.stdout.buffer.flush()


async def _until_input_closes() -> None:
    await anyio.to_thread.run_sync(sys.stdin.buffer.read, abandon_on_cancel=True)


def main() -> None:
    """`python -m grayflow.cli.demo.worker URL NAMESPACE NUMBER FOLDER`."""
    _, url, namespace, number, shared = sys.argv
    anyio.run(_serve, url, namespace, int(number), Path(shared))


if __name__ == "__main__":
    main()
