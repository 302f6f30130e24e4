"""Starts processes full of clients (`crowd.py`) and asks them how far they are."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from grayflow import Position

__all__ = ["Crowd", "Done", "crowded"]

PROCESSES = 2


class Done(NamedTuple):
    """By all clients since they started."""

    loads: int
    cpu_s: float

    def since(self, other: "Done") -> "Done":
        """Return what came after that."""
        return Done(self.loads - other.loads, self.cpu_s - other.cpu_s)


class Crowd:
    """Clients in other processes."""

    def __init__(self, processes: list["subprocess.Popen[str]"]) -> None:
        self._processes = processes

    async def ready(self) -> None:
        """Wait until all have started."""
        for process in self._processes:
            assert await _line(process) == "ready"

    async def all_at(self, position: Position) -> Done:
        """Wait until all clients are there, and return what they have done so far."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{position.token()}\n")
            process.stdin.flush()
        answers = [answer.split() for answer in await asyncio.gather(*map(_line, self._processes))]
        return Done(sum(int(loads) for _, loads, _ in answers), sum(float(cpu_s) for *_, cpu_s in answers))


@asynccontextmanager
async def crowded(url: str, namespace: str, clients: int, *, jitter: bool = True) -> AsyncIterator[Crowd]:
    """Start clients, half of them in each of two processes."""
    how = "jitter" if jitter else "none"
    command = [sys.executable, "-m", "benchmarks.crowd", url, namespace, str(clients // PROCESSES), how]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220
        for _ in range(PROCESSES)
    ]
    try:
        crowd = Crowd(processes)
        await crowd.ready()
        yield crowd
    finally:
        for process in processes:
            process.kill()
            process.communicate()


async def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return (await asyncio.to_thread(process.stdout.readline)).strip()
