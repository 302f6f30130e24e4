"""Which flags and segments need which, and which of them can never be decided because they need themselves."""

from collections import Counter
from collections.abc import Iterable, Mapping

from grayflow.core.flag import All, AnyOf, Attribute, Bucket, Condition, During, Flag, FlagIs, Not, Segment, SegmentIs

__all__ = ["Edges", "Node", "bottom_up", "needs", "reaches", "undecidable"]

Node = tuple[str, str]
"""`("flag", key)` or `("segment", key)`."""

Edges = Mapping[Node, frozenset[Node]]
"""Document -> what its conditions name. Documents that name nothing are left out."""


def needs(document: Flag | Segment) -> frozenset[Node]:
    """Return the flags and segments that a document's conditions name, whether they exist or not."""
    found: set[Node] = set()
    if isinstance(document, Segment):
        _collect(document.when or (), found)
    else:
        _collect(document.requires, found)
        for rule in document.rules:
            _collect(rule.when, found)
    return frozenset(found)


def _collect(conditions: Iterable[Condition], found: set[Node]) -> None:
    for condition in conditions:
        if type(condition) is Attribute or type(condition) is Bucket or type(condition) is During:
            continue
        if type(condition) is SegmentIs:
            found.add(("segment", condition.key))
        elif type(condition) is FlagIs:
            found.add(("flag", condition.key))
        elif type(condition) is Not:
            _collect((condition.of,), found)
        elif type(condition) is All or type(condition) is AnyOf:
            _collect(condition.of, found)


def undecidable(edges: Edges) -> frozenset[Node]:
    """
    Return the members of circles and whatever reaches one.

    Kahn's topological order, from the documents that need nothing upwards: what is never reached is the answer. To
    reach a document on two ways is no circle.
    """
    open_needs = Counter({node: sum(need in edges for need in found) for node, found in edges.items()})
    needed_by: dict[Node, list[Node]] = {}
    for node, found in edges.items():
        for need in found:
            needed_by.setdefault(need, []).append(node)
    decided = [node for node, count in open_needs.items() if count == 0]
    for node in decided:  # grows while it is walked
        for above in needed_by.get(node, ()):
            open_needs[above] -= 1
            if open_needs[above] == 0:
                decided.append(above)
    return frozenset(edges.keys() - set(decided))


def reaches(edges: Edges, start: Iterable[Node], goal: Node) -> bool:
    """Tell whether one of `start` is `goal`, or needs it on some way."""
    waiting, seen = list(start), set(start)
    for node in waiting:  # grows while it is walked
        if node == goal:
            return True
        further = edges.get(node, frozenset()) - seen
        seen |= further
        waiting += further
    return False


def bottom_up(edges: Edges, node: Node) -> list[Node]:
    """Return what `node` needs on any way, without leaves: each after what it needs itself, so that `node` is last."""
    order: list[Node] = []
    seen, path = {node}, [(node, iter(edges.get(node, ())))]
    while path:
        top, further = path[-1]
        need = next((one for one in further if one in edges and one not in seen), None)
        if need is None:
            order.append(top)
            path.pop()
        else:
            seen.add(need)
            path.append((need, iter(edges[need])))
    return order
