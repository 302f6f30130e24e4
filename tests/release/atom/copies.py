"""A server, its replica, and ways in which they lose each other."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.ports import free_port
from tests.servers import RedisServer

__all__ = ["Pair", "online", "paired"]


class Pair:
    """A master and its replica."""

    def __init__(self, master: RedisServer, replica: RedisServer) -> None:
        self.master, self.replica = master, replica

    def cut(self) -> None:
        """Let the replica follow nobody that it could reach."""
        self.replica.ask("REPLICAOF", "127.0.0.1", free_port())

    def mend(self) -> None:
        """Let it follow the master again, and wait until it does."""
        self.replica.ask("REPLICAOF", "127.0.0.1", self.master.port)
        online(self.master)

    def fail_over(self) -> str:
        """Kill the master, promote the replica, and return where it is."""
        self.master.kill()
        self.replica.ask("REPLICAOF", "NO", "ONE")
        return self.replica.url


@contextmanager
def paired(*options: str, replica_options: tuple[str, ...] = (), binary: Path | None = None) -> Iterator[Pair]:
    """Start both, and wait until the replica follows."""
    with ExitStack() as stack:
        master = stack.enter_context(RedisServer(*options, "--repl-diskless-sync-delay", "0", binary=binary))
        follow = ("--replicaof", f"127.0.0.1 {master.port}")
        replica = stack.enter_context(RedisServer(*options, *follow, *replica_options, binary=binary))
        online(master)
        yield Pair(master, replica)


def online(master: RedisServer, replicas: int = 1) -> None:
    """Wait until so many replicas follow a master."""
    found = 0
    for _ in range(5):  # a connection of these tests waits for ten seconds
        found = max(found, master.ask("WAIT", replicas, 8000))
        if found >= replicas:
            return
    raise AssertionError(f"{found} of {replicas} replicas follow")
