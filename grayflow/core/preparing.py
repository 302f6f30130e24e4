"""
How much has to be compiled before a flag can be decided, and how to do it a little at a time.

Flags and segments are compiled when they are first needed: microseconds for the usual one, tens of milliseconds for one
with a thousand conditions. Most of that goes into comparisons, which all flags share once they are made. Whoever must
not stop for so long has them made first, in steps.
"""

from collections.abc import Iterable, Iterator

from grayflow.core.comparison import comparison
from grayflow.core.entry import FlagEntry, SegmentEntry
from grayflow.core.flag import All, AnyOf, Attribute, Condition, Not
from grayflow.core.graph import Node
from grayflow.core.snapshot import Snapshot

__all__ = ["in_steps", "pending"]

_PATTERN = 10
"""A regular expression takes Python as long as ten other conditions take us."""
_STEP = 40
"""Conditions that are half a millisecond's work."""


def pending(snapshot: Snapshot, key: str) -> int:
    """Return how much is to be compiled for the first decision of a flag, in conditions; 0 for every later one."""
    if snapshot.is_ready(key):
        return 0
    return sum(_weight(leaf) for node in _reached(snapshot, key) for leaf in _uncompiled(snapshot, node))


def in_steps(snapshot: Snapshot, key: str) -> Iterator[None]:
    """Compile a flag and all that it reaches, where that is not done yet, and yield after each step of it."""
    for kind, name in _reached(snapshot, key):
        weight = 0
        for leaf in _uncompiled(snapshot, (kind, name)):
            if isinstance(leaf, Attribute):
                comparison(leaf, snapshot.extensions.operators)
            weight += _weight(leaf)
            if weight >= _STEP:
                yield
                weight = 0
        if kind == "flag":
            snapshot.compiled(name)
        else:
            snapshot.compiled_segment(name)
        yield


def _reached(snapshot: Snapshot, key: str) -> Iterator[Node]:
    waiting: list[Node] = [("flag", key)]
    seen = set(waiting)
    for node in waiting:  # grows while it is walked
        yield node
        further = snapshot.edges.get(node, frozenset()) - seen
        seen |= further
        waiting += further


def _uncompiled(snapshot: Snapshot, node: Node) -> Iterator[Condition]:
    """Yield the conditions of a document that hold no others, if it is still to be compiled."""
    kind, key = node
    entry: FlagEntry | SegmentEntry | None = (snapshot.flags if kind == "flag" else snapshot.segments).get(key)
    if entry is None or entry.is_compiled:
        return
    if isinstance(entry, SegmentEntry):
        yield from () if entry.segment is None else _leaves(entry.segment.when or ())
    elif entry.flag is not None:
        yield from _leaves(entry.flag.requires)
        for rule in entry.flag.rules:
            yield from _leaves(rule.when)


def _leaves(conditions: Iterable[Condition]) -> Iterator[Condition]:
    for condition in conditions:
        match condition:
            case All(of=inner) | AnyOf(of=inner):
                yield from _leaves(inner)
            case Not(of=one):
                yield from _leaves((one,))
            case _:
                yield condition


def _weight(leaf: Condition) -> int:
    return 1 + _PATTERN * len(leaf.values) if isinstance(leaf, Attribute) and leaf.op == "matches" else 1
