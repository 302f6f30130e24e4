"""
A process full of clients for the herd benchmark: `python -m benchmarks.crowd URL NAMESPACE COUNT JITTER`.

Says `ready`; then answers each line of standard input, a position's token: when all clients hold that position, the
seconds that it took since the line came, how often they have loaded everything so far, and the seconds that this
process has worked so far.
"""

import asyncio
import gc
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
    gc.disable()  # no service holds hundreds of flag sets, and the collector would walk through all of them
    async with AsyncExitStack() as stack:
        flags = []
        for _ in range(count):
            client = Client(url, namespace=namespace, start_timeout=120, random=draw)
            flags.append(await stack.enter_async_context(client))
        print("ready", flush=True)
        while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
            start = time.monotonic()
            wanted = Position.from_token(line)
            missing = flags
            # Whoever was seen is not looked at again: `health` costs, and here it would be asked for by hundreds.
            while missing := [client for client in missing if not _is_at(client, wanted)]:
                await clock.sleep(0.05)
            loads = sum(client.health.loads for client in flags)
            print(f"{time.monotonic() - start:.3f} {loads} {time.process_time():.3f}", flush=True)


def _is_at(client: Client, wanted: Position) -> bool:
    if client.position != wanted:
        return False
    health = client.health
    return health.state == "fresh" and health.link == "up"


if __name__ == "__main__":
    _, url, namespace, count, jitter = sys.argv
    asyncio.run(_crowd(url, namespace, int(count), jitter=jitter == "jitter"))
