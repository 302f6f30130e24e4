"""Who would be served something else, before a change is saved. Pure: two snapshots and contexts in, shifts out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from grayflow.core.decision import Decision
from grayflow.core.graph import Node
from grayflow.core.snapshot import Snapshot

__all__ = ["Preview", "Shift", "affected", "preview"]


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """One context that one flag would answer differently."""

    flag: str
    context: int
    """Index among the contexts that were given."""
    before: Decision
    after: Decision


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What a change would do to the contexts that were given."""

    contexts: int
    """How many were tried."""
    flags: tuple[str, ...]
    """Flags that the change can reach: those edited, and those that need them."""
    shifts: tuple[Shift, ...]

    def counts(self) -> Mapping[tuple[str, str | None, str | None], int]:
        """Return how many contexts move: by flag, variant before and variant after (`None`: the caller's default)."""
        found: dict[tuple[str, str | None, str | None], int] = {}
        for shift in self.shifts:
            way = (shift.flag, shift.before.variant, shift.after.variant)
            found[way] = found.get(way, 0) + 1
        return found


def preview(before: Snapshot, after: Snapshot, edited: Iterable[Node], contexts: Sequence[Any], *, now: int) -> Preview:
    """
    Compare what two snapshots answer.

    Args:
        before: The flag set as it is.
        after: The flag set with the edits.
        edited: What differs between the two.
        contexts: Contexts or mappings. Attributes that a service fetches by resolvers are absent here.
        now: The instant of evaluation, nanoseconds since the epoch.
    """
    flags = tuple(sorted(key for kind, key in affected(frozenset(edited), before, after) if kind == "flag"))
    shifts = []
    for key in flags:
        for index, context in enumerate(contexts):
            was, will = (snapshot.evaluate(key, context, now=now) for snapshot in (before, after))
            if _differ(was, will):
                shifts.append(Shift(flag=key, context=index, before=was, after=will))
    return Preview(contexts=len(contexts), flags=flags, shifts=tuple(shifts))


def affected(edited: frozenset[Node], *snapshots: Snapshot) -> frozenset[Node]:
    """Return what was edited and whatever needs it, directly or not, in any of the snapshots."""
    needed_by: dict[Node, set[Node]] = {}
    for snapshot in snapshots:
        for kind, entries in (("flag", snapshot.flags), ("segment", snapshot.segments)):
            for key, entry in entries.items():
                for need in entry.needs():
                    needed_by.setdefault(need, set()).add((kind, key))
    found = set(edited)
    waiting = list(edited)
    while waiting:
        fresh = needed_by.get(waiting.pop(), set()) - found
        found |= fresh
        waiting += fresh
    return frozenset(found)


def _differ(before: Decision, after: Decision) -> bool:
    # Two variants may serve equal values and one variant may get a new value: either is a change to somebody.
    # Python holds True equal to 1 and 1 equal to 1.0; nobody who is served one of them does.
    return (before.variant, before.error) != (after.variant, after.error) or _text(before.value) != _text(after.value)


def _text(value: Any) -> bytes:
    return msgspec.json.encode(value, order="deterministic")
