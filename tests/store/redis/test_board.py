"""The contract of a board, on a real server, for each user who may write; on a given one too, as for stores."""

import os
from collections.abc import Iterator
from typing import Self
from uuid import uuid4

import pytest

from grayflow.clock import SystemClock
from grayflow.store.redis import RedisStore
from grayflow.store.redis.acl import Role, acl_rules
from grayflow.store.wrappers import Wrapper
from grayflow.testing import BoardContract
from grayflow.testing.contract import OpenStore
from grayflow.testing.contract.board import PassTime
from tests.servers import RedisServer

GIVEN = os.environ.get("GRAYFLOW_TEST_REDIS_URL")


@pytest.fixture
def pass_time() -> PassTime:
    return SystemClock().sleep


class TestRedisBoard(BoardContract):
    @pytest.fixture
    def open_store(self, redis_url: str) -> OpenStore:
        namespace = f"t-{uuid4().hex[:12]}"
        return lambda: RedisStore(redis_url, namespace)


if GIVEN:

    class TestGivenServer(BoardContract):
        @pytest.fixture
        def open_store(self) -> OpenStore:
            namespace = f"t-{uuid4().hex[:12]}"
            return lambda: RedisStore(GIVEN, namespace)


@pytest.fixture(scope="module")
def guarded_redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        for role in ("worker", "writer"):
            server.ask("ACL", "SETUSER", f"gf-{role}", *acl_rules(role, "prod", "pw"))
        yield server


@pytest.fixture
def guarded(guarded_redis: RedisServer) -> RedisServer:
    guarded_redis.ask("FLUSHALL")
    return guarded_redis


def as_user(server: RedisServer, role: Role) -> RedisStore:
    return RedisStore(f"redis://gf-{role}:pw@127.0.0.1:{server.port}/0", "prod")


class Apart(Wrapper):
    """Writes the flags as one user and the board as another: the contract does both."""

    def __init__(self, flags: RedisStore, workers: RedisStore) -> None:
        super().__init__(flags)
        self.board = workers.board
        self._workers = workers

    async def __aenter__(self) -> Self:
        await self._workers.__aenter__()
        return await super().__aenter__()

    async def __aexit__(self, *exc: object) -> None:
        await super().__aexit__(*exc)
        await self._workers.__aexit__(*exc)


class TestWorkerPassesTheContract(BoardContract):
    @pytest.fixture
    def open_store(self, guarded: RedisServer) -> OpenStore:
        return lambda: Apart(as_user(guarded, "writer"), as_user(guarded, "worker"))


class TestWriterPassesTheContract(BoardContract):
    @pytest.fixture
    def open_store(self, guarded: RedisServer) -> OpenStore:
        return lambda: as_user(guarded, "writer")
