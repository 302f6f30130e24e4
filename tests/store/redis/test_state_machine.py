"""Redis against the models: its flags of `tests/store/machine.py`, its board of `tests/store/board_machine.py`."""

from typing import ClassVar
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import rule

from grayflow.clock import SystemClock
from grayflow.store.port import Store
from grayflow.store.redis import RedisStore
from tests.servers import RedisServer
from tests.store.board_machine import BoardMachine
from tests.store.machine import StoreMachine


class RedisMachine(StoreMachine):
    server: ClassVar[RedisServer]

    def __init__(self) -> None:
        super().__init__()
        self.namespace = f"t-{uuid4().hex[:12]}"

    def open(self) -> Store:
        return RedisStore(self.server.url, self.namespace)

    @rule()
    def forget_scripts(self) -> None:
        self.server.ask("SCRIPT", "FLUSH")


class RedisBoardMachine(BoardMachine):
    server: ClassVar[RedisServer]

    def __init__(self) -> None:
        super().__init__()
        self.namespace = f"t-{uuid4().hex[:12]}"

    def open(self) -> Store:
        return RedisStore(self.server.url, self.namespace)

    async def pass_time(self, seconds: float) -> None:
        await SystemClock().sleep(seconds)

    @rule()
    def forget_scripts(self) -> None:
        self.server.ask("SCRIPT", "FLUSH")


@pytest.fixture(autouse=True)
def _on_the_shared_server(redis_server: RedisServer) -> None:
    RedisMachine.server = RedisBoardMachine.server = redis_server


TestRedis = RedisMachine.TestCase
TestRedis.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestRedisBoard = RedisBoardMachine.TestCase
TestRedisBoard.settings = settings(
    max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
