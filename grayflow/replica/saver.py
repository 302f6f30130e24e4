"""
Keeping the file of the last good flags up to date, and starting from it.

The documents are remembered as bytes beside the snapshot, and only for this file. Of one that does not decode the
bytes before are kept: the file holds what is served.
"""

import logging
from collections import deque
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from grayflow.clock import Clock
from grayflow.core.position import Document
from grayflow.core.snapshot import Builder, Snapshot
from grayflow.replica.holder import Holder
from grayflow.replica.last_good import Kept, Unusable, read, write
from grayflow.replica.loading import assemble
from grayflow.replica.view import View
from grayflow.replica.waiting import pause
from grayflow.store.port import Change, DocumentKind, State

if TYPE_CHECKING:
    from grayflow.core.generations import Generations

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
        self._generations: dict[str, Generations] = {}
        self._changed = anyio.Event()
        self.trouble: str | None = None
        """Why the file could not be written; `None` once it could."""

    def see_state(self, state: State, added: Sequence[Change] = ()) -> None:
        """Remember the documents of a state that was loaded, and of the changes added to it; they are held now."""
        snapshot = self._holder.view.snapshot
        if snapshot is None:
            return
        newer = {(change.kind, change.key) for change in added}
        self._flags = _good("flag", state.flags, snapshot, self._flags, newer)
        self._segments = _good("segment", state.segments, snapshot, self._segments, newer)
        self._generations = dict(state.generations)
        for change in added:
            self._take(change, snapshot)

    def see(self, before: View, after: View, change: Change | None) -> None:
        """Remember a change; a listener of the holder."""
        if after.snapshot is None or after.snapshot is before.snapshot:
            return
        if change is not None:
            self._take(change, after.snapshot)
        self._changed.set()

    def _take(self, change: Change, snapshot: Snapshot) -> None:
        documents = self._flags if change.kind == "flag" else self._segments
        if change.document is None:
            documents.pop(change.key, None)
        elif change.key not in documents or not _is_broken(change.kind, change.key, snapshot):
            documents[change.key] = Document(change.revision, change.document)
        if change.generations:
            self._generations[change.key] = change.generations

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

    def kept(self) -> Kept | None:
        """Return what the file should hold now; `None` before the first flags."""
        position = self._holder.position
        if position is None:
            return None
        # Copies of dictionaries, and nothing for each flag: this is the loop.
        state = State(
            position=position,
            flags=dict(self._flags),
            segments=dict(self._segments),
            generations=dict(self._generations),
        )
        saved_at = self._clock.now() - round(self._holder.age_s * 1e9)
        return Kept(namespace=self._namespace, saved_at=saved_at, state=state)

    async def _save(self) -> None:
        """Save now. A disk that refuses is logged once, and again when it is well."""
        self._changed = anyio.Event()
        kept = self.kept()
        if kept is None:
            return
        try:
            await to_thread.run_sync(write, self._path, kept, abandon_on_cancel=True)
        except OSError as error:
            self._failed(error)
        else:
            self._succeeded()

    def _failed(self, error: OSError) -> None:
        told = self.trouble is not None
        self.trouble = f"the last good flags were not saved to {self._path}: {error}; the file is as it was"
        if not told:
            log.warning("%s", self.trouble)

    def _succeeded(self) -> None:
        if self.trouble is not None:
            log.info("the last good flags are saved to %s again", self._path)
        self.trouble = None


def _good(
    kind: DocumentKind,
    documents: Mapping[str, Document],
    snapshot: Snapshot,
    known: Mapping[str, Document],
    newer: Container[tuple[DocumentKind, str]],
) -> dict[str, Document]:
    """
    Return the documents, those that did not decode replaced by the bytes that are known for them.

    Args:
        kind: Theirs.
        documents: What was loaded.
        snapshot: What became of it.
        known: What was known before.
        newer: Of these the snapshot has another document.
    """
    good = dict(documents)
    for key in documents:
        if (kind, key) not in newer and key in known and _is_broken(kind, key, snapshot):
            good[key] = known[key]
    return good


def _is_broken(kind: DocumentKind, key: str, snapshot: Snapshot) -> bool:
    entry = snapshot.flags.get(key) if kind == "flag" else snapshot.segments.get(key)
    return entry is not None and bool(entry.problems)
