"""A split as a table: which of several things an id gets, by where its slot falls."""

from bisect import bisect_right
from collections.abc import Callable
from heapq import heappop, heappush
from typing import TypeVar

from grayflow.core import bucketing
from grayflow.core.flag import Split

__all__ = ["ForeignSlot", "foreign_picker", "laid_out", "split_ranges"]

T = TypeVar("T")

ForeignSlot = Callable[[str, str, str], int | None]
"""Gets the name of a hash, a salt and an id; gives the slot, `None` if there is none."""


def split_ranges(split: Split) -> tuple[tuple[str, int, int], ...]:
    """Return a split as ranges: weights are laid end to end in their order."""
    if split.ranges is not None:
        return split.ranges
    ranges, start = [], 0
    for variant, weight in split.weights or ():
        ranges.append((variant, start, start + weight))
        start += weight
    return tuple(ranges)


def laid_out(split: Split, make: Callable[[str], T]) -> tuple[list[int], list[T | None]]:
    """
    Return where something begins, sorted, and what: what is picked at `x` is `picks[bisect_right(starts, x)]`.

    Args:
        split: Of a checked document.
        make: Makes what is picked, once a variant. In gaps it is `None`.

    Returns:
        The first points of our own hash, or slots of the foreign one that the split names; and what is picked.
    """
    ranges = split_ranges(split)
    made = {variant: make(variant) for variant, _, _ in ranges}
    starts, picks = _table([(low, high, made[variant]) for variant, low, high in ranges])
    return starts if split.hash is not None else [bucketing.threshold(start) for start in starts], picks


def foreign_picker(
    split: Split, salt: str, make: Callable[[str], T], absent: T | None, slot: ForeignSlot
) -> Callable[[str], T | None]:
    """Return the function from an id to what it picks by a foreign hash; `absent` where it has no slot."""
    starts, picks = laid_out(split, make)
    name = str(split.hash)

    def pick(unit: str) -> T | None:
        at = slot(name, salt, unit)
        return absent if at is None else picks[bisect_right(starts, at)]

    return pick


def _table(ranges: list[tuple[int, int, T]]) -> tuple[list[int], list[T | None]]:
    """Turn ranges, of which the first that holds a slot wins, into sorted starts and what begins at each."""
    starts = sorted({bound for low, high, _ in ranges for bound in (low, high)})
    waiting = sorted(((low, index) for index, (low, _, _) in enumerate(ranges)), reverse=True)
    open_ranges: list[int] = []
    picks: list[T | None] = [None]
    for start in starts:
        while waiting and waiting[-1][0] <= start:
            heappush(open_ranges, waiting.pop()[1])
        while open_ranges and ranges[open_ranges[0]][1] <= start:
            heappop(open_ranges)
        picks.append(ranges[open_ranges[0]][2] if open_ranges else None)
    return starts, picks
