"""`redis+sentinel://`: one master, one replica, three Sentinels."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from grayflow.errors import StoreAccessError, StoreUnavailableError
from grayflow.store.redis import RedisStore
from tests.servers import RedisServer, free_port
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


async def test_sentinels_that_refuse_us_are_told(group: tuple[RedisServer, str]) -> None:
    _, url = group
    async with RedisStore(url + "?sentinel_password=wrong-pw") as store:
        with pytest.raises(StoreAccessError, match="sentinel_password") as caught:
            await store.position()
    assert "wrong-pw" not in str(caught.value)
