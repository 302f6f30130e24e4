"""
Whether somebody may still be served what was switched off.

Pure. A process is through when it says that it decides by nothing older than the switch: neither flags from before
its revision, pinned by an open scope or not heard of yet, nor, if the clock switched, an instant before the edge.
"""

import msgspec

from grayflow.cleanup.event import Drained
from grayflow.core.position import Position
from grayflow.store.fleet import Fleet, Process

__all__ = ["Boundary", "how_drained", "waited_for"]


class Boundary(msgspec.Struct, frozen=True, kw_only=True):
    """What lies between old and new."""

    position: Position
    """Flags of this revision say that it is off, or when it will be."""
    instant: int | None = None
    """If the clock switched it: when, nanoseconds since the epoch."""

    def is_behind(self, process: Process) -> bool:
        """Tell whether a process may still be on the old side."""
        early = self.instant is not None and process.instant < self.instant
        return early or process.uses_older_than(self.position)


def waited_for(boundary: Boundary, here: Process, fleet: Fleet | None) -> tuple[Process, ...]:
    """
    Return the processes that are not through.

    Args:
        boundary: Between old and new.
        here: This process as it is at this moment; its report may be older.
        fleet: The reports; `None`: only this process counts.
    """
    others = () if fleet is None else (one for one in fleet.processes if one.id != here.id)
    return tuple(process for process in (here, *others) if boundary.is_behind(process))


def how_drained(waiting: tuple[Process, ...], *, alone: bool, late: bool) -> Drained | None:
    """
    Return how the wait ended, `None` if it goes on.

    Args:
        waiting: Who is not through.
        alone: Whether only this process was asked.
        late: Whether there is no more time.
    """
    if not waiting:
        return "this_process" if alone else "acknowledged"
    return "timeout" if late else None
