"""Where a play takes place: one server, near or on a bad network; a master behind Sentinels; one slot of a cluster."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import anyio
from redis.crc import key_slot

from grayflow.clock import SystemClock
from grayflow.store.redis.acl import Role, acl_rules
from tests.faults.cable import Cable
from tests.faults.fault import Fault
from tests.faults.proxy import Proxy
from tests.servers import RedisServer

__all__ = ["NAMESPACE", "Place", "opened"]

NAMESPACE = "faults"

_clock = SystemClock()
_SLOTS = ((0, 5460), (5461, 10922), (10923, 16383))
_SENTINEL = """
sentinel monitor shop 127.0.0.1 {port} 2
sentinel down-after-milliseconds shop 1000
sentinel failover-timeout shop 6000
"""
_AT_ONCE = ("--repl-diskless-sync-delay", "0")
"""A master waits 5 s for more replicas before it sends its data to the first; until then that one has nothing."""
_CLUSTER = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")


@dataclass(kw_only=True)
class Place:
    """Running servers, and the ways to them."""

    server: RedisServer
    """The one that holds the data in the beginning."""
    replica: RedisServer | None = None
    """The one that takes over from it."""
    proxy: Proxy | None = None
    cable: Cable | None = None
    clients_url: str = field(repr=False)
    writers_url: str = field(repr=False)


@asynccontextmanager
async def opened(fault: Fault) -> AsyncIterator[Place]:
    """Start what a fault is played on, and stop it afterwards."""
    async with AsyncExitStack() as stack:
        kinds = {"sentinel": _behind_sentinels, "cluster": _in_a_cluster}
        yield await kinds.get(fault.route, _alone)(stack, fault)


async def _alone(stack: AsyncExitStack, fault: Fault) -> Place:
    cable = stack.enter_context(Cable()) if fault.route == "cable" else None
    host, within = ("127.0.0.1", ()) if cable is None else (cable.host, cable.within)
    server = await _started(stack, RedisServer(*fault.options, config=_users(), host=host, within=within))
    proxy = stack.enter_context(Proxy(server.port)) if fault.route == "proxy" else None
    writers_way = f"127.0.0.1:{proxy.port}" if proxy and fault.writer_on_route else f"{host}:{server.port}"
    return Place(
        server=server,
        proxy=proxy,
        cable=cable,
        clients_url=f"redis://gf-worker:pw@{host}:{proxy.port if proxy else server.port}",
        # The writer is nearer to its server than any cable.
        writers_url=f"unix://gf-writer:pw@{server.socket}" if cable else f"redis://gf-writer:pw@{writers_way}",
    )


async def _behind_sentinels(stack: AsyncExitStack, fault: Fault) -> Place:
    """One master, one replica, three Sentinels."""
    options = (*fault.options, *_AT_ONCE)
    master = await _started(stack, RedisServer(*options, config=_users()))
    replica = await _started(stack, RedisServer(*options, "--replicaof", f"127.0.0.1 {master.port}", config=_users()))
    config = _SENTINEL.format(port=master.port)
    sentinels = [await _started(stack, RedisServer(config=config, sentinel=True)) for _ in range(3)]
    await _so(lambda: replica.ask("INFO", "replication")["master_link_status"] == "up")
    for sentinel in sentinels:
        await _so(lambda sentinel=sentinel: _knows_all(sentinel))
    hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in sentinels)
    return Place(
        server=master,
        replica=replica,
        clients_url=f"redis+sentinel://gf-worker:pw@{hosts}/shop/0",
        writers_url=f"redis+sentinel://gf-writer:pw@{hosts}/shop/0",
    )


def _knows_all(sentinel: RedisServer) -> bool:
    told = sentinel.ask("SENTINEL", "MASTER", "shop")
    known = dict(zip(told[::2], told[1::2], strict=True))
    return (known[b"num-slaves"], known[b"num-other-sentinels"]) == (b"1", b"2")


async def _in_a_cluster(stack: AsyncExitStack, fault: Fault) -> Place:
    """Three masters, each with a replica."""
    options, users = (*fault.options, *_AT_ONCE, *_CLUSTER), _users(cluster=True)
    nodes = [await _started(stack, RedisServer(*options, config=users)) for _ in range(6)]
    masters, replicas = nodes[:3], nodes[3:]
    for number, (master, slots) in enumerate(zip(masters, _SLOTS, strict=True)):
        master.ask("CLUSTER", "ADDSLOTSRANGE", *slots)
        master.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
    for node in nodes[1:]:
        node.ask("CLUSTER", "MEET", "127.0.0.1", nodes[0].port)
    for master, replica in zip(masters, replicas, strict=True):
        name = master.ask("CLUSTER", "MYID")
        await _so(lambda replica=replica, name=name: name in replica.ask("CLUSTER", "NODES"))
        replica.ask("CLUSTER", "REPLICATE", name)
    for node in nodes:
        await _so(lambda node=node: b"cluster_state:ok" in node.ask("CLUSTER", "INFO"))
    for replica in replicas:
        await _so(lambda replica=replica: replica.ask("INFO", "replication")["master_link_status"] == "up")
    slot = key_slot(f"{{gf:{NAMESPACE}}}:meta".encode())
    ours = next(index for index, (first, last) in enumerate(_SLOTS) if first <= slot <= last)
    hosts = ",".join(f"127.0.0.1:{node.port}" for node in nodes)
    return Place(
        server=masters[ours],
        replica=replicas[ours],
        clients_url=f"redis+cluster://gf-worker:pw@{hosts}",
        writers_url=f"redis+cluster://gf-writer:pw@{hosts}",
    )


async def _started(stack: AsyncExitStack, server: RedisServer) -> RedisServer:
    async def stop() -> None:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(server.stop)

    stack.push_async_callback(stop)
    return await anyio.to_thread.run_sync(server.start)


async def _so(condition) -> None:
    """Wait until the servers have found each other."""
    with anyio.fail_after(30):
        while not condition():
            await _clock.sleep(0.05)


def _users(*, cluster: bool = False) -> str:
    roles: tuple[Role, ...] = ("worker", "writer")
    rules = {role: " ".join(acl_rules(role, NAMESPACE, "pw", cluster=cluster)) for role in roles}
    return "".join(f"user gf-{role} {words}\n" for role, words in rules.items())
