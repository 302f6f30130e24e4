"""The path that all commands take that change one document: look first and show, or write and tell."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
import typer

from grayflow.admin import Admin, Saved, diff
from grayflow.admin.checks import kind_of
from grayflow.cli.exits import Exit
from grayflow.cli.fleet import wait_until_seen
from grayflow.cli.given import contexts_in
from grayflow.cli.render import print_diff, print_preview
from grayflow.cli.session import Session
from grayflow.cli.shapes import saved_shape, trial_shape
from grayflow.core.extensions import Extensions
from grayflow.core.flag import Flag, Segment

__all__ = ["Contexts", "Manner", "Trial", "carry_out", "edited", "tell"]

Contexts = Annotated[
    str | None,
    typer.Option(
        "--preview",
        metavar="FILE",
        help="Contexts, one JSON object a line: show whose answer would change and write nothing.",
    ),
]

Trial = tuple[Flag | Segment | bytes | None, Flag | Segment]
"""What the store holds, as it is or as bytes, and what a change would make of it."""


class Manner(msgspec.Struct, frozen=True):
    """How a change is to be made, by the options that all such commands share."""

    dry_run: bool
    preview: str | None
    as_json: bool
    extensions: Extensions | None = None
    wait_s: float | None = None
    """How long to wait until every process has seen it; `None` does not wait."""


async def carry_out(
    session: Session,
    manner: Manner,
    *,
    trial: Callable[[Admin], Awaitable[Trial]],
    write: Callable[[Admin], Awaitable[Saved[Any]]],
    done: str | Callable[[Saved[Any]], str],
) -> Exit | None:
    """
    Change one document, or only show what would change.

    Args:
        session: Where, and where to print.
        manner: Which of the two.
        trial: Says what would change; the store is open for reading.
        write: Changes it.
        done: What to say of the flag afterwards: `is on`.

    Returns:
        `NO` if it was waited for in vain.
    """
    if manner.dry_run or manner.preview is not None:
        async with session.reading(extensions=manner.extensions) as admin:
            await _show(session, manner, admin, *await trial(admin))
        return None
    async with session.writing(extensions=manner.extensions) as admin:
        saved = await write(admin)
        tell(session, saved, done if isinstance(done, str) else done(saved), as_json=manner.as_json)
        if manner.wait_s is None:
            return None
        return await wait_until_seen(session, admin, saved.position, manner.wait_s)


def edited(key: str, change: Callable[[Flag], Flag]) -> Callable[[Admin], Awaitable[Trial]]:
    """Return the trial of a verb of `grayflow.admin.verbs` on a flag."""

    async def trial(admin: Admin) -> Trial:
        held, _ = await admin.get(key)
        return held, change(held)

    return trial


async def _show(
    session: Session, manner: Manner, admin: Admin, before: Flag | Segment | bytes | None, after: Flag | Segment
) -> None:
    differences = diff(before, after, kind_of(after))
    contexts = None if manner.preview is None else contexts_in(manner.preview)
    moved = None if contexts is None else await admin.preview(after, contexts)
    if manner.as_json:
        session.json(trial_shape(differences, moved))
        return
    if not differences:
        session.say("nothing would change")
    print_diff(session.out, differences)
    if moved is not None:
        print_preview(session.out, moved)


def tell(session: Session, saved: Saved[Any], done: str, *, as_json: bool) -> None:
    """Print the outcome of a write."""
    if as_json:
        session.json(saved_shape(saved))
        return
    if saved.changed:
        session.say(f"{saved.kind} {saved.key!r} {done}, revision {saved.revision}")
    else:
        session.say(f"{saved.kind} {saved.key!r} is so already (revision {saved.revision}); nothing was written")
    session.warn(saved.warnings)
