"""The other end of a crew: starts the process on a bad network of its own, asks it, kills it and starts it again."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import msgspec
from anyio.streams.buffered import BufferedByteReceiveStream

from tests.faults.proxy import Proxy
from tests.faults.stage import clock
from tests.soak.crew import Report

if TYPE_CHECKING:
    from anyio.abc import Process

__all__ = ["Crew"]

_ROOT = Path(__file__).parents[2]
_LINE = 1 << 22


class Crew:
    """
    One process.

    Args:
        proxy: Its way to the server; running.
        count: Of its clients.
        errors: A file for its standard error, in which nothing must be in the end.
    """

    def __init__(self, proxy: Proxy, count: int, errors: Path) -> None:
        self.proxy, self.count = proxy, count
        self.lives: list[Report] = []
        """The last report of each life."""
        self.warm: Report | None = None
        """The first report of this life that others are compared with."""
        self.started_at = 0.0
        self._errors = errors
        self._lock = anyio.Lock()
        self._up = False
        self._process: Process
        self._lines: BufferedByteReceiveStream

    async def start(self) -> None:
        """Start it and wait until its clients have started, with flags or without."""
        async with self._lock:
            url = f"redis://gf-worker:pw@127.0.0.1:{self.proxy.port}"
            command = [sys.executable, "-W", "default", "-m", "tests.soak.crew", url, str(self.count)]
            with self._errors.open("ab") as errors:
                self._process = await anyio.open_process(command, stderr=errors, cwd=_ROOT)
            self._lines = BufferedByteReceiveStream(self._process.stdout)
            await self._lines.receive_until(b"\n", _LINE)
            self.started_at, self.warm = clock.monotonic(), None
            self.lives.append(await self._ask("look"))
            self._up = True

    async def ask(self, word: str = "look") -> Report:
        """Return how it is doing, or was when it was killed; `compare` has it compare itself with the store first."""
        async with self._lock:
            if self._up:
                self.lives[-1] = await self._ask(word)
            return self.lives[-1]

    async def kill(self) -> None:
        """End it, if it runs, as the kernel does when memory is short."""
        with anyio.CancelScope(shield=True):
            async with self._lock:
                if self._up:
                    self._process.kill()
                    await self._ended()

    async def leave(self) -> list[str]:
        """Let it end, and return what it said on its standard error."""
        async with self._lock:
            await self._process.stdin.aclose()
            with anyio.move_on_after(30):
                await self._process.wait()
            code = self._process.returncode
            if code is None:
                self._process.kill()
            await self._ended()
        said = self._errors.read_text(errors="replace").splitlines()[-20:]
        return said if code == 0 else [f"it ended with {code}", *said]

    async def _ask(self, word: str) -> Report:
        await self._process.stdin.send(word.encode() + b"\n")
        return msgspec.json.decode(await self._lines.receive_until(b"\n", _LINE), type=Report)

    async def _ended(self) -> None:
        self._up = False
        await self._process.wait()
        await self._process.aclose()
