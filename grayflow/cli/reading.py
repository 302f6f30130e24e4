"""Commands that show what is and what was: list, show, history, diff, explain, stale."""

from fnmatch import fnmatchcase
from typing import Annotated

import typer
from rich.text import Text

from grayflow.admin.checks import kind_word
from grayflow.admin.writer import held_of
from grayflow.cli.completing import complete_key
from grayflow.cli.exits import Exit
from grayflow.cli.given import AsJson, ExtensionsName, FlagKey, IsSegment, extensions_named, instant, one_context
from grayflow.cli.render import STATE_STYLES, print_changes, print_diff, print_document, print_explanation, print_table
from grayflow.cli.session import Session
from grayflow.cli.shapes import (
    change_shape,
    difference_shape,
    explanation_shape,
    flag_shape,
    segment_shape,
    show_shape,
    stale_shape,
)
from grayflow.cli.words import counted, serves, state_of
from grayflow.clock import SystemClock
from grayflow.core.entry import FlagEntry, SegmentEntry
from grayflow.core.flag import Flag, Segment
from grayflow.errors import UnknownFlagError

__all__ = ["diff", "explain", "history", "list_", "show", "stale"]

AtRevision = Annotated[int | None, typer.Option("--at", metavar="REVISION", help="As of an earlier revision.")]


async def list_(
    session: Session,
    pattern: Annotated[
        str, typer.Argument(metavar="PATTERN", help="Only keys like this: 'pay*'.", autocompletion=complete_key)
    ] = "*",
    *,
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="With this tag; repeatable.")] = None,
    enabled: Annotated[
        bool | None, typer.Option("--enabled/--disabled", help="Only those.", show_default=False)
    ] = None,
    archived: Annotated[bool, typer.Option("--archived", help="Archived ones too.")] = False,
    segments: Annotated[bool, typer.Option("--segments", help="Segments instead of flags.")] = False,
    as_json: AsJson = False,
) -> None:
    """List flags, or segments."""
    now = SystemClock().now()
    async with session.reading() as admin:
        snapshot = await admin.snapshot()
    wanted = set(tag or ())
    if segments:
        found = [one for key, one in sorted(snapshot.segments.items()) if fnmatchcase(key, pattern)]
        _list_segments(session, [one for one in found if wanted <= _tags(one)], as_json=as_json)
        return
    flags = [
        one
        for key, one in sorted(snapshot.flags.items())
        if fnmatchcase(key, pattern) and wanted <= _tags(one) and _asked_for(one, enabled=enabled, archived=archived)
    ]
    if as_json:
        session.json([flag_shape(one, now) for one in flags])
        return
    rows = []
    for one in flags:
        state, flag = state_of(one, now), one.flag
        owner, tags = (flag.owner or "", ", ".join(flag.tags)) if flag is not None else ("", "")
        cells = Text(one.key), Text(state, STATE_STYLES[state]), Text(serves(flag)), Text(str(one.revision))
        rows.append((*cells, Text(owner), Text(tags)))
    if rows:
        print_table(session.out, ("key", "state", "serves", "rev", "owner", "tags"), rows)
    else:
        session.note(f"no such flags in namespace {session.namespace!r}")


def _tags(entry: FlagEntry | SegmentEntry) -> set[str]:
    document = entry.flag if isinstance(entry, FlagEntry) else entry.segment
    return set() if document is None else set(document.tags)


def _asked_for(entry: FlagEntry, *, enabled: bool | None, archived: bool) -> bool:
    flag = entry.flag
    if flag is None:
        return enabled is None
    return (archived or not flag.archived) and enabled in {None, flag.enabled}


def _list_segments(session: Session, found: list[SegmentEntry], *, as_json: bool) -> None:
    if as_json:
        session.json([segment_shape(one) for one in found])
        return
    rows = []
    for one in found:
        segment = one.segment
        if segment is None:
            broken = Text(one.key), Text("broken", STATE_STYLES["broken"]), Text(str(one.revision)), Text(), Text()
            rows.append(broken)
            continue
        conditions = "" if segment.when is None else f"{counted(len(segment.when), 'condition')}, "
        members = f"{conditions}{len(segment.include)} included, {len(segment.exclude)} excluded"
        owner, tags = segment.owner or "", ", ".join(segment.tags)
        rows.append((Text(one.key), Text(members), Text(str(one.revision)), Text(owner), Text(tags)))
    if rows:
        print_table(session.out, ("key", "members", "rev", "owner", "tags"), rows)
    else:
        session.note(f"no such segments in namespace {session.namespace!r}")


async def show(
    session: Session, key: FlagKey, *, at: AtRevision = None, segment: IsSegment = False, as_json: AsJson = False
) -> None:
    """Show the document of a flag or segment, and what is wrong with it."""
    model = Segment if segment else Flag
    kind = kind_word(model)
    async with session.reading() as admin:
        if at is None:
            document, generations = await admin.store.get(kind, key)
            if document is None:
                await (admin.get_segment if segment else admin.get)(key)
        else:
            document, generations = await admin.document_at(key, at, kind=kind), {}
    if document is None:
        raise UnknownFlagError(key, kind=kind)
    held = held_of(model, key, document, generations)
    if as_json:
        session.json(show_shape(kind, key, document.revision, document.data, held.problems, generations))
        return
    print_document(session.out, kind, document, SystemClock().now(), held.decoded)
    for problem in held.problems:
        session.note(str(problem), "error")


async def history(
    session: Session,
    key: Annotated[
        str | None, typer.Argument(metavar="KEY", help="Of one flag; else of all.", autocompletion=complete_key)
    ] = None,
    *,
    limit: Annotated[int, typer.Option("--limit", "-l", metavar="N", min=1, help="How many.")] = 20,
    before: Annotated[int | None, typer.Option("--before", metavar="REVISION", help="Older than this.")] = None,
    segment: IsSegment = False,
    as_json: AsJson = False,
) -> None:
    """Show who changed what, when and why, newest first."""
    kind = kind_word(Segment if segment else Flag)
    async with session.reading() as admin:
        changes = await admin.history(key, kind=kind, before=before, limit=limit)
        if not changes and key is not None:
            await admin.document_at(key, 0, kind=kind)  # an unknown key is told with names like it
    if as_json:
        session.json([change_shape(change) for change in changes])
    elif changes:
        print_changes(session.out, changes, keys=key is None)
    else:
        session.note("nothing has changed yet" if before is None else f"nothing is kept from before revision {before}")


async def diff(
    session: Session,
    key: FlagKey,
    from_: Annotated[
        int | None, typer.Argument(metavar="FROM", help="Older revision; else before the last change.")
    ] = None,
    to: Annotated[int | None, typer.Argument(metavar="TO", help="Newer revision; else now.")] = None,
    *,
    segment: IsSegment = False,
    as_json: AsJson = False,
) -> None:
    """Show what differs between two revisions of a flag, place by place."""
    async with session.reading() as admin:
        differences = await admin.diff(key, from_, to, kind="segment" if segment else "flag")
    if as_json:
        session.json([difference_shape(one) for one in differences])
    elif differences:
        print_diff(session.out, differences)
    else:
        session.note("no difference")


async def explain(
    session: Session,
    key: FlagKey,
    *,
    context: Annotated[
        str | None, typer.Option("--context", "-c", metavar="JSON", help="For whom: a JSON object, or @FILE.")
    ] = None,
    at: AtRevision = None,
    now: Annotated[str | None, typer.Option("--now", metavar="INSTANT", help="When, if not now.")] = None,
    extensions: ExtensionsName = None,
    as_json: AsJson = False,
) -> Exit:
    """
    Show how a flag is decided for a context: the answer, and every look on the way to it.

    With --at, by the flags and segments of that revision. Exits with 1 if the decision is an error.
    """
    subject, when = one_context(context), instant(now)
    async with session.reading(extensions=extensions_named(extensions)) as admin:
        told = await admin.explain(key, subject, at=at, now=when)
        held = (await admin.snapshot(at)).flag(key)
    flag = None if held is None else held[0]
    if as_json:
        session.json(explanation_shape(told, flag))
    else:
        print_explanation(session.out, told, flag)
    return Exit.OK if told.decision.error is None else Exit.NO


async def stale(
    session: Session,
    *,
    days: Annotated[int, typer.Option("--days", metavar="N", min=0, help="Settled: unchanged for so long.")] = 30,
    as_json: AsJson = False,
) -> Exit:
    """
    List flags that have outlived their purpose; exits with 1 if there are any.

    Those are: expired; past `remove_by`; serving one variant to everybody for a long time.
    """
    async with session.reading() as admin:
        found = await admin.stale(settled_days=days)
    if as_json:
        session.json([stale_shape(one) for one in found])
    elif found:
        facts = ((one.key, one.why, one.since.isoformat()[:10], one.detail, one.owner or "") for one in found)
        rows = [[Text(fact) for fact in row] for row in facts]
        print_table(session.out, ("key", "why", "since", "detail", "owner"), rows)
    else:
        session.note("no stale flags")
    return Exit.NO if found else Exit.OK
