"""
What is refused before it is written, and what is only warned of. Pure: documents in, problems out.

A document must decode as any reader will decode it. Beyond that, what a reader would tolerate is refused only where
the edit brings it in: a kill switch works on a flag that is odd already, and on one whose extensions are not at hand.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Protocol, TypeVar, cast

import msgspec

from grayflow.core.calendar import from_datetime
from grayflow.core.codec import Source, decode_flag, decode_segment, encode, to_bytes
from grayflow.core.extensions import Extensions
from grayflow.core.flag import Flag, Segment
from grayflow.core.graph import Node, needs, undecidable
from grayflow.core.liveness import live
from grayflow.core.position import Document
from grayflow.core.validate import degradations
from grayflow.errors import InvalidFlagError, Problem
from grayflow.store.port import DocumentKind

__all__ = [
    "Documents",
    "canonical",
    "circle",
    "decode",
    "dependents",
    "hindrances",
    "kind_of",
    "kind_word",
    "missing",
    "model_of",
    "node_of",
    "reference_problems",
    "refuse_degraded",
]


D = TypeVar("D", bound=Flag | Segment)


class Documents(Protocol):
    """All documents at one moment, such as a `State`."""

    @property
    def flags(self) -> Mapping[str, Document]:
        """Flags by key."""

    @property
    def segments(self) -> Mapping[str, Document]:
        """Segments by key."""


def kind_of(document: Flag | Segment) -> DocumentKind:
    """Return the word for what a document is."""
    return "flag" if isinstance(document, Flag) else "segment"


def node_of(document: Flag | Segment) -> Node:
    """Return how references name a document."""
    return kind_of(document), document.key


def kind_word(model: type[D]) -> DocumentKind:
    """Return the word for a type of document."""
    return "flag" if issubclass(model, Flag) else "segment"


def model_of(kind: str) -> type[Flag | Segment]:
    """Return the type of document that a word means."""
    return Flag if kind == "flag" else Segment


def decode(model: type[D], data: bytes, key: str | None = None) -> D:
    """
    Decode and check the bytes of a document.

    Raises:
        InvalidFlagError: they are not a valid one.
    """
    return cast("D", decode_flag(data, key) if issubclass(model, Flag) else decode_segment(data, key))


def canonical(model: type[D], source: Source, key: str | None = None) -> tuple[D, bytes]:
    """
    Return a document given in any form, as every reader will decode it, and its canonical bytes.

    Raises:
        InvalidFlagError: it is not a valid document, or one of the other model.
    """
    if isinstance(source, Flag | Segment) and not isinstance(source, model):
        # As JSON, a segment that says nothing but its key is a flag as well.
        wanted, found = model.__name__, type(source).__name__
        message = f"this is a {found}, and what is written is a {wanted}; segments have verbs of their own: put_segment"
        raise InvalidFlagError((Problem(key=source.key, kind=kind_word(model), path="", message=message),))
    given = to_bytes(source)
    named = _key_of(given) if key is None else key
    data = encode(decode(model, given, named))
    return decode(model, data, named), data


class _Named(msgspec.Struct):
    key: str


def _key_of(data: bytes) -> str | None:
    """Return the key that a document gives itself, so that problems name it even where the rest does not decode."""
    try:
        return msgspec.json.decode(data, type=_Named).key
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def refuse_degraded(document: Flag | Segment, before: Flag | Segment | None, extensions: Extensions) -> None:
    """
    Refuse conditions that could not be evaluated, unless they were there before.

    Raises:
        InvalidFlagError: with every new place.
    """
    found = degradations(document, extensions)
    # By their text: an inserted rule moves the paths of those behind it.
    known = Counter(message for _, message in (degradations(before, extensions) if found and before else ()))
    fresh = []
    for path, message in found:
        if known[message]:
            known[message] -= 1
        else:
            fresh.append(Problem(key=document.key, kind=kind_of(document), path=path, message=message))
    if fresh:
        raise InvalidFlagError(tuple(fresh))


def reference_problems(
    document: Flag | Segment, before: Flag | Segment | None, documents: Documents
) -> tuple[Problem, ...]:
    """
    Look at what a document's conditions name, in the set that it is to be part of.

    Returns:
        Warnings: what is named and does not exist, and a circle elsewhere that it reaches.

    Raises:
        InvalidFlagError: the edit closes a circle; the text shows it.
    """
    this, added = node_of(document), needs(document)
    if before is not None:
        added -= needs(before)
    edges = _reachable(document, documents)
    if message := circle(this, edges, added):
        raise InvalidFlagError((Problem(key=document.key, kind=this[0], path="", message=message),))
    warnings = list(missing(document, documents))
    if added and this in undecidable(edges):
        message = "it needs what is part of a circle of flags and segments, so it answers with the caller's default"
        warnings.append(Problem(key=document.key, kind=this[0], path="", message=message))
    return tuple(warnings)


def circle(node: Node, edges: Mapping[Node, frozenset[Node]], needed: frozenset[Node] | None = None) -> str:
    """
    Return what is wrong with a document that needs itself, `""` if it does not.

    Args:
        node: The document.
        edges: What every document needs.
        needed: Which of its own needs to follow; all if left out.
    """
    for need in sorted(edges[node] if needed is None else needed):
        if path := _way(need, node, edges):
            shown = " → ".join(f"{kind} {key!r}" for kind, key in (node, *path))
            return f"this would close a circle, in which nothing can be decided: {shown}"
    return ""


def missing(document: Flag | Segment, documents: Documents) -> Iterator[Problem]:
    """Yield a warning for every flag or segment that a document's conditions name and that does not exist."""
    this = node_of(document)
    for kind, key in sorted(needs(document)):
        if (kind, key) != this and key not in (documents.flags if kind == "flag" else documents.segments):
            message = f"its conditions name the {kind} {key!r}, which does not exist, so they are false"
            yield Problem(key=document.key, kind=this[0], path="", message=message)


def _reachable(document: Flag | Segment, documents: Documents) -> dict[Node, frozenset[Node]]:
    """Return what a document needs, and what that needs, as it will be."""
    edges = {node_of(document): needs(document)}
    waiting = list(needs(document))
    while waiting:
        node = waiting.pop()
        if node not in edges:
            edges[node] = _needs_of(node, documents)
            waiting += edges[node]
    return edges


def _needs_of(node: Node, documents: Documents) -> frozenset[Node]:
    kind, key = node
    held = documents.flags.get(key) if kind == "flag" else documents.segments.get(key)
    if held is None:
        return frozenset()
    try:
        return needs(decode(model_of(kind), held.data, key))
    except InvalidFlagError:
        return frozenset()  # a broken document is false wherever it is named


def _way(start: Node, end: Node, edges: Mapping[Node, frozenset[Node]]) -> tuple[Node, ...]:
    """Return a way from one document to another, both included; empty if there is none."""
    came_from: dict[Node, Node | None] = {start: None}
    waiting = [start]
    for node in waiting:  # grows while it is walked
        if node == end:
            return _steps(node, came_from)
        for need in sorted(edges.get(node, ())):
            if need not in came_from:
                came_from[need] = node
                waiting.append(need)
    return ()


def _steps(node: Node, came_from: Mapping[Node, Node | None]) -> tuple[Node, ...]:
    steps = [node]
    while (before := came_from[steps[-1]]) is not None:
        steps.append(before)
    return tuple(reversed(steps))


def dependents(node: Node, documents: Documents) -> tuple[Node, ...]:
    """Return the flags and segments whose conditions name a document."""
    others = [*(("flag", key) for key in documents.flags), *(("segment", key) for key in documents.segments)]
    return tuple(other for other in others if other != node and node in _needs_of(other, documents))


def hindrances(flag: Flag, now: int) -> Iterator[Problem]:
    """Yield a warning for everything that keeps an enabled flag from serving what an operator might expect of it."""
    if flag.expires_at is not None and from_datetime(flag.expires_at) <= now:
        text = f"it expired at {flag.expires_at.isoformat()}, so everybody is still served `off`"
        yield Problem(key=flag.key, path="expires_at", message=text)
    elif flag.effective_at is not None and from_datetime(flag.effective_at) > now:
        text = f"everybody is served `off` until {flag.effective_at.isoformat()}"
        yield Problem(key=flag.key, path="effective_at", message=text)
    elif not live(flag, now) - {flag.off_variant}:
        yield Problem(key=flag.key, path="", message="nothing but `off` can be served: see its percentages and rules")
