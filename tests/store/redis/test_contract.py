"""The contract of a store, on a real server; on a given one too if `GRAYFLOW_TEST_REDIS_URL` names it."""

import os
from uuid import uuid4

import pytest

from grayflow.store.redis import RedisStore
from grayflow.testing import StoreContract
from grayflow.testing.contract import OpenStore

GIVEN = os.environ.get("GRAYFLOW_TEST_REDIS_URL")


class TestRedisStore(StoreContract):
    @pytest.fixture
    def open_store(self, redis_url: str) -> OpenStore:
        namespace = f"t-{uuid4().hex[:12]}"
        return lambda: RedisStore(redis_url, namespace)


if GIVEN:

    class TestGivenServer(StoreContract):
        @pytest.fixture
        def open_store(self) -> OpenStore:
            namespace = f"t-{uuid4().hex[:12]}"
            return lambda: RedisStore(GIVEN, namespace)
