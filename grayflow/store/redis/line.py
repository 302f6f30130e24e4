"""
Clients of redis-py, and the settings that make them dependable.

Measured on redis-py 8.1.0:


* `protocol=2`: under RESP3 a pool hands out connections that still hold somebody else's answer.
* `driver_info=None`: no CLIENT SETINFO, which Redis 7.0 does not know and a narrow ACL refuses.
* `health_check_interval=0`: it sends PINGs on a Pub/Sub connection and never looks for the answer.
* `decode_responses=False`: one byte that is not UTF-8 would break a whole answer.
* Answers to writes may be lost, so writing never repeats by itself: the request id has to be the same
  (`session.py`). Reading does, twice.
* The link has no TCP keepalive: its ETIMEDOUT comes back from every read at once, and stops the loop (`link.py`).
"""

import os
import re
from contextlib import suppress
from typing import Any, Literal

import anyio
from redis.asyncio import Redis
from redis.asyncio.connection import Connection, ConnectionPool, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.utils import HIREDIS_AVAILABLE

from grayflow.store.address import RedisAddress
from grayflow.store.fork import remember
from grayflow.store.redis.master import MasterConnection, MasterSSLConnection, Sentinels
from grayflow.store.redis.parser import BigAnswerParser, HiredisParser
from grayflow.store.redis.slot import SlotConnection, SlotRoute, SlotSSLConnection

__all__ = ["Line", "Purpose", "route_to"]

Purpose = Literal["read", "once", "load", "link"]
"""
What a line is for: reads that may be repeated; what must be sent once only; a load, whose answers may take as long as
they come; the subscription.
"""

_CONNECTIONS = 4
_SENTINEL_TIMEOUT_S = 0.5
_ASKED_WITHIN_S = 1.0
_CLOSE_WITHIN_S = 2.0


class Line:
    """
    One client with connections of its own. Nothing is connected before the first command.

    Args:
        address: Where to.
        purpose: What for.
        client_name: The beginning of what CLIENT LIST shows.
        route: In a cluster, the way to the node; see `route_to`.
    """

    def __init__(
        self, address: RedisAddress, purpose: Purpose, *, client_name: str, route: SlotRoute | None = None
    ) -> None:
        self._process = os.getpid()
        self._sentinel: Sentinels | None = None
        settings = _settings(address, purpose, client_name)
        if address.mode == "sentinel":
            self._sentinel = _sentinel(address)
            connection = MasterSSLConnection if address.tls else MasterConnection
            self.client: Redis = self._sentinel.master_for(
                address.service or "", connection_class=connection, **settings
            )
        else:
            self.client = Redis.from_pool(_pool(address, settings, route))
        self.places = anyio.Semaphore(_CONNECTIONS, fast_acquire=True)
        """One for each connection that the pool may have: who finds none waits, where redis-py raises an error."""
        remember(self)

    @property
    def inherited(self) -> bool:
        """Whether this is a forked child, and the connections are its parent's."""
        return self._process != os.getpid()

    @property
    def received(self) -> int:
        """How many bytes have come, on the connections of a load that are in use."""
        used: set[Any] = self.client.connection_pool._in_use_connections  # noqa: SLF001 - redis-py says it nowhere else
        return sum(connection._parser.received for connection in used)  # noqa: SLF001

    async def aclose(self) -> None:
        """
        Close all connections, within two seconds; those that are inherited are left alone.

        Whoever is cancelled meanwhile, by whatever kind of cancellation, is told when it is done.
        """
        if self.inherited:
            return
        # In a task of its own: a shield does not hold `task.cancel()`, and what redis-py 8.1.0 is closing when that
        # comes it forgets, open.
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._close, name="grayflow close")

    async def _close(self) -> None:
        # Errors of half-closed sockets are of no use to anybody: the connections are gone either way.
        opened: tuple[Any, ...] = (self.client, self._sentinel)  # mypy takes the Sentinels for a class without aclose
        for client in filter(None, opened):
            with anyio.move_on_after(_CLOSE_WITHIN_S / 2, shield=True), suppress(Exception):
                await client.aclose()


def route_to(address: RedisAddress, key: str, *, client_name: str) -> SlotRoute | None:
    """Return what finds the node of a key for all lines of a store; `None` where there is nothing to find."""
    if address.mode != "cluster":
        return None
    settings = _settings(address, "once", client_name)
    del settings["max_connections"]
    # Another node can be asked, so none is waited for as long as the one that has the data.
    for name in ("socket_timeout", "socket_connect_timeout"):
        settings[name] = min(settings[name], _ASKED_WITHIN_S)
    return SlotRoute(address.hosts, key, tls=address.tls, settings=settings)


def _settings(address: RedisAddress, purpose: Purpose, client_name: str) -> dict[str, Any]:
    repeated = purpose in {"read", "load"}
    retries = Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), 2) if repeated else Retry(NoBackoff(), 0)
    settings = {
        **_protocol(),
        **_certificates(address),
        "username": address.username,
        "password": address.password,
        "db": address.db,
        "client_name": re.sub(r"[^A-Za-z0-9._-]", "-", f"{client_name}-{purpose}"),
        "socket_connect_timeout": address.connect_timeout,
        "socket_timeout": None if purpose == "load" else address.timeout,
        "retry": retries,
        "max_connections": _CONNECTIONS,
    }
    if purpose in {"load", "link"}:
        settings["parser_class"] = HiredisParser if HIREDIS_AVAILABLE else BigAnswerParser
    if address.unix_path is None:
        settings["socket_keepalive"] = purpose != "link"
    return settings


def _protocol() -> dict[str, Any]:
    return {"protocol": 2, "decode_responses": False, "health_check_interval": 0, "driver_info": None}


def _certificates(address: RedisAddress) -> dict[str, Any]:
    if not address.tls:
        return {}
    return {
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": True,
        "ssl_ca_certs": address.ssl_ca_certs,
        "ssl_certfile": address.ssl_certfile,
        "ssl_keyfile": address.ssl_keyfile,
    }


def _pool(address: RedisAddress, settings: dict[str, Any], route: SlotRoute | None) -> ConnectionPool:
    if address.unix_path is not None:
        return ConnectionPool(connection_class=UnixDomainSocketConnection, path=address.unix_path, **settings)
    if route is not None:
        return ConnectionPool(
            connection_class=SlotSSLConnection if address.tls else SlotConnection, route=route, **settings
        )
    host, port = address.hosts[0]
    return ConnectionPool(
        connection_class=SSLConnection if address.tls else Connection, host=host, port=port, **settings
    )


def _sentinel(address: RedisAddress) -> Sentinels:
    own = {
        **_protocol(),
        **_certificates(address),
        "ssl": address.tls,
        "username": address.sentinel_username,
        "password": address.sentinel_password,
        "socket_timeout": _SENTINEL_TIMEOUT_S,
        "socket_connect_timeout": _SENTINEL_TIMEOUT_S,
        "retry": Retry(NoBackoff(), 0),
    }
    return Sentinels(address.hosts, sentinel_kwargs=own)
