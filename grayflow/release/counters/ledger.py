"""
What this process has counted and not yet told: a page for each flag and arm, whatever calls it was told of.

Pure, but for a lock: calls come from any thread, and `+=` on a shared number is not atomic. Bounded however many calls
come and however long nothing can be told: numbers grow, sets do not, and pages beyond a limit are not begun.
"""

from collections import Counter
from threading import Lock

import msgspec

from grayflow.release.counters.distinct import Distinct
from grayflow.store.counts import FAILED_LIMIT, Arm, Latency, Tally, bin_of, unit_digest

__all__ = ["Ledger", "Taken"]

_PAGES = 1000
_FAILED_AT_ONCE = 1000


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be told of one flag."""

    tallies: tuple[tuple[Arm, Tally], ...]
    failed: tuple[tuple[Arm, frozenset[str]], ...]
    """Digests of units that failed, as far as this process knows for the first time."""

    @property
    def calls(self) -> int:
        """How many calls it is about."""
        return sum(tally.calls for _, tally in self.tallies)


class _Page:
    """What is known of one arm."""

    __slots__ = ("bins", "calls", "failed", "failures", "full", "known", "marks", "seen", "told_units", "units")

    def __init__(self) -> None:
        self.known: set[str] = set()
        """Who failed and was told of."""
        self.full = False
        """Whether nobody who fails is told of any more."""
        self.turn()
        self.clear()

    def turn(self) -> None:
        """Begin a minute: whoever calls in it is counted anew."""
        self.seen, self.told_units = Distinct(), 0

    def clear(self) -> None:
        """Begin anew what was told."""
        self.calls = self.failures = 0
        self.bins: Counter[int] = Counter()
        self.marks: Counter[str] = Counter()
        self.units = Distinct()
        self.failed: set[str] = set()

    @property
    def empty(self) -> bool:
        return not (self.calls or self.marks or self.failed)

    def fails(self, unit: str) -> None:
        if self.full or len(self.failed) >= _FAILED_AT_ONCE:
            return
        digest = unit_digest(unit)
        if digest not in self.known:
            self.failed.add(digest)

    def take(self) -> tuple[Tally, frozenset[str]]:
        self.seen.update(self.units)
        units = max(0, self.seen.size - self.told_units)
        self.told_units += units
        tally = Tally(
            calls=self.calls,
            failures=self.failures,
            units=units,
            latency=Latency(dict(self.bins)),
            marks=dict(self.marks),
        )
        failed = frozenset(self.failed)
        self.known |= failed
        if len(self.known) >= FAILED_LIMIT:
            self.full = True
        self.clear()
        return tally, failed


class Ledger:
    """What one process has counted."""

    def __init__(self) -> None:
        self.dropped = 0
        """Calls that were not counted, because there were too many flags, variants and versions at once."""
        self._pages: dict[str, dict[Arm, _Page]] = {}
        self._number = 0
        self._window = 0
        self._lock = Lock()

    def add(self, flag: str, arm: Arm, *, unit: str | None, failed: bool, took_s: float | None) -> None:
        """
        Count a call that is over; from any thread.

        Args:
            flag: Which flag decided.
            arm: Who answered.
            unit: For whom it was made; `None` if nobody knows.
            failed: Whether it failed.
            took_s: How long it took, seconds.
        """
        with self._lock:
            page = self._page(flag, arm)
            if page is None:
                self.dropped += 1
                return
            page.calls += 1
            if took_s is not None:
                page.bins[bin_of(took_s)] += 1
            if unit is not None:
                page.units.add(hash(unit))
            if failed:
                page.failures += 1
                if unit is not None:
                    page.fails(unit)

    def mark(self, flag: str, arm: Arm, name: str, amount: int) -> None:
        """Count something else."""
        with self._lock:
            page = self._page(flag, arm)
            if page is not None:
                page.marks[name] += amount

    def take(self, window: int, *, but: frozenset[str] = frozenset()) -> dict[str, Taken]:
        """
        Return what was counted since it was taken last, by flag.

        Args:
            window: The minute in which it is told.
            but: Flags that are left as they are.
        """
        with self._lock:
            if window != self._window:
                self._turn(window)
            found = {}
            for flag, pages in self._pages.items():
                full = {arm: page.take() for arm, page in pages.items() if flag not in but and not page.empty}
                if full:
                    found[flag] = Taken(
                        tallies=tuple((arm, tally) for arm, (tally, _) in full.items()),
                        failed=tuple((arm, failed) for arm, (_, failed) in full.items() if failed),
                    )
            return found

    def fill(self, flag: str, arm: Arm) -> None:
        """Take no more units of an arm that fail: there are enough of them."""
        with self._lock:
            page = self._pages.get(flag, {}).get(arm)
            if page is not None:
                page.full = True

    @property
    def waiting(self) -> int:
        """How many calls were counted and not taken."""
        with self._lock:
            return sum(page.calls for pages in self._pages.values() for page in pages.values())

    def _page(self, flag: str, arm: Arm) -> _Page | None:
        pages = self._pages.get(flag)
        page = None if pages is None else pages.get(arm)
        if page is None and self._number < _PAGES:
            page = self._pages.setdefault(flag, {})[arm] = _Page()
            self._number += 1
        return page

    def _turn(self, window: int) -> None:
        """Begin a minute, and forget arms that nobody called in the last one; telling a failure again is harmless."""
        self._window = window
        for flag, pages in list(self._pages.items()):
            for arm, page in list(pages.items()):
                if page.empty and not page.seen.size:
                    del pages[arm]
                    self._number -= 1
                page.turn()
            if not pages:
                del self._pages[flag]
