"""
The keys of the application's Redis, one server or a cluster, as something that can be swept from end to end.

Whatever has redis-py's methods will do, and nothing of redis-py is imported. A cursor of `SCAN` means something only to
the server that gave it, and a key that moves between two servers can be missed on both: so a sweep counts only if the
same servers held the same slots before it and after it, which is what `look` is for.
"""

from collections.abc import Mapping, Sequence
from inspect import isawaitable
from typing import Any

import msgspec

from grayflow.errors import ConfigurationError

__all__ = ["Keyspace", "Look", "awaited"]


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """Who held the keys at some moment. Two looks that are equal saw the same."""

    nodes: tuple[Any, ...]
    """What to sweep; `None` stands for the only server."""
    slots: tuple[tuple[int, int, str], ...] = ()
    """Of a cluster: the first and the last of some slots, and the primary that holds them."""
    runs: tuple[str | None, ...] = ()
    """The run id and role of each server; `None` where it does not say, or may not."""

    def same(self, other: "Look") -> bool:
        """Tell whether nothing has changed hands."""
        return (self.slots, self.runs) == (other.slots, other.runs)


class Keyspace:
    """
    The keys behind one connection.

    Args:
        redis: A `redis.asyncio.Redis` or `RedisCluster`, or what has their methods. It is the caller's and stays open.
    """

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self.clustered = callable(getattr(redis, "get_primaries", None))
        """Whether there are several servers."""

    async def look(self) -> Look:
        """Find out who holds the keys."""
        if not self.clustered:
            return Look(nodes=(None,), runs=(await self._run(None),))
        found = await self._look()
        if len({slots[2] for slots in found.slots}) != len(found.nodes) or any(_is_replica(run) for run in found.runs):
            # redis-py 8.1.0 learns of a new primary only when a command is sent elsewhere, and SCAN never is.
            await awaited(getattr(self._redis, "nodes_manager", self._redis).initialize())
            found = await self._look()
        return found

    async def scan(self, node: Any, cursor: int, pattern: str | bytes, count: int) -> tuple[int, Sequence[Any]]:
        """
        Return the next cursor, 0 at the end, and some keys.

        Raises:
            ConfigurationError: the connection decodes names, and cannot decode these.
        """
        where = {} if node is None else {"target_nodes": node}
        try:
            after, keys = await awaited(self._redis.scan(cursor=cursor, match=pattern, count=count, **where))
        except UnicodeDecodeError as error:
            raise ConfigurationError(
                f"a key that matches {pattern!r} has a name that the connection cannot decode ({error}); give a "
                "connection without decode_responses"
            ) from error
        if isinstance(after, Mapping):  # of a cluster: node -> cursor
            after = next(iter(after.values()))
        return int(after), keys

    async def unlink(self, keys: Sequence[Any]) -> int:
        """Remove keys and return how many were there; in a cluster, slot by slot."""
        return int(await awaited(self._redis.unlink(*keys)))

    async def _look(self) -> Look:
        await awaited(self._redis.initialize())
        slots = await awaited(self._redis.cluster_slots())
        nodes = tuple(self._redis.get_primaries())
        return Look(
            nodes=nodes,
            slots=tuple(sorted((*first_last, _primary(holder)) for first_last, holder in slots.items())),
            runs=tuple([await self._run(node) for node in nodes]),
        )

    async def _run(self, node: Any) -> str | None:
        where = {} if node is None else {"target_nodes": node}
        try:
            server = await awaited(self._redis.info("server", **where))
            role = await awaited(self._redis.info("replication", **where))
        except ConfigurationError:
            raise
        except Exception:  # noqa: BLE001 - the right to INFO may be missing; a server that is down refuses SCAN as well
            return None
        return f"{server.get('run_id')} {role.get('role', '')}"


def _is_replica(run: str | None) -> bool:
    return run is not None and run.endswith(" slave")


def _primary(holder: Any) -> str:
    return str(holder["primary"] if isinstance(holder, Mapping) else holder)


async def awaited(result: Any) -> Any:
    """
    Await what the application's connection or function returned.

    Raises:
        ConfigurationError: it is no awaitable, so the connection is a synchronous one.
    """
    if not isawaitable(result):
        raise ConfigurationError(
            "what was given is synchronous and would stop the event loop; give a redis.asyncio.Redis or "
            "redis.asyncio.RedisCluster, or an async function"
        )
    return await result
