"""Verdicts as a table that a person can read."""

from collections.abc import Sequence

from tests.faults.play import Verdict

__all__ = ["head", "row"]

_COLUMNS = ("fault", "detected", "recovered", "decisions", "lost", "duplicated", "forgotten", "longest")
_UNITS = ("", "after s", "after s", "meanwhile", "changes", "edits", "by server", "stall ms")
_WIDTHS = (32, 9, 10, 10, 8, 11, 10, 9)


def head() -> str:
    """Return the head of the table."""
    return "\n".join((_line(_COLUMNS), _line(_UNITS), "-" * sum(_WIDTHS)))


def row(verdict: Verdict) -> str:
    """Return a verdict as one line, and one more for each promise that was broken."""
    line = _line(
        (
            verdict.name,
            _seconds(verdict.detected_s),
            _seconds(verdict.recovered_s),
            f"{verdict.decisions:,}",
            str(verdict.lost),
            str(verdict.doubled),
            str(verdict.forgotten or "-"),
            f"{verdict.longest_s * 1000:.0f}",
        )
    )
    return "\n".join((line, *(f"  BROKEN: {promise}" for promise in verdict.broken)))


def _line(cells: Sequence[str]) -> str:
    first, *others = (
        cell.rjust(width) if index else cell.ljust(width)
        for index, (cell, width) in enumerate(zip(cells, _WIDTHS, strict=True))
    )
    return "".join((first, *others)).rstrip()


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
