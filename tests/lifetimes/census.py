"""What a process holds: if something is there after a lifetime that was not there before, it leaked."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

from grayflow.clock import SystemClock

__all__ = ["Census", "as_before", "as_before_the_loop"]

FILES = Path("/dev/fd")
PATIENCE_S = 20.0


class Census:
    """Tasks, threads, timers, open files and sockets of this process, and of the loop if one runs, taken now."""

    def __init__(self) -> None:
        loop = asyncio.events._get_running_loop()
        self.tasks = set() if loop is None else asyncio.all_tasks() - {asyncio.current_task()}
        self.threads = {thread for thread in threading.enumerate() if thread.name != "AnyIO worker thread"}
        self.timers = {timer for timer in getattr(loop, "_scheduled", ()) if not timer.cancelled()}
        self.files = {path.name: _target(path) for path in FILES.iterdir()}

    def since(self, before: "Census") -> list[str]:
        """Return what is there now and was not before; workers that anyio keeps for a while are nobody's."""
        new = [f"task {task.get_name()}" for task in self.tasks - before.tasks]
        new += [f"thread {thread.name}" for thread in self.threads - before.threads]
        new += [f"timer {timer!r}" for timer in self.timers - before.timers]
        return new + [f"file {name} -> {to}" for name, to in self.files.items() if to and before.files.get(name) != to]


def _target(path: Path) -> str | None:
    try:
        return str(path.readlink())
    except OSError:  # it was the listing itself
        return None


async def as_before(before: Census) -> None:
    """Wait until nothing is there that was not before: a closed socket or thread takes a moment to end."""
    for _ in until_nothing_is_new(before):
        await SystemClock().sleep(0.002)


def as_before_the_loop(before: Census) -> None:
    """Do the same where no loop runs: a loop has files of its own."""
    for _ in until_nothing_is_new(before):
        threading.Event().wait(0.002)


def until_nothing_is_new(before: Census) -> Iterator[None]:
    deadline = monotonic() + PATIENCE_S
    while leaked := Census().since(before):
        assert monotonic() < deadline, leaked
        yield
