"""What the audience sees: a live table in a terminal, or lines for pipes and CI."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from grayflow.cli.demo.figures import Tick
from grayflow.cli.demo.fleet import Fleet

__all__ = ["LiveView", "PlainView", "print_summary"]

BAR = 24
EVENTS = 12
"""As many as there are: nothing scrolls away before the summary."""
_STYLES = {"fresh": "green", "stale": "yellow", "expired": "red", "starting": "dim"}


class PlainView:
    """One line an event, with the seconds since the start."""

    def __init__(self, console: Console) -> None:
        self._console, self._start = console, time.monotonic()

    def say(self, text: str, detail: str = "") -> None:
        """See `Show.say`."""
        seconds = time.monotonic() - self._start
        line = f"{seconds:5.1f} s  {text}{': ' if detail else ''}{detail}"
        self._console.print(line, highlight=False, soft_wrap=True, markup=False)

    @contextmanager
    def showing(self, fleet: Fleet) -> Iterator[None]:  # noqa: ARG002 - the other view looks at it
        """Nothing is shown between events."""
        yield


class LiveView:
    """The workers in a table that moves, and the newest events below it; fits 80 columns."""

    def __init__(self, console: Console) -> None:
        self._console, self._start = console, time.monotonic()
        self._events: deque[tuple[float, str, str]] = deque(maxlen=EVENTS)
        self._fleet: Fleet | None = None

    def say(self, text: str, detail: str = "") -> None:
        """See `Show.say`."""
        self._events.append((time.monotonic() - self._start, text, detail))

    @contextmanager
    def showing(self, fleet: Fleet) -> Iterator[None]:
        """Draw four times a second for the length of the block."""
        self._fleet = fleet
        with Live(get_renderable=self._draw, console=self._console, refresh_per_second=4):
            yield

    def _draw(self) -> Group:
        return Group(self._workers(), self._told())

    def _workers(self) -> Table:
        table = Table(expand=True, title="grayflow demo: one flag, several processes", title_style="bold")
        for heading in ("worker", "requests/s", "on the new code", "state", "rev"):
            table.add_column(heading, justify="left" if heading in ("on the new code", "state") else "right")
        for worker in range(0 if self._fleet is None else self._fleet.size):
            tick = None if self._fleet is None else self._fleet.latest.get(worker)
            table.add_row(str(worker), *(("", "", "starting", "") if tick is None else _cells(tick)))
        return table

    def _told(self) -> Panel:
        text = Text()
        for seconds, what, detail in self._events:
            text.append(f"{seconds:5.1f} s  ", style="dim")
            text.append(what, style="bold")
            text.append(f"  {detail}\n")
        text.append("\n" * (EVENTS - len(self._events)))
        text.truncate(10_000)
        return Panel(text, title="what happens", padding=(0, 1), height=EVENTS + 2)


def _cells(tick: Tick) -> tuple[str | Text, ...]:
    share = tick.on / max(1, tick.requests)
    bar = Text("━" * round(share * BAR), style="cyan")
    bar.append("─" * (BAR - round(share * BAR)), style="dim")
    bar.append(f" {share:4.0%}")
    state = Text(tick.state, style=_STYLES.get(tick.state, "red"))
    return f"{tick.requests * 10:,}", bar, state, str(tick.revision)


def print_summary(console: Console, lines: tuple[tuple[str, str], ...], *, plain: bool) -> None:
    """Print the measured figures."""
    if plain:
        for what, value in lines:
            console.print(f"{what}: {value}", highlight=False, soft_wrap=True, markup=False)
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(style="bold", overflow="fold")
    for what, value in lines:
        table.add_row(what, value)
    console.print(Panel(table, title="measured just now", padding=(0, 1)))
