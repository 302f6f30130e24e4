"""Commands that judge: lint for a flag set, doctor for a store."""

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from grayflow.admin.formats import format_of, read_text
from grayflow.cli.examination import Check, examine
from grayflow.cli.exits import Exit
from grayflow.cli.given import AsJson, ExtensionsName, context_type_named, extensions_named, read_bytes
from grayflow.cli.render import print_line
from grayflow.cli.session import Session
from grayflow.cli.words import counted, safe, unreadable
from grayflow.clock import SystemClock
from grayflow.core.codec import decode_flag, decode_segment
from grayflow.core.findings import Finding
from grayflow.core.flag import Flag, Segment
from grayflow.core.lint import lint as findings_of
from grayflow.errors import InvalidFlagError, Problem
from grayflow.release.migration.rules import Stage

__all__ = ["doctor", "lint"]

ContextName = Annotated[
    str | None,
    typer.Option(
        "--context", metavar="MODULE:CLASS", help="Your service's Context; near-misses of its fields are told."
    ),
]

_STAGES = {stage.value for stage in Stage}
"""What the flag of a migration serves, one after the other: by its variants it is known among others."""
_STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}


async def lint(
    session: Session,
    file: Annotated[str | None, typer.Argument(metavar="FILE", help="A flag set in a file; else the store's.")] = None,
    *,
    context: ContextName = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 on warnings, too.")] = False,
    extensions: ExtensionsName = None,
    as_json: AsJson = False,
) -> Exit:
    """
    Look for what is valid and hardly meant: unreachable rules, missing references, misspelt attributes.

    Exits with 1 if there are errors. Archived flags are not looked at.
    """
    context_type, foreign = context_type_named(context), extensions_named(extensions)
    flags, segments, broken = _in_file(file) if file is not None else await _in_store(session)
    with session.working(f"looking at {counted(len(flags) + len(segments), 'document')}"):
        found = findings_of(
            flags,
            segments,
            context_type=context_type,
            extensions=foreign,
            now=SystemClock().now(),
            staged={flag.key for flag in flags if set(flag.variants) == _STAGES},
        )
    found = (*map(_finding, broken), *found)
    if as_json:
        session.json(found)
    else:
        _tell_findings(session, found, len(flags) + len(segments) + len({problem.key for problem in broken}))
    fatal = {"error", "warning"} if strict else {"error"}
    return Exit.NO if any(finding.severity in fatal for finding in found) else Exit.OK


Documents = tuple[list[Flag], list[Segment], list[Problem]]


def _in_file(name: str) -> Documents:
    parsed = read_text(read_bytes(name), format_of(name))
    flags: list[Flag] = []
    segments: list[Segment] = []
    problems = [misfit.problem for misfit in parsed.problems]
    for one in parsed.documents:
        try:
            if one.kind == "flag":
                flags.append(decode_flag(one.data, one.key))
            else:
                segments.append(decode_segment(one.data, one.key))
        except InvalidFlagError as error:
            problems += error.problems
    return flags, segments, problems


async def _in_store(session: Session) -> Documents:
    with session.working("reading the store"):
        async with session.reading() as admin:
            snapshot = await admin.snapshot()
    return (
        [entry.flag for _, entry in sorted(snapshot.flags.items()) if entry.flag is not None],
        [entry.segment for _, entry in sorted(snapshot.segments.items()) if entry.segment is not None],
        list(unreadable(snapshot)),
    )


def _finding(problem: Problem) -> Finding:
    return Finding(
        severity="error",
        code="unreadable",
        key=problem.key,
        kind="segment" if problem.kind == "segment" else "flag",
        path=problem.path,
        message=problem.message,
    )


def _tell_findings(session: Session, found: tuple[Finding, ...], documents: int) -> None:
    for finding in found:
        text = str(finding).removeprefix(f"{finding.severity}: ")
        print_line(session.out, (f"{finding.severity}: ", _STYLES[finding.severity]), text)
    errors = sum(finding.severity == "error" for finding in found)
    counts = f"{counted(errors, 'error')}, {counted(len(found) - errors, 'warning')}"
    session.note(f"{counted(documents, 'document')}: {counts}")


async def doctor(session: Session, *, extensions: ExtensionsName = None, as_json: AsJson = False) -> Exit:
    """
    Examine a store: reachable, initialised, sound, pushed, writable by this user, clocks together, well set up.

    Each finding comes with its remedy. Exits with 3 if the store cannot be used, with 1 if something else is wrong;
    warnings do not count. What this user may not ask the server is unknown: ask again as its administrator.
    """
    foreign = extensions_named(extensions)
    with session.working("examining the store") as told:
        checks = await examine(
            session.store(), foreign, told=lambda name: told(f"examining the store: {name} is known")
        )
    if as_json:
        session.json([{"check": one.name, **one.shape()} for one in checks])
    else:
        _tell_checks(session, checks)
    worst = [one.exit for one in checks if one.status == "error"]
    return max(worst, default=Exit.OK)


def _tell_checks(session: Session, checks: tuple[Check, ...]) -> None:
    if not session.out.is_terminal:
        for one in checks:
            print_line(session.out, f"{one.status:<8}{one.name:<13}{one.found}")
            if one.remedy:
                print_line(session.out, f"{'':<21}→ {one.remedy}")
        return
    table = Table.grid(padding=(0, 1, 0, 0))
    for _ in range(3):
        table.add_column(overflow="fold")
    for one in checks:
        table.add_row(Text(one.status, _STYLES[one.status]), Text(one.name, "bold"), Text(safe(one.found)))
        if one.remedy:
            table.add_row("", "", Text(f"→ {safe(one.remedy)}", "cyan"))
    session.out.print(table)
