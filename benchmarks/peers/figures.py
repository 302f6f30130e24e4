"""Figures of one run, and the tables that compare them."""

import platform
from collections.abc import Iterator, Sequence
from statistics import median

import msgspec

from benchmarks.peers.work import WORKS

__all__ = ["Cell", "Figures", "tables"]

OURS = "grayflow"
FLOOR, PYTHON = "hand-written closures", "Python itself"
NAIVE = "redis.get per check"
GOALS = {"plain": 3.0, "unknown": 3.0, "half": 2.0, "three": 3.0, "list": 8.0, "twenty": 2.0, "json": 3.0}
"""How many times faster than the fastest peer `peek` has to be."""


class Cell(msgspec.Struct, frozen=True):
    """One way to ask, one kind of work: the nanoseconds of one call in each round."""

    column: str
    work: str
    how: str
    rounds: tuple[float, ...]

    @property
    def ns(self) -> float:
        """The median."""
        return median(self.rounds)


class Figures(msgspec.Struct, frozen=True):
    """All of one run."""

    python: str
    machine: str
    versions: dict[str, str]
    """By column: the package and its version."""
    cells: tuple[Cell, ...]
    missing: dict[str, dict[str, str]]
    """By column and work: why there is no figure; work `*` for a peer that is not here at all."""

    @classmethod
    def of(cls, versions: dict[str, str], cells: Sequence[Cell], missing: dict[str, dict[str, str]]) -> "Figures":
        """Return them with what the machine says of itself."""
        return cls(platform.python_version(), platform.machine(), versions, tuple(cells), missing)

    def ns(self, column: str, work: str, how: str = "prebuilt") -> float | None:
        """Return a median; `None` where there is none."""
        return next((cell.ns for cell in self.cells if (cell.column, cell.work, cell.how) == (column, work, how)), None)

    def columns(self) -> list[str]:
        """Return the ways to ask, as they were found."""
        return list(dict.fromkeys(cell.column for cell in self.cells))

    def peers(self) -> list[str]:
        """Return those of other libraries."""
        return [name for name in self.columns() if not name.startswith(OURS) and name not in {FLOOR, PYTHON, NAIVE}]

    def fastest(self, work: str, how: str) -> tuple[float, str]:
        """Return the fastest peer's time and name."""
        return min((ns, name) for name in self.peers() if (ns := self.ns(name, work, how)) is not None)


def tables(figures: Figures) -> Iterator[str]:
    """Yield them as Markdown."""
    yield _table("µs, context prebuilt", _medians(figures, "prebuilt"))
    yield _table("µs, context built for each call", _medians(figures, "built"))
    yield _table("time of the fastest peer / of grayflow", _against_peers(figures))
    yield _table("grayflow / floor", _against_floor(figures))
    floors = ((name, figures.ns(PYTHON, name)) for name in ("empty await", "dict get", "murmur3"))
    yield "Python itself: " + ", ".join(f"{name} {ns:.0f} ns" for name, ns in floors if ns is not None)
    if missing := list(_missing(figures)):
        yield "Missing (—): " + "; ".join(missing)


def _medians(figures: Figures, how: str) -> Iterator[list[str]]:
    for name in figures.columns():
        row = [figures.ns(name, work, how) for work in WORKS]
        if any(row):
            label = f"{name} ({figures.versions[name]})" if name in figures.peers() else name
            yield [label, *(_us(ns) for ns in row)]
    for name in (name for name, reasons in figures.missing.items() if "*" in reasons):
        yield [name, *("—" for _ in WORKS)]


def _us(ns: float | None) -> str:
    return "—" if ns is None else f"{ns / 1000:.3g}" if ns < 99_500 else f"{ns / 1000:.0f}"


def _against_peers(figures: Figures) -> Iterator[list[str]]:
    for how in ("prebuilt", "built"):
        best = [figures.fastest(work, how) for work in WORKS]
        yield [f"*fastest peer, {how}*", *(name.split()[0] for _, name in best)]
        for name in (column for column in figures.columns() if column.startswith(OURS)):
            row = [figures.ns(name, work, how) for work in WORKS]
            yield [f"{name}, {how}", *("—" if ns is None else f"{ns_of_best / ns:.2g}"
                                       for ns, (ns_of_best, _) in zip(row, best, strict=True))]  # fmt: skip
    yield ["*goal of peek, prebuilt*", *(f"≥ {GOALS[work]:g}" for work in WORKS)]


def _against_floor(figures: Figures) -> Iterator[list[str]]:
    floors = [figures.ns(FLOOR, work) for work in WORKS]
    for name in ("grayflow peek", "grayflow peek in a scope"):
        row = [figures.ns(name, work) for work in WORKS]
        yield [f"{name} / closure", *(_ratio(ns, floor) for ns, floor in zip(row, floors, strict=True))]
    empty = figures.ns(PYTHON, "empty await")
    extra = [_minus(figures.ns("grayflow await", work), figures.ns("grayflow peek", work)) for work in WORKS]
    yield ["(await - peek) / empty await", *(_ratio(ns, empty) for ns in extra)]


def _minus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _ratio(ns: float | None, floor: float | None) -> str:
    return "—" if ns is None or not floor else f"{ns / floor:.2f}"


def _missing(figures: Figures) -> Iterator[str]:
    for name, reasons in figures.missing.items():
        for reason in dict.fromkeys(reasons.values()):
            works = [WORKS[work].title for work in reasons if work in WORKS and reasons[work] == reason]
            yield f"{name}: {reason}" + (f" ({', '.join(works)})" if works else "")


def _table(title: str, rows: Iterator[list[str]]) -> str:
    head = [title, *(work.title for work in WORKS.values())]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---", *("---:" for _ in WORKS)], *rows))
