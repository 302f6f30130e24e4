"""A split as a function: from an id to one of several things, by where its slot falls."""

from bisect import bisect_right
from collections.abc import Callable
from heapq import heappop, heappush
from typing import TypeVar

from mmh3 import hash as murmur3

from grayflow.core import bucketing
from grayflow.core.flag import Split

__all__ = ["ForeignSlot", "picker", "split_ranges"]

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


def picker(
    split: Split, salt: str, make: Callable[[str], T], absent: T | None, slot: ForeignSlot
) -> Callable[[str | None], T | None]:
    """
    Return the function from an id to what its variant is made into; `None` where the id falls into a gap.

    Args:
        split: Of a checked document.
        salt: The effective salt.
        make: Makes what is picked, once a variant.
        absent: Picked for an absent id.
        slot: Asked where the split names a foreign hash.
    """
    made = {variant: make(variant) for variant, _, _ in split_ranges(split)}
    starts, picks = _table([(low, high, made[variant]) for variant, low, high in split_ranges(split)])
    if split.hash is not None:
        name = split.hash

        def foreign(unit: str | None) -> T | None:
            at = None if unit is None else slot(name, salt, unit)
            return absent if at is None else picks[bisect_right(starts, at)]

        return foreign
    starts = [bucketing.threshold(start) for start in starts]
    seed = bucketing.lane_seed(salt, bucketing.CHOICE)

    def native(unit: str | None) -> T | None:
        if unit is None:
            return absent
        return picks[bisect_right(starts, murmur3(unit, seed, False))]

    return native


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
