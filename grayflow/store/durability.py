"""
How safe a write has to be before it counts as made.

A server says "done" when it has a write in memory. What it had not passed on is lost with it, and whoever acted on the
answer did so on the strength of something that never happened. `Board.durable` waits for more.
"""

from datetime import timedelta

import msgspec

from grayflow.errors import ConfigurationError

__all__ = ["Durability"]

_COPIES = 1000
_LONGEST_S = 86_400


class Durability(msgspec.Struct, frozen=True, kw_only=True):
    """
    Who has to have a write before it counts as made.

    On Redis `WAIT` and `WAITAOF` ask that; a SQLite file knows `local` only.

    A replica that has a write keeps it only if it is the one that is promoted: ask for all replicas, or for one and
    leave it to Sentinel, which prefers the replica that is furthest. `min-replicas-to-write` on the server only looks
    at how old the last sign of life is.

    Raises:
        ConfigurationError: a value cannot be used, or nothing is asked for.
    """

    replicas: int = 0
    """How many replicas have to have received it."""
    local: bool = False
    """Whether the server itself has to have it on its disk: Redis 7.2 or Valkey, with `appendonly yes`."""
    synced_replicas: int = 0
    """How many replicas have to have it on their disks: as `local`, there."""
    timeout: float | timedelta = 5.0
    """How long that may take, seconds or a `timedelta`; half the `lease` of `Atoms` at most, else a run may lose it."""

    def __post_init__(self) -> None:
        for name in ("replicas", "synced_replicas"):
            _check_copies(name, getattr(self, name))
        if not isinstance(self.local, bool):
            raise ConfigurationError(f"local is {self.local!r:.100}; give True or False")
        if not (self.replicas or self.local or self.synced_replicas):
            raise ConfigurationError("a durability asks for nothing; ask for replicas, synced_replicas or local")
        if not 0.01 <= self.timeout_s <= _LONGEST_S:
            raise ConfigurationError(f"timeout is {self.timeout!r:.100}; give 0.01 to {_LONGEST_S} seconds")

    @property
    def timeout_s(self) -> float:
        """`timeout` in seconds."""
        given: object = self.timeout
        found = given.total_seconds() if isinstance(given, timedelta) else given
        if isinstance(found, bool) or not isinstance(found, int | float):
            raise ConfigurationError(f"timeout is {given!r:.100}; give seconds or a datetime.timedelta")
        return found


def _check_copies(name: str, given: object) -> None:
    if not isinstance(given, int) or isinstance(given, bool) or not 0 <= given <= _COPIES:
        raise ConfigurationError(f"{name} is {given!r:.100}; give a whole number from 0 to {_COPIES:,}")
