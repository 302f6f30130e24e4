"""A namespace that was made to be thrown away is removed, and nothing beside it."""

import pytest

from grayflow.store.redis import RedisStore
from grayflow.store.redis.removal import remove_namespace
from grayflow.testing.contract.kit import edit, put
from tests.servers import RedisServer

pytestmark = pytest.mark.anyio


async def test_all_keys_of_a_namespace_are_removed_and_no_others(server: RedisServer) -> None:
    for name in ("throw-away", "throw-away-2"):
        async with RedisStore(server.url, name) as store:
            await store.init()
            await put(store, *(edit(f"f{number}", b"{}") for number in range(30)))
    server.ask("SET", "{gf:throw-away}:run:records:x", "1")
    server.ask("MSET", *(word for number in range(3_000) for word in (f"other:{number}", "1")))
    others = {key for key in server.ask("KEYS", "*") if not key.startswith(b"{gf:throw-away}:")}

    removed = await remove_namespace(server.url, "throw-away")

    assert removed > 60
    assert set(server.ask("KEYS", "*")) == others
    assert await remove_namespace(server.url, "throw-away") == 0
