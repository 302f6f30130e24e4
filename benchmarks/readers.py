"""
A process full of readers for the propagation benchmark: `python -m benchmarks.readers KIND URL NAME COUNT`.

`KIND` is `grayflow` (clients of the namespace NAME) or `raw` (redis-py subscribers of the channel NAME). Says `ready`;
when its standard input closes, a line for each sighting: the number of the change, and the machine's monotonic clock
in nanoseconds. Not sooner: a full pipe would stop the event loop that is being measured.
"""

import asyncio
import sys
import time
from contextlib import AsyncExitStack

from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from grayflow import Client

KEY = "watched"


class _Sightings:
    """What was seen when."""

    def __init__(self) -> None:
        self._seen: list[tuple[int, int]] = []

    def note(self, number: int) -> None:
        self._seen.append((number, time.monotonic_ns()))

    async def told(self) -> None:
        """Wait until the parent has seen enough, then tell all."""
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        print("\n".join(f"{number} {at}" for number, at in self._seen), flush=True)


async def _grayflow(url: str, namespace: str, count: int) -> None:
    sightings = _Sightings()
    async with AsyncExitStack() as stack:
        for _ in range(count):
            flags = Client(url, namespace=namespace)
            flags.on_change(KEY)(lambda _, new: sightings.note(int(new.description)))
            await stack.enter_async_context(flags)
        await sightings.told()


async def _raw(url: str, channel: str, count: int) -> None:
    sightings = _Sightings()
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        readers = []
        for _ in range(count):
            redis = await stack.enter_async_context(Redis.from_url(url, protocol=2))
            pubsub = await stack.enter_async_context(redis.pubsub())
            await pubsub.subscribe(channel)
            await pubsub.get_message(timeout=5)
            readers.append(tasks.create_task(_listen(pubsub, sightings)))
        await sightings.told()
        for reader in readers:
            reader.cancel()


async def _listen(pubsub: PubSub, sightings: _Sightings) -> None:
    while True:
        message = await pubsub.get_message(timeout=1)
        if message is not None and message["type"] == "message":
            sightings.note(int(message["data"][:10]))


if __name__ == "__main__":
    _, kind, url, name, count = sys.argv
    asyncio.run((_grayflow if kind == "grayflow" else _raw)(url, name, int(count)))
