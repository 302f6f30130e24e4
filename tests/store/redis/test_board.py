"""The contract of a board, on a real server, for each user who may write; on a given one too, as for stores."""

from uuid import uuid4

import pytest

from grayflow.clock import SystemClock
from grayflow.store.redis import RedisStore
from grayflow.testing import BoardContract
from grayflow.testing.contract import OpenStore
from grayflow.testing.contract.board import PassTime


@pytest.fixture
def pass_time() -> PassTime:
    return SystemClock().sleep


class TestRedisBoard(BoardContract):
    @pytest.fixture
    def open_store(self, redis_url: str) -> OpenStore:
        namespace = f"t-{uuid4().hex[:12]}"
        return lambda: RedisStore(redis_url, namespace)
