"""Timing that compares: the best of many short runs, the garbage collector off, everything in one process."""

import gc
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec

__all__ = ["Row", "Table", "drive", "per_call"]

RUN_S = 0.02
"""One timed run lasts about this long, so that the clock's own cost and resolution vanish."""
RUNS = 11


class Row(msgspec.Struct, frozen=True):
    """One thing measured: its name, how much in the table's unit, and what it is compared with."""

    name: str
    value: float
    floor: float | None = None


class Table(msgspec.Struct, frozen=True):
    """One question and its answers."""

    title: str
    unit: str
    rows: tuple[Row, ...]

    def show(self) -> str:
        """Return the table as text, with ratios to each row's floor."""
        width = max(len(row.name) for row in self.rows)
        lines = [f"{self.title} ({self.unit})"]
        for row in self.rows:
            ratio = f"{row.value / row.floor:8.2f} x floor" if row.floor else ""
            lines.append(f"  {row.name:<{width}} {row.value:12.3f} {ratio}")
        return "\n".join(lines)


def per_call(function: Callable[[], Any], runs: int = RUNS) -> float:
    """
    Return the nanoseconds that one call takes, the loop around it taken off.

    The best run, not the usual one, and the time that this thread works: what else the machine does only ever adds.
    """
    number = _calibrated(function)
    empty = min(_timed(_nothing, number) for _ in range(runs))
    full = min(_timed(function, number) for _ in range(runs))
    return max(0.0, full - empty)


def drive(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never suspends, as `await` would, without a loop in between."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("a call has waited for something")


def _nothing() -> None:
    return None


def _calibrated(function: Callable[[], Any]) -> int:
    number = 1
    while True:
        took = _timed(function, number) * number / 1e9
        if took >= RUN_S / 4:
            return max(1, int(number * RUN_S / took))
        number *= 4


def _timed(function: Callable[[], Any], number: int) -> float:
    rounds: Sequence[None] = (None,) * number
    gc.disable()
    try:
        start = time.thread_time_ns()
        for _ in rounds:
            function()
        return (time.thread_time_ns() - start) / number
    finally:
        gc.enable()
