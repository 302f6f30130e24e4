"""Publishing observations on a Redis stream that keeps the newest."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from grayflow.cleanup.keyspace import awaited
from grayflow.release.parallel.outcome import Observation
from grayflow.store.given import refused, whole

__all__ = ["to_stream"]


def to_stream(redis: Any, stream: str, *, maxlen: int = 10_000) -> Callable[[Observation], Awaitable[None]]:
    """
    Return a function for `ParallelRun(publish=)` that appends to a Redis stream.

        run = ParallelRun[User]("user-lookup", flag="exp.users", publish=to_stream(redis, "shop:differences"))

    An entry has the fields `run`, `candidate`, `outcome` and `payload`; the payload is the observation as JSON, so what
    `clean`, `clean_error` and `about` return has to be possible in JSON.

    Args:
        redis: The application's own connection, a `redis.asyncio.Redis` or `RedisCluster`; stays open.
        stream: The key of the stream.
        maxlen: It is trimmed to about so many entries.

    Raises:
        ConfigurationError: an argument cannot be used.
    """
    if not stream:
        raise refused("stream", stream, "give the key of the stream")
    whole("maxlen", maxlen)

    async def publish(observation: Observation) -> None:
        fields = {
            "run": observation.run,
            "candidate": observation.candidate,
            "outcome": str(observation.outcome),
            "payload": msgspec.json.encode(observation),
        }
        await awaited(redis.xadd(stream, fields, maxlen=maxlen, approximate=True))

    return publish
