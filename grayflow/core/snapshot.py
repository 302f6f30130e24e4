"""
All flags and segments at one position, immutable, and the decisions that follow from them.

Whoever holds a snapshot gets the same answers from it for as long as it likes; a change makes a new one, at a cost that
does not depend on how many flags there are. Nothing in here waits, locks or reads a clock.
"""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any

from grayflow.core.calendar import as_instant
from grayflow.core.compiler import Compiled, CompiledSegment
from grayflow.core.context import Context, as_context, field_names
from grayflow.core.decision import Decision, ErrorCode
from grayflow.core.entry import FlagEntry, SegmentEntry, flag_entry, segment_entry
from grayflow.core.extensions import Extensions
from grayflow.core.flag import Flag, Segment
from grayflow.core.graph import Edges, Node, bottom_up, reaches, undecidable
from grayflow.core.needs import NO_INSTANT, AttributeNeeded, Instant, NowNeeded
from grayflow.core.outcomes import failed, finish, told
from grayflow.core.position import Document, Position
from grayflow.core.sources import Sources, read_sources
from grayflow.core.table import Table
from grayflow.core.writing import Settings
from grayflow.errors import Problem

__all__ = ["Builder", "Links", "Snapshot"]


class Snapshot:
    """
    The flag set at one position.

    Build one with `Snapshot.build` from documents at hand, or let a `Client` keep one. Evaluation never raises.
    """

    def __init__(
        self,
        settings: Settings,
        context_type: type[Context],
        flags: Table[str, FlagEntry],
        segments: Table[str, SegmentEntry],
        edges: Table[Node, frozenset[Node]],
        undecided: frozenset[Node],
        position: Position | None,
    ) -> None:
        """Not for callers: use `build`, `Builder` or `apply`."""
        self.position = position
        """Where in the store's life this is; `None` if it came from no store."""
        self.context_type = context_type
        self.extensions, self.fields, self.resolvable = settings.extensions, settings.fields, settings.resolvable
        self._settings = settings
        self._flags, self._segments = flags, segments
        self._edges, self._undecided = edges, undecided
        # The one look-up of the hot path. Filled as flags are asked for; names that do not exist are never kept.
        self._ready: dict[str, Compiled] = {}

    @classmethod
    def build(
        cls,
        flags: Sources = (),
        segments: Sources = (),
        *,
        extensions: Extensions | None = None,
        context_type: type[Context] = Context,
    ) -> "Snapshot":
        """
        Build a snapshot from documents, without store or client.

        Args:
            flags: Flags as Structs, mappings or JSON, in a list or by key; or the JSON of either. Of two with the
                same key the later one counts.
            segments: Segments, likewise.
            extensions: Foreign hashes and operators that the documents name.
            context_type: The class whose fields conditions read.

        Returns:
            A snapshot of every document. What is wrong with one spoils that one only: see `problems`.

        Raises:
            InvalidFlagError: JSON that does not parse, or a value that JSON cannot hold.
        """
        builder = Builder(extensions=extensions, context_type=context_type)
        for key, data in read_sources(segments, "segment"):
            builder.add_segment(key, Document(0, data))
        for key, data in read_sources(flags, "flag"):
            builder.add_flag(key, Document(0, data))
        return builder.build(None)

    # Evaluation

    def evaluate(
        self, key: str, context: Any = None, *, default: Any = None, now: datetime | int | None = None
    ) -> Decision:
        """
        Decide one flag.

        Args:
            key: The flag.
            context: A `Context`, a mapping, or nothing.
            default: The caller's answer where the flag gives none; its type is what the caller will accept. `None`
                accepts any.
            now: An aware datetime, or nanoseconds since the epoch. May be left out for flags that do not depend on
                the time; those that do answer with the default and `now_missing`.
        """
        try:
            subject = as_context(context, self.context_type)
        except Exception as error:  # noqa: BLE001 - a mapping of the caller's; what it raises goes into the decision
            return failed(key, default, ErrorCode.INVALID_CONTEXT, told(error))
        try:
            instant = NO_INSTANT if now is None else as_instant(now)
        except Exception as error:  # noqa: BLE001 - any object of the caller's; the same
            return failed(key, default, ErrorCode.NOW_MISSING, told(error))
        return self.answer(key, subject, instant, default)

    def answer(
        self,
        key: str,
        context: Context,
        now: Instant,
        default: Any,
        resolved: Mapping[str, Any] | None = None,
    ) -> Decision:
        """
        Decide one flag for a context of this snapshot's type.

        Raises:
            AttributeNeeded: an attribute that can be fetched is not in `resolved`; fetch it and ask again.
        """
        try:
            compiled = self.compiled(key)
            if compiled is None:
                return failed(key, default, ErrorCode.FLAG_NOT_FOUND, f"there is no flag {key!r}")
            links = Links(self, resolved) if compiled.linked else None
            return finish(compiled.evaluate(context, now, links), compiled.kind, default)
        except AttributeNeeded:
            raise
        except NowNeeded:
            return failed(key, default, ErrorCode.NOW_MISSING, f"flag {key!r} depends on the time; pass now=")
        except Exception as error:  # noqa: BLE001 - a value of the context raised; the decision carries it
            return failed(key, default, ErrorCode.GENERAL, f"{type(error).__name__}: {told(error)}")

    def compiled(self, key: str) -> Compiled | None:
        """Return a flag as a function, `None` if there is none of that name."""
        return self._ready.get(key) or self._prepare(key)

    def compiled_segment(self, key: str) -> CompiledSegment | None:
        """Return a segment as a function, `None` if there is none of that name."""
        entry = self._segments.get(key)
        return None if entry is None else entry.compiled(self._settings)

    def is_ready(self, key: str) -> bool:
        """Tell whether a flag was asked for before, and is compiled."""
        return key in self._ready

    def _prepare(self, key: str) -> Compiled | None:
        entry = self._flags.get(key)
        if entry is None:
            return None
        ready = entry.compiled(self._settings, cyclic=("flag", key) in self._undecided)
        self._ready[key] = ready
        return ready

    # What is in it

    @property
    def flags(self) -> Mapping[str, FlagEntry]:
        """All flags by key, broken ones included."""
        return self._flags

    @property
    def segments(self) -> Mapping[str, SegmentEntry]:
        """All segments by key, broken ones included."""
        return self._segments

    def flag(self, key: str) -> tuple[Flag, int] | None:
        """Return a flag's last good form and its revision."""
        entry = self._flags.get(key)
        return None if entry is None or entry.flag is None else (entry.flag, entry.revision)

    def segment(self, key: str) -> Segment | None:
        """Return a segment's last good form."""
        entry = self._segments.get(key)
        return None if entry is None else entry.segment

    def is_cyclic(self, key: str) -> bool:
        """Tell whether a flag is part of a circle, or reaches one."""
        return ("flag", key) in self._undecided

    @property
    def edges(self) -> Edges:
        """What the conditions of each document name."""
        return self._edges

    @property
    def undecided(self) -> frozenset[Node]:
        """The flags and segments that are part of a circle, or reach one."""
        return self._undecided

    @property
    def failed_hashes(self) -> AbstractSet[str]:
        """The foreign hashes that had no slot for an id so far: evaluation adds to it, and `problems` then say so."""
        return self._settings.failed_hashes

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything that keeps a document from meaning what it says: looked up anew at each call."""
        return tuple(self._problems())

    def problems_of(self, kind: str, key: str) -> tuple[Problem, ...]:
        """Return what keeps one flag or segment from meaning what it says; see `problems`."""
        entry = self._flags.get(key) if kind == "flag" else self._segments.get(key)
        found = () if entry is None else entry.degraded(self._settings)
        return (*found, _circle(kind, key)) if (kind, key) in self._undecided else found

    def _problems(self) -> Iterator[Problem]:
        for flag in self._flags.values():
            yield from flag.degraded(self._settings)
        for segment in self._segments.values():
            yield from segment.degraded(self._settings)
        for kind, key in sorted(self._undecided):
            yield _circle(kind, key)

    # Change

    def apply(self, kind: str, key: str, document: Document | None, position: Position | None) -> "Snapshot":
        """
        Return the snapshot after one change.

        Args:
            kind: `flag` or `segment`.
            key: What changed.
            document: The new document, `None` if it was deleted. One that does not decode keeps its last good form.
            position: After the change.
        """
        flags, segments = self._flags, self._segments
        node = (kind, key)
        found: frozenset[Node] = frozenset()
        if kind == "flag":
            flag = None if document is None else flag_entry(key, document.revision, document.data, flags.get(key))
            flags = flags.drop(key) if flag is None else flags.put(key, flag)
            found = frozenset() if flag is None else flag.needs()
        else:
            last = segments.get(key)
            segment = None if document is None else segment_entry(key, document.revision, document.data, last)
            segments = segments.drop(key) if segment is None else segments.put(key, segment)
            found = frozenset() if segment is None else segment.needs()
        edges, undecided = self._edges, self._undecided
        if found != edges.get(node, frozenset()):
            edges = edges.put(node, found) if found else edges.drop(node)
            # Who was in no circle, and is in none now, changes nothing for anybody else.
            if node in undecided or not undecided.isdisjoint(found) or reaches(edges, found, node):
                undecided = undecidable(edges)
        return Snapshot(self._settings, self.context_type, flags, segments, edges, undecided, position)


_DEEPEST = 50
"""Flags and segments that are reached one through the other before the rest of them is decided from below."""


def _circle(kind: str, key: str) -> Problem:
    return Problem(key=key, kind=kind, path="", message="part of a circle of flags and segments, or reaches one")


class Links:
    """
    How one evaluation reaches other documents of its snapshot.

    What itself reaches others is decided once, so that a lattice of requirements costs no more than its size.
    """

    __slots__ = ("_depth", "_flags", "_members", "resolved", "snapshot")

    def __init__(self, snapshot: Snapshot, resolved: Mapping[str, Any] | None) -> None:
        self.snapshot, self.resolved = snapshot, resolved
        self._flags: dict[str, Decision] = {}
        self._members: dict[str, bool] = {}
        self._depth = 0

    def flag(self, key: str, context: Context, now: Instant) -> Decision | None:
        """See `grayflow.core.writing.Links`."""
        compiled = self.snapshot.compiled(key)
        if compiled is None:
            return None
        if not compiled.linked:
            return compiled.evaluate(context, now, None)
        if key not in self._flags:
            self._descend("flag", key, context, now)
            self._flags[key] = compiled.evaluate(context, now, self)
            self._depth -= 1
        return self._flags[key]

    def segment(self, key: str, context: Context, now: Instant) -> bool:
        """See `grayflow.core.writing.Links`."""
        compiled = self.snapshot.compiled_segment(key)
        if compiled is None:
            return False
        if not compiled.nested:
            return compiled.test(context, now, self)
        if key not in self._members:
            self._descend("segment", key, context, now)
            self._members[key] = compiled.test(context, now, self)
            self._depth -= 1
        return self._members[key]

    def _descend(self, kind: str, key: str, context: Context, now: Instant) -> None:
        """Go one level down; where a chain is long, decide the rest of it from below: Python's stack is shorter."""
        self._depth += 1
        if self._depth == _DEEPEST:
            for below, name in bottom_up(self.snapshot.edges, (kind, key))[:-1]:
                (self.flag if below == "flag" else self.segment)(name, context, now)

    def fetch(self, name: str) -> Any:
        """See `grayflow.core.writing.Links`."""
        if self.resolved is None or name not in self.resolved:
            raise AttributeNeeded(name)
        return self.resolved[name]


class Builder:
    """
    Collects documents into a snapshot, in as many sittings as the caller likes.

    A client adds a few hundred at a time and lets other tasks run in between; nobody sees the snapshot before it is
    whole.
    """

    def __init__(
        self,
        *,
        extensions: Extensions | None = None,
        context_type: type[Context] = Context,
        resolvable: frozenset[str] = frozenset(),
        previous: Snapshot | None = None,
    ) -> None:
        """
        Begin.

        Args:
            extensions: Foreign hashes and operators.
            context_type: The class whose fields conditions read.
            resolvable: Attributes that the caller can fetch where a context lacks them.
            previous: Where the last good form of a document that does not decode is looked up.
        """
        self._settings = Settings(extensions or Extensions(), field_names(context_type), resolvable)
        self._context_type, self._previous = context_type, previous
        self._flags: dict[str, FlagEntry] = {}
        self._segments: dict[str, SegmentEntry] = {}
        self._edges: dict[Node, frozenset[Node]] = {}

    def add_flag(self, key: str | None, document: Document) -> None:
        """Add a flag; `key` is the name it is stored under, if it is stored."""
        last = None if self._previous is None or key is None else self._previous.flags.get(key)
        entry = flag_entry(key, document.revision, document.data, last)
        self._flags[entry.key] = entry
        self._connect(("flag", entry.key), entry.needs())

    def add_segment(self, key: str | None, document: Document) -> None:
        """Add a segment; see `add_flag`."""
        last = None if self._previous is None or key is None else self._previous.segments.get(key)
        entry = segment_entry(key, document.revision, document.data, last)
        self._segments[entry.key] = entry
        self._connect(("segment", entry.key), entry.needs())

    def _connect(self, node: Node, found: frozenset[Node]) -> None:
        if found:
            self._edges[node] = found
        else:
            self._edges.pop(node, None)

    def build(self, position: Position | None) -> Snapshot:
        """Return the snapshot of everything added. The builder is used up."""
        return Snapshot(
            self._settings,
            self._context_type,
            Table(self._flags),
            Table(self._segments),
            Table(self._edges),
            undecidable(self._edges),
            position,
        )
