"""
The runs that one process sees to: begun for callers, or taken over from processes that are gone.

Closing lets each come to where it can be left in good order: a run that goes forward stops before its next step and is
given back, one that is being undone comes to its end. What takes too long is interrupted; the journal knows how far it
came.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextvars import copy_context

import anyio

from grayflow.errors import LifetimeError, StoreError
from grayflow.release.atom.desk import read_runs, unreadable
from grayflow.release.atom.hold import Terms
from grayflow.release.atom.model import Atom
from grayflow.release.atom.pursuit import Pursuit, Start
from grayflow.release.atom.recovery import Registry, to_recover
from grayflow.release.running import Running

__all__ = ["Crew"]

log = logging.getLogger("grayflow.release")

_CLOSED = "these atoms are closed; make others: async with Atoms(...) as atoms:"
_LEAVE_S = 2.0


class Crew:
    """
    Begins, finds and closes pursuits. Runs inside of a block, see `grayflow.release.running`.

    Args:
        terms: Common to all runs.
        registry: The code of those that may be taken over.
        recover_s: Between two looks for runs whose process is gone; `None`: nobody looks.
        close_s: How long closing waits for steps and undos.
    """

    def __init__(self, terms: Terms, registry: Registry, *, recover_s: float | None, close_s: float) -> None:
        self._terms, self._registry = terms, registry
        self._recover_s, self._close_s = recover_s, close_s
        self._pursuits: dict[str, Pursuit] = {}
        self._told: frozenset[str] = frozenset()
        self._running: Running | None = None

    @property
    def limit_s(self) -> float:
        """How long closing may take in all."""
        return self._close_s + 3 * _LEAVE_S

    async def open(self, running: Running) -> None:
        """See `Part.open`."""
        await self._terms.journal.__aenter__()
        self._running = running
        if self._recover_s is not None:
            running.spawn(self._recover, self._recover_s, name="atoms recovery")

    async def close(self) -> None:
        """See `Part.close`."""
        for pursuit in tuple(self._pursuits.values()):
            pursuit.close()
        await self._over_within(self._close_s)
        for pursuit in tuple(self._pursuits.values()):
            log.warning("run %r did not come to its end within %g s, and is left", pursuit.run_id, self._close_s)
            pursuit.abandon()
        await self._over_within(_LEAVE_S)
        with anyio.move_on_after(_LEAVE_S, shield=True):
            await self._terms.journal.__aexit__(None, None, None)

    def over(self, failure: Exception | None) -> None:
        """See `Part.over`."""
        if failure is not None:
            log.error("a defect ended the atoms; what is recorded can be gone on with", exc_info=failure)

    def check(self) -> None:
        """
        Pass if something can be begun here.

        Raises:
            LifetimeError: the block is being left, or belongs to another event loop.
        """
        running = self._running
        if running is None or running.loop is None or running.ending.is_set():
            raise LifetimeError(_CLOSED)
        if running.loop is not asyncio.get_running_loop():
            raise LifetimeError("these atoms were opened in another event loop; use them there, or open others")

    def find(self, run_id: str) -> Pursuit | None:
        """Return what is seen to under that id."""
        return self._pursuits.get(run_id)

    async def until_free(self, run_id: str) -> None:
        """Wait until nobody here sees to that id."""
        while (pursuit := self._pursuits.get(run_id)) is not None:
            await pursuit.over.wait()

    def begin(self, atom: Atom, run_id: str, start: Start | None) -> Pursuit:
        """
        See to a run, in the caller's context.

        Raises:
            LifetimeError: see `check`.
        """
        self.check()
        assert self._running is not None  # noqa: S101 - checked
        pursuit = Pursuit(self._terms, atom, run_id, start)
        self._pursuits[run_id] = pursuit
        self._running.spawn_here(copy_context(), self._see_to, pursuit, name=f"atom {atom.name}")
        return pursuit

    async def take_over(self, *, held: bool = False) -> Sequence[Pursuit]:
        """
        See to the runs whose process is gone; with `held` to all that have not ended.

        Raises:
            StoreError: the journal does not answer or refuses.
        """
        found = await self._terms.journal.list()
        self._tell_once(unreadable(found))
        for run_id, record in found.records.items():
            lease = record.lease
            if not record.version and lease is not None and lease.until <= found.now:
                await self._terms.journal.release(run_id, fence=lease.fence)  # died before it could record anything
        due = list(to_recover(read_runs(found), self._registry, busy=self._pursuits, held=held))
        return [self.begin(atom, run_id, None) for run_id, atom in due if run_id not in self._pursuits]

    def _tell_once(self, run_ids: Sequence[str]) -> None:
        """Log which runs nobody goes on with, when that becomes known; it is looked for every few seconds."""
        for run_id in sorted(set(run_ids) - self._told):
            log.error(
                "run %r in %s cannot be read; install the release that wrote it", run_id, self._terms.journal.place
            )
        self._told = frozenset(run_ids)

    async def _recover(self, every_s: float) -> None:
        while True:
            try:
                await self.take_over()
            except StoreError as error:
                log.info("runs whose process is gone cannot be looked for now: %s", error)
            except LifetimeError:
                return
            await self._terms.clock.sleep(every_s * (0.8 + 0.4 * self._terms.random()))

    async def _see_to(self, pursuit: Pursuit) -> None:
        try:
            await pursuit.see_to_it()
        finally:
            del self._pursuits[pursuit.run_id]

    async def _over_within(self, limit_s: float) -> None:
        with anyio.move_on_after(limit_s, shield=True):
            for pursuit in tuple(self._pursuits.values()):
                await pursuit.over.wait()
