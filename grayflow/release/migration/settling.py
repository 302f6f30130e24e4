"""
What has to be done so that two copies of a row agree: the newest counts, and a delete counts like a write.

Versions are comparable over both stores, so whoever settles a row, and however often, comes to the same end. That is
what makes repairs harmless: a copy that comes too late is older than what it meets, and is refused there.
"""

import msgspec

from grayflow.release.migration.rules import Profile, Side

__all__ = ["Copy", "Settlement", "settlement"]


class Copy(msgspec.Struct, frozen=True):
    """What one store knows of a row: its version, or that of its deletion."""

    version: int
    deleted: bool = False


class Settlement(msgspec.Struct, frozen=True):
    """One thing to do to one store."""

    side: Side
    """Which store is changed."""
    version: int
    """Of the row that is copied to it, or of the deletion."""
    delete: bool = False


def settlement(old: Copy | None, new: Copy | None, profile: Profile) -> Settlement | None:
    """
    Return what makes the copies agree, `None` if they do.

    A deletion beats a row of its own version. In the profile `split` a row that is only in the new store stays so,
    unless it was deleted from the old one.

    Args:
        old: What the old store knows, `None` if it has never heard of the row.
        new: The same of the new one.
        profile: Of the migration.
    """
    ahead = _newer(old, new)
    if ahead is None:
        return None
    winner, behind = (old, new) if ahead is Side.OLD else (new, old)
    has_row = behind is not None and not behind.deleted
    if winner is None or (winner.deleted and not has_row):
        return None  # nothing to take away; the tombstone of one store is enough for both
    if not winner.deleted and ahead is Side.NEW and profile == "split" and not has_row:
        return None
    return Settlement(ahead.other, winner.version, delete=winner.deleted)


def _newer(old: Copy | None, new: Copy | None) -> Side | None:
    ranks = [(-1, False) if one is None else (one.version, one.deleted) for one in (old, new)]
    return None if ranks[0] == ranks[1] else Side.OLD if ranks[0] > ranks[1] else Side.NEW
