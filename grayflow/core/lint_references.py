"""What documents say about each other: references into nothing, circles, requirements that can go off."""

from collections.abc import Callable, Iterable, Iterator

from grayflow.core.findings import Finding, error, warning
from grayflow.core.flag import Flag, FlagIs, Segment, SegmentIs
from grayflow.core.graph import Node, needs, undecidable
from grayflow.core.validate import all_conditions

__all__ = ["references"]


def references(flags: Iterable[Flag], segments: Iterable[Segment]) -> Callable[[Flag | Segment], Iterator[Finding]]:
    """Return the function that finds, within this flag set, what is wrong with one document's references."""
    known: dict[Node, Flag | Segment] = {("flag", flag.key): flag for flag in flags}
    known |= {("segment", segment.key): segment for segment in segments}
    edges = {node: found for node, document in known.items() if (found := needs(document))}
    stuck = undecidable(edges)
    used = _reached({node: found for node, found in edges.items() if not _is_archived(known[node])})

    def find(document: Flag | Segment) -> Iterator[Finding]:
        node: Node = ("flag" if isinstance(document, Flag) else "segment", document.key)
        for path, condition in all_conditions(document):
            if isinstance(condition, SegmentIs) and ("segment", condition.key) not in known:
                message = f"there is no segment {condition.key!r}: this is always false"
                yield error(document, "unknown-segment", f"{path}.key", message)
            elif isinstance(condition, FlagIs):
                yield from _flag_reference(document, path, condition, known.get(("flag", condition.key)))
        if node in stuck:
            yield error(document, "cycle", "", f"{_circle(node, edges, stuck)}: every evaluation is an error")
        if isinstance(document, Segment) and node not in used:
            yield warning(document, "unused-segment", "", "no flag uses this segment; it can be deleted")

    return find


def _is_archived(document: Flag | Segment) -> bool:
    return isinstance(document, Flag) and document.archived


def _flag_reference(
    document: Flag | Segment, path: str, condition: FlagIs, other: Flag | Segment | None
) -> Iterator[Finding]:
    if not isinstance(other, Flag):
        message = f"there is no flag {condition.key!r}, which is neither on nor off: this is always false"
        yield error(document, "unknown-flag", f"{path}.key", message)
        return
    if other.archived and not condition.off:
        message = f"flag {other.key!r} is archived and never on again: this is always false"
        yield warning(document, "archived-flag", f"{path}.key", message)
    for index, variant in enumerate(condition.variants or ()):
        if variant not in other.variants:
            names = ", ".join(map(repr, other.variants)) or "none"
            message = f"flag {other.key!r} has no variant {variant!r}; its variants are {names}"
            yield error(document, "unknown-variant", f"{path}.variants[{index}]", message)
    if isinstance(document, Flag) and path.startswith("requires") and not condition.off and not other.archived:
        message = (
            f"when flag {other.key!r} goes off, {document.key!r} serves its `off` variant, but its cleanup handlers do "
            f"not run; let them name {other.key!r} too"
        )
        yield warning(document, "prerequisite", path, message)


def _reached(edges: dict[Node, frozenset[Node]]) -> frozenset[Node]:
    """Return what flags refer to, directly or through segments."""
    waiting = [node for node in edges if node[0] == "flag"]
    seen: set[Node] = set()
    while waiting:
        for need in edges.get(waiting.pop(), ()):
            if need not in seen:
                seen.add(need)
                waiting.append(need)
    return frozenset(seen)


def _circle(node: Node, edges: dict[Node, frozenset[Node]], stuck: frozenset[Node]) -> str:
    """Follow what cannot be decided until it repeats itself: every member of `stuck` needs another one."""
    walked = [node]
    while True:
        following = min(need for need in edges[walked[-1]] if need in stuck)
        if following in walked:
            ring = [*walked[walked.index(following) :], following]
            text = " -> ".join(f"{kind} {key!r}" for kind, key in ring)
            return f"part of a circle: {text}" if node in ring else f"reaches a circle: {text}"
        walked.append(following)
