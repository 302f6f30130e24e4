"""`grayflow stats`: how often each variant of a flag was called, for how many, how long that took and what failed."""

import math
import re
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.text import Text

from grayflow.admin.stats import Stats, StatsWindow
from grayflow.cli.given import AsJson, FlagKey
from grayflow.cli.render import print_table
from grayflow.cli.session import Session
from grayflow.cli.words import moment
from grayflow.errors import ConfigurationError
from grayflow.store.counts import Arm, Tally

__all__ = ["sparkline", "stats"]

Since = Annotated[str, typer.Option("--since", metavar="SPAN", help="How far back: 30m, 6h, 1d.")]
Window = Annotated[
    str | None, typer.Option("--window", metavar="SPAN", help="How long each column is: 1m, 15m. (default: fits)")
]

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_COLUMNS = 40
_WIDTHS_S = (60, 120, 300, 600, 900, 1800, 3600)
_BARS = "▁▂▃▄▅▆▇█"
_NONE = "·"
_NAME = 12


async def stats(
    session: Session, key: FlagKey, *, since: Since = "1h", window: Window = None, as_json: AsJson = False
) -> None:
    """
    Show how often each variant of a flag was called, how many failed, and how long they took.

    Services count with grayflow.release.Counters. What they count is here after some seconds, and is kept for a day.
    Units are counted once for each process and minute, so units/min cannot be added up, and depends on --window.
    """
    length_s = _span_s("--since", since)
    width_s = _fitting(length_s) if window is None else _span_s("--window", window)
    async with session.reading() as admin:
        found = await admin.stats(key, since=length_s, window=width_s)
    if as_json:
        session.json(_shape(found))
    elif not found.variants:
        session.say(_nothing(key, since))
    else:
        _print(session, found)


def _print(session: Session, found: Stats) -> None:
    session.say(f"{found.key}, {moment(found.start)} to {moment(found.end)}")
    totals = {variant: found.total(variant) for variant in found.variants}
    print_table(
        session.out,
        ("variant", "calls", "failed", "units/min", "failed units", "p50", "p90", "p99"),
        [_row(found, variant, tally) for variant, tally in totals.items()],
    )
    shown = found.windows[-_COLUMNS - 1 :]
    print_table(session.out, ("", "variant", f"per {_span(found.window_s)}", "at most"), _lines(shown, totals))
    if len(shown) < len(found.windows):
        session.say(f"drawn are the newest {len(shown)} windows of {len(found.windows)}; --json has all")
    for variant, tally in totals.items():
        if tally.marks:
            also = ", ".join(f"{name} {number:,}" for name, number in sorted(tally.marks.items()))
            session.say(f"also counted of {_name(variant)}: {also}")


def _row(found: Stats, variant: str, tally: Tally) -> tuple[Text, ...]:
    called = [window for window in found.windows if window.total(variant).calls]
    minutes = sum(_minutes(window, found) for window in called) or 1
    return (
        Text(_name(variant)),
        Text(f"{tally.calls:,}"),
        Text(_failed(tally), style="red" if tally.failures else ""),
        Text(f"{tally.units / minutes:,.0f}"),
        Text(f"{tally.failed_units:,}"),
        *(Text(_duration(tally.latency.quantile(share))) for share in (0.5, 0.9, 0.99)),
    )


def _minutes(window: StatsWindow, found: Stats) -> int:
    """Return how many minutes a window has, those that are not over included."""
    return math.ceil(min(found.window_s, (found.end - window.start) / 1e9) / 60)


def _lines(windows: Sequence[StatsWindow], totals: dict[str, Tally]) -> list[tuple[Text, ...]]:
    found = []
    for variant in totals:
        calls = [window.total(variant).calls or None for window in windows]
        most = max((number for number in calls if number), default=0)
        found.append(_line("calls", variant, calls, f"{most:,}", ""))
    for variant, tally in totals.items():
        if tally.failures:
            parts = [window.total(variant) for window in windows]
            ratios = [part.failure_ratio if part.calls else None for part in parts]
            worst = max((ratio for ratio in ratios if ratio), default=0.0)
            found.append(_line("failed", variant, ratios, _percent(worst), "red"))
    return found


def _line(what: str, variant: str, values: Sequence[float | None], most: str, style: str) -> tuple[Text, ...]:
    name = _name(variant)
    short = name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"
    return Text(what), Text(short), Text(sparkline(values), style=style), Text(most)


def sparkline(values: Sequence[float | None]) -> str:
    """Return a bar for each value, the highest for the largest; a point where there is none."""
    most = max((value for value in values if value is not None), default=0)
    return "".join(_NONE if value is None else _bar(value, most) for value in values)


def _bar(value: float, most: float) -> str:
    # The lowest bar is nothing, or next to it: one failure among many calls is to be seen, so it gets a second step.
    return _BARS[0] if not value or most <= 0 else _BARS[max(1, round(value / most * (len(_BARS) - 1)))]


def _name(variant: str) -> str:
    return variant or "(default)"


def _failed(tally: Tally) -> str:
    return f"{tally.failures:,} ({_percent(tally.failure_ratio)})" if tally.failures else "0"


def _percent(ratio: float) -> str:
    percent = 100 * ratio
    return f"{percent:.0f} %" if percent >= 10 else f"{percent:.1f} %" if percent >= 0.1 else "< 0.1 %"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    for size, unit in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= size:
            return f"{_rounded(seconds / size)} {unit}"
    return f"{_rounded(seconds * 1e6)} µs"


def _rounded(number: float) -> str:
    return f"{float(f'{number:.2g}'):,g}"  # no more digits than are known


def _span_s(option: str, text: str) -> float:
    named = re.fullmatch(r"(\d{1,6})([smhd])", text.strip(), re.ASCII)
    if named is None:
        raise ConfigurationError(f"{option} is {text!r}; give a number and s, m, h or d: 30m, 6h, 1d")
    return float(int(named[1]) * _UNITS_S[named[2]])


def _span(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h" if minutes % 60 == 0 else f"{minutes} min"


def _fitting(length_s: float) -> float:
    return next((float(width) for width in _WIDTHS_S if length_s / width <= _COLUMNS), float(_WIDTHS_S[-1]))


def _nothing(key: str, since: str) -> str:
    return (
        f"nothing was counted of {key!r} in the last {since}. Services count what they call: "
        "counters = grayflow.release.Counters(), and inside of async with counters.running(flags): "
        f"with counters.measure(await flags.evaluate({key!r}, ctx), ctx): ...; a switch is counted by "
        "counters.proxy(switch), a guard by FallbackGuard(..., counters=counters)"
    )


def _shape(found: Stats) -> dict[str, Any]:
    return {
        "key": found.key,
        "start": found.start,
        "end": found.end,
        "window_s": found.window_s,
        "variants": [{"variant": variant, **_tally(found.total(variant))} for variant in found.variants],
        "windows": [
            {"start": window.start, "arms": [_arm(arm, window.arms[arm]) for arm in sorted(window.arms)]}
            for window in found.windows
        ],
    }


def _arm(arm: Arm, tally: Tally) -> dict[str, Any]:
    return {"variant": arm.variant, "revision": arm.revision, "chance": arm.chance, **_tally(tally)}


def _tally(tally: Tally) -> dict[str, Any]:
    return {
        "calls": tally.calls,
        "failures": tally.failures,
        "units": tally.units,
        "failed_units": tally.failed_units,
        "p50_s": tally.latency.quantile(0.5),
        "p90_s": tally.latency.quantile(0.9),
        "p99_s": tally.latency.quantile(0.99),
        "marks": tally.marks,
    }
