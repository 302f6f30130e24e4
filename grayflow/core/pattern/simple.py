"""
A smaller pattern that is found in the same texts: what makes everyday patterns cheap for a backtracking engine.

Two facts are used, both of which need that only being found matters, not where.

* What may be absent at the beginning or the end of a pattern may be left out, and `x+` there is `x`.
* Where everything between two gaps could be part of the second gap (`.*foo.*`), the first gap is best ended at the
  nearest place: whatever is found behind a later place is found behind the nearest as well.
"""

from itertools import pairwise

from grayflow.core.pattern.charset import Ranges, inverted, merged, overlap
from grayflow.core.pattern.tree import (
    Chars,
    Choice,
    Commit,
    Node,
    Repeat,
    Sequence,
    alphabet,
    choice,
    repeat,
    sequence,
    skippable,
    width,
)

__all__ = ["committed", "trimmed"]


def trimmed(node: Node) -> Node:
    """Leave out what changes nothing at both ends of a pattern."""
    if isinstance(node, Choice):
        return choice(map(trimmed, node.options))
    items: list[Node] = list(node.items) if isinstance(node, Sequence) else [node]
    for end in (0, -1):
        while items and skippable(items[end]):
            del items[end]
        if items and isinstance(last := items[end], Repeat):
            items[end] = repeat(last.body, last.least, last.least)
    return sequence(items)


def committed(node: Node) -> Node:
    """End gaps at the nearest place where that loses nothing."""
    if isinstance(node, Choice):
        return choice(map(committed, node.options))
    if not isinstance(node, Sequence):
        return node
    items: list[Node] = [part for item in node.items for part in _with_bare_gap(item)]
    gaps = [at for at, item in enumerate(items) if _gap(item) is not None]
    for here, following in reversed(list(pairwise(gaps))):
        between = sequence(items[here + 1 : following])
        if _ends_at_the_nearest(items[here], between, items[following]):
            items[here:following] = [Commit(_gap(items[here]) or (), between)]
    return sequence(items)


def _with_bare_gap(item: Node) -> tuple[Node, ...]:
    """Split `x+` into `x` and `x*`."""
    if isinstance(item, Repeat) and isinstance(item.body, Chars) and item.least and item.most is None:
        return repeat(item.body, item.least, item.least), Repeat(item.body, 0, None)
    return (item,)


def _gap(item: Node) -> Ranges | None:
    if isinstance(item, Repeat) and isinstance(item.body, Chars) and (item.least, item.most) == (0, None):
        return item.body.ranges
    return None


def _ends_at_the_nearest(first: Node, between: Node, second: Node) -> bool:
    # Of fixed width: a lazy gap then finds the nearest end, and not only the nearest beginning.
    low, high = width(between)
    inside, outside = merged(alphabet(first), alphabet(between)), inverted(alphabet(second))
    return low == high and low > 0 and not overlap(inside, outside)
