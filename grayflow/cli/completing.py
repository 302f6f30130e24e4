"""
What the shell is told while somebody types: keys and systems that begin so.

Never an error and never a long wait: whoever presses the tabulator gets what there is, or nothing.
"""

from collections.abc import Iterator

import anyio
import typer

from grayflow.cli.session import Session
from grayflow.core.foreign import SYSTEMS

__all__ = ["complete_key", "complete_system"]

WITHIN_S = 5.0
"""For the whole answer; a shell stands still meanwhile."""


def complete_key(context: typer.Context, incomplete: str) -> list[str]:
    """Return the keys of flags, or with `--segment` of segments, in the store that the line so far names."""
    try:
        return anyio.run(_keys, _session(context), _kind(context), incomplete)
    except Exception:  # noqa: BLE001 - no store, no right, no connection: there is nothing to propose
        return []


def complete_system(incomplete: str) -> list[str]:
    """Return the systems that flags can come from."""
    return [system for system in SYSTEMS if system.startswith(incomplete)]


def _session(context: typer.Context) -> Session:
    """Look for the store as a command does: its own options, those before it, the environment."""
    given = list(_upwards(context))
    urls, namespaces = ([one.params.get(name) for one in given] for name in ("url", "namespace"))
    return Session.resolved(tuple(urls), tuple(namespaces))


def _upwards(context: typer.Context | None) -> Iterator[typer.Context]:
    while context is not None:
        yield context
        context = context.parent  # type: ignore[assignment]


def _kind(context: typer.Context) -> str:
    return "segments" if context.params.get("segment") or context.params.get("segments") else "flags"


async def _keys(session: Session, kind: str, incomplete: str) -> list[str]:
    with anyio.move_on_after(WITHIN_S):
        async with session.reading() as admin:
            state = await admin.state()
        held = state.segments if kind == "segments" else state.flags
        return sorted(key for key in held if key.startswith(incomplete))
    return []
