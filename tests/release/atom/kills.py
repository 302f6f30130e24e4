"""
Processes that kill themselves at the n-th point of a run, one after the other and quickly.

They can also stop themselves there, as a process does that is frozen, and be woken when others have gone on.

Run as a program it loads everything once and then forks a process for each order that it reads: a real process with a
process id of its own, which ends by `SIGKILL` in the middle of whatever it is doing. Points are before and after every
write to the journal, and before, between and after the writes of every effect and every look.
"""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from grayflow.clock import SystemClock
from grayflow.release.atom.atoms import Atoms
from grayflow.release.atom.errors import AtomError
from grayflow.release.atom.files import FileJournal
from grayflow.release.atom.journal import BoardJournal, Journal
from grayflow.store.board import Record
from grayflow.store.sqlite import SQLiteStore
from grayflow.store.urls import open_store
from tests.release.atom.world import World, make_atom

__all__ = ["Order", "Zygote", "sqlite_file"]

HOUR_NS = 3_600_000_000_000


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What one process is to do."""

    folder: str
    name: str = "first"
    journal: str = "files"
    """`files`, or a URL."""
    namespace: str = "default"
    recover: bool = False
    """Whether it goes on with what others left, instead of running the atom."""
    hours: int = 0
    """How many hours after the others it lives: leases are over then."""
    lease: float = 600.0
    """Of the runs; a short one is waited for."""
    kill_at: int = 0
    """The point at which it dies; 0: none."""
    stop_at: int = 0
    """The point at which it stops until it is woken; 0: none."""
    stop_on: str = ""
    """The same by what happens there."""
    resume: bool = False
    """Whether it goes on with parked runs too, as somebody would who saw to the cause."""
    fail: str = ""
    """The functions that raise, such as `do start, undo link`."""
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
        status = self._ask(order)
        return status, self.points(order)

    def stop(self, order: Order) -> int:
        """Run a process until it has stopped; return its id."""
        return self._ask(order)

    def wake(self, process: int, order: Order, *, slept_s: float) -> int:
        """Let it go on as if so long had passed; return how it ended."""
        (Path(order.folder) / "slept").write_text(str(slept_s))
        return self._ask(process)

    @staticmethod
    def points(order: Order) -> list[str]:
        """Return the points that a process came to so far."""
        return (Path(order.folder) / f"points-{order.name}").read_text().splitlines()

    def _ask(self, order: Order | int) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(order).decode() + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


class _Points:
    """Notes each point in a file, and dies or stops at one of them."""

    def __init__(self, order: Order) -> None:
        self._file = (Path(order.folder) / f"points-{order.name}").open("w")
        self._order, self._passed = order, 0

    def __call__(self, what: str) -> None:
        self._passed += 1
        self._file.write(what + "\n")
        if self._passed == self._order.kill_at:
            self._file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        if self._passed == self._order.stop_at or what == self._order.stop_on:
            self._file.flush()
            os.kill(os.getpid(), signal.SIGSTOP)

    def close(self) -> None:
        self._file.close()


class _Watched:
    """A journal whose writes are points; what it has accepted is noted for all processes."""

    def __init__(self, journal: Journal, point: _Points, order: Order) -> None:
        self._journal, self._point, self._order = journal, point, order

    async def __aenter__(self) -> Self:
        await self._journal.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._journal.__aexit__(kind, error, trace)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._journal, name)
        if name not in ("put", "claim", "release"):
            return found

        async def verb(*args: Any, **options: Any) -> Any:
            self._point(f"before {name}")
            answer = await found(*args, **options)
            if name == "put" and answer is not None:
                self._accepted(answer)
            self._point(f"after {name}")
            return answer

        return verb

    def _accepted(self, record: Record) -> None:
        with (Path(self._order.folder) / "accepted").open("a") as file:
            file.write(msgspec.json.encode([self._order.name, record.version]).decode() + "\n")
            (Path(self._order.folder) / f"version-{record.version}").write_bytes(record.value)


class _Later(SystemClock):
    """A clock of later; while its process was stopped so much time has passed as a file says."""

    def __init__(self, order: Order) -> None:
        self._ahead, self._slept = order.hours * HOUR_NS, Path(order.folder) / "slept"

    def now(self) -> int:
        return super().now() + self._ahead

    def monotonic(self) -> float:
        slept_s = float(self._slept.read_text()) if self._slept.exists() else 0.0
        return super().monotonic() + slept_s


def sqlite_file(home: Path) -> str:
    """Make a store in a folder, as the service that uses it did; return its URL."""
    template = home.parent / "template.db"
    if not template.exists():
        asyncio.run(_init(template))
    home.mkdir(exist_ok=True)
    shutil.copy(template, home / "flags.db")
    return f"sqlite:///{home}/flags.db"


async def _init(path: Path) -> None:
    async with SQLiteStore(path) as store:
        await store.init()


def _journal(order: Order) -> Journal:
    clock = _Later(order)
    if order.journal == "files":
        return FileJournal(Path(order.folder) / "journal", clock=clock)
    return BoardJournal(open_store(order.journal, namespace=order.namespace, clock=clock))


async def _obey(order: Order, points: _Points) -> None:
    world = World(Path(order.folder) / "world", points)
    for one in filter(None, order.fail.split(", ")):
        _let_fail(world, one)
    atom = make_atom(world, **order.rules)
    journal: Any = _Watched(_journal(order), points, order)
    async with Atoms(journal, [atom], recover_every=None, lease=order.lease, clock=_Later(order)) as atoms:
        if order.recover:
            await atoms.recover(wait=order.lease < 600)
            parked = [one.run.run_id for one in await atoms.runs() if one.run.parked and order.resume]
            for run_id in parked:
                await atoms.resume_undo(run_id)
        else:
            with suppress(AtomError):
                await atoms.run(atom, "input", run_id="r")


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
    """Run a process; return how it ended, or its id if it stopped."""
    process = os.fork()
    if process:
        return _waited(process)
    status = 1
    try:
        points = _Points(order)
        asyncio.run(_obey(order, points))
        points.close()
        status = 0
    finally:
        os._exit(status)


def _wake(process: int) -> int:
    os.kill(process, signal.SIGCONT)
    return _waited(process)


def _waited(process: int) -> int:
    status = os.waitpid(process, os.WUNTRACED)[1]
    return process if os.WIFSTOPPED(status) else os.waitstatus_to_exitcode(status)


def _main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        print(_wake(asked) if isinstance(asked, int) else _fork(msgspec.convert(asked, Order)), flush=True)


if __name__ == "__main__":
    _main()
