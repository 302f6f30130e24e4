"""One process of a service in the simulation: a real client, begun and ended, and what its callers do."""

from collections import deque
from collections.abc import Callable

import anyio
from anyio.abc import TaskStatus

from grayflow.client.client import Client
from grayflow.core.snapshot import Builder
from grayflow.replica.loading import assemble
from grayflow.testing.virtual import VirtualClock
from tests.simulation.network import ANSWER_LIMIT_S, LOAD_LIMIT_S
from tests.simulation.script import Settings
from tests.simulation.server import Node
from tests.simulation.store import SimulatedStore
from tests.simulation.watch import Watch

DISK_S = 60.0
"""So old may the flags on the disk be."""


class Process:
    """
    A service that follows its flags.

    Args:
        store: Its way to the server.
        settings: Of the schedule.
        clock: Its time.
        random: For the jitter of the library.
        watch: Looks on.
    """

    def __init__(
        self,
        store: SimulatedStore,
        settings: Settings,
        clock: VirtualClock,
        random: Callable[[], float],
        watch: Watch,
    ) -> None:
        self._settings, self._clock, self._watch = settings, clock, watch
        self.client = Client(
            store,
            ttl=settings.ttl_s,
            max_staleness=settings.max_staleness_s,
            start_timeout=0,
            confirm_timeout=settings.ttl_s,
            clock=clock,
            random=random,
        )
        self.replica = self.client._replica
        self.replica.sync.answer_limit_s, self.replica.sync.load_limit_s = ANSWER_LIMIT_S, LOAD_LIMIT_S
        watch.attach(self.client)
        self._ended = anyio.Event()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        """Run until `end` is called."""
        async with self.client, anyio.create_task_group() as self._callers:
            task_status.started()
            await anyio.sleep_forever()
        self._ended.set()

    async def end(self) -> None:
        self._callers.cancel_scope.cancel()
        await self._ended.wait()

    async def recall(self, held: Node, proved_at: float) -> None:
        """Begin with what another process held, as from the disk."""
        whole = await assemble(held.state(), Builder(), meanwhile=deque())
        age_s = self._clock.monotonic() - proved_at
        self._watch.recalled(proved_at, DISK_S)
        self.replica.holder.recall(whole, age_s=age_s, max_age_s=DISK_S)

    def confirm(self) -> None:
        """Decide with a proof, or hear that there is none."""
        self._callers.start_soon(self._confirm)

    def wait_for(self, node: Node) -> None:
        """Wait for a change, as who has just made it."""
        self._callers.start_soon(self._wait_for, node)

    async def _confirm(self) -> None:
        asked_at = self._clock.monotonic()
        decision = await self.client.evaluate("a", default="", freshness="confirmed")
        known = self._watch.held is not None
        self._watch.note("confirmed", not decision.stale)
        proved = self._watch.proved_at >= asked_at
        self._watch.check(decision.stale or not known or proved, "confirmed without a proof")

    async def _wait_for(self, node: Node) -> None:
        try:
            await self.client.wait_for(node.position, timeout=self._settings.ttl_s)
        except TimeoutError:
            self._watch.note("waited for", node.position, "in vain")
        else:
            self._watch.note("waited for", node.position)
            self._watch.check_reached(node)
