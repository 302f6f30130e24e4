"""`grayflow fleet` and the waiting of `off --wait`: who serves the flags, and whether they have seen a change."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.text import Text

from grayflow.admin import Admin
from grayflow.cli.exits import Exit
from grayflow.cli.given import AsJson
from grayflow.cli.render import print_table
from grayflow.cli.session import Session
from grayflow.cli.words import span
from grayflow.core.position import Position
from grayflow.store.fleet import Fleet, Process

__all__ = ["Wait", "WaitTimeout", "fleet", "wait_until_seen"]

Wait = Annotated[bool, typer.Option("--wait", help="Until every process that reports has seen it.")]
WaitTimeout = Annotated[
    float, typer.Option("--wait-timeout", metavar="SECONDS", help="Give up waiting after that long.", min=0.0)
]

_STATES = {"fresh": "green", "stale": "yellow", "expired": "bold red"}


async def fleet(session: Session, *, as_json: AsJson = False) -> None:
    """
    List the processes that serve these flags now, and how old the flags are that they decide by.

    One that died is listed for 15 s more. Clients that may only read (gf-reader) do not report.
    """
    async with session.reading() as admin:
        found, position = await admin.fleet(), await admin.store.position()
    if as_json:
        session.json(_shape(found, position))
        return
    if not found.processes:
        session.say("no process reports")
        return
    print_table(
        session.out,
        ("name", "host", "pid", "flags", "revision", "up for"),
        [_row(one, position, found.now) for one in found.processes],
    )
    behind = found.behind(position)
    newest = f"revision {position.revision}"
    if behind:
        session.say(f"{len(behind)} of {_processes(len(found.processes))} may still decide by flags before {newest}")
    else:
        session.say(f"all of {_processes(len(found.processes))} decide by {newest}")


async def wait_until_seen(session: Session, admin: Admin, position: Position, timeout_s: float) -> Exit | None:
    """Wait, and tell how many processes have seen the change, and how soon."""
    with session.working("waiting until every process has seen it"):
        seen = await admin.wait_until_seen(position, timeout=timeout_s)
    there = seen.processes - len(seen.behind)
    if not seen.processes:
        session.note("no process reports, so nobody was waited for", "warning")
        return None
    session.note(f"seen by {there} of {_processes(seen.processes)} after {seen.took_s * 1000:.0f} ms")
    if seen.complete:
        return None
    session.note(f"not seen by {_names(seen.behind)}; it reaches them when they are back: grayflow fleet", "warning")
    return Exit.NO


def _processes(number: int) -> str:
    return "1 process" if number == 1 else f"{number} processes"


def _names(processes: Sequence[Process]) -> str:
    shown = [f"{one.name} ({one.host}, pid {one.pid})" for one in processes[:5]]
    more = len(processes) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _row(process: Process, position: Position, now: int) -> tuple[Text, ...]:
    behind = process.uses_older_than(position)
    return (
        Text(process.name),
        Text(process.host),
        Text(str(process.pid)),
        Text(process.state, style=_STATES.get(process.state, "")),
        Text(_revision(process, position), style="yellow" if behind else ""),
        Text(span(now - process.started)),
    )


def _revision(process: Process, position: Position) -> str:
    if process.epoch != position.epoch:
        return "of another epoch"
    if process.oldest < process.revision:
        return f"{process.revision} (a scope holds {process.oldest})"
    return str(process.revision)


def _shape(found: Fleet, position: Position) -> dict[str, Any]:
    return {
        "revision": position.revision,
        "epoch": position.epoch,
        "now": found.now,
        "processes": [
            {
                "id": one.id,
                "name": one.name,
                "host": one.host,
                "pid": one.pid,
                "state": one.state,
                "epoch": one.epoch,
                "revision": one.revision,
                "oldest": one.oldest,
                "behind": one.uses_older_than(position),
                "handlers": one.handlers,
                "version": one.version,
            }
            for one in found.processes
        ],
    }
