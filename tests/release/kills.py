"""
Processes that kill themselves at the n-th point of what they do, one after the other and quickly.

They can also stop themselves there, as a process does that is frozen, and be woken when others have gone on. A module
that ends in `serve` is such a program: it loads everything once and then forks a process for each order that it reads,
a real one with a process id of its own, which ends by `SIGKILL` in the middle of whatever it is doing.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from grayflow.clock import SystemClock

__all__ = ["Fate", "Later", "Pointed", "Points", "Zygote", "serve"]

HOUR_NS = 3_600_000_000_000


class Fate(msgspec.Struct, frozen=True, kw_only=True):
    """Where one process notes its points, and at which of them it ends."""

    folder: str
    name: str = "first"
    hours: int = 0
    """How many hours after the others it lives: leases are over then."""
    kill_at: int = 0
    """The point at which it dies; 0: none."""
    stop_at: int = 0
    """The point at which it stops until it is woken; 0: none."""
    stop_on: str = ""
    """The same by what happens there."""


F = TypeVar("F", bound=Fate)


class Zygote:
    """
    The program, as tests use it: a context manager.

    Args:
        kind: Of its orders; the program is the module in which that stands.
    """

    def __init__(self, kind: type[Fate]) -> None:
        self._kind = kind

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", self._kind.__module__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def run(self, order: Fate) -> tuple[int, list[str]]:
        """Run a process; return how it ended (a signal is negative) and which points it came to."""
        status = self._ask(order)
        return status, self.points(order)

    def stop(self, order: Fate) -> int:
        """Run a process until it has stopped; return its id."""
        return self._ask(order)

    def wake(self, process: int, order: Fate, *, slept_s: float) -> int:
        """Let it go on as if so long had passed; return how it ended."""
        (Path(order.folder) / "slept").write_text(str(slept_s))
        return self._ask(process)

    @staticmethod
    def points(order: Fate) -> list[str]:
        """Return the points that a process came to so far."""
        return (Path(order.folder) / f"points-{order.name}").read_text().splitlines()

    def _ask(self, order: Fate | int) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(order).decode() + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


class Points:
    """Notes each point in a file, and dies or stops at one of them."""

    def __init__(self, fate: Fate) -> None:
        self._file = (Path(fate.folder) / f"points-{fate.name}").open("w")
        self._fate, self._passed = fate, 0

    def __call__(self, what: str) -> None:
        self._passed += 1
        self._file.write(what + "\n")
        if self._passed == self._fate.kill_at:
            self._end(signal.SIGKILL)
        if self._passed == self._fate.stop_at or what == self._fate.stop_on:
            self._end(signal.SIGSTOP)

    def close(self) -> None:
        self._file.close()

    def _end(self, by: signal.Signals) -> None:
        self._file.flush()
        os.kill(os.getpid(), by)


class Pointed:
    """
    Something whose calls are points.

    Args:
        inner: What does the work.
        point: Told of each.
        name: Stands before the names of verbs: `old.`
        verbs: The calls that are; all, if none is named.
    """

    def __init__(self, inner: Any, point: Callable[[str], None], name: str = "", verbs: tuple[str, ...] = ()) -> None:
        self._inner, self._point, self._name, self._verbs = inner, point, name, verbs

    def __getattr__(self, verb: str) -> Any:
        work = getattr(self._inner, verb)
        if self._verbs and verb not in self._verbs:
            return work

        async def call(*args: Any, **options: Any) -> Any:
            self._point(f"before {self._name}{verb}")
            answer = await work(*args, **options)
            self.answered(verb, answer)
            self._point(f"after {self._name}{verb}")
            return answer

        return call

    def answered(self, verb: str, answer: Any) -> None:
        """Take note of what a call returned, before anybody dies of it."""


class Later(SystemClock):
    """A clock of so many hours later; while its process was stopped so much time has passed as a file says."""

    def __init__(self, fate: Fate) -> None:
        self._ahead, self._slept = fate.hours * HOUR_NS, Path(fate.folder) / "slept"

    def now(self) -> int:
        return super().now() + self._ahead

    def monotonic(self) -> float:
        slept_s = float(self._slept.read_text()) if self._slept.exists() else 0.0
        return super().monotonic() + slept_s


def serve(kind: type[F], obey: Callable[[F, Points], Coroutine[Any, Any, None]]) -> None:
    """Be the program: read orders of one kind, and let a process obey each."""
    for line in sys.stdin:
        asked = json.loads(line)
        print(_wake(asked) if isinstance(asked, int) else _fork(msgspec.convert(asked, kind), obey), flush=True)


def _fork(order: F, obey: Callable[[F, Points], Coroutine[Any, Any, None]]) -> int:
    """Run a process; return how it ended, or its id if it stopped."""
    process = os.fork()
    if process:
        return _waited(process)
    status = 1
    try:
        points = Points(order)
        asyncio.run(obey(order, points))
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
