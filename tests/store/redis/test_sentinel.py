"""`redis+sentinel://`: one master, one replica, three Sentinels."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from redis.exceptions import ConnectionError as RedisConnectionError

from grayflow.errors import StoreAccessError, StoreUnavailableError
from grayflow.store.redis import RedisStore
from grayflow.store.redis.master import Sentinels
from tests.ports import free_port
from tests.servers import RedisServer
from tests.store.redis.kit import assert_works, use

pytestmark = pytest.mark.anyio


@pytest.fixture
def group() -> Iterator[tuple[RedisServer, str]]:
    """Yield the master, and the URL that names the Sentinels."""
    with ExitStack() as stack:
        master = stack.enter_context(RedisServer())
        stack.enter_context(RedisServer("--replicaof", f"127.0.0.1 {master.port}"))
        config = f"sentinel monitor shop 127.0.0.1 {master.port} 2\n"
        sentinels = [stack.enter_context(RedisServer(config=config, sentinel=True)) for _ in range(3)]
        yield master, "redis+sentinel://" + ",".join(f"127.0.0.1:{one.port}" for one in sentinels) + "/shop/0"


async def test_a_master_is_found(group: tuple[RedisServer, str]) -> None:
    _, url = group

    await assert_works(url)


async def test_a_dead_sentinel_is_passed_over(group: tuple[RedisServer, str]) -> None:
    _, url = group

    await assert_works(url.replace("://", f"://127.0.0.1:{free_port()},"))


async def test_an_unknown_service_has_no_master(group: tuple[RedisServer, str]) -> None:
    _, url = group
    async with RedisStore(url.replace("/shop/", "/other/")) as store:
        for verb in ("position", "follow"):
            with pytest.raises(StoreUnavailableError, match="name no master"):
                await use(store, verb)


async def test_a_password_for_the_master_is_not_given_to_the_sentinels(group: tuple[RedisServer, str]) -> None:
    master, url = group
    master.ask("ACL", "SETUSER", "me", "on", ">pw", "~*", "&*", "+@all")

    await assert_works(url.replace("://", "://me:pw@"))
    async with RedisStore(url.replace("://", "://me:pw@"), "shop") as store:
        await store.position()

        assert b"user=me" in master.ask("CLIENT", "LIST")


class Witness:
    """A Sentinel that answers after a moment, or does not."""

    def __init__(self, *, dead: bool = False) -> None:
        self._dead = dead

    async def sentinel_masters(self) -> dict[str, Any]:
        await checkpoint()
        if self._dead:
            raise RedisConnectionError("dead")
        state = {"is_master": True, "is_sdown": False, "is_odown": False, "ip": "127.0.0.1", "port": 1}
        return {"shop": {**state, "num-other-sentinels": 2}}

    async def aclose(self) -> None:
        pass


async def test_connections_that_ask_at_once_lose_no_sentinel() -> None:
    sentinels = Sentinels([])
    three = {Witness(dead=True), Witness(), Witness()}
    sentinels.sentinels = sorted(three, key=lambda one: not one._dead)

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(sentinels.discover_master, "shop")

    assert set(sentinels.sentinels) == three


async def test_sentinels_that_refuse_us_are_told(group: tuple[RedisServer, str]) -> None:
    _, url = group
    async with RedisStore(url + "?sentinel_password=wrong-pw") as store:
        with pytest.raises(StoreAccessError, match="sentinel_password") as caught:
            await store.position()
    assert "wrong-pw" not in str(caught.value)
