"""
A network that can be made bad, without any rights: everything between client and server goes through here.

It lives in a thread with a loop of its own, so that it goes on when the loop of the client stands still. What it can do
to bytes is what networks do to them: lose them, delay them, cut them into pieces.
"""

import socket
import struct
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Literal, Self

import anyio
from anyio.abc import SocketAttribute, SocketStream, TaskStatus
from anyio.from_thread import BlockingPortal, start_blocking_portal

from grayflow.clock import SystemClock
from tests.ports import free_port

__all__ = ["Proxy"]

Direction = Literal["up", "down"]

_PIECE = 65_536
_APART = 20
"""After so many bytes others get a turn; after each single one, the network would be thin besides."""
_sleep = SystemClock().sleep


@dataclass(eq=False)
class _Connection:
    client: SocketStream
    server: SocketStream
    dead: bool = False
    """Nothing arrives any more, in either direction, and nobody is told."""
    unanswered: bool = False
    """A request was passed on whose answer is to be lost."""
    tasks: anyio.CancelScope = field(default_factory=anyio.CancelScope)


class Proxy:
    """
    Passes on what comes to `port`, badly if asked to. A context manager; every method may be called from any thread.

    Args:
        target: The server's port on this machine.
    """

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.answers_lost = 0
        """How many answers were swallowed by `lose_answers` so far."""
        self.pieces_sent = 0
        """How many pieces were passed on so far."""
        self._target = target
        self._connections: set[_Connection] = set()
        self._swallowing = False
        self._losing, self._to = 0, b""
        self._latency_s = 0.0
        self._piece = _PIECE
        self._bytes_per_s = 0
        self._portal: BlockingPortal
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            manager: AbstractContextManager[BlockingPortal] = start_blocking_portal()
            self._portal = stack.enter_context(manager)
            serving, _ = self._portal.start_task(self._serve)
            stack.callback(serving.cancel)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    # What it does

    def swallow(self) -> None:
        """Be a half-open network: whatever is sent is lost, on every connection, and on new ones too."""
        self._portal.call(self._swallow)

    def heal(self) -> None:
        """Pass everything on again. What was lost is lost: connections that were swallowed stay silent for ever."""
        self._portal.call(self._heal)

    def cut(self) -> None:
        """Reset all connections."""
        self._portal.call(self._cut)

    def lose_answers(self, number: int, to: bytes) -> None:
        """Pass on the next so many requests that hold these bytes, swallow the answers, and reset the connections."""
        self._losing, self._to = number, to

    def delay(self, seconds: float) -> None:
        """Let everything take so much longer, each way."""
        self._latency_s = seconds

    def drip(self, piece: int = 1) -> None:
        """Send no more than so many bytes at once."""
        self._piece = piece

    def throttle(self, bytes_per_s: int) -> None:
        """Let no more than so many bytes a second through, on each connection; 0 for no limit."""
        self._bytes_per_s = bytes_per_s

    # How

    def _swallow(self) -> None:
        self._swallowing = True
        for connection in self._connections:
            connection.dead = True

    def _heal(self) -> None:
        self._swallowing = False
        self._losing = self._bytes_per_s = 0
        self._latency_s, self._piece = 0.0, _PIECE

    def _cut(self) -> None:
        for connection in list(self._connections):
            _reset(connection)

    async def _serve(self, *, task_status: TaskStatus[None]) -> None:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=self.port)
        async with listener:
            task_status.started()
            await listener.serve(self._accept)

    async def _accept(self, client: SocketStream) -> None:
        async with client:
            try:
                server = await anyio.connect_tcp("127.0.0.1", self._target)
            except OSError:
                return
            async with server:
                await self._carry(_Connection(client, server, dead=self._swallowing))

    async def _carry(self, connection: _Connection) -> None:
        self._connections.add(connection)
        try:
            with connection.tasks:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._pump, connection, "up")
                    tasks.start_soon(self._pump, connection, "down")
        finally:
            self._connections.discard(connection)

    async def _pump(self, connection: _Connection, direction: Direction) -> None:
        ends = (connection.client, connection.server)
        source, sink = ends if direction == "up" else ends[::-1]
        try:
            while True:
                await self._pass(await source.receive(_PIECE), sink, connection, direction)
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            if not connection.dead:
                connection.tasks.cancel()

    async def _pass(self, data: bytes, sink: SocketStream, connection: _Connection, direction: Direction) -> None:
        if self._latency_s:
            await _sleep(self._latency_s)
        if connection.dead:
            return
        if direction == "up" and self._losing and self._to in data:
            self._losing -= 1
            connection.unanswered = True
        if direction == "down" and connection.unanswered:
            self.answers_lost += 1
            _reset(connection)
            return
        size = self._piece
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            await sink.send(piece)
            self.pieces_sent += 1
            if start % _APART == 0:
                await _sleep(0)  # or the pieces meet again before anybody has read the first
            if self._bytes_per_s:
                await _sleep(len(piece) / self._bytes_per_s)


def _reset(connection: _Connection) -> None:
    raw = connection.client.extra(SocketAttribute.raw_socket)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.tasks.cancel()
