"""
From a loaded state to a snapshot, in slices.

Decoding ten thousand flags takes a tenth of a second, and requests are being served meanwhile: after every few
milliseconds of it the other tasks get their turn. Nobody sees the snapshot before it is whole.
"""

from collections import deque
from collections.abc import Callable, Mapping

from anyio.lowlevel import checkpoint

from grayflow.core.position import Document
from grayflow.core.snapshot import Builder
from grayflow.replica.holder import Held
from grayflow.replica.trail import Trail
from grayflow.store.port import Change, State

__all__ = ["Slices", "assemble"]


class Slices:
    """Counts work, and lets other tasks run when a slice of it is done."""

    _DOCUMENTS = 100
    _BYTES = 64 << 10  # a document of 1 MiB, nearly all of it ids, takes as long as thousands of small ones

    def __init__(self) -> None:
        self._documents = self._bytes = 0

    async def after(self, data: bytes | None) -> None:
        """Call it after each document."""
        self._documents += 1
        self._bytes += 0 if data is None else len(data)
        if self._documents >= self._DOCUMENTS or self._bytes >= self._BYTES:
            self._documents = self._bytes = 0
            await checkpoint()


async def assemble(state: State, builder: Builder, meanwhile: deque[Change], added: list[Change] | None = None) -> Held:
    """
    Build what a state holds, and add the changes that arrived while that went on.

    Args:
        state: Just loaded.
        builder: A new one.
        meanwhile: Filled by the caller with every change it hears of since before the load; emptied here. When this
            returns, none is left and no other task has run since.
        added: Filled here with those of them that were news.
    """
    slices = Slices()
    await _add(state.segments, builder.add_segment, slices)
    await _add(state.flags, builder.add_flag, slices)
    held = Held(builder.build(state.position), state.generations, Trail(state.position))
    await checkpoint()
    while meanwhile:
        change = meanwhile.popleft()
        if held.apply(change) == "next" and added is not None:
            added.append(change)
        if meanwhile:
            await slices.after(change.document)
    return held


async def _add(documents: Mapping[str, Document], add: Callable[[str | None, Document], None], slices: Slices) -> None:
    for key, document in documents.items():
        add(key, document)
        await slices.after(document.data)
