"""
A process full of readers for the propagation benchmark: `python -m benchmarks.readers KIND HOW URL NAME COUNT`.

`KIND` is `grayflow` (clients of the namespace NAME) or `raw` (redis-py subscribers of the channel NAME); HOW names what
is used of `hiredis` and `uvloop`, joined by `+`, or `plain`. Says `ready`; then answers each line of standard input
with the seconds that it has worked so far; when its standard input closes, a line for each sighting: `visible` (the
next check answers by it) or `told` (its handler is called), the number of the change, and the machine's monotonic clock
in nanoseconds. Not sooner: a full pipe would stop the event loop that is being measured.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from benchmarks.priority import first

KEY = "watched"


class _Sightings:
    """What was seen when."""

    def __init__(self) -> None:
        self._seen: list[tuple[str, int, int]] = []

    def note(self, what: str, number: int) -> None:
        self._seen.append((what, number, time.monotonic_ns()))

    async def told(self) -> None:
        """Wait until the parent has seen enough, then tell all. Not before everybody is ready we run before others."""
        first(0)
        print("ready", flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(time.process_time(), flush=True)
        print("\n".join(f"{what} {number} {at}" for what, number, at in self._seen), flush=True)


async def _grayflow(url: str, namespace: str, count: int) -> None:
    from grayflow import Client

    sightings = _Sightings()
    async with AsyncExitStack() as stack:
        for _ in range(count):
            flags = Client(url, namespace=namespace)
            flags._replica.holder.listeners.append(lambda _, after, change: _noted(sightings, after, change))
            flags.on_change(KEY)(lambda _, new: sightings.note("told", int(new.description)))
            await stack.enter_async_context(flags)
        await sightings.told()


def _noted(sightings: _Sightings, after: Any, change: Any) -> None:
    if change is not None:
        sightings.note("visible", int(after.snapshot.flag(KEY)[0].description))


async def _raw(url: str, channel: str, count: int) -> None:
    sightings = _Sightings()
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        readers = []
        for _ in range(count):
            pubsub = await stack.enter_async_context(_subscribed(url, channel))
            readers.append(tasks.create_task(_listen(pubsub, sightings)))
        await sightings.told()
        for reader in readers:
            reader.cancel()


@asynccontextmanager
async def _subscribed(url: str, channel: str) -> AsyncIterator[Any]:
    from redis.asyncio import Redis

    async with Redis.from_url(url, protocol=2) as redis, redis.pubsub() as pubsub:
        await pubsub.subscribe(channel)
        await pubsub.get_message(timeout=5)
        yield pubsub


async def _listen(pubsub: Any, sightings: _Sightings) -> None:
    while True:
        message = await pubsub.get_message(timeout=1)
        if message is not None and message["type"] == "message":
            sightings.note("visible", int(message["data"][:10]))


def main(kind: str, how: str, url: str, name: str, count: str) -> None:
    """Choose the parser before redis-py is imported, and the loop."""
    if "hiredis" not in how:
        sys.modules["hiredis"] = None  # type: ignore[assignment] # as if it were not installed
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    if "uvloop" in how:
        import uvloop

        loop_factory = uvloop.new_event_loop
    reader: Coroutine[Any, Any, None] = (_grayflow if kind == "grayflow" else _raw)(url, name, int(count))
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(reader)


if __name__ == "__main__":
    main(*sys.argv[1:])
