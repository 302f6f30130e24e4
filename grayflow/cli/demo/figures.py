"""What the demo measured, PURE: reports of the workers in, sentences of the summary out."""

import statistics
from collections.abc import Sequence
from typing import Literal

import msgspec

__all__ = ["Act", "Cleaned", "Figures", "Report", "Seen", "Tick", "decode_report", "summary"]


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


class Cleaned(msgspec.Struct, frozen=True, tag="cleaned"):
    """A worker ran a handler of the switch-off; `at` as in `Seen`."""

    worker: int
    scope: Literal["process", "fleet"]
    removed: int
    """Entries of its own memory, or files that all workers share."""
    at: int


Report = Tick | Seen | Cleaned

_REPORTS: "msgspec.json.Decoder[Report]" = msgspec.json.Decoder(Report)


def decode_report(line: bytes) -> Report:
    """Read one line of a worker."""
    return _REPORTS.decode(line)


class Act(msgspec.Struct, frozen=True):
    """One write of the parent and when each worker had it, milliseconds after the write began."""

    name: str
    delays_ms: tuple[float, ...]
    start_ns: int = 0
    """When the write began, by the machine's monotonic clock."""


class Figures(msgspec.Struct, frozen=True):
    """Everything that was measured."""

    workers: int
    acts: tuple[Act, ...]
    ticks: tuple[Tick, ...]
    noticed_ms: float | None
    """From taking the store away until the last worker said it was stale; `None` if that act was left out."""
    recovered_ms: float | None
    """From giving it back until the last worker was fresh again."""
    cleaned: tuple[Cleaned, ...] = ()
    """What the handlers did after the last act."""


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
        lines += _cleanup(figures.cleaned, figures.acts[-1].start_ns)
    return tuple(lines)


def _cleanup(cleaned: Sequence[Cleaned], since_ns: int) -> list[tuple[str, str]]:
    each = [one for one in cleaned if one.scope == "process"]
    lines = []
    if each:
        last, count = max(one.at for one in each), sum(one.removed for one in each)
        lines.append(
            ("cleaned up in each process", f"{count:,} entries of {len(each)} workers after {_ms(last, since_ns)}")
        )
    lines += [
        (
            "cleaned up once in the fleet",
            f"{one.removed} shared files by worker {one.worker} after {_ms(one.at, since_ns)}",
        )
        for one in cleaned
        if one.scope == "fleet"
    ]
    return lines


def _ms(at_ns: int, since_ns: int) -> str:
    return f"{(at_ns - since_ns) / 1e6:,.0f} ms"


def _mean_ns(ticks: Sequence[Tick]) -> float:
    return statistics.median(tick.nanoseconds for tick in ticks if tick.requests) if ticks else 0.0


def _spread(delays_ms: Sequence[float]) -> str:
    if not delays_ms:
        return "-"
    return f"median {statistics.median(delays_ms):.1f} ms, slowest {max(delays_ms):.1f} ms"
