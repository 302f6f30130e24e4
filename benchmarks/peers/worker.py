"""
One peer in a process of its own: `python -m benchmarks.peers.worker NAME`.

Its first line on standard output says what it can do, as JSON; then it answers each line of standard input
(`COLUMN WORK HOW`, with tabs) with the nanoseconds of one call. The loop around the call is generated source, as
timeit's is, and its own cost is taken off: no peer pays for a wrapper. What is measured is the time that this thread
works, which others on the machine lengthen little; no peer decides in another thread.
"""

import asyncio
import contextlib
import gc
import importlib
import json
import logging
import os
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import cycle, islice
from typing import Any, TextIO

from benchmarks.peers.work import USERS, WORKS, WrongAnswerError

__all__ = ["Column", "Peer"]

RUN_S = 0.02
"""One measurement lasts about this long."""
ASKS_AT_LEAST = 10
SOME = 200
"""Users that are asked for again when the way to ask has been checked already."""
USER = {"country": "DE", "plan": "pro", "age": 34}
HOWS = ("prebuilt", "built")
"""The context is there already, or it is built for each call."""


@dataclass(frozen=True)
class Column:
    """One way to ask."""

    name: str
    asks: Mapping[str, str]
    """By work: the statement that sets `answer`; it may name `user`, and `{context}` is put in by us."""
    context: str
    """The expression that builds a context from `user`, `country`, `plan` and `age`; empty if there is none."""
    names: Mapping[str, Any]
    """What the expressions mean."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """By work: why the peer has no such thing."""
    around: Callable[[], AbstractContextManager[object]] = nullcontext
    """Entered around the measurement."""
    checked: bool = True
    waits: bool = False
    """Whether the clock on the wall is read, because the time is spent waiting, and not that of this thread's work."""


Everybody = Sequence[tuple[str, Any]]
"""Users with their contexts."""
Loop = Callable[..., Any]
Clock = Callable[[], int]
Peer = Callable[[], AbstractAsyncContextManager[tuple[str, Sequence[Column]]]]
"""What a module of a peer calls `peer`: it yields the package whose version is told, and the ways to ask."""


@contextlib.contextmanager
def _standard_output() -> Iterator[TextIO]:
    """Keep standard output for the answers; what libraries print there goes to standard error."""
    with os.fdopen(os.dup(1), "w", buffering=1) as answers:
        os.dup2(2, 1)
        yield answers


def _loop(column: Column, work: str, how: str, *, collect: bool = False) -> Loop:
    """Return the loop as a function of pairs of user and context; maybe a coroutine's."""
    ask = column.asks[work].replace("{context}", "context" if how == "prebuilt" else column.context)
    asynchronous = "await " in ask or "async " in ask
    source = (
        f"{'async ' * asynchronous}def loop(everybody, country='DE', plan='pro', age=34):\n"
        f"    answers = []\n    for user, context in everybody:\n{textwrap.indent(ask, ' ' * 8)}\n"
        f"{'        answers.append(answer)' if collect else ''}\n    return answers\n"
    )
    space = dict(column.names)
    exec(compile(source, f"<{column.name}: {work}, {how}>", "exec"), space)
    loop: Loop = space["loop"]
    return loop


def _empty(everybody: Everybody) -> None:
    for user, context in everybody:  # noqa: B007 - as the generated loop does
        pass


async def _done(result: Any) -> Any:
    return await result if isinstance(result, Awaitable) else result


def _contexts(column: Column) -> Sequence[Any]:
    if not column.context:
        return USERS
    source = f"[{column.context} for user in users]"
    return tuple(eval(source, {**column.names, **USER, "users": USERS}))


def _hows(column: Column) -> tuple[str, ...]:
    return HOWS if column.context else HOWS[:1]


class Worker:
    """Checks the columns of one peer, then measures what it is told to."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = {column.name: column for column in columns}
        self._everybody = {column.name: tuple(zip(USERS, _contexts(column), strict=True)) for column in columns}
        self._numbers: dict[tuple[str, str, str], int] = {}

    def cells(self) -> dict[str, Any]:
        """Return what can be measured, and why not what cannot."""
        return {
            name: {
                "works": list(column.asks),
                "hows": _hows(column),
                "missing": column.missing,
            }
            for name, column in self._columns.items()
        }

    async def check(self) -> None:
        """Raise `WrongAnswerError` unless the answers are those of the work."""
        for column in self._columns.values():
            for work in column.asks if column.checked else ():
                answers = await self._answers(column, work, "prebuilt", WORKS[work].users)
                try:
                    WORKS[work].check(answers)
                except WrongAnswerError as error:
                    raise WrongAnswerError(f"{column.name}, {work}: {error}") from None
                if len(_hows(column)) > 1:
                    await self._check_built(column, work, answers[:SOME])

    async def _check_built(self, column: Column, work: str, wanted: Sequence[Any]) -> None:
        if await self._answers(column, work, "built", len(wanted)) != wanted:
            raise WrongAnswerError(f"{column.name}, {work}: a context built for the call is answered differently")
        for stranger in WORKS[work].refused:
            if any(await self._answers(column, work, "built", SOME, **stranger)):
                raise WrongAnswerError(f"{column.name}, {work}: {stranger} was let in")

    async def _answers(self, column: Column, work: str, how: str, users: int, **stranger: Any) -> Sequence[Any]:
        with column.around():
            loop = _loop(column, work, how, collect=True)
            answers: Sequence[Any] = await _done(loop(self._everybody[column.name][:users], **stranger))
        return answers

    async def measure(self, name: str, work: str, how: str) -> float:
        """Return the nanoseconds of one call."""
        column, key = self._columns[name], (name, work, how)
        loop = _loop(column, work, how)
        everybody = self._everybody[name]
        clock = time.perf_counter_ns if column.waits else time.thread_time_ns
        with column.around():
            if key not in self._numbers:
                self._numbers[key] = await self._calibrated(loop, everybody, clock)
            asked = list(islice(cycle(everybody), self._numbers[key]))
            return await _timed(loop, asked, clock) - await _timed(_empty, asked, clock)

    async def _calibrated(self, loop: Loop, everybody: Everybody, clock: Clock) -> int:
        number = ASKS_AT_LEAST
        while True:
            took_s = await _timed(loop, list(islice(cycle(everybody), number)), clock) * number / 1e9
            if took_s >= RUN_S / 3:
                return max(ASKS_AT_LEAST, int(number * RUN_S / took_s))
            number *= 3


async def _timed(loop: Loop, everybody: Everybody, clock: Clock) -> float:
    gc.disable()
    try:
        start = clock()
        running = loop(everybody)
        if isinstance(running, Awaitable):
            await running
        return (clock() - start) / len(everybody)
    finally:
        gc.enable()


async def _lines() -> AsyncIterator[str]:
    # In a thread: peers that live in this loop have to go on living while we wait.
    while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
        yield line


async def _serve(name: str, answers: TextIO) -> None:
    peer: Peer = importlib.import_module(f"benchmarks.peers.{name}").peer
    async with peer() as (package, columns):
        worker = Worker(columns)
        await worker.check()
        told = {"package": package, "version": version(package) if package else "", "columns": worker.cells()}
        answers.write(json.dumps(told) + "\n")
        async for line in _lines():
            answers.write(f"{await worker.measure(*line.split(chr(9)))}\n")


def main(name: str) -> None:
    """Run one peer until standard input closes."""
    logging.disable()  # some log each unknown flag; that is not what is compared
    with _standard_output() as answers:
        asyncio.run(_serve(name, answers))
    os._exit(0)  # some peers keep threads that would keep the process


if __name__ == "__main__":
    main(sys.argv[1])
