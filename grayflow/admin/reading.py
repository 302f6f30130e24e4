"""The part of `Admin` that reads: what there is, what there was, who changed it, and what a change would do."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from anyio import to_thread
from msgspec import MsgspecError
from msgspec.json import decode as decode_json

from grayflow.admin.checks import canonical, decode, model_of, node_of
from grayflow.admin.desk import Desk
from grayflow.admin.diff import Difference, diff
from grayflow.admin.explain import Explanation, explain
from grayflow.admin.formats import TextFormat, write_text
from grayflow.admin.past import document_at
from grayflow.admin.preview import Preview, preview
from grayflow.admin.results import Removal
from grayflow.admin.stale import Stale, overdue, settled, settled_since
from grayflow.core.calendar import as_instant
from grayflow.core.codec import Source, encode
from grayflow.core.flag import Flag, Segment
from grayflow.core.graph import Node
from grayflow.core.position import Document
from grayflow.errors import InvalidFlagError
from grayflow.store.port import Change, DocumentKind, State

__all__ = ["Previewed", "Reading", "export_text"]

Previewed = Source | Removal
"""One edit of a preview: a whole document in any form (a mapping or JSON is a flag's), or a removal."""

_log = logging.getLogger("grayflow.admin")


class Reading(Desk):
    """Reads flags and their history; see `Desk` for how it is opened."""

    async def get(self, key: str) -> tuple[Flag, int]:
        """
        Return a flag and the revision of its document, from which it can be edited.

        Raises:
            UnknownFlagError: there is none; names like it are given.
            InvalidFlagError: the stored document cannot be read.
        """
        held = await self._read(Flag, key)
        return await self._writer.existing(held), held.revision

    async def get_segment(self, key: str) -> tuple[Segment, int]:
        """Return a segment and its revision; see `get`."""
        held = await self._read(Segment, key)
        return await self._writer.existing(held), held.revision

    async def flags(self) -> Mapping[str, Flag]:
        """Return all flags by key, archived ones included. Broken documents are left out: `snapshot` has them."""
        entries = (await self.snapshot()).flags
        return {key: entries[key].flag for key in sorted(entries) if entries[key].flag is not None}  # type: ignore[misc]

    async def segments(self) -> Mapping[str, Segment]:
        """Return all segments by key; see `flags`."""
        entries = (await self.snapshot()).segments
        return {key: entries[key].segment for key in sorted(entries) if entries[key].segment is not None}  # type: ignore[misc]

    async def history(
        self, key: str | None = None, *, kind: DocumentKind = "flag", before: int | None = None, limit: int = 50
    ) -> Sequence[Change]:
        """
        Return changes, newest first, with actor, reason and the whole document before and after.

        Args:
            key: Of one flag or segment, deleted ones included; of all if left out.
            kind: What `key` names.
            before: Leave out that revision and everything newer, for paging.
            limit: How many, 1 or more.
        """
        return await self.store.history(key, kind=kind, before=before, limit=limit)

    async def document_at(self, key: str, revision: int, *, kind: DocumentKind = "flag") -> Document | None:
        """
        Return a document as of a revision of the namespace, `None` if there was none then.

        Raises:
            UnknownFlagError: there is and was no such flag.
            ConfigurationError: there is no such revision yet.
            HistoryGoneError: what it was then is not kept any more.
        """
        await self._read(model_of(kind), key)
        return await document_at(self.store, kind, key, revision)

    async def diff(
        self, key: str, from_: int | None = None, to: int | None = None, *, kind: DocumentKind = "flag"
    ) -> tuple[Difference, ...]:
        """
        Return what differs between two revisions of a flag or segment, place by place.

        Args:
            key: Its name.
            from_: The older revision; the version before the newest change, if left out.
            to: The newer one; what there is now, if left out.
            kind: What `key` names.

        Raises:
            UnknownFlagError, ConfigurationError, HistoryGoneError: as `document_at`.
        """
        held = await self._read(model_of(kind), key)
        new = held.document if to is None else await document_at(self.store, kind, key, to)
        if from_ is not None:
            old = await document_at(self.store, kind, key, from_)
        else:
            newest = await self.store.history(key, kind=kind, before=None if to is None else to + 1, limit=1)
            old = newest[0].before if newest else None
        return diff(None if old is None else old.data, None if new is None else new.data, kind)

    async def explain(
        self, key: str, context: Any = None, *, at: int | None = None, now: datetime | int | None = None
    ) -> Explanation:
        """
        Decide a flag and return the way through its rules.

        Args:
            key: The flag.
            context: A context or a mapping.
            at: As of which revision; now, if left out.
            now: The instant of evaluation, an aware datetime or nanoseconds; the clock's, if left out.

        Raises:
            UnknownFlagError: there is and was no such flag.
            ConfigurationError: there is no such revision yet.
            HistoryGoneError: the changes since `at` are not all kept.
        """
        await self._read(Flag, key)
        instant = self._clock.now() if now is None else as_instant(now)
        return explain(await self.snapshot(at), key, context, now=instant)

    async def preview(
        self,
        edits: Previewed | Iterable[Previewed],
        contexts: Iterable[Any],
        *,
        now: datetime | int | None = None,
    ) -> Preview:
        """
        Tell who would be served something else, before anything is saved.

        Every flag is looked at that the edits can reach, through requirements and segments too. The verbs of
        `grayflow.admin.verbs` make documents to try: `preview(verbs.set_percent(flag, 20), contexts)`.

        Args:
            edits: One edit or several, which are tried together.
            contexts: Contexts or mappings.
            now: The instant of evaluation; the clock's, if left out.

        Raises:
            InvalidFlagError: an edit is not a valid document.
        """
        state = await self.state()
        instant = self._clock.now() if now is None else as_instant(now)
        several = (edits,) if isinstance(edits, Flag | Segment | Mapping | bytes | str | Removal) else edits
        before = after = self._snapshot_of(state)
        nodes: list[Node] = []
        for edit in several:
            node, data = _edited(edit)
            nodes.append(node)
            document = None if data is None else Document(state.position.revision + 1, data)
            after = after.apply(*node, document, None)
        return preview(before, after, nodes, tuple(contexts), now=instant)

    async def stale(self, *, settled_days: int = 30) -> tuple[Stale, ...]:
        """
        Return flags that have outlived their purpose, by key.

        Those are: expired; past `remove_by`; serving one variant to everybody and unchanged for `settled_days`.
        Archived flags are left out.
        """
        now, found = self._clock.now(), []
        for key, flag in (await self.flags()).items():
            one = overdue(flag, now)
            if one is None and not flag.archived and (variant := settled(flag, now)) is not None:
                newest = await self.store.history(key, limit=1)
                if newest:
                    one = settled_since(flag, variant, newest[0].at, now, days=settled_days)
            if one is not None:
                found.append(one)
        return tuple(found)

    async def export(self, format: TextFormat = "json") -> str:  # noqa: A002 - the word that everybody would use
        """
        Return all flags and segments as text that `import_` reads; equal sets give equal text.

        Documents that this release cannot read go out as they are; one that is no JSON at all is left out and logged.

        Raises:
            MissingExtraError: YAML without the extra `yaml`.
        """
        state = await self.state()
        return await to_thread.run_sync(export_text, state, format)


def _edited(edit: Previewed) -> tuple[Node, bytes | None]:
    if isinstance(edit, Removal):
        return (edit.kind, edit.key), None
    document, data = canonical(model_of("segment" if isinstance(edit, Segment) else "flag"), edit)
    return node_of(document), data


def export_text(state: State, format_: TextFormat) -> str:
    """Return a whole state as text; see `Reading.export`."""
    return write_text(_exported(state), format_)


def _exported(state: State) -> Iterable[tuple[DocumentKind, str, bytes]]:
    kinds: tuple[tuple[DocumentKind, Mapping[str, Document]], ...] = (
        ("segment", state.segments),
        ("flag", state.flags),
    )
    for kind, documents in kinds:
        for key, document in documents.items():
            try:
                yield kind, key, encode(decode(model_of(kind), document.data, key))
            except InvalidFlagError:
                if _is_object(document.data):
                    yield kind, key, document.data
                else:
                    _log.warning("%s %r is not exported: revision %d is no JSON", kind, key, document.revision)


def _is_object(data: bytes) -> bool:
    try:
        return isinstance(decode_json(data), dict)
    except (MsgspecError, UnicodeDecodeError, RecursionError):
        return False
