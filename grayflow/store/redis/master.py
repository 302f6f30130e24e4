"""
Connections to whichever server the Sentinels name as the master at the moment they connect.

redis-py 8.1.0 has such connections, and asks the Sentinels in `connect`. A command that is repeated after an error does
not come that way: it reconnects by `connect_check_health`, to the host it had, and so every repetition goes to the
master that is gone. Here that is where the Sentinels are asked.
"""

from typing import Any

import anyio
from redis.asyncio.connection import Connection
from redis.asyncio.sentinel import Sentinel, SentinelManagedConnection, SentinelManagedSSLConnection

__all__ = ["MasterConnection", "MasterSSLConnection", "Sentinels"]


class Sentinels(Sentinel):
    """
    The Sentinels, asked by one connection at a time.

    redis-py 8.1.0 moves the one that answered to the front of its list. Two that ask at once write over each other's
    move: one Sentinel is then there twice and another one gone, never asked and never closed again.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)  # type: ignore[no-untyped-call]
        self._turn = anyio.Lock()

    async def discover_master(self, service_name: str) -> Any:
        """Return host and port of the master."""
        async with self._turn:
            return await super().discover_master(service_name)


class MasterConnection(SentinelManagedConnection):
    """A connection to the master; each try asks who that is."""

    host: str
    port: int

    async def connect(self) -> None:
        """Find the master and connect, as often as a connection tries."""
        await Connection.connect(self)  # type: ignore[no-untyped-call]

    async def connect_check_health(self, check_health: bool = True, retry_socket_connect: bool = True) -> None:  # noqa: FBT001, FBT002, ARG002 - redis-py's
        """Find the master and connect, once."""
        if self.is_connected:
            return
        self.host, self.port = await self.connection_pool.get_master_address()
        await super().connect_check_health(check_health=check_health, retry_socket_connect=False)


class MasterSSLConnection(MasterConnection, SentinelManagedSSLConnection):
    """The same, encrypted."""
