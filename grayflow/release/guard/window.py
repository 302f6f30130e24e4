"""Counts of the last seconds, forgotten bucket by bucket. Pure: it is told what time it is."""

import msgspec

__all__ = ["Totals", "Window"]


class Totals(msgspec.Struct, frozen=True):
    """Sums over a window."""

    calls: int = 0
    failures: int = 0
    slow: int = 0


class Window:
    """
    Calls, failures and slow calls of the last seconds.

    Args:
        span_s: How long a call counts; between that and one bucket less, since whole buckets are forgotten.
        buckets: How many there are.
    """

    __slots__ = ("_buckets", "_count", "_head", "_width_s", "calls", "failures", "slow")

    def __init__(self, span_s: float, buckets: int) -> None:
        self._count, self._width_s = buckets, span_s / buckets
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.calls = self.failures = self.slow = 0
        self._head: int | None = None
        self._buckets = [[0, 0, 0] for _ in range(self._count)]

    def add(self, now: float, *, failed: bool, slow: bool) -> None:
        """
        Count one call.

        Args:
            now: Seconds on a clock that never goes back; an earlier time counts as the latest.
            failed: Whether it failed.
            slow: Whether it was slow.
        """
        self._move(now)
        bucket = self._buckets[(self._head or 0) % self._count]
        bucket[0] += 1
        self.calls += 1
        if failed:
            bucket[1] += 1
            self.failures += 1
        if slow:
            bucket[2] += 1
            self.slow += 1

    def totals(self, now: float) -> Totals:
        """Return what counts at that time."""
        self._move(now)
        return Totals(self.calls, self.failures, self.slow)

    def _move(self, now: float) -> None:
        index = int(now // self._width_s)
        head = self._head
        if head is None:
            self._head = index
        elif index > head:
            for passed in range(max(head + 1, index - self._count + 1), index + 1):
                self._forget(self._buckets[passed % self._count])
            self._head = index

    def _forget(self, bucket: list[int]) -> None:
        self.calls -= bucket[0]
        self.failures -= bucket[1]
        self.slow -= bucket[2]
        bucket[:] = (0, 0, 0)
