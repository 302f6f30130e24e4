"""What the demo measured, PURE: reports of the workers in, sentences of the summary out."""

import statistics
from collections.abc import Sequence

import msgspec

__all__ = ["Act", "Figures", "Seen", "Tick", "decode_report", "summary"]


class Tick(msgspec.Struct, frozen=True, tag="tick"):
    """What one worker did since its last report."""

    worker: int
    requests: int
    on: int
    stale: int
    failed: int
    """Decisions with an error."""
    state: str
    """Of its client's health."""
    revision: int
    nanoseconds: float
    """Of one awaited check, this interval's mean."""


class Seen(msgspec.Struct, frozen=True, tag="seen"):
    """A worker holds a revision from now on; `at` is the machine's monotonic clock, in nanoseconds."""

    worker: int
    revision: int
    at: int


_REPORTS: "msgspec.json.Decoder[Tick | Seen]" = msgspec.json.Decoder(Tick | Seen)


def decode_report(line: bytes) -> Tick | Seen:
    """Read one line of a worker."""
    return _REPORTS.decode(line)


class Act(msgspec.Struct, frozen=True):
    """One write of the parent and when each worker had it, milliseconds after the write began."""

    name: str
    delays_ms: tuple[float, ...]


class Figures(msgspec.Struct, frozen=True):
    """Everything that was measured."""

    workers: int
    acts: tuple[Act, ...]
    ticks: tuple[Tick, ...]
    noticed_ms: float | None
    """From taking the store away until the last worker said it was stale; `None` if that act was left out."""
    recovered_ms: float | None
    """From giving it back until the last worker was fresh again."""


def summary(figures: Figures) -> tuple[tuple[str, str], ...]:
    """Return the lines of the summary: what, and how much."""
    ticks = figures.ticks
    requests = sum(tick.requests for tick in ticks)
    lines = [
        ("decisions served", f"{requests:,} by {figures.workers} processes"),
        ("one awaited check", f"{_mean_ns(ticks):,.0f} ns"),
        ("decisions that failed", f"{sum(tick.failed for tick in ticks):,}"),
        ("from a write to every process", _spread([delay for act in figures.acts for delay in act.delays_ms])),
    ]
    if figures.noticed_ms is not None and figures.recovered_ms is not None:
        lines += [
            ("store gone: all workers knew", f"after {figures.noticed_ms / 1000:.1f} s"),
            ("served from memory meanwhile", f"{sum(tick.stale for tick in ticks):,} decisions, as before"),
            ("store back: all fresh again", f"after {figures.recovered_ms:,.0f} ms"),
        ]
    if figures.acts:
        lines.append(("switched off: nobody on the new", f"after {max(figures.acts[-1].delays_ms):.1f} ms"))
    return tuple(lines)


def _mean_ns(ticks: Sequence[Tick]) -> float:
    return statistics.median(tick.nanoseconds for tick in ticks if tick.requests) if ticks else 0.0


def _spread(delays_ms: Sequence[float]) -> str:
    if not delays_ms:
        return "-"
    return f"median {statistics.median(delays_ms):.1f} ms, slowest {max(delays_ms):.1f} ms"
