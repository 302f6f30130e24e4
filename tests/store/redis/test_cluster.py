"""`redis+cluster://`: three masters; the namespace is one slot of one of them."""

from collections.abc import Iterator
from contextlib import ExitStack

import anyio
import pytest
from redis.crc import key_slot

from grayflow.clock import SystemClock
from grayflow.errors import StoreAccessError, StoreUnavailableError
from grayflow.store.redis import RedisStore
from grayflow.store.redis.acl import Role, acl_rules
from grayflow.testing.contract.kit import edit, put, seen
from tests.ports import free_port
from tests.servers import RedisServer
from tests.store.redis.kit import assert_works, use

pytestmark = pytest.mark.anyio

sleep = SystemClock().sleep


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[RedisServer]]:
    with ExitStack() as stack:
        nodes = [stack.enter_context(RedisServer("--cluster-enabled", "yes")) for _ in range(3)]
        for number, (node, slots) in enumerate(zip(nodes, ((0, 5460), (5461, 10922), (10923, 16383)), strict=True)):
            node.ask("CLUSTER", "ADDSLOTSRANGE", *slots)
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in nodes[1:]:
            node.ask("CLUSTER", "MEET", "127.0.0.1", nodes[0].port)
        yield nodes


@pytest.fixture
async def cluster(nodes: list[RedisServer]) -> list[RedisServer]:
    with anyio.fail_after(20):
        while not all(b"cluster_state:ok" in info and b"cluster_known_nodes:3" in info for info in infos(nodes)):
            await sleep(0.05)
    for node in nodes:
        node.ask("FLUSHALL")
    return nodes


@pytest.mark.parametrize("start", [0, 1, 2])
async def test_any_node_leads_to_the_namespace(cluster: list[RedisServer], start: int) -> None:
    await assert_works(f"redis+cluster://127.0.0.1:{cluster[start].port}")

    assert sorted(node.ask("DBSIZE") for node in cluster)[:2] == [0, 0]


async def test_a_dead_start_node_is_passed_over(cluster: list[RedisServer]) -> None:
    await assert_works(f"redis+cluster://127.0.0.1:{free_port()},127.0.0.1:{cluster[2].port}")


async def test_narrow_users_are_enough(cluster: list[RedisServer]) -> None:
    roles: tuple[Role, ...] = ("reader", "writer")
    for node in cluster:
        for role in roles:
            node.ask("ACL", "SETUSER", f"gf-{role}", *acl_rules(role, "shop", "pw", cluster=True))

    await assert_works(*(f"redis+cluster://gf-{role}:pw@127.0.0.1:{cluster[0].port}" for role in ("writer", "reader")))


async def test_a_wrong_password_is_told(cluster: list[RedisServer]) -> None:
    async with RedisStore(f"redis+cluster://me:wrong@127.0.0.1:{cluster[0].port}") as store:
        for verb in ("position", "follow"):
            with pytest.raises(StoreAccessError, match="refused user and password"):
                await use(store, verb)


async def test_a_node_alone_says_what_to_write(cluster: list[RedisServer]) -> None:
    slot = key_slot(b"{gf:shop}:meta")
    other = cluster[0] if slot > 5460 else cluster[1]
    async with RedisStore(other.url, "shop") as store:
        with pytest.raises(StoreUnavailableError, match=r"use redis\+cluster://"):
            await store.position()


async def test_a_slot_that_moves_is_followed(cluster: list[RedisServer]) -> None:
    slot = key_slot(b"{gf:shop}:meta")
    async with RedisStore(f"redis+cluster://127.0.0.1:{cluster[0].port}", "shop") as store:
        await store.init()
        await put(store, edit("a", b"1"))
        old, new = owner_and_other(cluster, slot)
        move(slot, old, new, cluster)

        (change,) = await put(store, edit("a", b"2"))
        async with store.follow() as events:
            (later,) = await put(store, edit("a", b"3"))
            assert await seen(events, store, later.position) is not None

        assert change.revision == 2
        assert new.ask("EXISTS", "{gf:shop}:meta") == 1
        move(slot, new, old, cluster)


async def test_an_absent_cluster_is_unreachable() -> None:
    async with RedisStore(f"redis+cluster://127.0.0.1:{free_port()}") as store:
        for verb in ("position", "follow"):
            with pytest.raises(StoreUnavailableError, match="cannot be reached"):
                await use(store, verb)


def infos(nodes: list[RedisServer]) -> list[bytes]:
    return [node.ask("CLUSTER", "INFO") for node in nodes]


def owner_and_other(cluster: list[RedisServer], slot: int) -> tuple[RedisServer, RedisServer]:
    owner = next(node for node in cluster if node.ask("CLUSTER", "COUNTKEYSINSLOT", slot))
    return owner, next(node for node in cluster if node is not owner)


def move(slot: int, old: RedisServer, new: RedisServer, cluster: list[RedisServer]) -> None:
    """Migrate all keys of a slot, as redis-cli does."""
    old_id, new_id = (node.ask("CLUSTER", "MYID") for node in (old, new))
    new.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", old_id)
    old.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", new_id)
    for key in old.ask("CLUSTER", "GETKEYSINSLOT", slot, 1000):
        old.ask("MIGRATE", "127.0.0.1", new.port, key, 0, 5000)
    for node in cluster:
        node.ask("CLUSTER", "SETSLOT", slot, "NODE", new_id)
