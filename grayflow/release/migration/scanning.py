"""Going through all rows of a store: in the order of their keys, a batch at a time, and held to a rate."""

import math
from typing import Generic, TypeVar

from grayflow.clock import Clock
from grayflow.release.migration.pair import Pair
from grayflow.release.migration.rules import Side
from grayflow.release.migration.setup import Setup

__all__ = ["Pace", "Scan"]

R = TypeVar("R")


class Pace:
    """
    So many rows a second, on average since the beginning.

    Args:
        clock: The time.
        rate: Rows a second; `math.inf`: as fast as it goes.
    """

    def __init__(self, clock: Clock, rate: float) -> None:
        self._clock, self._rate = clock, rate
        self._began, self._rows = clock.monotonic(), 0

    async def spend(self, rows: int) -> None:
        """Count rows, and wait until they were allowed."""
        self._rows += rows
        if self._rate != math.inf:
            await self._clock.sleep(self._began + self._rows / self._rate - self._clock.monotonic())


class Scan(Generic[R]):
    """
    The rows of one store in the order of their keys.

    Args:
        pair: The stores.
        setup: Of the migration.
        side: Which store.
        batch: So many are asked for at once.
    """

    def __init__(self, pair: Pair[R], setup: Setup[R], side: Side, batch: int) -> None:
        self._pair, self._setup, self._side, self._batch = pair, setup, side, batch
        self._rows: list[tuple[str, R]] = []
        self._after: str | None = None
        self._more = True

    async def head(self) -> tuple[str, R] | None:
        """Return the next row with its key, `None` at the end."""
        if not self._rows and self._more:
            found = await self._pair.within(self._pair.store(self._side).scan(self._after, self._batch))
            self._more = len(found) >= self._batch
            self._rows = [(self._setup.key(row), row) for row in reversed(found)]
            if found:
                self._after = self._rows[0][0]
        return self._rows[-1] if self._rows else None

    def drop(self) -> None:
        """Go on to the one after."""
        self._rows.pop()
