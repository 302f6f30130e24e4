"""Commands for whole documents and sets of them: init, put, export, import."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path, PurePath
from typing import Annotated, Any

import typer
from anyio import Path as AsyncPath
from anyio import get_cancelled_exc_class, to_thread
from msgspec import structs
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from grayflow.admin import Admin, ImportReport, Saved
from grayflow.admin.checks import canonical, model_of
from grayflow.admin.formats import ENDINGS, Found, TextFormat, format_of, read_text
from grayflow.admin.moving.recognising import recognised
from grayflow.admin.reading import export_text
from grayflow.cli.examination import snapshot_of
from grayflow.cli.exits import Exit, exit_of
from grayflow.cli.given import AsJson, DryRun, ExtensionsName, Reason, extensions_named, read_bytes
from grayflow.cli.moving import (
    Attributes,
    Environment,
    Fractional,
    FromSystem,
    MoveIn,
    Strict,
    ToSystem,
    check_target,
    hindrance,
    moved_out,
    tell_moved,
    tell_remarks,
)
from grayflow.cli.session import Session
from grayflow.cli.shapes import import_shape, remark_shapes
from grayflow.cli.words import counted, moment, unreadable
from grayflow.cli.writing import Contexts, Manner, Trial, carry_out
from grayflow.core.flag import Segment
from grayflow.errors import ConfigurationError, InvalidFlagError, NotInitializedError
from grayflow.replica.last_good import Kept, Unusable
from grayflow.replica.last_good import read as read_last_good

__all__ = ["export", "import_", "init", "put"]

Format = Annotated[str | None, typer.Option("--format", metavar="json|jsonl|yaml", help="Else by the file's ending.")]


async def init(
    session: Session,
    *,
    replaces: Annotated[
        list[str] | None,
        typer.Option("--replaces", metavar="EPOCH", help="The store takes the place of this epoch; may be repeated."),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="As --replaces, for any epoch.")] = False,
    as_json: AsJson = False,
) -> None:
    """
    Make a namespace usable, once and on purpose; one that is usable stays as it is.

    After a store was emptied, restored or rewound, clients refuse it and keep their last good flags. --replaces EPOCH
    (clients and `doctor` name the epoch), or --replace for any, is your word that what the store holds now is the
    truth; nothing in it is deleted.
    """
    named = [*(replaces or ()), *(["*"] if replace else ())]
    async with session.store() as store:
        before = None
        with suppress(NotInitializedError):
            before = await store.position()
        position = await store.init(replaces=named or None)
        place, namespace = store.place, store.namespace
    if as_json:
        session.json({"namespace": namespace, "place": place, "changed": position != before, "token": position.token()})
        return
    done = "was ready before" if position == before else "is ready"
    session.say(f"namespace {namespace!r} at {place} {done}: epoch {position.epoch}, revision {position.revision}")


async def put(  # noqa: PLR0913 - each is an option of the command
    session: Session,
    file: Annotated[str, typer.Argument(metavar="FILE", help="One document as JSON or YAML; - for standard input.")],
    *,
    expected: Annotated[
        int | None,
        typer.Option("--expected", metavar="REVISION", help="Only if this is still its revision; 0: only create."),
    ] = None,
    reason: Reason = "",
    segment: Annotated[bool, typer.Option("--segment", help="The document is a segment.")] = False,
    dry_run: DryRun = False,
    preview: Contexts = None,
    format_: Format = None,
    extensions: ExtensionsName = None,
    as_json: AsJson = False,
) -> None:
    """Create a flag (or segment), or replace its whole document."""
    found = _only_document(file, _format(format_, file), segment=segment)
    foreign = extensions_named(extensions)
    document, data = canonical(model_of(found.kind), found.data, found.key)

    async def trial(admin: Admin) -> Trial:
        held, _ = await admin.store.get(found.kind, found.key)
        return None if held is None else held.data, document

    async def write(admin: Admin) -> Saved[Any]:
        is_segment = isinstance(document, Segment)
        if expected is None:
            save: Any = partial(admin.put_segment if is_segment else admin.put, data)
        elif expected == 0:
            save = partial(admin.create_segment if is_segment else admin.create, data)
        else:
            save = partial(admin.edit_segment if is_segment else admin.edit, data, expected=expected)
        saved: Saved[Any] = await save(reason=reason)
        return saved

    await carry_out(
        session,
        Manner(dry_run, preview, as_json, foreign),
        trial=trial,
        write=write,
        done=lambda saved: "is saved" if saved.before is not None else "is created",
    )


async def export(
    session: Session,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Where to; - for standard output.")] = "-",
    *,
    last_good: Annotated[
        str | None,
        typer.Option("--last-good", metavar="FILE", help="Of a file that a process keeps instead of a store."),
    ] = None,
    format_: Format = None,
    to: ToSystem = None,
    strict: Strict = False,
) -> Exit:
    """
    Write all flags and segments as text that `import` reads; equal sets give equal text.

    With --last-good, those that a process with Client(last_good=FILE) keeps on its disk: they are what is left when
    a store was lost. With --to flagd, as flag definitions of flagd; what these cannot say is told.
    """
    check_target(to, format_)
    as_format = "json" if to is not None else _format(format_, file) or _default_format(file)
    if last_good is None:
        with session.working("reading the store"):
            async with session.reading() as admin:
                state = await admin.state()
    else:
        kept = await to_thread.run_sync(_kept, last_good)
        state, where = kept.state, f"namespace {kept.namespace!r}, revision {kept.state.position.revision}"
        session.note(f"{last_good!r} holds {where}, last known to be the store's at {moment(kept.saved_at)}")
    if to is None:
        with session.working(f"writing {counted(len(state.flags), 'flag')}"):
            text = await to_thread.run_sync(export_text, state, as_format)
    else:
        moved = moved_out(state)
        tell_remarks(session, moved.remarks)
        if strict and not moved.faithful:
            session.note("nothing was written, as not all of it can be carried over (--strict)", "error")
            return Exit.NO
        text = moved.text()
    if file == "-":
        typer.echo(text, nl=False)
    else:
        try:
            await AsyncPath(file).write_text(text, encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(f"cannot write {file!r}: {error.strerror or error}") from error
    session.warn(unreadable(snapshot_of(state)))
    return Exit.OK


def _kept(name: str) -> Kept:
    try:
        return read_last_good(Path(name), None)
    except Unusable as why:
        raise ConfigurationError(f"{name!r} cannot be used: {why}") from why


async def import_(  # noqa: PLR0913 - each is an option of the command
    session: Session,
    file: Annotated[str, typer.Argument(metavar="FILE", help="JSON, JSON Lines or YAML; - for standard input.")],
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Delete what the file does not hold. One bad document stops everything.")
    ] = False,
    reason: Reason = "",
    dry_run: DryRun = False,
    format_: Format = None,
    extensions: ExtensionsName = None,
    from_: FromSystem = None,
    environment: Environment = None,
    attribute: Attributes = None,
    fractional: Fractional = 3,
    strict: Strict = False,
    as_json: AsJson = False,
) -> Exit:
    """
    Create and update many flags and segments.

    All documents are checked before the first is written; bad ones are listed and left out, equal ones passed over.
    If the store fails in the middle, run it again: what was written is passed over.

    With --from, another system's flags keep every user's bucket. What cannot be carried over as it was is told, each
    with what was done instead; --dry-run tells it and writes nothing.
    """
    given, as_format, foreign = read_bytes(file), _format(format_, file), extensions_named(extensions)
    text: bytes | str = given
    move = MoveIn.asked(from_, environment, attribute, fractional)
    moved = None if move is None else move.translated(given, as_format)
    if move is not None and moved is not None:
        text, as_format, foreign = moved.text(), "json", move.extensions(foreign)
        if not as_json:
            tell_moved(session, moved, move.system)  # first: the report needs no store
    held_back = "" if moved is None else hindrance(moved, strict=strict, replace=replace)
    trial = dry_run or bool(held_back)
    async with (session.reading if trial else session.writing)(extensions=foreign) as admin:
        with _progress(session, told=not trial) as told:
            report = await admin.import_(
                text, format=as_format, replace=replace, dry_run=trial, reason=reason, progress=told
            )
    if as_json:
        session.json(import_shape(report) | ({} if moved is None else {"remarks": remark_shapes(moved.remarks)}))
    else:
        _tell_import(session, report)
    if moved is None and report.problems and (system := recognised(given, as_format)) is not None:
        session.note(f"it looks like another system's export; import it with --from {system}")
    if held_back:
        session.note(held_back, "error")
    if report.stopped is not None:
        return exit_of(report.stopped)
    return Exit.OK if report.ok and not held_back and (moved is None or moved.complete) else Exit.NO


def _tell_import(session: Session, report: ImportReport) -> None:
    for misfit in report.problems:
        session.note(str(misfit), "error")
    session.warn(report.warnings)
    if report.stopped is not None:
        session.note(f"{report.stopped}. The import stopped; run it again to go on", "error")
    names = ("created", "updated", "deleted", "unchanged", "remaining")
    counts = [f"{len(getattr(report, name))} {name}" for name in names if getattr(report, name)]
    if report.problems:
        counts.append(f"{len({misfit.place for misfit in report.problems})} bad")
    session.say(("would be: " if report.dry_run else "") + (", ".join(counts) or "nothing to do"))


@contextmanager
def _progress(session: Session, *, told: bool) -> Iterator[Callable[[int, int], None]]:
    """Show how far it is, on a terminal; after Ctrl-C say how far it came, if that is to be told."""
    reached: tuple[int, int] | None = None
    columns = (TextColumn("importing"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=session.err, transient=True, disable=not session.err.is_terminal) as shown:
        task = shown.add_task("importing", total=None)

        def step(done: int, total: int) -> None:
            nonlocal reached
            reached = done, total
            shown.update(task, completed=done, total=total)

        try:
            yield step
        except get_cancelled_exc_class():
            shown.stop()
            if told:
                session.note(_interrupted(reached), "error")
            raise


def _interrupted(reached: tuple[int, int] | None) -> str:
    if reached is None:
        return "interrupted: nothing was written, or the first document at most. Run it again to import all"
    done, total = reached
    return (
        f"interrupted: {done} of {counted(total, 'change')} are written, and perhaps one more. Run it again to go on; "
        "what is written is passed over"
    )


def _format(given: str | None, file: str) -> TextFormat | None:
    if given is None:
        return format_of(file)
    known: dict[str, TextFormat] = {"json": "json", "jsonl": "jsonl", "yaml": "yaml"}
    if given not in known:
        raise ConfigurationError(f"there is no format {given!r}; json, jsonl and yaml are known")
    return known[given]


def _default_format(file: str) -> TextFormat:
    """Return what is written where nothing is said; an ending that says something else is not passed over."""
    ending = PurePath(file).suffix
    if ending and file != "-":
        known = ", ".join(ENDINGS)
        raise ConfigurationError(
            f"{file!r} was not written: {ending!r} names no format. Let it end in {known}, or say --format json, jsonl "
            "or yaml"
        )
    return "json"


def _only_document(file: str, format_: TextFormat | None, *, segment: bool) -> Found:
    parsed = read_text(read_bytes(file), format_)
    if parsed.problems:
        raise InvalidFlagError(tuple(misfit.problem for misfit in parsed.problems))
    if len(parsed.documents) != 1:
        raise ConfigurationError(f"{file!r} holds {len(parsed.documents)} documents; `grayflow import` takes many")
    (found,) = parsed.documents
    return structs.replace(found, kind="segment") if segment else found
