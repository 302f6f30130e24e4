"""
Tells the board what was counted, each batch exactly once or not at all.

A batch whose answer got lost may have been added. It is told again with its number, to the counter that it was for,
until the board answers; what is counted meanwhile waits for that, as numbers that only grow. So a repetition adds
nothing, and of a process that is killed at most the last seconds are missing.
"""

import logging
from collections.abc import Callable
from uuid import uuid4

import anyio
import msgspec

from grayflow.client.client import Client
from grayflow.errors import LifetimeError, ReadOnlyError, StoreAccessError, StoreError, StoreFormatError
from grayflow.release.counters.ledger import Ledger, Taken
from grayflow.release.running import Running
from grayflow.store.board import Board
from grayflow.store.counts import FAILED_LIMIT, KEEP_S, WINDOW_NS, counter_name, failed_name

__all__ = ["Flusher"]

log = logging.getLogger("grayflow.release")

_REFUSED_S = 60.0
_KEEP_WINDOWS = int(KEEP_S * 1e9) // WINDOW_NS


class _Batch(msgspec.Struct, frozen=True, kw_only=True):
    flag: str
    window: int
    sequence: int
    taken: Taken


class Flusher:
    """
    What runs inside of `Counters.running`.

    Args:
        ledger: What was counted.
        flags: Has the store whose board is told.
        every_s: How long is counted until it is told.
        random: Draws from `[0, 1)`, for jitter.
        over: Called once nothing is told any more.
    """

    def __init__(
        self, ledger: Ledger, flags: Client, every_s: float, random: Callable[[], float], over: Callable[[], None]
    ) -> None:
        self.trouble: str | None = None
        """Why the last batches were not told; `None` if they were."""
        self.told = 0
        """How many calls the board knows of."""
        self.lost = 0
        """How many calls were given up, since the board could not take them."""
        self._ledger, self._flags, self._every_s, self._random, self._over = ledger, flags, every_s, random, over
        self._writer = uuid4().hex
        self._sequence = 0
        self._batches: dict[str, _Batch] = {}
        self._refused = False
        self._one_at_a_time = anyio.Lock()

    @property
    def waiting(self) -> int:
        """How many calls were counted that the board may not know of."""
        return self._ledger.waiting + sum(batch.taken.calls for batch in tuple(self._batches.values()))

    async def open(self, running: Running) -> None:
        """See `grayflow.release.running.Part`."""
        if self._flags.store.board is None:
            self.trouble = self._flags.store.no_board
            log.warning("nothing is counted: %s", self.trouble)
            return
        running.spawn(self._run, name="counters")

    async def close(self) -> None:
        """See `grayflow.release.running.Part`."""
        await self.flush()

    def over(self, failure: Exception | None) -> None:
        """See `grayflow.release.running.Part`."""
        self._over()
        if failure is not None:
            log.error("a defect ended the counting of calls; calls go on", exc_info=failure)

    async def _run(self) -> None:
        while True:
            every_s = max(self._every_s, _REFUSED_S) if self._refused else self._every_s
            await self._flags.clock.sleep(every_s * (0.8 + 0.4 * self._random()))
            await self.flush()

    async def flush(self) -> None:
        """Tell what was counted; what cannot be told now waits. Cancelled, it waits as well."""
        board = self._flags.store.board
        if board is None:
            return
        async with self._one_at_a_time:
            try:
                await self._flush(board)
            except (StoreError, LifetimeError) as error:
                self._refused = isinstance(error, StoreAccessError | ReadOnlyError)
                self._note(str(error))
            else:
                self._refused = False
                self._note(None)

    async def _flush(self, board: Board) -> None:
        window = await board.now() // WINDOW_NS
        for flag, taken in self._ledger.take(window, but=frozenset(self._batches)).items():
            self._sequence += 1
            self._batches[flag] = _Batch(flag=flag, window=window, sequence=self._sequence, taken=taken)
        failure: StoreError | None = None
        for batch in tuple(self._batches.values()):
            try:
                await self._tell(board, batch, window)
            except StoreFormatError as error:  # it can never be told, and would stand in the way of what can
                self.lost += self._batches.pop(batch.flag).taken.calls
                failure = error
        if failure is not None:
            raise failure

    async def _tell(self, board: Board, batch: _Batch, window: int) -> None:
        taken = batch.taken
        if window - batch.window >= _KEEP_WINDOWS:  # nobody looks so far back, and the numbers of batches are gone too
            self.lost += self._batches.pop(batch.flag).taken.calls
            return
        for arm, failed in taken.failed:
            name = failed_name(batch.flag, arm)
            await board.add(name, failed, ttl=KEEP_S)
            if await board.size(name) >= FAILED_LIMIT:
                self._ledger.fill(batch.flag, arm)
        amounts = {field: amount for arm, tally in taken.tallies for field, amount in tally.amounts(arm).items()}
        counter = counter_name(batch.flag, batch.window)
        await board.count(counter, self._writer, batch.sequence, amounts, ttl=KEEP_S)
        self.told += self._batches.pop(batch.flag).taken.calls

    def _note(self, why: str | None) -> None:
        if why is not None and why != self.trouble:
            log.warning("what was counted waits to be told: %s", why)
        self.trouble = why
