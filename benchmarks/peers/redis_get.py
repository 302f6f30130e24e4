"""The naive way: ask Redis each time, through redis-py's asyncio client, on a server of this machine."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from benchmarks.peers.work import LISTED
from benchmarks.peers.worker import Column
from benchmarks.priority import first
from benchmarks.watch import put_first
from tests.servers import RedisServer

__all__ = ["peer"]

NO_RULES = "a value under a key has no rules"


@asynccontextmanager
async def peer() -> AsyncIterator[tuple[str, Sequence[Column]]]:
    """Yield a connection to a server of its own."""
    with RedisServer() as server:
        # Both run before other processes, where that is allowed: else the time of those is what would be measured.
        put_first(server)
        first(0)
        async with Redis.from_url(server.url) as redis:
            await redis.set("plain", "on")
            for number in range(0, len(LISTED), 1000):
                await redis.sadd("list", *LISTED[number : number + 1000])
            asks = {work: f"answer = await get({work!r}) == b'on'" for work in ("plain", "unknown")}
            asks["list"] = "answer = await ismember('list', user) == 1"
            missing = dict.fromkeys(("half", "three", "twenty", "json"), NO_RULES)
            names = {"get": redis.get, "ismember": redis.sismember}
            yield "redis", (Column("redis.get per check", asks, "", names, missing, waits=True),)
