"""Databases, namespaces and unix sockets: each address is its own place."""

import re
from pathlib import Path

import pytest

from grayflow.store.redis import RedisStore
from grayflow.testing.contract.kit import edit, put, seen
from tests.servers import RedisServer
from tests.store.redis.kit import assert_works

pytestmark = pytest.mark.anyio


async def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    with RedisServer("--unixsocket", str(path)):
        await assert_works(f"unix://{path}")


async def test_a_unix_socket_with_password_and_database(tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    with RedisServer("--unixsocket", str(path), "--requirepass", "pw"):
        await assert_works(f"unix://:pw@{path}?db=2")


async def test_namespaces_in_two_databases_are_two(server: RedisServer) -> None:
    one, two = server.url, f"redis://127.0.0.1:{server.port}/1"
    await assert_works(one)
    await assert_works(two)
    async with RedisStore(one, "shop") as first, RedisStore(two, "shop") as second:
        await put(first, edit("b"))

        assert set((await second.load()).flags) == {"a"}


async def test_namespaces_in_one_database_are_two(server: RedisServer) -> None:
    async with RedisStore(server.url, "one") as one, RedisStore(server.url, "two") as two:
        await one.init()
        await two.init()
        async with two.follow() as events:
            await put(one, edit("a"))
            (change,) = await put(two, edit("b"))

            assert (await seen(events, two, change.position)) is not None
        assert (set((await one.load()).flags), set((await two.load()).flags)) == ({"a"}, {"b"})


async def test_the_server_shows_who_we_are(server: RedisServer) -> None:
    async with RedisStore(server.url, client_name="my app/1") as store, store.follow():
        await store.init()

        clients = server.ask("CLIENT", "LIST").decode()

    assert set(re.findall(r" name=(\S*)", clients)) >= {"my-app-1-once", "my-app-1-link"}
