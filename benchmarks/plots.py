"""
Pictures of figures: `python -m benchmarks.plots [FOLDER]` reads `*.json` there and writes `*.png` and `*.svg`.

Needs matplotlib, of the dependency group `benchmark`. `growth.json` and `propagation.json` are what
`python -m benchmarks growth --json ...` and `... propagation --json ...` wrote.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import msgspec

from benchmarks.harness import Table

mpl.use("Agg")
from matplotlib import pyplot as plt  # not before a backend is chosen that needs no screen

FIGURES = Path(__file__).parent / "figures"

Points = Sequence[tuple[float, float]]


class Plot(NamedTuple):
    """One picture: its file's name, its axes, and a line for each title."""

    name: str
    across: str
    up: str
    lines: dict[str, str]
    """Label -> how the title of its table begins."""
    logarithmic_up: bool = False
    logarithmic_across: bool = True


GROWTH = (
    Plot(
        "evaluation-rules", "rules, of which the last matches", "ns for a decision",
        {"one attribute": "evaluation against rules,", "four attributes": "evaluation against rules of"},
        logarithmic_across=False,
    ),
    Plot("evaluation-list", "ids in the list", "ns for a decision", {"listed": "evaluation against ids"}),
    Plot("evaluation-flags", "flags in the snapshot", "ns for a decision", {"one of them": "evaluation against flags"}),
    Plot("load-flags", "flags", "ms for a load", {"decode, check, build": "load against flags"}, logarithmic_up=True),
)  # fmt: skip


def main(folder: Path = FIGURES) -> None:
    """Draw what there are figures for."""
    mpl.rcParams.update({"svg.hashsalt": "grayflow", "font.size": 9, "svg.fonttype": "none"})
    growth = _tables(folder / "growth.json")
    for plot in GROWTH:
        _draw(folder, plot, {label: _sizes(growth, title) for label, title in plot.lines.items()})
    delays = _delays(_tables(folder / "propagation.json"))
    _draw(folder, Plot("propagation-readers", "readers", "ms from write to reader", {}, logarithmic_up=True), delays)


def _tables(path: Path) -> list[Table]:
    return msgspec.json.decode(path.read_bytes(), type=list[Table]) if path.exists() else []


def _sizes(tables: list[Table], title: str) -> Points:
    return [(float(row.name), row.value) for table in tables if table.title.startswith(title) for row in table.rows]


def _delays(tables: list[Table]) -> dict[str, Points]:
    """Return lines of delays in milliseconds; a table's title tells the number of readers."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for table in tables:
        if table.title.startswith("from write to reader, "):
            readers = float(table.title.split(", ")[1].split()[0])
            for row in table.rows:
                if row.name.endswith(("p50", "p99")):
                    lines.setdefault(row.name, []).append((readers, row.value / 1000))
    return dict(lines)


def _draw(folder: Path, plot: Plot, lines: dict[str, Points]) -> None:
    if not any(lines.values()):
        return
    figure, axes = plt.subplots(figsize=(5, 3), layout="constrained")
    for label, points in lines.items():
        axes.plot(*zip(*sorted(points), strict=True), marker="o", markersize=3, label=label)
    axes.set(xlabel=plot.across, ylabel=plot.up)
    if plot.logarithmic_across:
        axes.set_xscale("log")
    if plot.logarithmic_up:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    figure.savefig(folder / f"{plot.name}.png", dpi=110, metadata={"Software": None})
    figure.savefig(folder / f"{plot.name}.svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
