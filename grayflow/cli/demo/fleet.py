"""The worker processes of the demo, and what they have reported so far."""

import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import anyio.abc
import msgspec

from grayflow.cli.demo.figures import Cleaned, Report, Seen, Tick, decode_report
from grayflow.errors import GrayflowError

__all__ = ["Fleet", "WorkerLostError", "WorkersLateError", "open_fleet"]


class WorkerLostError(GrayflowError):
    """A worker process ended while the demo needed it."""

    def __init__(self, worker: int, output: str) -> None:
        super().__init__(worker)
        self.worker, self.output = worker, output

    def __str__(self) -> str:
        last = self.output.strip().splitlines()[-1:] or ["it said nothing"]
        return f"worker {self.worker} of the demo ended by itself: {last[0]}"


class WorkersLateError(GrayflowError):
    """The workers did not come where the demo wanted them in time."""

    def __init__(self, states: dict[int, str], waited_s: float) -> None:
        super().__init__(states)
        self.states, self.waited_s = states, waited_s

    def __str__(self) -> str:
        told = ", ".join(f"{worker}: {state}" for worker, state in sorted(self.states.items())) or "none has reported"
        return f"the workers of the demo did not follow within {self.waited_s:g} s ({told}); is the machine very busy?"


class Fleet:
    """All workers, as their reports show them."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.latest: dict[int, Tick] = {}
        self.ticks: list[Tick] = []
        self.cleaned: list[Cleaned] = []
        self._seen: dict[tuple[int, int], int] = {}
        self._moved = anyio.Event()

    def take(self, report: Report) -> None:
        """Note one report and wake whoever waits for it."""
        match report:
            case Seen():
                self._seen.setdefault((report.worker, report.revision), report.at)
            case Tick():
                self.latest[report.worker] = report
                self.ticks.append(report)
            case Cleaned():
                self.cleaned.append(report)
        self._moved.set()
        self._moved = anyio.Event()

    async def until(self, condition: Callable[[], bool], timeout_s: float) -> float:
        """
        Wait until a condition on the reports holds; return the seconds that it took.

        Raises:
            WorkersLateError: it did not hold in time.
        """
        start = time.monotonic()
        with anyio.move_on_after(timeout_s):
            while not condition():
                await self._moved.wait()
            return time.monotonic() - start
        raise WorkersLateError({worker: tick.state for worker, tick in self.latest.items()}, timeout_s)

    def all_are(self, state: str) -> bool:
        """Tell whether every worker's newest report names that state of health."""
        return len(self.latest) == self.size and all(tick.state == state for tick in self.latest.values())

    def all_saw(self, revision: int) -> bool:
        """Tell whether every worker has held that revision."""
        return all((worker, revision) in self._seen for worker in range(self.size))

    def is_clean(self) -> bool:
        """Tell whether every worker has run its handler, and one of them that of the fleet."""
        each = {one.worker for one in self.cleaned if one.scope == "process"}
        return len(each) == self.size and any(one.scope == "fleet" for one in self.cleaned)

    def delays_ms(self, revision: int, since_ns: int) -> tuple[float, ...]:
        """Return when each worker first held a revision, milliseconds after an instant of the monotonic clock."""
        return tuple((at - since_ns) / 1e6 for (_, seen), at in self._seen.items() if seen == revision)


@asynccontextmanager
async def open_fleet(size: int, url: str, namespace: str, shared: Path) -> AsyncIterator[Fleet]:
    """
    Run worker processes for the length of the block; they end with it, or with this process.

    Args:
        size: How many.
        url: Of the store.
        namespace: In it.
        shared: A folder for what all workers share.
    """
    fleet = Fleet(size)
    failure: Exception | None = None
    async with AsyncExitStack() as stack, anyio.create_task_group() as tasks:
        for worker in range(size):
            command = [sys.executable, "-m", "grayflow.cli.demo.worker", url, namespace, str(worker), str(shared)]
            process = await anyio.open_process(command, stdin=subprocess.PIPE, start_new_session=True)
            stack.push_async_callback(_end, process)
            tasks.start_soon(_listen, fleet, worker, process)
        try:
            yield fleet
        except Exception as error:  # noqa: BLE001 - raised below; the group would wrap it
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _listen(fleet: Fleet, worker: int, process: anyio.abc.Process) -> None:
    pending = b""
    assert process.stdout is not None  # noqa: S101 - opened with a pipe
    async for chunk in process.stdout:
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            try:
                fleet.take(decode_report(line))
            except msgspec.MsgspecError:
                continue  # a library that prints: not a report
    assert process.stderr is not None  # noqa: S101 - opened with a pipe
    said = b"".join([chunk async for chunk in process.stderr])
    raise WorkerLostError(worker, said.decode(errors="replace"))


async def _end(process: anyio.abc.Process) -> None:
    """Close the worker's input, which ends it; kill it if it does not listen."""
    with anyio.CancelScope(shield=True):
        if process.stdin is not None:
            await process.stdin.aclose()
        with anyio.move_on_after(3):
            await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()
        await process.aclose()
