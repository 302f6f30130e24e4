"""What happens to the server as a process, and to its connections."""

import os
import socket

from tests.faults.fault import Fault
from tests.faults.fill import flood
from tests.faults.stage import NAMESPACE, BrokenPromiseError, Stage, until

__all__ = ["FAULTS"]


class Killed(Fault):
    """The process dies and comes back with everything."""

    name = "killed, back with its data"
    lasts_s, brief_s = 3.0, 0.5

    async def strike(self, stage: Stage) -> None:
        await stage.kill()

    async def heal(self, stage: Stage) -> None:
        await stage.start()


class ConnectionsKilled(Fault):
    """Somebody runs CLIENT KILL, again and again."""

    name = "CLIENT KILL, 20 times"

    async def strike(self, stage: Stage) -> None:
        for _ in range(20):
            for kind in ("pubsub", "normal"):
                await stage.ask("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")


class Frozen(Fault):
    """The process stands still (SIGSTOP) and goes on: connections stay, nothing is answered meanwhile."""

    name = "SIGSTOP, 5 s"
    lasts_s, brief_s = 5.0, 2.0

    async def strike(self, stage: Stage) -> None:
        stage.server.freeze()

    async def heal(self, stage: Stage) -> None:
        stage.server.thaw()


class Overrun(Fault):
    """More messages at once than the server wants to keep for a reader: it drops the reader."""

    name = "output buffer overrun"
    options = ("--client-output-buffer-limit", "pubsub 64kb 64kb 1")
    lasts_s = 0.0

    async def strike(self, stage: Stage) -> None:
        await stage.aside(flood, stage.server, NAMESPACE, 200, 10_000)


class Muted(Fault):
    """The right to the channel is taken away: nothing is pushed any more, and everything is polled for."""

    name = "muted channel (ACL)"

    async def strike(self, stage: Stage) -> None:
        await stage.ask("ACL", "SETUSER", "gf-worker", "resetchannels")

    async def meanwhile(self, stage: Stage) -> None:
        await until(lambda: stage.flags.health.link == "down", "the link is still up")
        await stage.seen((await stage.writer.switch("flag-00001")).position)

    async def heal(self, stage: Stage) -> None:
        await stage.ask("ACL", "SETUSER", "gf-worker", f"&{{gf:{NAMESPACE}}}:ch")


class DeadSocket(Fault):
    """
    The kernel gives a connection up (ETIMEDOUT), and redis-py 8.1.0 takes that for its own time-out.

    Every read then returns at once, with nothing and without letting another task run, for ever.
    """

    name = "ETIMEDOUT on the link"

    async def strike(self, stage: Stage) -> None:
        connection = stage.watched.events._pubsub.connection
        connection._reader.set_exception(TimeoutError(110, os.strerror(110)))


class OutOfMemory(Fault):
    """The server is full: it refuses writes, and MULTI even around questions. Whoever reads has to notice nothing."""

    name = "out of memory"
    silent = True

    async def strike(self, stage: Stage) -> None:
        await stage.ask("CONFIG", "SET", "maxmemory", 1)

    async def meanwhile(self, stage: Stage) -> None:
        error = await stage.flags._replica.confirm()
        if error is not None:
            raise BrokenPromiseError(f"the flags cannot be proved: {error}")

    async def heal(self, stage: Stage) -> None:
        await stage.ask("CONFIG", "SET", "maxmemory", 0)


class Busy(Fault):
    """Somebody's script does not end: the server answers nobody, and after a second everybody that it is busy."""

    name = "busy with a script"
    options = (*Fault.options, "--busy-reply-threshold", "1000")
    lasts_s, brief_s = 4.0, 2.0

    async def strike(self, stage: Stage) -> None:
        self._asker = socket.create_connection((stage.server.host, stage.server.port))
        self._asker.sendall(b'EVAL "while true do end" 0\r\n')

    async def heal(self, stage: Stage) -> None:
        await stage.ask("SCRIPT", "KILL")
        self._asker.close()


class Crowded(Fault):
    """All connections are lost, and the server takes no new ones."""

    name = "too many clients"

    async def prepare(self, stage: Stage) -> None:
        self._inside = stage.server.connect()
        await stage.aside(self._inside.ping)

    async def strike(self, stage: Stage) -> None:
        await stage.aside(self._inside.config_set, "maxclients", 1)
        await stage.aside(self._inside.execute_command, "CLIENT", "KILL", "USER", "gf-worker")

    async def heal(self, stage: Stage) -> None:
        await stage.aside(self._inside.config_set, "maxclients", 1000)
        self._inside.close()


class Refused(Fault):
    """The password was changed under the client; it has to keep its flags, and to try again, though not often."""

    name = "password changed"
    quick = False

    async def strike(self, stage: Stage) -> None:
        await stage.ask("ACL", "SETUSER", "gf-worker", "resetpass", ">other")
        await stage.ask("CLIENT", "KILL", "USER", "gf-worker")

    async def heal(self, stage: Stage) -> None:
        await stage.ask("ACL", "SETUSER", "gf-worker", "resetpass", ">pw")


FAULTS: tuple[type[Fault], ...] = (
    Killed,
    ConnectionsKilled,
    Frozen,
    Busy,
    Overrun,
    OutOfMemory,
    Crowded,
    Muted,
    Refused,
    DeadSocket,
)
