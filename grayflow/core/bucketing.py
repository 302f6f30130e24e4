"""
From an id to a point: who is in a percentage, and who gets which variant.

Contract: equal on every host, Python and release; `tests/spec/bucketing.json` pins it. A "fairer" hash would
silently reshuffle everybody on upgrade, so it is never changed.

    point = murmur3_x86_32(utf8(id), seed)           unsigned, 32 bits
    seed  = murmur3_x86_32(utf8(salt + NUL + lane), 0)
    slot  = point * 100_000 >> 32

`exposure` is the lane of percentages and buckets, `choice` that of splits: seeded apart, who is let in says nothing
about which variant they get. MurmurHash3 is Austin Appleby's; the package `mmh3` implements it.
"""

from mmh3 import hash as murmur3

from grayflow.core.flag import SLOTS

__all__ = ["CHOICE", "EXPOSURE", "lane_seed", "point", "slot", "threshold"]

EXPOSURE = "exposure"
CHOICE = "choice"
POINTS = 1 << 32


def lane_seed(salt: str, lane: str) -> int:
    """Return the seed for one salt (any text, also empty) in one lane, `EXPOSURE` or `CHOICE`."""
    return murmur3(f"{salt}\0{lane}", 0, False)


def point(unit: str, seed: int) -> int:
    """
    Map an id to its point, `0 <= point < 2**32`.

    Args:
        unit: An id in its text form; empty text is an id like any other.
        seed: From `lane_seed`.

    Raises:
        UnicodeEncodeError: `unit` holds a lone surrogate. `grayflow.core.ids.id_text` keeps those out.
    """
    return murmur3(unit, seed, False)


def slot(of: int) -> int:
    """Return the slot of a point, `0 <= slot < 100_000`; one slot is 0.001 % of all ids."""
    return of * SLOTS >> 32


def threshold(at: int) -> int:
    """
    Return the first point whose slot is `at` or more, so that ranges can be compared without a multiplication.

    `slot(p) >= at` exactly when `p >= threshold(at)`.
    """
    return -(-at * POINTS // SLOTS)
