"""`grayflow watch`: changes as they happen, over lost links and gaps, until Ctrl-C."""

from typing import Annotated

import typer

from grayflow.cli.exits import Exit
from grayflow.cli.render import print_line
from grayflow.cli.session import Session
from grayflow.cli.shapes import change_shape
from grayflow.cli.words import moment, safe
from grayflow.clock import SystemClock
from grayflow.core.position import Position
from grayflow.errors import StoreError, StoreUnavailableError
from grayflow.store.port import Change, Changed, Store

__all__ = ["watch"]

_RETRY_S = 1.0


async def watch(
    session: Session,
    *,
    plain: Annotated[bool, typer.Option("--plain", help="Tab-separated lines without colour.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> Exit:
    """
    Print changes as they happen, until Ctrl-C (exit code 130).

    A lost link is taken up again, and what changed meanwhile is printed then.
    """
    clock = SystemClock()
    async with session.store() as store:
        # A store that cannot be used ends the command here; one that is lost later is waited for.
        watcher = _Watcher(session, store, seen=await store.position(), plain=plain, as_json=as_json)
        while True:
            try:
                await watcher.follow()
            except StoreUnavailableError as error:
                session.note(f"{error}; trying again", "warning")
            await clock.sleep(_RETRY_S)


class _Watcher:
    """Knows how far it has printed."""

    def __init__(self, session: Session, store: Store, *, seen: Position, plain: bool, as_json: bool) -> None:
        self._session, self._store = session, store
        self._plain, self._as_json = plain, as_json
        self._seen = seen

    async def follow(self) -> None:
        async with self._store.follow() as events:
            await self._catch_up()
            self._session.note(f"watching namespace {self._store.namespace!r} at {self._store.place}; Ctrl-C ends it")
            async for event in events:
                if isinstance(event, Changed) and self._continues(event.change):
                    self._print(event.change)
                else:
                    await self._catch_up()

    def _continues(self, change: Change) -> bool:
        seen, now = self._seen, change.position
        return (now.epoch, now.revision, change.previous) == (
            seen.epoch,
            seen.revision + 1,
            seen.nonce,
        )

    async def _catch_up(self) -> None:
        """Print what was missed, or say that it cannot be told."""
        try:
            position = await self._store.position()
            missed = () if position == self._seen else await self._store.changes(self._seen)
        except StoreUnavailableError:
            raise
        except StoreError as error:  # emptied, refused: the link stays, and what comes next shows
            self._session.note(str(error), "error")
            return
        if missed is None:
            way = f"from {self._seen.token()} to {position.token()}"
            self._session.note(f"the store jumped {way}; `history` shows how", "warning")
            self._seen = position
        for change in missed or ():
            self._print(change)

    def _print(self, change: Change) -> None:
        self._seen = change.position
        if self._as_json:
            self._session.line(change_shape(change))
            return
        name = change.key if change.kind == "flag" else f"segment {change.key}"
        cells = (moment(change.at), str(change.revision), name, change.action, change.actor, change.reason)
        if self._plain:
            print(*(" ".join(safe(cell).split()) for cell in cells), sep="\t", flush=True)  # noqa: T201
            return
        styles = ("dim", "dim", "bold", "yellow" if "off" in change.action else "green", "", "dim")
        parts = [(f"{safe(cell, lines=False)}  ", style) for cell, style in zip(cells, styles, strict=True)]
        print_line(self._session.out, *parts)
