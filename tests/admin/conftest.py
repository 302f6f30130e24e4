"""Stores for the tests of `Admin`: what it promises holds on each of them."""

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import anyio
import pytest

from grayflow.store.memory import MemoryStore
from grayflow.store.port import Store
from grayflow.store.sqlite import SQLiteStore


@pytest.fixture(params=["memory", "sqlite", pytest.param("redis", marks=pytest.mark.redis)])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    """Return a function that gives one more store on the same data; a server's namespace is initialised already."""
    if request.param == "sqlite":
        return lambda: SQLiteStore(str(tmp_path / "flags.db"), "default")
    if request.param == "redis":
        return _on_a_server(request.getfixturevalue("redis_url"))
    store = MemoryStore()
    return lambda: store


def _on_a_server(url: str) -> Callable[[], Store]:
    from grayflow.store.redis import RedisStore

    namespace = f"t-{uuid4().hex[:12]}"

    async def init() -> None:
        async with RedisStore(url, namespace) as store:
            await store.init()

    anyio.run(init)
    return lambda: RedisStore(url, namespace)
