"""
A service with a cache in files, and a new one in Redis that is to take its place; nothing here knows of flags.

`product_page` is the business code: it is the same before, during and after the change. See `cache_switch.py`.
"""

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from anyio import to_thread
from redis.asyncio import Redis

from grayflow.release import idempotent, safe, writes


class CacheService(Protocol):
    """What both caches can do, and what may be done again on the other one if it fails on one."""

    @safe
    async def get(self, key: str) -> bytes | None:
        """Return what is kept under a key."""
        ...

    @idempotent
    async def set(self, key: str, value: bytes) -> None:
        """Keep something."""
        ...


class FileCache:
    """The old one: one file for each key, in a folder that all processes share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def get(self, key: str) -> bytes | None:
        """See `CacheService`."""
        path = self._path(key)
        return await to_thread.run_sync(lambda: path.read_bytes() if path.exists() else None)

    @writes
    async def set(self, key: str, value: bytes) -> None:
        """See `CacheService`."""
        path = self._path(key)
        draft = path.with_name(f"{path.name}.{uuid4().hex}")
        await to_thread.run_sync(lambda: draft.write_bytes(value) and draft.replace(path))

    def _path(self, key: str) -> Path:
        return self._folder / hashlib.sha256(key.encode()).hexdigest()[:16]

    @classmethod
    @asynccontextmanager
    async def open(cls, folder: Path) -> AsyncIterator["FileCache"]:
        """Open it."""
        await to_thread.run_sync(lambda: folder.mkdir(parents=True, exist_ok=True))
        yield cls(folder)


class RedisCache:
    """
    The new one.

    Args:
        redis: Its connection.
        prefix: Of its keys.
        broken: Tells whether the bug is there that nobody saw in review.
    """

    def __init__(self, redis: Redis, prefix: str, broken: Callable[[], bool]) -> None:
        self._redis, self._prefix, self._broken = redis, prefix, broken

    async def get(self, key: str) -> bytes | None:
        """See `CacheService`."""
        self._fail_if_broken()
        found: bytes | None = await self._redis.get(f"{self._prefix}{key}")
        return found

    @writes
    async def set(self, key: str, value: bytes) -> None:
        """See `CacheService`."""
        self._fail_if_broken()
        await self._redis.set(f"{self._prefix}{key}", value)

    def _fail_if_broken(self) -> None:
        if self._broken():
            raise RuntimeError("a bug in the new cache")

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, prefix: str, broken: Callable[[], bool]) -> AsyncIterator["RedisCache"]:
        """Open it, with a connection of its own."""
        async with Redis.from_url(url) as redis:
            yield cls(redis, prefix, broken)


async def product_page(cache: CacheService, product: int) -> bytes:
    """Return a page, from the cache if it is there."""
    key = f"page:{product}"
    page = await cache.get(key)
    if page is None:
        page = rendered(product)
        await cache.set(key, page)
    return page


def rendered(product: int) -> bytes:
    """Render a page; what takes so long that there is a cache."""
    return f"<h1>Product {product}</h1>".encode()
