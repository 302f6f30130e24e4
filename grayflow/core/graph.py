"""Which flags and segments need which, and which of them can never be decided because they need themselves."""

from collections import Counter
from collections.abc import Mapping

from grayflow.core.flag import Flag, FlagIs, Segment, SegmentIs
from grayflow.core.validate import all_conditions

__all__ = ["Edges", "Node", "needs", "undecidable"]

Node = tuple[str, str]
"""`("flag", key)` or `("segment", key)`."""

Edges = Mapping[Node, frozenset[Node]]
"""Document -> what its conditions name. Documents that name nothing are left out."""


def needs(document: Flag | Segment) -> frozenset[Node]:
    """Return the flags and segments that a document's conditions name, whether they exist or not."""
    found: set[Node] = set()
    for _, condition in all_conditions(document):
        if isinstance(condition, SegmentIs):
            found.add(("segment", condition.key))
        elif isinstance(condition, FlagIs):
            found.add(("flag", condition.key))
    return frozenset(found)


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
