"""`grayflow jobs`: what is left to do after switches, and what is to become of it."""

from typing import Annotated, Any

import typer
from rich.text import Text

from grayflow.cli.command import command, unless_more
from grayflow.cli.completing import complete_key
from grayflow.cli.exits import EXITS
from grayflow.cli.given import AsJson, FlagKey, Reason
from grayflow.cli.help import Command, Group
from grayflow.cli.render import print_table
from grayflow.cli.session import Session
from grayflow.cli.words import counted, span
from grayflow.errors import ConfigurationError
from grayflow.store.jobs import Job

__all__ = ["jobs", "jobs_group", "retry", "waive"]

_STYLES = {
    "pending": "yellow",
    "running": "cyan",
    "done": "green",
    "failed": "bold red",
    "orphaned": "bold red",
    "superseded": "dim",
    "waived": "dim",
}

Handler = Annotated[str, typer.Argument(metavar="NAME", help="The handler.")]
JobVariant = Annotated[str | None, typer.Option("--variant", metavar="NAME", help="Only of this variant.")]


async def jobs(
    session: Session,
    *,
    key: Annotated[
        str | None, typer.Option("--flag", metavar="KEY", help="Only of this flag.", autocompletion=complete_key)
    ] = None,
    unfinished: Annotated[bool, typer.Option("--unfinished", "-u", help="Only what is left to do.")] = False,
    as_json: AsJson = False,
) -> None:
    """
    List what handlers of the fleet did after switches, and what is left to do.

    A job that failed is not tried again before you say so: `retry`, or `waive` if it need not be done. An orphaned one
    waits for a process that has its handler.
    """
    async with session.reading() as admin:
        found = [job for job in await admin.jobs(key) if job.unfinished or not unfinished]
        if not found:
            await admin.store.position()  # a slip in the namespace would look like one where nothing was ever due
        board = admin.store.board
        now = 0 if board is None else await board.now()
    if as_json:
        session.json([_shape(job) for job in found])
        return
    if not found:
        session.say("nothing is left to do" if unfinished else "no handler of the fleet was ever due")
        return
    print_table(
        session.out,
        ("state", "handler", "flag", "variant", "attempts", "since", "what"),
        [_row(job, now) for job in found],
    )
    left = sum(job.unfinished for job in found)
    session.say(f"{counted(left, 'job')} left to do" if left else "nothing is left to do")


async def retry(
    session: Session,
    name: Handler,
    key: FlagKey,
    *,
    variant: JobVariant = None,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Let a job be tried again now, with all its attempts; a process that has the handler takes it up in seconds."""
    async with session.writing() as admin:
        changed = await admin.retry(name, key, variant, reason=reason)
    _tell(session, changed, "will be tried again", as_json=as_json)


async def waive(
    session: Session,
    name: Handler,
    key: FlagKey,
    *,
    variant: JobVariant = None,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Say that a job need not be done for the present switch. Needs --reason, which is kept beside your name."""
    if not reason.strip():
        raise ConfigurationError("say why it need not be done: --reason '...'")
    async with session.writing() as admin:
        changed = await admin.waive(name, key, variant, reason=reason)
    _tell(session, changed, "is waived", as_json=as_json)


def jobs_group() -> typer.Typer:
    """Return `jobs` with its commands; alone it lists."""
    group = typer.Typer(cls=Group, add_completion=False, rich_markup_mode="rich")
    group.callback(invoke_without_command=True, cls=Group, epilog=EXITS)(unless_more(command(jobs)))
    for name, function in (("retry", retry), ("waive", waive)):
        group.command(name, cls=Command, epilog=EXITS)(command(function))
    return group


def _tell(session: Session, changed: tuple[Job, ...], what: str, *, as_json: bool) -> None:
    if as_json:
        session.json([_shape(job) for job in changed])
        return
    for job in changed:
        session.say(f"handler {job.handler} for flag {job.flag}, variant {job.variant}: {what}")


def _row(job: Job, now: int) -> tuple[Text, ...]:
    return (
        Text(job.state, style=_STYLES.get(job.state, "")),
        Text(job.handler),
        Text(job.flag),
        Text(job.variant),
        Text(f"{job.attempts}/{job.limit}" if job.limit else str(job.attempts)),
        Text(span(now - (job.since if job.unfinished else job.finished))),
        Text(_what(job, now)),
    )


def _what(job: Job, now: int) -> str:
    """Return the one thing that matters about a job as it is."""
    said = f" ({job.reason})" if job.reason else ""
    match job.state:
        case "waived":
            return f"by {job.actor}{said}"
        case "orphaned":
            return "no process that is alive has this handler"
        case "running":
            return f"in {job.owner}"
        case "pending" if job.next_at > now:
            return f"again in {span(job.next_at - now)}: {job.error}"
        case "pending" if job.after and not job.attempts:
            return f"after {', '.join(job.after)}"
    return job.error


def _shape(job: Job) -> dict[str, Any]:
    return {
        "handler": job.handler,
        "flag": job.flag,
        "variant": job.variant,
        "switch": job.switch,
        "state": job.state,
        "generation": job.wanted,
        "done": job.done,
        "attempts": job.attempts,
        "limit": job.limit,
        "since": job.since,
        "next_at": job.next_at,
        "started": job.started,
        "finished": job.finished,
        "error": job.error,
        "drained": job.drained,
        "owner": job.owner,
        "after": job.after,
        "completed": job.completed,
        "superseded": job.superseded,
        "actor": job.actor,
        "reason": job.reason,
        "epoch": job.epoch,
    }
