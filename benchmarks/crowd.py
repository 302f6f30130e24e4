"""
A process full of clients for the herd benchmark: `python -m benchmarks.crowd URL NAMESPACE COUNT JITTER`.

Says `ready`; then answers each line of standard input, a position's token: when all clients hold that position, the
seconds that it took since the line came, and how often they have loaded everything so far.
"""

import asyncio
import logging
import random
import sys
import time
from contextlib import AsyncExitStack

from grayflow import Client, Position, SystemClock


async def _crowd(url: str, namespace: str, count: int, *, jitter: bool) -> None:
    clock = SystemClock()
    draw = random.random if jitter else (lambda: 0.0)
    logging.getLogger("grayflow").setLevel(logging.CRITICAL)
    async with AsyncExitStack() as stack:
        flags = []
        for _ in range(count):
            client = Client(url, namespace=namespace, start_timeout=120, random=draw)
            flags.append(await stack.enter_async_context(client))
        print("ready", flush=True)
        while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
            start = time.monotonic()
            wanted = Position.from_token(line)
            while not all(client.position == wanted and client.health.state == "fresh" for client in flags):
                await clock.sleep(0.02)
            loads = sum(client.health.loads for client in flags)
            print(f"{time.monotonic() - start:.3f} {loads}", flush=True)


if __name__ == "__main__":
    _, url, namespace, count, jitter = sys.argv
    asyncio.run(_crowd(url, namespace, int(count), jitter=jitter == "jitter"))
