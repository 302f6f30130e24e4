"""
The way out for what was observed: a queue with an end, and one task that empties it.

Nobody waits for whoever listens. If that is slow, the queue fills, and what finds no place is counted and gone.
"""

from collections import deque
from collections.abc import Callable

import anyio

from grayflow.release.parallel.hooks import HookError, HookRunner
from grayflow.release.parallel.outcome import Observation
from grayflow.release.parallel.tally import Tally

__all__ = ["FLUSH_S", "Outlet"]

FLUSH_S = 2.0
"""How long what still waits may take when the block is left."""


class Outlet:
    """
    Publishes observations, one after the other.

    Args:
        publish: The application's function; `None`: nothing is published.
        capacity: How many may wait.
        runner: Calls it.
        tally: Where is counted what became of them.
        emptied: Called whenever one has left.
    """

    def __init__(
        self,
        publish: Callable[[Observation], object] | None,
        capacity: int,
        runner: HookRunner,
        tally: Tally,
        emptied: Callable[[], None],
    ) -> None:
        self._publish, self._capacity, self._runner = publish, capacity, runner
        self._tally, self._emptied = tally, emptied
        self._waiting: deque[Observation] = deque()
        self._wake, self._over = anyio.Event(), anyio.Event()
        self.busy = False
        """Whether something waits or is being published."""
        self._ending = False

    def put(self, observation: Observation) -> None:
        """Let an observation be published later; or count it as lost."""
        if self._publish is None:
            return
        if self._ending or len(self._waiting) >= self._capacity:
            self._tally.note("lost")
            return
        self._waiting.append(observation)
        self.busy = True
        self._wake.set()

    async def run(self) -> None:
        """Publish, until `end`."""
        try:
            while self._waiting or not self._ending:
                if not self._waiting:
                    await self._wake.wait()
                    self._wake = anyio.Event()
                    continue
                await self._tell(self._waiting.popleft())
                self.busy = bool(self._waiting)
                self._emptied()
        finally:
            self._over.set()

    async def end(self) -> None:
        """Publish what still waits, as far as that is quick; the rest is lost."""
        self._ending = True
        self._wake.set()
        with anyio.move_on_after(FLUSH_S):
            await self._over.wait()
        self._tally.note("lost", len(self._waiting))
        self._waiting.clear()
        self.busy = False
        self._emptied()

    async def _tell(self, observation: Observation) -> None:
        if self._publish is None:
            return
        try:
            await self._runner.call("publish", self._publish, observation)
        except HookError:
            return
        self._tally.note("published")
