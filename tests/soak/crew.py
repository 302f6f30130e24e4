"""
One process of several clients: `python -m tests.soak.crew URL COUNT`.

Says `ready`, then answers each line of standard input with a `Report` as one line of JSON; `compare` also compares each
client with what its store holds. Ends when its standard input does.
"""

import logging
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from resource import getpagesize

import anyio
import msgspec

from grayflow import Client, Context, SwitchOff
from grayflow.clock import SystemClock
from grayflow.core.position import Position
from grayflow.store.port import Event, State
from grayflow.store.redis import RedisStore
from grayflow.store.wrappers import Wrapper
from tests.faults.fill import ROCK
from tests.faults.judge import differences
from tests.faults.places import NAMESPACE
from tests.lifetimes.census import Census

__all__ = ["FLAGS", "TTL_S", "Report", "Seat"]

FLAGS = tuple(f"flag-{number:02d}" for number in range(30))
"""Those that are edited; some are deleted at times."""
TTL_S = 2.0
_TICK_S = 0.1
_ROCKS_PER_TICK = 20
_clock = SystemClock()


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """One client at one moment."""

    position: Position | None
    proved_at: float
    """By the machine's monotonic clock: what the client says of its own age, as an instant."""
    well: bool
    noticed: dict[str, int]
    """Flag -> the switch-off that its handler ran for last."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One process at one moment; the numbers are since its start."""

    decisions: int
    worst_age_s: float
    links: int
    loads: int
    failovers: int
    rss: int
    """Bytes."""
    files: int
    tasks: int
    wrong: tuple[str, ...]
    logged: dict[str, int]
    """What was logged as a warning or worse, with numbers and ids left out -> how often."""
    seats: tuple[Seat, ...]


class _Linked(Wrapper):
    """Counts the links."""

    links = 0

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[AsyncIterator[Event]]:
        async with super().follow() as events:
            self.links += 1
            yield events


class _Member:
    """One client, and somebody who keeps asking it."""

    def __init__(self, url: str) -> None:
        self.store = _Linked(RedisStore(url, NAMESPACE))
        self.flags = Client(self.store, ttl=TTL_S, start_timeout=1, name="soak")
        self.decisions, self.worst_age_s = 0, 0.0
        self.wrong: list[str] = []
        self._noticed: dict[str, int] = {}
        self.flags.on_switch_off(FLAGS, "on")(self._note)

    async def run(self) -> None:
        context = Context(user_id="anna")
        while True:
            health = self.flags.health
            self.worst_age_s = max(self.worst_age_s, health.age_s or 0.0)
            if health.state == "starting":
                await _clock.sleep(_TICK_S)
                continue
            for _ in range(_ROCKS_PER_TICK):
                if await self.flags.is_enabled(ROCK, context) is not True:
                    self.wrong[5:] = [f"{ROCK} was not on: {await self.flags.evaluate(ROCK, context)}"]
            with self.flags.scope(context):
                before = [await self.flags.is_enabled(key) for key in FLAGS]
                await _clock.sleep(_TICK_S)
                if [await self.flags.is_enabled(key) for key in FLAGS] != before:
                    self.wrong[5:] = ["two checks of one flag in one scope disagreed"]
            self.decisions += _ROCKS_PER_TICK + 2 * len(FLAGS)

    def seat(self) -> Seat:
        now, health = _clock.monotonic(), self.flags.health
        return Seat(
            position=health.position,
            proved_at=now - (health.age_s or 0.0),
            well=health.state == "fresh" and health.link == "up" and health.last_error is None,
            noticed=self._noticed,
        )

    async def compare(self) -> None:
        """Compare what the client holds with what the store holds, while nobody edits."""
        state, view = await self.store.load(), self.flags._replica.view
        self.wrong += [f"{where} of pid {_pid()}" for where in (*differences(view, state), *_segments(view, state))[:5]]

    async def _note(self, off: SwitchOff) -> None:
        self._noticed[off.flag] = off.generation


class _Log(logging.Handler):
    """Counts what is logged; a bounded number of different lines."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        line = re.sub(r"\b[0-9a-f-]{8,}\b|\d+", "#", f"{record.levelname} {record.name}: {record.getMessage()}")
        line += f" ({record.exc_info[1]!r})" if record.exc_info else ""
        self.lines[line if line in self.lines or len(self.lines) < 300 else "ERROR too many different lines"] += 1


def _segments(view, state: State) -> list[str]:
    held = {key: entry.revision for key, entry in view.snapshot.segments.items()}
    wanted = {key: document.revision for key, document in state.segments.items()}
    return [f"segment {key} differs" for key in {*held, *wanted} if held.get(key) != wanted.get(key)]


def _pid() -> str:
    return Path("/proc/self").readlink().name


def _report(members: list[_Member], log: _Log) -> Report:
    census, healths = Census(), [member.flags.health for member in members]
    return Report(
        decisions=sum(member.decisions for member in members),
        worst_age_s=max(member.worst_age_s for member in members),
        links=sum(member.store.links for member in members),
        loads=sum(health.loads for health in healths),
        failovers=sum(health.failovers for health in healths),
        rss=int(Path("/proc/self/statm").read_text().split()[1]) * getpagesize(),
        files=len(census.files),
        tasks=len(census.tasks),
        wrong=tuple(line for member in members for line in member.wrong),
        logged=dict(log.lines),
        seats=tuple(member.seat() for member in members),
    )


async def _main(url: str, count: int) -> None:
    logging.getLogger().addHandler(log := _Log())
    members = [_Member(url) for _ in range(count)]
    async with AsyncExitStack() as stack, anyio.create_task_group() as tasks:
        for member in members:
            await stack.enter_async_context(member.flags)
            tasks.start_soon(member.run)
        print("ready", flush=True)
        while line := await anyio.to_thread.run_sync(sys.stdin.readline):
            if line.strip() == "compare":
                for member in members:
                    await member.compare()
            print(msgspec.json.encode(_report(members, log)).decode(), flush=True)
        tasks.cancel_scope.cancel()


if __name__ == "__main__":
    _, url, count = sys.argv
    anyio.run(_main, url, int(count))
