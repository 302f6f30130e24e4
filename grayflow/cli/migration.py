"""`grayflow migration`: how far data has moved, the next stage and the one before, backfill and reconciliation."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from difflib import get_close_matches
from inspect import isawaitable
from typing import Annotated, Any, Literal

import msgspec
import typer
from anyio import get_cancelled_exc_class
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from grayflow.admin import Admin, Saved
from grayflow.cli.command import command, unless_more
from grayflow.cli.exits import EXITS, Exit
from grayflow.cli.fleet import Wait, WaitTimeout, wait_until_seen
from grayflow.cli.given import AsJson, Reason, imported
from grayflow.cli.help import Command, Group
from grayflow.cli.render import print_line, print_table
from grayflow.cli.session import Session
from grayflow.cli.words import counted, moment, span
from grayflow.cli.writing import tell
from grayflow.client.client import Client
from grayflow.core.flag import Flag
from grayflow.errors import ConfigurationError
from grayflow.release.migration.desk import MigrationDesk
from grayflow.release.migration.errors import StageRefusedError
from grayflow.release.migration.migration import Migration
from grayflow.release.migration.rules import Stage
from grayflow.release.migration.status import MigrationStatus

__all__ = ["advance", "backfill", "migration_group", "migrations", "reconcile", "retreat", "status"]

_STYLES = {Stage.OFF: "dim", Stage.COMPLETE: "green"}
_WAIT_S = 30.0
_ALIKE = 0.85
"""How alike names are that look like one with a slip; `orders.items` and `orders.store` are not."""

Name = Annotated[str, typer.Argument(metavar="NAME", help="The migration: the key of its flag.")]
SomeName = Annotated[str | None, typer.Argument(metavar="NAME", help="The migration; all, if left out.")]
Object = Annotated[
    str,
    typer.Argument(metavar="MODULE:NAME", help="Your Migration, or a function that returns it or opens it as a block."),
]
To = Annotated[str | None, typer.Option("--to", metavar="STAGE", help="The stage that you mean, to be sure.")]
Force = Annotated[bool, typer.Option("--force", help="Although something is not proved; needs --reason.")]
Batch = Annotated[int, typer.Option("--batch", metavar="ROWS", help="Rows at once.", min=1)]
Rate = Annotated[float, typer.Option("--rate", metavar="ROWS", help="Rows a second, on average.", min=0.001)]
LookOnly = Annotated[bool, typer.Option("--look", help="Only count what differs, and change nothing.")]


async def migrations(session: Session, *, as_json: AsJson = False) -> None:
    """Move data behind a running service: how far it is, the next stage, the one before. Alone it lists all."""
    await status(session, as_json=as_json)


async def status(session: Session, name: SomeName = None, *, as_json: AsJson = False) -> None:
    """Show the stage of a migration, what is proved, and what is missing for the next; or list all."""
    async with session.reading() as admin:
        names = [name] if name is not None else await _names(admin)
        found = [await MigrationDesk(admin, one).status() for one in names]
        near = None if name is None else await _near(admin, name)
    if as_json:
        shapes = [msgspec.to_builtins(one) for one in found]
        session.json(shapes if name is None else shapes[0])
    elif name is not None:
        _show(session, found[0])
        if near is not None:
            session.note(f"there is no migration {name!r} yet; did you mean {near!r}?", "warning")
    elif not found:
        session.say("there is no migration; the first advance of one begins it: grayflow migration advance NAME")
    else:
        columns = ("migration", "stage", "since", "to repair", "next", "missing for it")
        print_table(session.out, columns, [_row(one) for one in found])


def _moving(verb: Literal["advance", "retreat"], help_text: str) -> Callable[..., Coroutine[Any, Any, Exit | None]]:
    """Return the command that moves the stage so; both take the same options."""

    async def move(
        session: Session,
        name: Name,
        *,
        to: To = None,
        force: Force = False,
        reason: Reason = "",
        wait: Wait = False,
        wait_timeout: WaitTimeout = _WAIT_S,
        as_json: AsJson = False,
    ) -> Exit | None:
        if force and not reason.strip():
            raise ConfigurationError("--force needs a reason, for the audit: --reason '...'")
        async with session.writing() as admin:
            if verb == "advance" and to is None:
                await _check_slip(admin, name)
            desk = MigrationDesk(admin, name)
            saved = await (desk.advance if verb == "advance" else desk.retreat)(to, reason=reason, force=force)
            return await _told(session, admin, saved, wait_s=wait_timeout if wait else None, as_json=as_json)

    move.__name__, move.__doc__ = verb, help_text
    return move


advance = _moving(
    "advance", "Go on to the next stage, if all is proved that it needs; the first time this begins the migration."
)
retreat = _moving("retreat", "Go back to the stage before. Nothing leads back from `complete`.")


async def backfill(
    session: Session,
    migration: Object,
    *,
    batch: Batch = 500,
    rate: Rate = 2000.0,
    wait_timeout: WaitTimeout = _WAIT_S,
    as_json: AsJson = False,
) -> None:
    """
    Copy the old store's rows to the new one, from where that was left.

    It begins when every process writes to both, and waits for that. Ctrl-C stops it; run it again to go on.
    """
    async with _running(session, migration) as running:
        await running.wait_converged(wait_timeout)
        with _progress(session, "copied", "run it again to go on") as told:
            done = await running.backfill(batch=batch, rate=rate, progress=told)
    if as_json:
        session.json(msgspec.to_builtins(done))
    else:
        session.say(f"{counted(done.copied, 'row')} copied; next: grayflow migration advance {running.name}")


async def reconcile(
    session: Session,
    migration: Object,
    *,
    batch: Batch = 500,
    rate: Rate = 1e6,
    look: LookOnly = False,
    as_json: AsJson = False,
) -> Exit:
    """Compare the two stores row by row and bring together what differs. Exit code 1 if something did."""
    async with _running(session, migration) as running:
        with _progress(session, "compared", "nothing is lost; run it again from the beginning") as told:
            found = await running.reconcile(batch=batch, rate=rate, repair=not look, progress=told)
    if as_json:
        session.json({**msgspec.to_builtins(found), "clean": found.clean})
    else:
        repaired = "" if look or found.clean else f", {found.repaired} repaired"
        alone = f", {found.only_new} in the new store alone" if found.only_new else ""
        session.say(f"{counted(found.rows, 'row')} compared: {found.differing} differed{repaired}{alone}")
        for key in found.conflicts:
            session.note(f"row {key!r}: both copies have one version and hold different things", "warning")
    return Exit.OK if found.clean else Exit.NO


def migration_group() -> typer.Typer:
    """Return `migration` with its commands; alone it lists."""
    group = typer.Typer(cls=Group, add_completion=False, rich_markup_mode="rich")
    group.callback(invoke_without_command=True, cls=Group, epilog=EXITS)(unless_more(command(migrations)))
    group.command("status", cls=Command, epilog=EXITS)(command(status))
    for name, function in (("advance", advance), ("retreat", retreat)):
        group.command(name, cls=Command, epilog=EXITS)(command(function))
    group.command("backfill", cls=Command, epilog=EXITS)(command(backfill))
    group.command("reconcile", cls=Command, epilog=EXITS)(command(reconcile))
    return group


@asynccontextmanager
async def _running(session: Session, name: str) -> AsyncIterator[Migration[Any]]:
    """Import the service's migration, open it, and run it with a client of its own."""
    found: Any = imported(name, "shop.orders:migration")
    async with (
        session.writing() as admin,
        Client(admin.store, name="grayflow-cli", require_ready=True) as flags,
        AsyncExitStack() as held,
    ):
        try:
            opened = await _opened(found, held)
        except Exception as error:  # the service's own code; whatever it raises, nothing was begun
            text = f"{name!r} cannot be opened, so nothing was done: {type(error).__name__}: {error}"
            raise ConfigurationError(text) from error
        if not isinstance(opened, Migration):
            raise ConfigurationError(f"{name!r} is no Migration, and no function that returns or opens one")
        async with opened.running(flags, admin):
            yield opened


async def _opened(found: Any, held: AsyncExitStack) -> object:
    """Return what a service's object is, returns or opens; what it opens is closed with the stack."""
    made = found() if callable(found) and not isinstance(found, Migration) else found
    if isawaitable(made):
        made = await made
    return await held.enter_async_context(made) if hasattr(made, "__aenter__") else made


@contextmanager
def _progress(session: Session, done_word: str, remedy: str) -> Iterator[Callable[[int], None]]:
    """Show how far it is, on a terminal; after Ctrl-C say how far it came."""
    reached = 0
    columns = (BarColumn(), TextColumn("{task.completed:,.0f} rows " + done_word), TimeElapsedColumn())
    with Progress(*columns, console=session.err, transient=True, disable=not session.err.is_terminal) as shown:
        task = shown.add_task(done_word, total=None)

        def step(done: int) -> None:
            nonlocal reached
            reached = done
            shown.update(task, completed=done)

        try:
            yield step
        except get_cancelled_exc_class():
            shown.stop()
            session.note(f"interrupted: {counted(reached, 'row')} {done_word}; {remedy}", "error")
            raise


async def _told(
    session: Session, admin: Admin, saved: Saved[Flag], *, wait_s: float | None, as_json: bool
) -> Exit | None:
    stage = "" if saved.after is None else saved.after.otherwise
    tell(session, saved, f"is at stage {stage}", as_json=as_json)
    return None if wait_s is None else await wait_until_seen(session, admin, saved.position, wait_s)


async def _names(admin: Admin) -> list[str]:
    flags = await admin.flags()
    return [key for key, flag in flags.items() if "migration" in flag.tags and set(flag.variants) == set(Stage)]


async def _near(admin: Admin, name: str) -> str | None:
    """Return the migration that a name may be a slip for, if it has none of its own."""
    names = await _names(admin)
    return None if name in names else next(iter(get_close_matches(name, names, 1, _ALIKE)), None)


async def _check_slip(admin: Admin, name: str) -> None:
    if (near := await _near(admin, name)) is not None:
        text = f"migration {name!r} was not begun: did you mean {near!r}? If not: --to {Stage.DUALWRITE}"
        raise StageRefusedError(text, migration=name)


def _row(found: MigrationStatus) -> tuple[Text, ...]:
    return (
        Text(found.name),
        Text(_stage(found), style=_STYLES.get(found.stage, "cyan")),
        Text(span(found.now - found.since)),
        Text(str(found.unfinished + found.dead) if found.unfinished + found.dead else ""),
        Text("" if found.next is None else found.next.value),
        Text(found.unmet[0] + ("" if len(found.unmet) == 1 else f" (and {len(found.unmet) - 1} more)"))
        if found.unmet
        else Text(""),
    )


def _stage(found: MigrationStatus) -> str:
    return found.stage.value if found.enabled else f"{found.stage.value}, switched off"


def _show(session: Session, found: MigrationStatus) -> None:
    print_line(session.out, found.name, ": ", (_stage(found), "bold"), _since(found))
    for what, told in _facts(found):
        print_line(session.out, (f"  {what:<12}", "dim"), told)
    if found.next is None:
        return
    if not found.unmet:
        session.say(f"ready for {found.next.value}: grayflow migration advance {found.name}")
        return
    session.say(f"missing for {found.next.value}:")
    for one in found.unmet:
        session.say(f"  - {one}")


def _since(found: MigrationStatus) -> str:
    if not found.since:
        return ", not begun"
    reason = f": {found.reason}" if found.reason else ""
    return f" since {moment(found.since)}, by {found.actor}{reason}"


def _facts(found: MigrationStatus) -> Iterator[tuple[str, str]]:
    yield "profile", found.terms.profile
    behind = f", {found.behind} of them may still go by the stage before" if found.behind else ""
    yield "processes", f"{found.processes or 'none'} {'reports' if found.processes == 1 else 'report'}{behind}"
    if found.cursor is not None or found.backfilling:
        yield "backfill", _backfill(found)
    if found.unfinished or found.dead:
        lag = f", the oldest {found.lag_s:.0f} s old" if found.unfinished else ""
        dead = f"; {found.dead} given up" if found.dead else ""
        yield "to repair", f"{counted(found.unfinished, 'write')}{lag}{dead}"
    if found.spooled:
        yield "spooled", f"{counted(found.spooled, 'write')} announced on disks, while the board did not answer"
    if found.compared or found.dropped or found.failed:
        dropped = f", {found.dropped} not compared for lack of time" if found.dropped else ""
        failed = f", {found.failed} could not be compared" if found.failed else ""
        yield "compared", f"{counted(found.compared, 'read')}, {found.mismatched} differed{dropped}{failed}"
    if found.reconciled:
        last = found.reconciled[-1]
        yield "reconciled", f"{moment(last.at)}: {counted(last.rows, 'row')}, {last.differing} differed"
        if found.terms.profile == "split" and last.only_new:
            yield "new only", f"{counted(last.only_new, 'row')}, which stay there on the way back"
    if found.stage is Stage.LIVE:
        yield "gray list", "everybody" if found.gray_for_all else f"not everybody; see: grayflow show {found.name}.gray"


def _backfill(found: MigrationStatus) -> str:
    copied = 0 if found.cursor is None else found.cursor.copied
    state = "done" if found.cursor is not None and found.cursor.done else "not at its end"
    who = f", {found.backfilling} is at it" if found.backfilling else ""
    return f"{counted(copied, 'row')} copied, {state}{who}"
