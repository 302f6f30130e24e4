"""
Keeping the file of the last good flags up to date, and starting from it.

The documents are remembered as bytes beside the snapshot, and only for this file. Of one that does not decode the
bytes before are kept: the file holds what is served.
"""

import logging
from collections import deque
from collections.abc import Mapping
from pathlib import Path

import anyio
from anyio import to_thread

from grayflow.clock import Clock
from grayflow.core.entry import FlagEntry, SegmentEntry
from grayflow.core.position import Document
from grayflow.core.snapshot import Builder
from grayflow.replica.holder import Holder
from grayflow.replica.last_good import Kept, Unusable, read, write
from grayflow.replica.loading import assemble
from grayflow.replica.view import View
from grayflow.replica.waiting import pause
from grayflow.store.port import Change, State

__all__ = ["Saver"]

log = logging.getLogger("grayflow.replica")

_DEBOUNCE_S = 1.0
_READING_S = 2.0
"""A disk that hangs must not keep the process from asking the store."""
_CLOSING_S = 2.0
_HOUR_S = 3600.0
_RENEWALS = 24
"""So many times in its allowed age the file is written anew though nothing changed: it says when it was last true."""


class Saver:
    """
    Writes what a holder holds, a moment after it changed.

    Args:
        path: The file. Missing directories are made.
        namespace: Written into the file; a file of another one is not used.
        holder: What is saved.
        clock: Its wall time goes into the file.
        max_age_s: A file older than that is not used.
    """

    def __init__(self, path: Path, namespace: str, holder: Holder, clock: Clock, *, max_age_s: float) -> None:
        self._path, self._namespace = path, namespace
        self._holder, self._clock, self._max_age_s = holder, clock, max_age_s
        self._flags: dict[str, Document] = {}
        self._segments: dict[str, Document] = {}
        self._changed = anyio.Event()
        self._failing = False

    def see_state(self, state: State) -> None:
        """Remember the documents of a state that was loaded and is held now."""
        snapshot = self._holder.view.snapshot
        if snapshot is not None:
            self._flags = _good(state.flags, snapshot.flags, self._flags)
            self._segments = _good(state.segments, snapshot.segments, self._segments)

    def see(self, before: View, after: View, change: Change | None) -> None:
        """Remember a change; a listener of the holder."""
        if after.snapshot is None or after.snapshot is before.snapshot:
            return
        if change is not None:
            documents = self._flags if change.kind == "flag" else self._segments
            entries = after.snapshot.flags if change.kind == "flag" else after.snapshot.segments
            if change.document is None:
                documents.pop(change.key, None)
            elif change.key not in documents or not entries[change.key].problems:
                documents[change.key] = Document(change.revision, change.document)
        self._changed.set()

    async def recall(self, builder: Builder) -> None:
        """Give the holder what the file holds, if that can be used."""
        kept = None
        try:
            with anyio.move_on_after(_READING_S):
                kept = await to_thread.run_sync(read, self._path, self._namespace, abandon_on_cancel=True)
        except Unusable as reason:
            level = logging.INFO if reason.missing else logging.WARNING
            log.log(level, "starting without last good flags: %s: %s", self._path, reason)
            return
        if kept is None:
            log.warning("starting without last good flags: %s could not be read in %g s", self._path, _READING_S)
            return
        age_s = self._age_s(kept)
        if age_s > self._max_age_s:
            text = "starting without last good flags: those in %s are %.0f s old, and %.0f s are allowed"
            log.warning(text, self._path, age_s, self._max_age_s)
            return
        held = await assemble(kept.state, builder, meanwhile=deque())
        # Looked up anew: ten thousand flags take their time, and the machine may have slept over them.
        self._holder.recall(held, age_s=self._age_s(kept), max_age_s=self._max_age_s)
        self.see_state(kept.state)
        log.info("starting with the last good flags of %s, revision %d", self._path, kept.state.position.revision)

    def _age_s(self, kept: Kept) -> float:
        return max(0.0, (self._clock.now() - kept.saved_at) / 1e9)

    async def run(self) -> None:
        """Save after each change, and now and then without; for ever, and once more when it is cancelled."""
        await self._holder.contacted.wait()
        try:
            while True:
                await pause(self._clock, min(self._max_age_s / _RENEWALS, _HOUR_S), self._changed)
                await self._clock.sleep(_DEBOUNCE_S)
                await self._save()
        finally:
            if self._changed.is_set():
                with anyio.move_on_after(_CLOSING_S, shield=True):
                    await self._save()

    async def _save(self) -> None:
        """Save now. A disk that refuses is logged once, and again when it is well."""
        self._changed = anyio.Event()
        proved_at = self._clock.now() - round(self._holder.age_s * 1e9)
        flags, segments = dict(self._flags), dict(self._segments)
        try:
            await to_thread.run_sync(self._write, self._holder.view, flags, segments, proved_at, abandon_on_cancel=True)
        except OSError as error:
            if not self._failing:
                log.warning("the last good flags were not saved to %s: %s; the file is as it was", self._path, error)
            self._failing = True
        else:
            if self._failing:
                log.info("the last good flags are saved to %s again", self._path)
            self._failing = False

    def _write(self, view: View, flags: dict[str, Document], segments: dict[str, Document], proved_at: int) -> None:
        if view.position is None:
            return
        generations = {key: dict(held) for key, held in view.generations.items()}
        state = State(position=view.position, flags=flags, segments=segments, generations=generations)
        write(self._path, Kept(namespace=self._namespace, saved_at=proved_at, state=state))


def _good(
    documents: Mapping[str, Document], entries: Mapping[str, FlagEntry | SegmentEntry], known: Mapping[str, Document]
) -> dict[str, Document]:
    """Return the documents, those that did not decode replaced by the bytes that are known for them."""
    good = dict(documents)
    for key in documents:
        if entries[key].problems and key in known:
            good[key] = known[key]
    return good
