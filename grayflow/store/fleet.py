"""
The processes that serve flags now: what each of them says of itself on the board.

A process reports the oldest flags that it still decides by, so that somebody who switched a feature off can know when
nobody uses it any more. Clients write reports (`grayflow.client.presence`), admins and cleanup read them, and this is
what both agree on. A contract: other releases read these reports, and pass over fields that they do not know.
"""

from collections.abc import Iterable

import msgspec

from grayflow.core.position import Position
from grayflow.store.board import Board

__all__ = ["PROCESSES", "REPORT_TTL_S", "Fleet", "Process", "read_fleet"]

PROCESSES = "processes"
"""The collection of reports; the name of a record is `Process.id`."""

REPORT_TTL_S = 15.0
"""A process that was not heard of for so long is dead or cut off, and no longer waited for."""


class Process(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One report of one client. A process with two clients reports twice."""

    id: str
    """Of this client's life: it is never used again."""
    host: str
    pid: int
    name: str
    """What the service calls itself, see `Client(name=...)`."""
    started: int
    """Nanoseconds since the epoch, by its clock."""
    epoch: str
    """Of the flags that it serves; empty while it has none."""
    revision: int
    """Of the flags that it serves to new scopes."""
    oldest: int
    """The oldest revision that is still used: `revision`, or that of the oldest scope that is open."""
    instant: int
    """The oldest instant that is still decided by, nanoseconds since the epoch, by its clock."""
    state: str
    """Of its flags: `fresh`, `stale` or `expired`."""
    handlers: tuple[str, ...] = ()
    """Names of the fleet handlers that it can run."""
    version: str = ""
    """Of grayflow."""

    def uses_older_than(self, position: Position) -> bool:
        """Whether it may still decide by flags from before `position`."""
        return self.epoch != position.epoch or self.oldest < position.revision


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """All reports at one instant."""

    now: int
    """Nanoseconds since the epoch, by the board's clock."""
    processes: tuple[Process, ...]
    """By name, then host, pid and id."""

    def behind(self, position: Position) -> tuple[Process, ...]:
        """Return those that may still decide by flags from before `position`."""
        return tuple(process for process in self.processes if process.uses_older_than(position))


async def read_fleet(board: Board) -> Fleet:
    """
    Return who is alive.

    Raises:
        StoreError: the board cannot be read.
    """
    found = await board.list(PROCESSES)
    decoded = _decoded(record.value for record in found.records.values())
    ordered = sorted(decoded, key=lambda one: (one.name, one.host, one.pid, one.id))
    return Fleet(now=found.now, processes=tuple(ordered))


def _decoded(values: Iterable[bytes]) -> Iterable[Process]:
    for value in values:
        try:
            yield msgspec.json.decode(value, type=Process)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue  # of a release that says it otherwise: it cannot be waited for, and must not stop the others
