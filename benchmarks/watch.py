"""
How long a Redis server was blocked, by its own account and by that of somebody who asks it all the time.

The server's account (`INFO latencystats`) is time on the wall: on a machine of two cores it counts the time in which
others were let run instead of it. So the server gets real-time priority where that is allowed, as it would have a core
of its own elsewhere; where it is not, the figures are upper bounds and `exact` says so. So does the asker.
"""

import os
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from benchmarks.priority import first
from tests.servers import RedisServer

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["Blocked", "Watch", "put_first"]

GAP_S = 0.002
"""Between two questions."""
OWN = ("client|kill", "config|resetstat", "config|set", "info", "debug|sleep")
"""Commands of the benchmark itself; cutting a thousand links takes the server ten milliseconds."""


class Blocked(NamedTuple):
    """What happened since the watch began."""

    command: str
    """That took longest of those that clients send."""
    longest_ms: float
    own_ms: float
    """The longest of the benchmark's own."""
    answer_ms: float
    """How long a PING waited at most."""
    server_cpu_s: float


class Watch:
    """
    Watches one server while something happens to it.

    Args:
        server: Whose figures are reset at the beginning.
        asking: Whether to ask it all the time, too; not while it is frozen.
    """

    def __init__(self, server: RedisServer, *, asking: bool = True) -> None:
        self._server, self._asking = server, asking
        self._asker: subprocess.Popen[str] | None = None
        self.exact = put_first(server)
        self.blocked: Blocked | None = None

    def __enter__(self) -> Self:
        with self._server.connect() as redis:
            redis.config_set("latency-tracking-info-percentiles", "100")
            redis.config_resetstat()
            self._cpu_s = _cpu_s(redis)
        if self._asking:
            command = [sys.executable, "-m", "benchmarks.watch", self._server.host, str(self._server.port)]
            self._asker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            assert self._asker.stdout is not None
            self._asker.stdout.readline()
        return self

    def __exit__(self, *_: object) -> None:
        answer_ms = float(self._asker.communicate()[0]) if self._asker is not None else 0.0
        with self._server.connect() as redis:
            cpu_s = _cpu_s(redis) - self._cpu_s
            longest = _longest(redis)
        own_ms = max((longest.pop(name) for name in OWN if name in longest), default=0.0)
        command = max(longest, key=longest.__getitem__, default="-")
        self.blocked = Blocked(command, longest.get(command, 0.0), own_ms, answer_ms, cpu_s)


def put_first(server: RedisServer) -> bool:
    """Let a server run before all others; whether that is allowed here."""
    with server.connect() as redis:
        return first(int(_info(redis, "server")["process_id"]))


def _info(redis: "Redis", section: str) -> dict[str, Any]:
    found: dict[str, Any] = redis.info(section)
    return found


def _cpu_s(redis: "Redis") -> float:
    cpu = _info(redis, "cpu")
    return float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"])


def _longest(redis: "Redis") -> dict[str, float]:
    """Return the longest run of each command in milliseconds; `exec` is a whole transaction."""
    stats = _info(redis, "latencystats")
    prefix = "latency_percentiles_usec_"
    return {name.removeprefix(prefix): found["p100"] / 1000 for name, found in stats.items() if name.startswith(prefix)}


def _ask(host: str, port: int) -> float:
    """Ask again and again until standard input closes; return the longest wait in milliseconds."""
    first(0)
    longest_ns = 0
    os.set_blocking(0, False)
    asker = socket.create_connection((host, port))
    print("asking", flush=True)
    while _is_open():
        start = time.monotonic_ns()
        try:
            asker.sendall(b"PING\r\n")
            answered = bool(asker.recv(100))
        except ConnectionError:
            answered = False
        if answered:
            longest_ns = max(longest_ns, time.monotonic_ns() - start)
        else:  # cut with the others
            asker.close()
            asker = socket.create_connection((host, port))
        time.sleep(GAP_S)  # noqa: TID251 - no loop runs here
    return longest_ns / 1e6


def _is_open() -> bool:
    try:
        return os.read(0, 1) != b""
    except BlockingIOError:
        return True


if __name__ == "__main__":
    print(_ask(sys.argv[1], int(sys.argv[2])))
