"""
A cluster, seen by somebody who uses one slot of it.

All keys of a namespace share one hash tag, so for us a cluster is a group of servers of which one holds our slot, as
the Sentinels know one master. Connections here ask for that node when they connect, as redis-py's own connections to
a Sentinel's master do, and everything above is the same for every kind of address.

Why not `redis.asyncio.RedisCluster`: in redis-py 8.1.0 its transactions start a thread with an event loop of its own
for every command that is queued, it asks each server for the list of all commands, which a narrow ACL forbids, and a
plain Pub/Sub object stays with a dead node for ever.
"""

from itertools import count
from typing import Any

from redis.asyncio.connection import Connection, SSLConnection
from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    AuthenticationError,
    ClusterDownError,
    ConnectionError,  # noqa: A004 - redis-py's name
    RedisError,
    TimeoutError,  # noqa: A004 - redis-py's name
)

__all__ = ["SlotConnection", "SlotRoute", "SlotSSLConnection"]

Node = tuple[str, int]


class SlotRoute:
    """
    Which node is the master of the slot of `key`; one for all connections of a store, so that each failure teaches all.

    Args:
        nodes: Where to ask first; the nodes that they name are asked later on.
        key: Any key of the slot.
        tls: Whether the nodes speak TLS.
        settings: Of the connections that ask.
    """

    def __init__(self, nodes: tuple[Node, ...], key: str, *, tls: bool, settings: dict[str, Any]) -> None:
        self._seeds = nodes
        self._nodes = nodes
        self._slot = key_slot(key.encode())
        self._connection = SSLConnection if tls else Connection
        self._settings = settings
        self._owner: Node | None = None
        self._informant: Node | None = None
        self._suspected: dict[Node, int] = {}
        """
        Nodes that did not answer, or sent us to one that did not, with a number that rises: asked last, and the newest
        at the very end. One that hangs costs a time-out.
        """
        self._numbers = count(1)

    def forget(self, node: Node) -> None:
        """Ask again next time: this node was dead, or no longer the right one."""
        if node == self._owner:
            self._owner = None
            if self._informant is not None:
                self._suspect(self._informant)
        self._suspect(node)

    async def locate(self) -> Node:
        """
        Return host and port of the master.

        Raises:
            RedisError: no node could be asked; that of the last one.
        """
        if self._owner is not None:
            return self._owner
        failure: RedisError = ClusterDownError(f"CLUSTERDOWN no node serves slot {self._slot}")
        for node in self._in_order():
            self._suspect(node)  # until it answers; giving up the wait leaves it so
            try:
                slots = await self._ask(node)
            except AuthenticationError:
                raise
            except RedisError as error:
                failure = error
                continue
            del self._suspected[node]
            self._learn(slots, node)
            if self._owner is not None:
                return self._owner
        raise failure

    def _suspect(self, node: Node) -> None:
        self._suspected[node] = next(self._numbers)

    def _in_order(self) -> list[Node]:
        known = dict.fromkeys((*self._nodes, *self._seeds))
        return sorted(known, key=lambda node: self._suspected.get(node, 0))

    async def _ask(self, node: Node) -> list[Any]:
        connection = self._connection(host=node[0], port=node[1], **self._settings)
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            await connection.send_command("CLUSTER", "SLOTS")
            slots: list[Any] = await connection.read_response()
        finally:
            await connection.disconnect(nowait=True)
        return slots

    def _learn(self, slots: list[Any], asked: Node) -> None:
        # Each entry: first slot, last slot, master, replicas. A node that does not know its own address says "".
        def node(entry: list[Any]) -> Node:
            return (entry[0].decode() if entry[0] and entry[0] != b"?" else asked[0]), int(entry[1])

        self._nodes = tuple(dict.fromkeys(node(entry) for row in slots for entry in row[2:]))
        for row in slots:
            if row[0] <= self._slot <= row[1]:
                self._owner, self._informant = node(row[2]), asked


class SlotConnection(Connection):
    """A connection to whichever node is the master of one slot at the moment."""

    def __init__(self, *, route: SlotRoute, **settings: Any) -> None:
        self._route = route
        super().__init__(**settings)

    async def connect_check_health(self, check_health: bool = True, retry_socket_connect: bool = True) -> None:  # noqa: FBT001, FBT002, ARG002 - redis-py's
        """Find the node, then connect, once. Every try comes here; see `master.py`."""
        if self.is_connected:
            return
        node = self.host, self.port = await self._route.locate()
        try:
            await super().connect_check_health(check_health=check_health, retry_socket_connect=False)
        except AuthenticationError:
            raise
        except BaseException:  # giving up the wait is a failure, too: who hangs is not asked again
            self._route.forget(node)
            raise

    async def read_response(self, *args: Any, **options: Any) -> Any:
        """Read; whatever says that this is the wrong node, or none, sends the next connection to look again."""
        try:
            return await super().read_response(*args, **options)
        except (AskError, ClusterDownError) as error:  # MovedError is an AskError
            self._route.forget((self.host, self.port))
            await self.disconnect(nowait=True)
            raise ConnectionError(f"the slot is not served by {self.host}:{self.port} now: {error}") from error
        except (ConnectionError, TimeoutError):
            self._route.forget((self.host, self.port))
            raise


class SlotSSLConnection(SlotConnection, SSLConnection):
    """The same, encrypted."""
