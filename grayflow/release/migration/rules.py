"""
Where each operation goes at each stage: the whole rule table, as functions of a few words.

Nothing here does I/O. What runs a migration looks up the facts that are asked for (whether the row is in the old store,
whether its route is on the gray list), asks here, and does what is said; so the table can be tested whole.
"""

from enum import StrEnum
from typing import Literal

import msgspec

__all__ = [
    "Mirror",
    "Operation",
    "Profile",
    "Reading",
    "Side",
    "Stage",
    "Writing",
    "authority",
    "deletes_from",
    "lists_from",
    "needs_gray",
    "needs_probe",
    "reading",
    "writing",
]


class Stage(StrEnum):
    """
    How far a migration has come; each step goes to a neighbour.

    The values are the variants of the migration's flag. Contract: never renamed.
    """

    OFF = "off"
    """Only the old store is used."""
    DUALWRITE = "dualwrite"
    """Writes reach the new store too; the old one answers for every row that it has."""
    SHADOW = "shadow"
    """As before, and reads of rows that are in both are compared."""
    LIVE = "live"
    """The new store answers for rows whose route is on the gray list."""
    RAMPDOWN = "rampdown"
    """The new store answers; the old one is kept up to date, so that there is a way back."""
    COMPLETE = "complete"
    """Only the new store is used: the master switch of the gray list. There is no way back."""

    @property
    def rank(self) -> int:
        """0 for `off` to 5 for `complete`."""
        return _ORDER.index(self)

    @property
    def next(self) -> "Stage | None":
        """The stage that `advance` leads to, `None` at the end."""
        return _ORDER[self.rank + 1] if self.rank + 1 < len(_ORDER) else None

    @property
    def previous(self) -> "Stage | None":
        """The stage that `retreat` leads to; `None` at both ends, since nothing leads back from `complete`."""
        return None if self in {Stage.OFF, Stage.COMPLETE} else _ORDER[self.rank - 1]

    @property
    def switched_off(self) -> "Stage":
        """What applies while the migration's flag is disabled: one step back, where that takes reads to the old."""
        return {Stage.LIVE: Stage.SHADOW, Stage.RAMPDOWN: Stage.LIVE}.get(self, self)


_ORDER = tuple(Stage)


class Side(StrEnum):
    """One of the two stores."""

    OLD = "old"
    NEW = "new"

    @property
    def other(self) -> "Side":
        """The other one."""
        return Side.NEW if self is Side.OLD else Side.OLD


Profile = Literal["split", "mirrored"]
"""
`split`: rows that are inserted during the migration live in the new store only; there is less to write, and the way
back leaves them there. `mirrored`: every row is in both, so that the way back loses nothing.
"""

Operation = Literal["insert", "update"]


class Mirror(StrEnum):
    """Whether a write is copied to the other store."""

    NONE = "none"
    ALWAYS = "always"
    IF_PRESENT = "if_present"
    """Only if the row is there already."""


class Reading(msgspec.Struct, frozen=True):
    """Which store answers a single read, and whether its answer is compared with that of the other."""

    side: Side
    compare: bool = False


class Writing(msgspec.Struct, frozen=True):
    """Which store a write goes to first, and what becomes of the other."""

    side: Side
    mirror: Mirror = Mirror.NONE
    absent_from_old: bool = False
    """Whether the row goes to the new store alone because the old one lacks it: an insert is refused if it does not."""


def needs_probe(stage: Stage, profile: Profile) -> bool:
    """Tell whether `authority` depends on the row being in the old store."""
    return profile == "split" and stage in {Stage.DUALWRITE, Stage.SHADOW, Stage.LIVE}


def needs_gray(stage: Stage) -> bool:
    """Tell whether `authority` depends on the gray list."""
    return stage is Stage.LIVE


def authority(stage: Stage, profile: Profile, *, in_old: bool, gray: bool) -> Side:
    """
    Return the store whose copy of a row counts. Every operation asks here, hence they agree.

    Args:
        stage: Of the migration.
        profile: What becomes of inserts.
        in_old: Whether the old store has the row; looked at only where `needs_probe`.
        gray: Whether its route is on the gray list; looked at only where `needs_gray`.
    """
    if stage is Stage.OFF:
        return Side.OLD
    if stage in {Stage.RAMPDOWN, Stage.COMPLETE}:
        return Side.NEW
    if profile == "split" and not in_old:
        return Side.NEW
    return Side.NEW if stage is Stage.LIVE and gray else Side.OLD


def reading(stage: Stage, profile: Profile, *, in_old: bool, gray: bool) -> Reading:
    """Return what a single read does."""
    side = authority(stage, profile, in_old=in_old, gray=gray)
    in_both = profile == "mirrored" or in_old
    return Reading(side, compare=in_both and stage in {Stage.SHADOW, Stage.LIVE})


def lists_from(stage: Stage, profile: Profile) -> tuple[Side, ...]:
    """Return the stores that a list read asks, the old one first: a row that moves is there before it is in the new."""
    if stage is Stage.OFF or (stage is Stage.DUALWRITE and profile == "mirrored"):
        return (Side.OLD,)
    return (Side.NEW,) if stage in {Stage.RAMPDOWN, Stage.COMPLETE} else (Side.OLD, Side.NEW)


def writing(operation: Operation, stage: Stage, profile: Profile, *, in_old: bool, gray: bool) -> Writing:
    """Return what an insert or an update does."""
    if stage is Stage.OFF:
        return Writing(Side.OLD)
    if stage is Stage.COMPLETE:
        return Writing(Side.NEW)
    if profile == "split" and operation == "insert":
        return Writing(Side.NEW, absent_from_old=True)
    side = authority(stage, profile, in_old=in_old, gray=gray)
    if profile == "mirrored" or side is Side.OLD:
        return Writing(side, Mirror.ALWAYS)
    if needs_probe(stage, profile) and not in_old:
        return Writing(side, absent_from_old=True)
    return Writing(side, Mirror.IF_PRESENT)


def deletes_from(stage: Stage) -> tuple[Side, ...]:
    """Return the stores that a delete goes to, in order: a row that is gone from the old must not be in the new."""
    if stage is Stage.OFF:
        return (Side.OLD,)
    return (Side.NEW,) if stage is Stage.COMPLETE else (Side.NEW, Side.OLD)
