"""What tests of the replica and the client share: documents in one line, and waiting for what must come true."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import anyio

from grayflow.clock import Clock, SystemClock
from grayflow.core.codec import to_bytes
from grayflow.core.generations import Marks
from grayflow.core.position import Position
from grayflow.store.memory import MemoryStore
from grayflow.store.port import Change, Edit, Store

ON = {"enabled": True}
OFF = {"enabled": False}
_NONE = Marks()


async def put(store: Store, key: str, *, kind: str = "flag", marks: Marks = _NONE, **fields: Any) -> Change:
    """Save a document over whatever is there."""
    return await put_bytes(store, key, to_bytes({"key": key, **fields}), kind=kind, marks=marks)


async def put_bytes(store: Store, key: str, data: bytes | None, *, kind: str = "flag", marks: Marks = _NONE) -> Change:
    """Save any bytes as a document; `None` deletes."""
    held, _ = await store.get(kind, key)  # type: ignore[arg-type]
    edit = Edit(
        kind=kind,  # type: ignore[arg-type]
        key=key,
        document=data,
        action="edit",
        actor="ada",
        reason="because",
        at=1,
        request_id=uuid4().hex,
        marks=marks,
    )
    return await store.commit(edit, expected=0 if held is None else held.revision)


async def until(condition: Callable[[], object], *, within_s: float = 30.0) -> None:
    """Wait until something is true, for what real servers and threads do; a fake clock needs `advance` only."""
    with anyio.fail_after(within_s):
        while not condition():
            await SystemClock().sleep(0.002)


class Rewinding(MemoryStore):
    """A memory store that can lose its newest changes, as servers do in a failover."""

    def __init__(self, namespace: str = "default", *, clock: Clock | None = None) -> None:
        super().__init__(namespace, clock=clock)
        self._saved: list[tuple[Any, ...]] = []

    def save(self) -> None:
        """Remember what is held."""
        documents = {kind: dict(held) for kind, held in self._documents.items()}
        self._saved.append((self._position, documents, dict(self._generations), list(self._log)))

    def rewind(self) -> None:
        """Go back to what was remembered last; nobody is told."""
        self._position, self._documents, self._generations, log = self._saved.pop()
        self._log.clear()
        self._log.extend(log)
        self._results.clear()

    def empty(self) -> None:
        """Lose everything, as a server that restarts without its file."""
        self._position = None
        self._documents = {"flag": {}, "segment": {}}
        self._generations = {}
        self._log.clear()
        self._results.clear()

    def replace_by(self, epoch: str) -> None:
        """Turn into another life of the namespace that nobody announced."""
        assert self._position is not None
        self._position = Position(epoch=epoch, revision=self._position.revision, nonce=uuid4().hex)
        self._log.clear()
