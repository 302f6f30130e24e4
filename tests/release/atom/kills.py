"""
Processes that kill themselves at the n-th point of a run, one after the other and quickly.

Run as a program it loads everything once and then forks a process for each order that it reads: a real process with a
process id of its own, which ends by `SIGKILL` in the middle of whatever it is doing. Points are before and after every
write to the journal, and before, between and after the writes of every effect and every look.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from grayflow.clock import SystemClock
from grayflow.release.atom.atoms import Atoms
from grayflow.release.atom.errors import AtomError
from grayflow.release.atom.files import FileJournal
from grayflow.release.atom.journal import BoardJournal, Journal
from grayflow.store.urls import open_store
from tests.release.atom.world import World, make_atom

__all__ = ["Order", "Zygote"]

HOUR_NS = 3_600_000_000_000


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What one process is to do."""

    folder: str
    journal: str = "files"
    """`files`, or a URL."""
    namespace: str = "default"
    recover: bool = False
    """Whether it goes on with what others left, instead of running the atom."""
    hours: int = 0
    """How many hours after the others it lives: leases are over then."""
    kill_at: int = 0
    """The point at which it dies; 0: none."""
    fail: str = ""
    """The function that raises, such as `do start`."""
    rules: dict[str, Any] = {}
    """Of the atom."""


class Zygote:
    """The program, as tests use it: a context manager."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def run(self, order: Order) -> tuple[int, list[str]]:
        """Run a process; return how it ended (a signal is negative) and which points it came to."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(order).decode() + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        return status, (Path(order.folder) / "points").read_text().splitlines()


class _Points:
    """Notes each point in a file, and dies at one of them."""

    def __init__(self, path: Path, kill_at: int) -> None:
        self._file, self._kill_at, self._passed = path.open("w"), kill_at, 0

    def __call__(self, what: str) -> None:
        self._passed += 1
        self._file.write(what + "\n")
        if self._passed == self._kill_at:
            self._file.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    def close(self) -> None:
        self._file.close()


class _Watched:
    """A journal whose writes are points."""

    def __init__(self, journal: Journal, point: _Points) -> None:
        self._journal, self._point = journal, point

    async def __aenter__(self) -> Self:
        await self._journal.__aenter__()
        return self

    async def __aexit__(self, *exc: Any) -> None:
        await self._journal.__aexit__(*exc)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._journal, name)
        if name not in ("put", "claim", "release"):
            return found

        async def verb(*args: Any, **options: Any) -> Any:
            self._point(f"before {name}")
            answer = await found(*args, **options)
            self._point(f"after {name}")
            return answer

        return verb


class _Later(SystemClock):
    def __init__(self, hours: int) -> None:
        self._ahead = hours * HOUR_NS

    def now(self) -> int:
        return super().now() + self._ahead


def _journal(order: Order) -> Journal:
    clock = _Later(order.hours)
    if order.journal == "files":
        return FileJournal(Path(order.folder) / "journal", clock=clock)
    return BoardJournal(open_store(order.journal, namespace=order.namespace, clock=clock))


async def _obey(order: Order, points: _Points) -> None:
    world = World(Path(order.folder) / "world", points)
    if order.fail:
        _let_fail(world, order.fail)
    atom = make_atom(world, **order.rules)
    journal: Any = _Watched(_journal(order), points)
    async with Atoms(journal, [atom], recover_every=None, lease=600, clock=_Later(order.hours)) as atoms:
        if order.recover:
            await atoms.recover()
        else:
            try:
                await atoms.run(atom, "input", run_id="r")
            except AtomError:
                pass


def _let_fail(world: World, fail: str) -> None:
    what, name = fail.split()
    real = getattr(world, what)

    async def failing(call: Any) -> Any:
        if call.step == name:
            world.point(f"{what} {name} fails")
            raise RuntimeError("told to fail")
        return await real(call)

    setattr(world, what, failing)


def _fork(order: Order) -> int:
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    status = 1
    try:
        points = _Points(Path(order.folder) / "points", order.kill_at)
        asyncio.run(_obey(order, points))
        points.close()
        status = 0
    finally:
        os._exit(status)


def _main() -> None:
    for line in sys.stdin:
        print(_fork(msgspec.convert(json.loads(line), Order)), flush=True)


if __name__ == "__main__":
    _main()
