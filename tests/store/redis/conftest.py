"""Servers that a test may break, and stores on them."""

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from grayflow.store.redis import RedisStore
from tests.servers import RedisServer

OpenRedis = Callable[..., RedisStore]


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """Start a server for this test alone: kill it, freeze it, fill it."""
    with RedisServer() as running:
        yield running


@pytest.fixture
def namespace() -> str:
    return f"t-{uuid4().hex[:12]}"


@pytest.fixture
def open_redis(redis_url: str, namespace: str) -> OpenRedis:
    """Open stores on the shared server, all in the test's own namespace."""
    return lambda **options: RedisStore(redis_url, namespace, **options)
