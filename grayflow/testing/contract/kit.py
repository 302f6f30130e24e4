"""What the parts of the contract share: how a store is opened, edits to write, and waiting for what followers see."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import ClassVar
from uuid import uuid4

import anyio
import pytest

from grayflow.core.generations import Marks
from grayflow.core.position import Position
from grayflow.store.port import Change, Changed, DocumentKind, Edit, Event, Gap, Store

__all__ = ["AT", "Contract", "OpenStore", "edit", "put", "ready", "seen"]

OpenStore = Callable[[], AbstractAsyncContextManager[Store]]
"""
Opens a store on the test's own place, which is empty when the test begins. Called again it opens the same data, as
another instance where the kind of store allows it. A store is such a context manager, entered it returns itself.
"""

AT = 1_767_225_600_123_456_789
PATIENCE_S = 10
"""How long an event may take on a slow machine before the test gives up."""


class Contract:
    """Runs the tests of its subclasses on asyncio, under anyio's pytest plugin."""

    pytestmark: ClassVar = [pytest.mark.anyio]

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"


def edit(
    key: str = "checkout",
    document: bytes | None = b"{}",
    *,
    kind: DocumentKind = "flag",
    marks: Marks = Marks(),  # noqa: B008 - frozen
    request_id: str | None = None,
    reason: str = "because",
) -> Edit:
    """Return an edit that differs from any other in its request id at least."""
    return Edit(
        kind=kind,
        key=key,
        document=document,
        action="edit" if document is not None else "delete",
        actor="ada",
        reason=reason,
        at=AT,
        request_id=request_id if request_id is not None else uuid4().hex,
        marks=marks,
    )


@asynccontextmanager
async def ready(open_store: OpenStore) -> AsyncIterator[Store]:
    """Open a store and initialise its namespace."""
    async with open_store() as store:
        await store.init()
        yield store


async def put(store: Store, *edits: Edit) -> list[Change]:
    """Commit edits one after the other, each on what is there then."""
    done = []
    for change in edits:
        state = await store.load()
        held = (state.flags if change.kind == "flag" else state.segments).get(change.key)
        done.append(await store.commit(change, expected=held.revision if held is not None else 0))
    return done


async def seen(events: AsyncIterator[Event], store: Store, position: Position) -> Change | None:
    """
    Wait until a follower knows of `position`.

    Returns:
        The change that was pushed, `None` if a `Gap` sent the follower to the store and the position is there.
    """
    with anyio.fail_after(PATIENCE_S):
        while True:
            match await anext(events):
                case Changed(change) if change.position == position:
                    return change
                case Gap() if await store.position() == position:
                    return None
                case _:
                    continue
