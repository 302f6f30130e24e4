"""
A million hostile inputs, from one seed: what is tried, and what counts as failure.

A check is given bytes. It raises if a promise is broken; that is a crash. A hang is an input that takes more than
`SLOWEST_S` of the processor's time; growth is memory that goes on rising after the first fifth of the inputs.
"""

import gc
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from time import perf_counter, thread_time
from typing import NamedTuple

from tests.hostile import corpus
from tests.hostile.answers import answer, file, token
from tests.hostile.channel import listening
from tests.hostile.documents import flag, segment, state
from tests.hostile.mutations import Mutation, Mutator, bytewise, framed, framewise, jsonwise
from tests.hostile.published import published

__all__ = ["TARGETS", "BrokenError", "Report", "Target", "run"]

SLOWEST_S = 2.0
HANGS_AFTER_S = 60.0

Check = Callable[[bytes], Awaitable[bool]]
"""Tries one input; true if it was valid, so that one sees how far inputs get."""


class Target(NamedTuple):
    """One entrance for bytes."""

    share: int
    """Of a million inputs."""
    seeds: Callable[[], Sequence[bytes]]
    mutations: tuple[Mutation, ...]
    check: Callable[[], AbstractAsyncContextManager[Check]]


class Report(NamedTuple):
    """How a campaign went."""

    inputs: int
    valid: int
    seconds: float
    slowest_s: float
    grown_bytes: int


class BrokenError(AssertionError):
    """A promise did not hold for one input, which is kept; the text is the command that tries it again."""

    def __init__(self, target: str, data: bytes) -> None:
        with NamedTemporaryFile(prefix=f"grayflow-hostile-{target}-", delete=False) as kept:
            kept.write(data)
        super().__init__(f"try it again by: python -m tests.hostile --replay {target}:{kept.name}")
        self.kept = Path(kept.name)


def plain(check: Check) -> Callable[[], AbstractAsyncContextManager[Check]]:
    return lambda: nullcontext(check)


@asynccontextmanager
async def _file() -> AsyncIterator[Check]:
    with TemporaryDirectory(prefix="grayflow-hostile-") as folder:
        yield file(Path(folder))


@asynccontextmanager
async def _message() -> AsyncIterator[Check]:
    async with listening() as listener:
        yield listener
        await listener.restored()


@asynccontextmanager
async def _published() -> AsyncIterator[Check]:
    async with published() as listener:
        yield listener
        await listener.flushed()


TARGETS: dict[str, Target] = {
    "flag": Target(310_000, corpus.flags, (jsonwise, jsonwise, bytewise), plain(flag)),
    "segment": Target(90_000, corpus.segments, (jsonwise, jsonwise, bytewise), plain(segment)),
    "state": Target(60_000, corpus.states, (framewise, framed(jsonwise), bytewise), plain(state)),
    "message": Target(
        350_000, corpus.messages, (framed(bytewise, b"gf1"), framed(jsonwise, b"gf1"), bytewise), _message
    ),
    "answer": Target(70_000, corpus.answers, (bytewise,), plain(answer)),
    "file": Target(40_000, corpus.kept, (bytewise,), _file),
    "token": Target(20_000, corpus.tokens, (bytewise,), plain(token)),
    "published": Target(
        60_000, corpus.messages, (framed(bytewise, b"gf1"), framed(jsonwise, b"gf1"), bytewise), _published
    ),
}


async def run(name: str, inputs: int, seed: int) -> Report:
    """
    Try so many inputs.

    Raises:
        BrokenError: one broke a promise.
    """
    target, broken = TARGETS[name], None
    make = Mutator(target.seeds(), target.mutations, seed)
    began, valid, slowest_s, settled = perf_counter(), 0, 0.0, 0
    async with target.check() as check:
        for number in range(inputs):
            data, before = make(), thread_time()
            try:
                with stopped_if_hanging():
                    valid += await check(data)
                took_s = thread_time() - before
                slowest_s = max(slowest_s, took_s)
                assert took_s <= SLOWEST_S, f"it took {took_s:.1f} s"
            except Exception as error:  # noqa: BLE001 - raised below, or a task group would wrap it
                broken = (data, error)
                break
            if number == inputs // 5:
                settled = resident()
        grown = resident() - settled
    if broken is not None:
        raise BrokenError(name, broken[0]) from broken[1]
    return Report(inputs, valid, perf_counter() - began, slowest_s, grown)


@contextmanager
def stopped_if_hanging() -> Iterator[None]:
    """Raise `TimeoutError` inside of the block after a minute of the processor's time."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"it did not end within {HANGS_AFTER_S:g} s")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, HANGS_AFTER_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def resident() -> int:
    """Return the bytes of memory that this process holds; 0 where the system does not tell."""
    gc.collect()
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0
