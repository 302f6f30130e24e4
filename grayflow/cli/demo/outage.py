"""
How the demo takes its store away and gives it back, for real.

The embedded store's file is moved aside. A Redis is reached through a proxy that stops passing bytes on, as a network
does that dropped a link without a word; the server itself, which may be somebody else's too, is left alone.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import anyio
import anyio.abc

__all__ = ["FileOutage", "Outage", "ProxyOutage", "proxied"]


class FileOutage:
    """Moves the file of a SQLite store away and back."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self) -> None:
        """Take the file away; who has it open keeps an orphan."""
        self._path.rename(self._aside)

    def end(self) -> None:
        """Put it back."""
        self._aside.rename(self._path)

    @property
    def _aside(self) -> Path:
        return self._path.with_suffix(".away")


class ProxyOutage:
    """Passes bytes between its clients and one server, or holds them back."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._open = anyio.Event()
        self._open.set()

    def begin(self) -> None:
        """Hold all bytes back, on old and new connections."""
        self._open = anyio.Event()

    def end(self) -> None:
        """Let them go on."""
        self._open.set()

    async def handle(self, client: anyio.abc.SocketStream) -> None:
        """Serve one connection until either side closes it."""
        async with client:
            try:
                async with (
                    await anyio.connect_tcp(self._host, self._port) as server,
                    anyio.create_task_group() as tasks,
                ):
                    tasks.start_soon(self._pass_on, client, server, tasks.cancel_scope)
                    tasks.start_soon(self._pass_on, server, client, tasks.cancel_scope)
            except OSError:
                return  # nobody listens there: the worker sees its connection closed, as it would without us

    async def _pass_on(
        self, source: anyio.abc.SocketStream, target: anyio.abc.SocketStream, ended: anyio.CancelScope
    ) -> None:
        try:
            async for data in source:
                await self._open.wait()
                await target.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass  # the other side went away, which ends this connection as well
        ended.cancel()


Outage = FileOutage | ProxyOutage


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[tuple[str, ProxyOutage | None]]:
    """
    Give a URL that leads to the same Redis through a proxy, and the proxy.

    For what cannot be reached through one (TLS would refuse its name, Sentinel and Cluster hand out addresses of their
    own) the URL comes back as it is, without a proxy.
    """
    parts = urlsplit(url)
    if parts.scheme != "redis" or parts.hostname is None:
        yield url, None
        return
    proxy = ProxyOutage(parts.hostname, parts.port or 6379)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - anyio's, not Django's
    credentials, at, _ = parts.netloc.rpartition("@")
    through = urlunsplit(parts._replace(netloc=f"{credentials}{at}127.0.0.1:{port}"))
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, proxy.handle)
        yield through, proxy
        tasks.cancel_scope.cancel()
