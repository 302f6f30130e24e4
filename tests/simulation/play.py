"""Plays one schedule from its seed; finds the few steps of a failing one that suffice to fail."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import blake2b
from typing import Any, NamedTuple
from unittest.mock import patch

import anyio

from grayflow.core.position import Position
from grayflow.replica import loading
from tests.simulation.script import Script, draw
from tests.simulation.world import SimulatedLoop, World


class Outcome(NamedTuple):
    """How a schedule went."""

    violation: str | None
    trace: list[tuple[Any, ...]]

    @property
    def fingerprint(self) -> str:
        """Equal exactly for runs in which the same things happened at the same times."""
        return blake2b(self.told().encode(), digest_size=8).hexdigest()

    def told(self) -> str:
        """Return the trace as lines."""
        return "\n".join(f"{line[0]:12.6f}  {' '.join(map(_word, line[1:]))}" for line in self.trace)


def play(seed: int, script: Script | None = None) -> Outcome:
    """Play the schedule of a seed, or another one with its random numbers."""
    script = draw(seed) if script is None else script
    loop = SimulatedLoop()
    world = World(loop, seed, script)
    try:
        with _reading_takes(script.settings.work_s), _silent():
            loop.run_until_complete(world.live())
    except Exception as error:  # noqa: BLE001 - whatever ends a client is what we look for
        world.watch.fail(f"the client ended with {error!r}")
    finally:
        loop.close()
    return Outcome(world.watch.violation, world.watch.trace)


def shrink(seed: int) -> Script:
    """Return the schedule of a failing seed without the steps that it fails without."""
    script = draw(seed)
    size = len(script.steps)
    while size >= 1:
        start = 0
        while start < len(script.steps):
            shorter = script.without(start, start + size)
            if play(seed, shorter).violation is None:
                start += size
            else:
                script = shorter
        size //= 2
    return script


def report(seed: int) -> str:
    """Return what to read of a schedule: all that happened, of a failing one in as few steps as will do."""
    script, outcome = draw(seed), play(seed)
    drawn = len(script.steps)
    if outcome.violation is not None:
        script = shrink(seed)
        outcome = play(seed, script)
    settings = " ".join(f"{name}={value}" for name, value in script.settings._asdict().items())
    return (
        f"{settings}\n{outcome.told()}\n"
        f"{len(script.steps)} of {drawn} steps, trace {outcome.fingerprint}: {outcome.violation or 'all is well'}\n"
        f"python -m tests.simulation --seed {seed}"
    )


def _word(value: object) -> str:
    return value.token() if isinstance(value, Position) else str(value)


@contextmanager
def _reading_takes(seconds: float) -> Iterator[None]:
    """Let time pass after each document that is read: on a real machine others go on meanwhile."""
    if not seconds:
        yield
        return
    slowly = partial(anyio.sleep, seconds)  # noqa: TID251 - virtual time
    with patch.object(loading.Slices, "_DOCUMENTS", 1), patch.object(loading, "checkpoint", slowly):
        yield


@contextmanager
def _silent() -> Iterator[None]:
    """Log nothing: every schedule is full of incidents."""
    log = logging.getLogger("grayflow")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(level)
