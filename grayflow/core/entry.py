"""One flag or segment as a snapshot holds it: its last good form, and what is wrong with its newest."""

from typing import Any

import msgspec
from msgspec import UNSET

from grayflow.core.codec import decode_flag, decode_segment
from grayflow.core.compiler import Compiled, CompiledSegment, compile_flag, compile_segment
from grayflow.core.decision import Decision, ErrorCode, Reason
from grayflow.core.flag import Flag, Segment
from grayflow.core.graph import Node, needs
from grayflow.core.reference import Reference
from grayflow.core.validate import degradations, few, foreign_hashes
from grayflow.core.writing import Settings
from grayflow.errors import InvalidFlagError, Problem

__all__ = ["FlagEntry", "SegmentEntry", "flag_entry", "segment_entry"]


class FlagEntry(msgspec.Struct, eq=False, gc=False):
    """
    A flag of one snapshot, or of many that follow each other.

    Compiled when it is first asked for: most processes ask for few of the flags that they hold. Neither of the garbage
    collector's business nor part of a circle, so that ten thousand of them do not make its pauses longer.
    """

    key: str
    flag: Flag | None
    """The last good form; `None` if there never was one."""
    revision: int
    """Of that form."""
    problems: tuple[Problem, ...] = ()
    """Why the newest document could not be used."""
    fault: str | None = None
    """Why it could not be compiled: a defect of ours."""
    _compiled: Compiled | None = None
    _degradations: tuple[Problem, ...] | None = None

    def compiled(self, settings: Settings, *, cyclic: bool) -> Compiled:
        """Return the flag as a function, made on first use."""
        if cyclic:
            return self._compile(settings, cyclic=True)  # seldom, and the snapshot keeps it
        if self._compiled is None:
            self._compiled = self._compile(settings, cyclic=False)
        return self._compiled

    @property
    def is_compiled(self) -> bool:
        """Whether `compiled` has been called, and costs nothing any more."""
        return self._compiled is not None

    def _compile(self, settings: Settings, *, cyclic: bool) -> Compiled:
        if self.flag is None:
            return _constant(self._broken())
        try:
            return compile_flag(self.flag, self.revision, settings, cyclic=cyclic)
        except Exception as error:  # noqa: BLE001 - whatever decodes compiles; if not, the interpreter answers
            self.fault = f"{type(error).__name__}: {error}"
            key = self.key
            return Compiled(
                lambda context, now, links: Reference(links.snapshot, context, now, links.resolved).decide(key),  # type: ignore[arg-type, return-value]
                self.flag.kind,
                timed=True,
                linked=True,
            )

    def _broken(self) -> Decision:
        detail = "; ".join(map(str, self.problems[:3]))
        return Decision(key=self.key, value=UNSET, reason=Reason.ERROR, error=ErrorCode.PARSE_ERROR, detail=detail)

    def degraded(self, settings: Settings) -> tuple[Problem, ...]:
        """Return everything that keeps this flag from meaning what its newest document says."""
        if self._degradations is None:
            self._degradations = _degraded(self.flag, settings)
        own = self.problems + self._degradations + _failed(self.flag, settings)
        return (
            own if self.fault is None else (*own, Problem(key=self.key, path="", message=f"not compiled: {self.fault}"))
        )

    def needs(self) -> frozenset[Node]:
        """Return what its conditions name."""
        return frozenset() if self.flag is None else needs(self.flag)


class SegmentEntry(msgspec.Struct, eq=False, gc=False):
    """A segment of one snapshot, or of many that follow each other; see `FlagEntry`."""

    key: str
    segment: Segment | None
    revision: int
    problems: tuple[Problem, ...] = ()
    _compiled: CompiledSegment | None = None
    _degradations: tuple[Problem, ...] | None = None

    def compiled(self, settings: Settings) -> CompiledSegment:
        """Return the segment as a function; a broken one has no members."""
        if self._compiled is None:
            self._compiled = _NOBODY if self.segment is None else compile_segment(self.segment, settings)
        return self._compiled

    @property
    def is_compiled(self) -> bool:
        """Whether `compiled` has been called, and costs nothing any more."""
        return self._compiled is not None

    def degraded(self, settings: Settings) -> tuple[Problem, ...]:
        """Return everything that keeps this segment from meaning what its newest document says."""
        if self._degradations is None:
            self._degradations = _degraded(self.segment, settings)
        return self.problems + self._degradations + _failed(self.segment, settings)

    def needs(self) -> frozenset[Node]:
        """Return what its conditions name."""
        return frozenset() if self.segment is None else needs(self.segment)


def flag_entry(key: str | None, revision: int, data: bytes, last: FlagEntry | None = None) -> FlagEntry:
    """Decode a flag; if that fails, keep the form that `last` holds and say why."""
    try:
        flag = decode_flag(data, key)
    except InvalidFlagError as error:
        name = _name(key, data)
        if last is None or last.flag is None:
            return FlagEntry(name, None, revision, error.problems)
        return FlagEntry(name, last.flag, last.revision, error.problems)
    return FlagEntry(flag.key, flag, revision)


def segment_entry(key: str | None, revision: int, data: bytes, last: SegmentEntry | None = None) -> SegmentEntry:
    """Decode a segment; if that fails, keep the form that `last` holds and say why."""
    try:
        segment = decode_segment(data, key)
    except InvalidFlagError as error:
        name = _name(key, data)
        if last is None or last.segment is None:
            return SegmentEntry(name, None, revision, error.problems)
        return SegmentEntry(name, last.segment, last.revision, error.problems)
    return SegmentEntry(segment.key, segment, revision)


class _Named(msgspec.Struct):
    key: str = "?"


def _name(key: str | None, data: bytes) -> str:
    """Return what to call a document that does not decode."""
    if key is not None:
        return key
    try:
        return msgspec.json.decode(data, type=_Named).key
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "?"


def _degraded(document: Flag | Segment | None, settings: Settings) -> tuple[Problem, ...]:
    if document is None:
        return ()
    kind = "flag" if isinstance(document, Flag) else "segment"
    found = few(degradations(document, settings.extensions))
    return tuple(Problem(key=document.key, kind=kind, path=path, message=message) for path, message in found)


def _nobody(context: Any, now: Any, links: Any) -> bool:  # noqa: ARG001 - the shape of all compiled segments
    return False


_NOBODY = CompiledSegment(_nobody, nested=False)


def _failed(document: Flag | Segment | None, settings: Settings) -> tuple[Problem, ...]:
    """Return which hashes of a document turned out to have no slot for some id."""
    if document is None or not settings.failed_hashes:
        return ()
    kind = "flag" if isinstance(document, Flag) else "segment"
    return tuple(
        Problem(key=document.key, kind=kind, path=path, message=f"the hash {name!r} raised, or left its size")
        for path, name in foreign_hashes(document)
        if name in settings.failed_hashes
    )


def _constant(decision: Decision) -> Compiled:
    def answer(context: Any, now: Any, links: Any) -> Decision:  # noqa: ARG001 - the shape of all compiled flags
        return decision

    return Compiled(answer, "boolean", timed=False, linked=False)
