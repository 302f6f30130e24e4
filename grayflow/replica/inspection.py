"""
Looking for what is wrong with the flags that are held, beside the work of serving them.

A flag that does not decode, names an unknown operator or stands in a circle spoils nothing but itself; somebody has
to hear of it all the same. To check ten thousand flags takes longer than to load them, so it is done afterwards and
a few at a time.
"""

import logging
from collections.abc import Iterator

import anyio
from anyio.lowlevel import checkpoint

from grayflow.core.entry import FlagEntry, SegmentEntry
from grayflow.core.graph import Node
from grayflow.core.snapshot import Snapshot
from grayflow.replica.view import View
from grayflow.store.port import Change

__all__ = ["Inspection"]

log = logging.getLogger("grayflow.replica")

_SLICE = 50
_TOLD = 20
"""After so many lines in a row about one load the rest is counted: an operator that nobody knows may be everywhere."""


class Inspection:
    """Keeps the problems of the snapshot that is held; `see` is a listener of the holder."""

    def __init__(self) -> None:
        self.degraded: dict[str, dict[str, tuple[str, ...]]] = {"flag": {}, "segment": {}}
        """`flag` or `segment` -> key -> what is wrong with it, in words; ready to be shown at any moment."""
        self._snapshot: Snapshot | None = None
        self._failed_hashes = 0
        self._loaded = anyio.Event()

    def see(self, before: View, after: View, change: Change | None) -> None:
        """Look at what a new view changed: at once for a change, by and by for a whole state."""
        if after.snapshot is None or after.snapshot is before.snapshot:
            return
        self._snapshot = after.snapshot
        if change is None:
            self._loaded.set()
            return
        self._look(after.snapshot, (change.kind, change.key), renewed=True)
        circles = after.snapshot.undecided
        known = frozenset() if before.snapshot is None else before.snapshot.undecided
        if circles is not known:
            for node in circles ^ known:
                self._look(after.snapshot, node)

    def look_again(self) -> None:
        """Inspect everything anew if evaluation has found a fault meanwhile: a foreign hash that failed for an id."""
        failed = 0 if self._snapshot is None else len(self._snapshot.failed_hashes)
        if failed > self._failed_hashes:
            self._loaded.set()
        self._failed_hashes = failed

    async def run(self) -> None:
        """Inspect each state that is loaded; for ever."""
        while True:
            await self._loaded.wait()
            self._loaded = anyio.Event()
            if self._snapshot is not None:
                await self._walk(self._snapshot)

    async def _walk(self, loaded: Snapshot) -> None:
        for kind, known in self.degraded.items():
            for key in [key for key in known if _entry(loaded, (kind, key)) is None]:
                del known[key]
        found = 0
        for index, node in enumerate(_nodes(loaded)):
            if self._loaded.is_set():
                return  # another state was loaded meanwhile
            found += self._look(self._snapshot or loaded, node, quiet=found >= _TOLD)
            if index % _SLICE == 0:
                await checkpoint()
        if found > _TOLD:
            log.warning("%d more flags or segments have problems; flags.health.degraded has them all", found - _TOLD)

    def _look(self, snapshot: Snapshot, node: Node, *, renewed: bool = False, quiet: bool = False) -> bool:
        """Look at one document; tell whether there was something to say."""
        kind, key = node
        degraded = self.degraded[kind]
        known, found = degraded.pop(key, ()), tuple(map(str, snapshot.problems_of(kind, key)))
        if not found:
            return False
        degraded[key] = found
        if found == known and not renewed:
            return False
        if not quiet:
            log.warning("%s", "; ".join(found[:3]) + _form(snapshot, node))
        return True


def _nodes(snapshot: Snapshot) -> Iterator[Node]:
    yield from (("flag", key) for key in snapshot.flags)
    yield from (("segment", key) for key in snapshot.segments)


def _entry(snapshot: Snapshot, node: Node) -> FlagEntry | SegmentEntry | None:
    kind, key = node
    return snapshot.flags.get(key) if kind == "flag" else snapshot.segments.get(key)


def _form(snapshot: Snapshot, node: Node) -> str:
    entry = _entry(snapshot, node)
    if entry is None or not entry.problems:
        return ""
    form = entry.flag if isinstance(entry, FlagEntry) else entry.segment
    return " (its last good form is kept)" if form is not None else " (no good form of it is known)"
