"""`grayflow atoms`: runs of steps that are all done or all undone, and what is to become of those that are neither."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.text import Text

from grayflow.cli.command import command, unless_more
from grayflow.cli.exits import EXITS, Exit
from grayflow.cli.given import AsJson, Reason
from grayflow.cli.help import Command, Group
from grayflow.cli.render import print_table
from grayflow.cli.session import Session
from grayflow.cli.words import counted, safe, span
from grayflow.errors import ConfigurationError, NotInitializedError
from grayflow.release.atom.desk import AtomRun, Desk, checked_actor
from grayflow.release.atom.files import FileJournal
from grayflow.release.atom.journal import BoardJournal

__all__ = ["atoms", "atoms_group", "cancel", "resume", "skip"]

_STYLES = {
    "running": "cyan",
    "waiting": "yellow",
    "succeeded": "green",
    "rolled_back": "yellow",
    "rollback_failed": "bold red",
    "in_doubt": "bold red",
}

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]
StepName = Annotated[str, typer.Argument(metavar="STEP", help="The step.")]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--journal",
        metavar="FOLDER",
        help="A FileJournal's, instead of the store.",
        exists=True,  # a journal would make it, and a slip would look like a place where nothing ever ran
        file_okay=False,
    ),
]


async def atoms(
    session: Session,
    *,
    parked: Annotated[bool, typer.Option("--parked", "-p", help="Only what waits for you to decide.")] = False,
    journal: Folder = None,
    as_json: AsJson = False,
) -> Exit:
    """
    List the runs of atoms: which go on, how the others ended, and which wait for you to decide.

    A run whose undo was given up, or that other code began, is parked: `resume` when the cause is removed, or `skip` a
    step that need not be undone.
    """
    async with _desk(session, journal, writing=False) as desk:
        runs, unreadable = await desk.look()
        if not runs and journal is None:
            await _warn_of_slip(session)
    found = [one for one in runs if one.run.parked or not parked]
    for run_id in unreadable:
        session.note(f"run {run_id!r} cannot be read; install the release that wrote it", "warning")
    if as_json:
        session.json([_shape(one) for one in found])
    elif found:
        print_table(session.out, ("state", "run", "atom", "since", "left to undo", "what"), map(_row, found))
        waiting = sum(one.run.parked for one in found)
        session.say(f"{counted(waiting, 'run')} to decide about" if waiting else "nothing waits for a decision")
    else:
        session.say("nothing waits for a decision" if parked else "no run is recorded")
    return Exit.NO if unreadable else Exit.OK


async def resume(session: Session, run: RunId, *, journal: Folder = None, as_json: AsJson = False) -> None:
    """Go on with the undo of a parked run; a process that has the atom takes it up in seconds."""
    async with _desk(session, journal, writing=True) as desk:
        await desk.resume_undo(run)
        changed = await desk.run(run)
    _tell(session, changed, "will be undone further, by a process that has its atom", as_json=as_json)


async def skip(
    session: Session,
    run: RunId,
    step: StepName,
    *,
    reason: Reason = "",
    journal: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Say that a step of a parked run need not be undone. Needs --reason, which is kept beside your name."""
    if not reason.strip():
        raise ConfigurationError("say why the step need not be undone: --reason '...'")
    async with _desk(session, journal, writing=True) as desk:
        await desk.skip(run, step, reason=reason)
        changed = await desk.run(run)
    left = ", ".join(changed.run.remaining)
    what = f"step {step} is skipped; left to undo: {left}" if left else f"step {step} is skipped, and that was all"
    _tell(session, changed, what, as_json=as_json)


async def cancel(
    session: Session, run: RunId, *, reason: Reason = "", journal: Folder = None, as_json: AsJson = False
) -> None:
    """Cancel a run that has not ended: whichever process is at work on it undoes it, unless its atom says otherwise."""
    async with _desk(session, journal, writing=True) as desk:
        await desk.cancel(run, reason=reason)
        changed = await desk.run(run)
    _tell(
        session,
        changed,
        "is cancelled; the process that is at work on it, or takes it up, will hear of it",
        as_json=as_json,
    )


def atoms_group() -> typer.Typer:
    """Return `atoms` with its commands; alone it lists."""
    group = typer.Typer(cls=Group, add_completion=False, rich_markup_mode="rich")
    group.callback(invoke_without_command=True, cls=Group, epilog=EXITS)(unless_more(command(atoms)))
    for name, function in (("list", atoms), ("resume", resume), ("skip", skip), ("cancel", cancel)):
        group.command(name, cls=Command, epilog=EXITS)(command(function))
    return group


@asynccontextmanager
async def _desk(session: Session, folder: Path | None, *, writing: bool) -> AsyncIterator[Desk]:
    if folder is None:
        async with session.writing() if writing else session.reading() as admin, BoardJournal(admin.store) as board:
            yield Desk(board, actor=admin.actor)
        return
    async with FileJournal(folder) as files:
        yield Desk(files, actor=checked_actor(os.environ.get("GRAYFLOW_ACTOR", "").strip() or None))


async def _warn_of_slip(session: Session) -> None:
    """Say where runs are looked for, if no flags are there: atoms need none, but a slip would look like no runs."""
    async with session.reading() as admin:
        try:
            await admin.store.position()
        except NotInitializedError as error:
            session.note(str(error), "warning")


def _tell(session: Session, one: AtomRun, what: str, *, as_json: bool) -> None:
    if as_json:
        session.json(_shape(one))
    else:
        session.say(safe(f"run {one.run.run_id} of atom {one.run.atom}: {what}", lines=False))


def _state(one: AtomRun) -> str:
    return one.run.outcome or ("running" if one.held else "waiting")


def _row(one: AtomRun) -> tuple[Text, ...]:
    run, state = one.run, _state(one)
    return (
        Text(state, style=_STYLES[state]),
        Text(run.run_id),
        Text(f"{run.atom} v{run.version}"),
        Text(span(one.now - (run.finished or run.created))),
        Text(", ".join(run.remaining) if run.parked else ""),
        Text(_what(one)),
    )


def _what(one: AtomRun) -> str:
    """Return the one thing that matters about a run as it is."""
    run = one.run
    if run.outcome is None and not one.held:
        return f"no process that has atom {run.atom} has taken it up"
    if run.outcome is None and one.lease is not None:
        way = "undone" if run.direction == "back" else "done"
        return f"is being {way} by {one.lease.owner.rpartition(':')[0]}"
    undo_error = next((step.undo_error for step in reversed(run.steps) if step.state == "undo_failed"), None)
    return str(undo_error or run.error or "")


def _shape(one: AtomRun) -> dict[str, Any]:
    owner = one.lease.owner if one.lease is not None and one.held else None
    remaining = list(one.run.remaining) if one.run.parked else []
    return {**msgspec.to_builtins(one.run), "state": _state(one), "owner": owner, "remaining": remaining}
