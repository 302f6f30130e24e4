"""The path that all commands take that change one document: look first, show, write, tell."""

from typing import Annotated, Any

import typer

from grayflow.admin import Saved, diff
from grayflow.admin.checks import kind_of
from grayflow.cli.given import contexts_in
from grayflow.cli.render import print_diff, print_preview
from grayflow.cli.session import Session
from grayflow.cli.shapes import saved_shape
from grayflow.core.extensions import Extensions
from grayflow.core.flag import Flag, Segment

__all__ = ["Contexts", "show_only", "tell"]

Contexts = Annotated[
    str | None,
    typer.Option(
        "--preview",
        metavar="FILE",
        help="Contexts, one JSON object a line: show whose answer would change and write nothing.",
    ),
]


async def show_only(
    session: Session,
    before: Flag | Segment | bytes | None,
    after: Flag | Segment,
    contexts: str | None,
    extensions: Extensions | None = None,
) -> None:
    """Print what a write would change in the document, and for whom; nothing is written."""
    differences = diff(before, after, kind_of(after))
    if not differences:
        session.say("nothing would change")
    print_diff(session.out, differences)
    if contexts is None:
        return
    async with session.reading(extensions=extensions) as admin:
        print_preview(session.out, await admin.preview(after, contexts_in(contexts)))


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
