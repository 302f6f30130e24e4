"""
Removing all keys that match a pattern, although others may still be writing some.

`SCAN` returns every key that was there during the whole sweep, and perhaps not one that was written meanwhile. So one
sweep is never enough: the keyspace is swept again until a sweep finds nothing, and each waits a little, because units
of work that began before a switch-off write when they end.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from grayflow.cleanup.keyspace import Keyspace, Look
from grayflow.clock import Clock
from grayflow.errors import ConfigurationError
from grayflow.store.given import Duration, checked_clock, refused, seconds, whole

__all__ = ["Purge", "purge_keys"]

_SEPARATORS = ":/.|#_-"
_LEAST = 3
_FAILOVER_S = 30.0
"""How long a cluster may take to replace a primary; its own time-out is 15 s unless configured otherwise."""
_LOOK_S = 0.5
_IN_VAIN = 3


class Purge(msgspec.Struct, frozen=True, kw_only=True):
    """What `purge_keys` has done; so far, or in the end."""

    pattern: str
    found: int = 0
    """Keys that matched. `SCAN` may return one more than once."""
    deleted: int = 0
    """Keys that were there and are not any more."""
    passes: int = 0
    """Sweeps over all keys, those included that did not count."""
    restarts: int = 0
    """Sweeps that did not count: keys changed hands meanwhile, as in a failover of a cluster."""
    nodes: int = 0
    """Servers that were swept."""
    complete: bool = False
    """The last sweep found nothing. False while it goes on, if `still_off` ended it, and for a dry run."""
    dry_run: bool = False


async def purge_keys(  # noqa: PLR0913 - each has a default
    redis: Any,
    pattern: str | bytes,
    *,
    rate: float | None = None,
    dry_run: bool = False,
    batch: int = 500,
    progress: Callable[[Purge], object] | None = None,
    still_off: Callable[[], bool] | None = None,
    settle: Duration = 1.0,
    clock: Clock | None = None,
) -> Purge:
    """
    Remove all keys that match a pattern: `SCAN` and `UNLINK`, again and again until a sweep finds nothing.

    In a cluster every primary is swept, and once more if one of them fails over. Writers that never end keep it at
    work for ever: give the handler a `timeout`, or cancel it. May be repeated, and done by several at once.

    A flag that is switched on again while this runs is noticed before each command, not during one: remove what can be
    made again, such as a cache.

    Args:
        redis: The application's own connection: a `redis.asyncio.Redis` or `RedisCluster`. It stays open. On a replica
            nothing can be removed.
        pattern: As for `SCAN`. It must begin with literal text of at least 3 characters that ends in a separator
            (one of `: / . | # _ -`): `"payment:v2:*"`.
        rate: At most so many keys a second are looked at, removed ones included; `None` is as fast as it goes.
        dry_run: Sweep once and count, remove nothing.
        batch: How many keys are asked for and removed at a time, 1 to 10,000.
        progress: Called with what is done so far, after each batch.
        still_off: Asked before each command; if it says no, nothing more is done. The event's, for a `SwitchOff`.
        settle: How long to wait between two sweeps, so that whoever was still writing has written; 0 for not at all.
            With 0 a single sweep that finds nothing will do, else there are at least two.
        clock: For `rate` and `settle`; for tests.

    Returns:
        What was done; `complete` says whether all keys are gone.

    Raises:
        ConfigurationError: the pattern or an option cannot be used, or the connection is synchronous.
        Exception: whatever the connection raises. What was removed until then stays removed.

    Cancellation: nothing remains but the keys that were not reached.
    """
    text = pattern.decode("utf-8", "replace") if isinstance(pattern, bytes) else pattern
    _check_pattern(text, pattern)
    purging = _Purging(
        Keyspace(redis),
        pattern,
        Purge(pattern=text, dry_run=dry_run),
        pace=_Pace(_rate(rate), checked_clock(clock)),
        batch=whole("batch", batch, most=10_000),
        progress=progress or _nobody,
        goes_on=still_off or _always,
        settle_s=seconds("settle", settle, least=0.0),
    )
    return await purging.run()


class _Pace:
    """Lets so many keys a second be looked at."""

    def __init__(self, rate: float | None, clock: Clock) -> None:
        self.clock, self._rate = clock, rate
        self._free = clock.monotonic()

    def step(self, batch: int) -> int:
        """Return how many keys to ask for at a time: no more than a second's worth, so that it can be stopped."""
        return batch if self._rate is None else max(1, min(batch, int(self._rate)))

    async def wait(self) -> None:
        """Wait until what was looked at is paid for."""
        left_s = self._free - self.clock.monotonic()
        if left_s > 0:
            await self.clock.sleep(left_s)

    def spend(self, keys: int) -> None:
        """Note that so many were looked at."""
        if self._rate is not None:
            self._free = max(self._free, self.clock.monotonic()) + keys / self._rate


class _Purging:
    """One call of `purge_keys`."""

    def __init__(
        self,
        keyspace: Keyspace,
        pattern: str | bytes,
        report: Purge,
        *,
        pace: _Pace,
        batch: int,
        progress: Callable[[Purge], object],
        goes_on: Callable[[], bool],
        settle_s: float,
    ) -> None:
        self._keyspace, self._pattern, self._report = keyspace, pattern, report
        self._pace, self._clock, self._batch = pace, pace.clock, batch
        self._progress, self._goes_on, self._settle_s = progress, goes_on, settle_s
        self._trouble_since: float | None = None
        self._in_vain = 0

    async def run(self) -> Purge:
        while self._goes_on():
            found, deleted = self._report.found, self._report.deleted
            counts = await self._sweep()
            if not self._goes_on() or (counts and self._report.dry_run):
                break
            if counts and found == self._report.found and (self._report.passes > 1 or not self._settle_s):
                return self._note(complete=True)
            self._check_gain(self._report.found - found, self._report.deleted - deleted)
            await self._clock.sleep(self._settle_s if counts else max(self._settle_s, _LOOK_S))
        return self._report

    async def _sweep(self) -> bool:
        """Go through all keys once, and tell whether it counts."""
        before = None
        try:
            before = await self._keyspace.look()
            self._note(nodes=len(before.nodes), passes=self._report.passes + 1)
            for node in before.nodes:
                if not await self._sweep_node(node):
                    return False
            counts = before.same(await self._keyspace.look())
        except ConfigurationError:
            raise
        except Exception:  # redis-py's errors have no name here; raised unless a failover explains it
            if not await self._may_be_failover(before):
                raise
            counts = False
        else:
            self._trouble_since = None
        if not counts:
            self._note(restarts=self._report.restarts + 1, found=0 if self._report.dry_run else self._report.found)
        return counts

    async def _sweep_node(self, node: Any) -> bool:
        """Go through the keys of one server; False if `still_off` ended it."""
        cursor = -1
        while cursor:
            await self._pace.wait()
            if not self._goes_on():
                return False
            asked = self._pace.step(self._batch)
            cursor, keys = await self._keyspace.scan(node, max(cursor, 0), self._pattern, asked)
            # The last of the keys are fewer than were asked for, in a small database often all of them.
            self._pace.spend(max(len(keys), asked if cursor else 0))
            for start in range(0, len(keys), self._batch):
                if not await self._remove(keys[start : start + self._batch]):
                    return False
            self._progress(self._report)
        return True

    async def _remove(self, keys: Sequence[Any]) -> bool:
        if not self._goes_on():
            return False
        deleted = 0 if self._report.dry_run else await self._keyspace.unlink(keys)
        self._note(found=self._report.found + len(keys), deleted=self._report.deleted + deleted)
        return True

    async def _may_be_failover(self, before: Look | None) -> bool:
        if not self._keyspace.clustered:
            return False
        now = self._clock.monotonic()
        if self._trouble_since is None:
            self._trouble_since = now
        if now - self._trouble_since > _FAILOVER_S:
            return False
        try:
            after = await self._keyspace.look()
        except Exception:  # noqa: BLE001 - nobody can say who holds what: as in a failover
            return True
        return before is None or None in after.runs or not before.same(after)

    def _check_gain(self, found: int, deleted: int) -> None:
        self._in_vain = self._in_vain + 1 if found and not deleted else 0
        if self._in_vain == _IN_VAIN:
            raise ConfigurationError(
                f"keys match {self._report.pattern!r}, and removing them by the names that the connection returns "
                "removes none: it decodes them with errors='replace' or another encoding, or puts a prefix before "
                "them; give a connection without decode_responses"
            )

    def _note(self, **facts: Any) -> Purge:
        self._report = msgspec.structs.replace(self._report, **facts)
        return self._report


def _nobody(_: Purge) -> None:
    return


def _always() -> bool:
    return True


def _check_pattern(text: object, given: object) -> None:
    literal = _literal_prefix(text) if isinstance(text, str) else ""
    if len(literal) < _LEAST or literal[-1] not in _SEPARATORS:
        raise refused(
            "pattern",
            given,
            f"begin it with at least {_LEAST} literal characters that end in one of {' '.join(_SEPARATORS)}, such as "
            "'payment:v2:*': a shorter one would remove keys that belong to something else",
        )
    if literal.startswith("{gf:"):
        raise refused("pattern", given, "keys that begin with {gf: are grayflow's own; grayflow delete removes flags")


def _literal_prefix(pattern: str) -> str:
    """Return what every match begins with."""
    literal, rest = "", pattern
    while rest and rest[0] not in "*?[":
        if rest[0] == "\\":
            rest = rest[1:]
        literal, rest = literal + rest[:1], rest[1:]
    return literal


def _rate(given: Any) -> float | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given < float("inf"):
        raise refused("rate", given, "give keys a second, more than 0, or None for no limit")
    return float(given)
