"""How answers look to people: tables without frames, differences in two colours, trails of explanations."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from msgspec import UNSET
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from grayflow.admin import Difference, Explanation, Preview
from grayflow.admin.diff import plain
from grayflow.admin.wording import rule_line, serve_text
from grayflow.cli.words import brief, condition_text, counted, id_text, moment, safe, state_of, step_text
from grayflow.core.codec import pretty
from grayflow.core.entry import FlagEntry
from grayflow.core.flag import Flag, Segment
from grayflow.core.position import Document
from grayflow.core.reference import Step
from grayflow.store.port import Change

__all__ = [
    "STATE_STYLES",
    "print_changes",
    "print_diff",
    "print_document",
    "print_explanation",
    "print_line",
    "print_preview",
    "print_table",
]

STATE_STYLES = {
    "on": "green",
    "off": "dim",
    "archived": "dim",
    "scheduled": "cyan",
    "expired": "yellow",
    "broken": "bold red",
}
PIPE_WIDTH = 1000
"""How wide a console is taken to be that is no terminal and was given no width."""
_SHOWN_IDS = 8
_WHOLE = frozenset({"state", "rev", "when (UTC)", "why", "since", "contexts"})
"""Columns that never wrap. They are short: one that is long and does not wrap would push keys off the screen."""


def print_line(console: Console, *parts: str | tuple[str, str], end: str = "\n") -> None:
    """
    Print parts of one line, each with its style if it has one; what stored text holds of control characters is shown.

    A pipe gets the line as it is, a terminal wrapped between words.
    """
    safe_parts = (safe(part) if isinstance(part, str) else (safe(part[0]), part[1]) for part in parts)
    console.print(Text.assemble(*safe_parts), soft_wrap=not console.is_terminal, end=end)


def print_table(console: Console, columns: Sequence[str], rows: Iterable[Sequence[Text]]) -> None:
    """
    Print rows under headings, without frames.

    Args:
        console: Where to. A terminal gets lines that fit it; what reads a pipe gets each row on one line, and quickly.
        columns: Headings. Where a line is too short the widest columns wrap, but for those in `_WHOLE`.
        rows: Cells.
    """
    shown = [[_safe_cell(cell) for cell in row] for row in rows]
    if console.width >= PIPE_WIDTH:
        _print_plainly(console, [[Text(name.upper()) for name in columns], *shown])
        return
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in columns:
        made.add_column(name.upper(), no_wrap=name in _WHOLE, overflow="fold")
    for row in shown:
        made.add_row(*row)
    console.print(made)


def _safe_cell(cell: Text) -> Text:
    plain = safe(cell.plain)
    return cell if plain == cell.plain else Text(plain, cell.style)


def _print_plainly(console: Console, rows: Sequence[Sequence[Text]]) -> None:
    lines = [[" ".join(cell.plain.split()) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = (cell + " " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True))
        console.file.write("  ".join(padded).rstrip() + "\n")


def print_changes(console: Console, changes: Iterable[Change], *, keys: bool) -> None:
    """Print a history, newest first; `keys` tells which document each change is about."""
    columns = ("rev", "when (UTC)", "actor", "action", *(("key",) if keys else ()), "reason")
    rows = []
    for change in changes:
        when = moment(change.at).replace("T", " ").removesuffix("Z")
        named = (change.key if change.kind == "flag" else f"segment {change.key}",) if keys else ()
        cells = (str(change.revision), when, change.actor, change.action, *named, change.reason)
        rows.append([Text(cell) for cell in cells])
    print_table(console, columns, rows)


def print_diff(console: Console, differences: Sequence[Difference]) -> None:
    """Print differences place by place, what was in red and what is in green."""
    for _, group in groupby(differences, _list_of):
        several = list(group)
        for sign, style, name in (("-", "red", "before"), ("+", "green", "after")):
            told = [one for one in several if getattr(one, name) is not UNSET]
            if len(several) > _SHOWN_IDS and told:
                ids = ", ".join(brief(getattr(one, name)) for one in told[:_SHOWN_IDS])
                more = f", … {len(told) - _SHOWN_IDS} more" if len(told) > _SHOWN_IDS else ""
                place = several[0].place.rpartition("[")[0]
                print_line(console, (safe(f"{sign} {place}: {ids}{more}", lines=False), style))
            else:
                for one in told:
                    line = f"{sign} {one.place}: {brief(getattr(one, name), 2000)}"
                    print_line(console, (safe(line, lines=False), style))


def _list_of(one: Difference) -> object:
    """Return what members of one id list have in common; other differences stand alone."""
    value = one.after if one.before is UNSET else one.before
    if one.path and isinstance(one.path[-1], int) and isinstance(value, str | int):
        return one.path[:-1]
    return one.path, id(one)


def print_preview(console: Console, preview: Preview) -> None:
    """Print who would be served something else."""
    counts = preview.counts()
    if not counts:
        print_line(console, f"nobody would be served anything else (tried {counted(preview.contexts, 'context')})")
        return
    rows = []
    for (flag, before, after), count in counts.items():
        cells = (flag, before or "(default)", after or "(default)", f"{count} of {preview.contexts}")
        rows.append([Text(cell) for cell in cells])
    print_table(console, ("flag", "from", "to", "contexts"), rows)


def print_explanation(console: Console, told: Explanation, flag: Flag | None) -> None:
    """Print a decision and the way to it."""
    decision = told.decision
    answer = "the caller's default" if decision.variant is None else f"{decision.variant} = {brief(decision.value)}"
    print_line(console, (decision.key, "bold"), " → ", (safe(answer, lines=False), "bold"))
    facts = [f"reason {decision.reason}"]
    if decision.rule is not None:
        facts.append(f"rule {decision.rule!r}")
    if decision.revision:
        facts.append(f"revision {decision.revision}")
    if decision.error is not None:
        facts.append(f"error {decision.error}: {decision.detail}")
    print_line(console, "  " + ", ".join(facts))
    if flag is not None:
        _steps(console, told.steps, flag, "  ")
    for key, steps in told.others.items():
        print_line(console, f"  flag {key!r} was asked:")
        _steps(console, steps, None, "    ")


def _steps(console: Console, steps: Iterable[Step], flag: Flag | None, indent: str) -> None:
    for step in steps:
        mark, style = ("✓", "green") if step.passed else ("✗", "red")
        words: Any = "" if flag is None else step_text(flag, step.path)
        looked = safe(f"  {words}", lines=False) if words else ""
        print_line(console, indent, (mark, style), f" {safe(step.path, lines=False)}", (looked, "dim"))


def print_document(console: Console, kind: str, document: Document, now: int, decoded: Flag | Segment | None) -> None:
    """Print a flag in words, or any other document as JSON."""
    if not isinstance(decoded, Flag):
        print_line(console, f"{kind}, revision {document.revision}")
        value = plain(document.data, "segment" if kind == "segment" else "flag")
        print_line(console, value if isinstance(value, str) else pretty(value))
        return
    state = state_of(FlagEntry(decoded.key, decoded, document.revision), now)
    print_line(console, (decoded.key, "bold"), "  ", (state, STATE_STYLES[state]), f"  revision {document.revision}")
    for name, text in _facts(decoded):
        # A text of several lines stays behind its name: no line of it can be taken for a fact of its own.
        shown = safe(text).replace("\n", f"\n{'':<16}")
        print_line(console, (f"  {safe(name, lines=False):<13} ", "dim"), shown)


def _facts(flag: Flag) -> Iterator[tuple[str, str]]:
    """Yield what there is to say about a flag, in the order in which it is evaluated."""
    yield "kind", f"{flag.kind}: " + ", ".join(f"{name} = {brief(value, 60)}" for name, value in flag.variants.items())
    for name in ("effective_at", "expires_at"):
        if (when := getattr(flag, name)) is not None:
            yield name, when.isoformat()
    yield "off", serve_text(flag.off_variant)
    for condition in flag.requires:
        yield "requires", condition_text(condition)
    for variant, ids in flag.targets.items():
        more = f", … {len(ids) - _SHOWN_IDS} more" if len(ids) > _SHOWN_IDS else ""
        yield f"list {variant}", ", ".join(map(id_text, ids[:_SHOWN_IDS])) + more
    for index, rule in enumerate(flag.rules):
        yield "rule", rule_line(flag, index).removeprefix("rule ")
        for condition in rule.when:
            yield "", f"  if {condition_text(condition)}"
    yield "otherwise", serve_text(flag.otherwise_serves)
    yield from _notes(flag)


def _notes(flag: Flag) -> Iterator[tuple[str, str]]:
    for name in ("owner", "description", "lifetime", "remove_by", "salt"):
        if (value := getattr(flag, name)) is not None:
            yield name, str(value)
    if flag.on_failure is not None:
        yield (
            "on_failure",
            flag.on_failure if isinstance(flag.on_failure, str) else f"serve {flag.on_failure.variant!r}",
        )
    if flag.tags:
        yield "tags", ", ".join(flag.tags)
    for name, value in flag.metadata.items():
        yield "metadata", f"{name} = {brief(value)}"
    for item in flag.off_checklist:
        yield "checklist", item
