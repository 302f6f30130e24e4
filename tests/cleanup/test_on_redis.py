"""Handlers of processes that share a real Redis."""

from uuid import uuid4

import pytest

from tests.cleanup.on_store import HandlersOnStore

pytestmark = pytest.mark.anyio


class TestOnRedis(HandlersOnStore):
    @pytest.fixture
    def place(self, redis_url: str) -> tuple[str, str]:
        return redis_url, f"t-{uuid4().hex[:12]}"
