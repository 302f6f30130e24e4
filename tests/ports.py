"""
Ports for throw-away servers, each for one test at a time.

Tests run in several processes at once. A server that is killed on purpose leaves its port free for a while, and would
another test's server get it meanwhile, then "connection refused" becomes an answer from a stranger. So a port is
reserved, by a UDP socket of the same number: nobody here uses these, it leaves TCP alone, and it goes with its process.
"""

import socket
from random import SystemRandom

__all__ = ["CLUSTER_BUS", "ReservedPort", "free_port"]

CLUSTER_BUS = 10_000
"""How much higher than its port a Redis Cluster node listens as well."""

_random = SystemRandom()  # pytest-randomly seeds the other one alike in every test


class ReservedPort:
    """A port on which nobody listens, kept from other tests until it is released."""

    def __init__(self) -> None:
        self._lock = _reserve()
        self.number = int(self._lock.getsockname()[1])

    def release(self) -> None:
        """Let others have it."""
        self._lock.close()

    def keep(self) -> None:
        """Reserve it until this process ends, whatever happens to this object."""
        self._lock.detach()


def free_port() -> int:
    """Return a port on which nobody listens; no other test is given it until this process ends."""
    port = ReservedPort()
    port.keep()
    return port.number


def _reserve() -> socket.socket:
    """Ports and buses of clusters lie apart, and below the ephemeral ports, which outgoing connections take."""
    while True:
        port = _random.randrange(12_000, 12_000 + CLUSTER_BUS)
        lock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            lock.bind(("127.0.0.1", port))
            for number in (port, port + CLUSTER_BUS):
                with socket.socket() as listener:
                    listener.bind(("127.0.0.1", number))
        except OSError:
            lock.close()
            continue
        return lock
