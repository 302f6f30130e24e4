"""
Finishes what was announced and not finished: one process of the fleet at a time, row after row, until nothing is left.

An announcement is left alone for a while, because its writer is probably at it. Then both copies are looked at and
brought together, which is right whatever the writer did before it stopped.

A store that is away fails every row, and no row is to blame: the repairs rest, longer and longer. A row is given up
where its store refuses it for certain (`NotAppliedError`), or where it fails again and again while others do not.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import Generic, TypeVar

import msgspec

from grayflow.clock import Clock
from grayflow.release.migration.errors import NotAppliedError
from grayflow.release.migration.journal import Announced, Journal
from grayflow.release.migration.ledger import REPAIR, Ledger
from grayflow.release.migration.pair import Pair
from grayflow.release.migration.setup import Setup

__all__ = ["Repaired", "Repairer"]

log = logging.getLogger("grayflow.release")

R = TypeVar("R")

_LEASE_S = 15.0
_PAGE = 1000
_MOST = 10_000
"""So many announcements are looked at in one go, the oldest."""
_RENEW_EVERY = 50
_AWAY = 5
"""So many rows in a row that fail, and none that does not: the others are not tried."""
_LONGEST_WAIT_S = 60.0
_LONGEST_REST_S = 15.0
_DOUBLINGS = 30


class Repaired(msgspec.Struct, frozen=True, kw_only=True):
    """What one look came to."""

    rows: int = 0
    """How many rows agree now."""
    failed: int = 0
    """How many could not be repaired, and are tried again later."""
    left: int = 0
    """How many writes are still announced, those that go on at the moment too."""


class Repairer(Generic[R]):
    """
    Repairs one migration.

    Args:
        setup: Of the migration.
        journal: What is announced.
        ledger: Where the lease is.
        clock: For the pauses before a row is tried again.
        owner: Who this is.
        mirrored: How many writes of this process have reached both stores: while that grows, none is away.
    """

    def __init__(
        self,
        setup: Setup[R],
        journal: Journal,
        ledger: Ledger,
        clock: Clock,
        owner: str,
        mirrored: Callable[[], int] = lambda: 0,
    ) -> None:
        self._setup, self._journal, self._ledger, self._clock, self._owner = setup, journal, ledger, clock, owner
        self._mirrored, self._seen = mirrored, 0
        self._pair = Pair(setup)
        self._tries: defaultdict[str, int] = defaultdict(int)
        self._failures: defaultdict[str, int] = defaultdict(int)
        self._not_before: dict[str, float] = {}
        self._away, self._rests_until = 0, 0.0

    async def look(self, *, now: bool = False, progress: Callable[[int], None] | None = None) -> Repaired:
        """
        Repair what is due, unless another process is at it.

        Args:
            now: Also what was announced just now, and what failed a moment ago; only while nobody writes.
            progress: Called with the number of rows that were repaired.

        Raises:
            StoreError: the board does not answer.
        """
        if not now and self._clock.monotonic() < self._rests_until:
            return Repaired(left=(await self._journal.sizes())[0])
        held = await self._ledger.board.claim(self._ledger.collection, REPAIR, self._owner, span=_LEASE_S)
        if held is None or held.lease is None:
            return Repaired(left=(await self._journal.sizes())[0])
        done = failed = 0
        failures: list[tuple[str, list[Announced], Exception]] = []
        try:
            for key, announced in (await self._due(now=now)).items():
                error = await self._repair(key, announced)
                done, failed = done + (error is None), failed + (error is not None)
                if error is not None:
                    failures.append((key, announced, error))
                if not await self._goes_on(done, failed, held.lease.fence, progress):
                    break
            await self._note(failures, others=self._others_go_through(done))
        finally:
            await self._ledger.let_go(REPAIR, held.lease)
        return Repaired(rows=done, failed=failed, left=(await self._journal.sizes())[0])

    async def _goes_on(self, done: int, failed: int, fence: int, progress: Callable[[int], None] | None) -> bool:
        """Tell whether the look is to go on, and keep the lease."""
        if not done and failed >= _AWAY:
            return False  # not the rows are at fault, a store is away
        if (done + failed) % _RENEW_EVERY:
            return True
        if progress is not None:
            progress(done)
        return await self._ledger.board.renew(self._ledger.collection, REPAIR, fence=fence, span=_LEASE_S)

    def _others_go_through(self, done: int) -> bool:
        """Tell whether the stores have taken anything since the last look."""
        seen, self._seen = self._seen, self._mirrored()
        return done > 0 or self._seen > seen

    def _rest(self, *, away: bool) -> None:
        """Look less and less often while a store is away."""
        self._away = self._away + 1 if away else 0
        if away:
            self._rests_until = self._clock.monotonic() + self._pause_s(self._away, _LONGEST_REST_S)

    def _pause_s(self, times: int, longest_s: float) -> float:
        """Return how long to wait after so many failures; a store may be away for days, and floats end at 2**1024."""
        return min(self._setup.limits.repair_s * 2.0 ** min(times, _DOUBLINGS), longest_s)

    async def _due(self, *, now: bool) -> dict[str, list[Announced]]:
        """Return what is due, by key and in the order of keys, what has failed before last."""
        before = await self._ledger.board.now() - int(self._setup.limits.grace_s * 1e9)
        found: defaultdict[str, list[Announced]] = defaultdict(list)
        announced: set[str] = set()
        page, offset = await self._journal.unfinished(_PAGE), 0
        while page and offset < _MOST:
            announced.update(one.key for one in page)
            for one in page:
                waits = self._not_before.get(one.key, 0.0) > self._clock.monotonic()
                if now or (one.since <= before and not waits):
                    found[one.key].append(one)
            offset += _PAGE
            page = await self._journal.unfinished(_PAGE, offset)
        if not page:
            self._forget_others(announced)
        # Else a few that always fail, and come first, would look like a store that is away.
        return {key: found[key] for key in sorted(found, key=lambda key: (self._tries.get(key, 0), key))}

    def _forget_others(self, announced: Collection[str]) -> None:
        """Forget failures of rows that another process has repaired: they would count when the row fails again."""
        for known in (self._tries, self._failures, self._not_before):
            for key in known.keys() - announced:
                del known[key]

    async def _repair(self, key: str, announced: list[Announced]) -> Exception | None:
        """Repair a row; return what a store raised."""
        try:
            await self._pair.settle(key)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other rows are repaired
            return error
        self._forget(key)
        await self._journal.finished([one.member for one in announced])
        return None

    def _forget(self, key: str) -> None:
        for known in (self._tries, self._failures, self._not_before):
            known.pop(key, None)

    async def _note(self, failures: Sequence[tuple[str, list[Announced], Exception]], *, others: bool) -> None:
        """Let rows wait that failed, longer and longer, and give up those that are to blame; or rest, if none is."""
        blamed = [one for one in failures if others or isinstance(one[2], NotAppliedError)]
        for key, _, _ in failures:
            self._tries[key] += 1
        if failures and not self._away and not blamed:
            log.info("migration %r: no row can be repaired, a store is away: %r", self._setup.name, failures[0][2])
        self._rest(away=bool(failures) and not blamed)
        for key, announced, error in blamed:
            await self._blame(key, announced, error)

    async def _blame(self, key: str, announced: list[Announced], error: Exception) -> None:
        self._failures[key] += 1
        times = self._failures[key]
        if times < self._setup.limits.attempts:
            self._not_before[key] = self._clock.monotonic() + self._pause_s(times, _LONGEST_WAIT_S)
            log.info("migration %r: row %r could not be repaired (%d): %r", self._setup.name, key, times, error)
            return
        self._forget(key)
        await self._journal.bury([one.member for one in announced])
        log.error("migration %r: row %r is given up after %d repairs: %r", self._setup.name, key, times, error)
