"""
A run that this process holds: its record, written under the lease's fence, and the lease itself.

Whoever was overtaken is refused here, before the next effect and at the next write, so two processes cannot both take
a run forward. A journal that is away is waited for, however long: without it nothing more is done.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

import anyio
import msgspec
from msgspec import structs

from grayflow.cleanup.means import Time
from grayflow.clock import Clock
from grayflow.errors import StoreError, StoreUnavailableError
from grayflow.release.atom.journal import Journal
from grayflow.release.atom.record import Run, read_run
from grayflow.replica.backoff import Backoff
from grayflow.store.board import Lease

__all__ = ["Hold", "LostError", "Terms"]

log = logging.getLogger("grayflow.release")

T = TypeVar("T")


class LostError(Exception):
    """Somebody else has taken the run over. Never leaves the package."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What all runs of one `Atoms` are held by."""

    journal: Journal
    owner: str
    """This `Atoms`, for leases."""
    clock: Clock
    random: Callable[[], float]
    """Draws from `[0, 1)`."""
    lease_s: float
    """How long a run is held without a sign of life."""
    keep_s: float
    """How long the record of a run is kept that succeeded or was rolled back."""


class Hold:
    """
    One run, from when its lease was granted.

    Args:
        terms: Common to all.
        run: As recorded.
        version: Of the record.
        lease: As granted.
        asked_at: When it was asked for, by the monotonic clock.
    """

    def __init__(self, terms: Terms, run: Run, *, version: int, lease: Lease, asked_at: float) -> None:
        self.run = run
        self.fence = lease.fence
        self.lost = False
        """Whether somebody else has taken the run over."""
        self.on_lost: Callable[[], None] = _nothing
        """Called once when that is noticed."""
        self.on_cancel: Callable[[], None] = _nothing
        """Called when somebody else has recorded that the run is to be cancelled."""
        self._terms, self._version, self._asked_at = terms, version, asked_at
        # The one record is written by whoever does the steps, and by whoever hears of a cancellation: in turns.
        self._lock = anyio.Lock()
        self.time = Time(terms.clock)
        self.time.hear(lease.until - round(terms.lease_s * 1e9))

    async def update(self, change: Callable[[Run], Run]) -> None:
        """
        Change the record, and return when that is kept.

        Args:
            change: Pure: it is applied again to what somebody else wrote meanwhile.

        Raises:
            LostError: the run is not ours any more; nothing was written.
            StoreError: the journal refuses.
        """
        async with self._lock:
            while not self.lost:
                run = change(self.run)
                if run == self.run:
                    return
                if await self._write(run):
                    self.run = run
                    return
            raise LostError

    async def assure(self) -> None:
        """
        Pass if an effect may begin: the run is ours, and nobody can take it over before the lease ends.

        Raises:
            LostError: it is not.
            StoreError: the journal refuses.
        """
        if self.lost:
            raise LostError
        if self._terms.clock.monotonic() - self._asked_at > self._terms.lease_s / 2:
            async with self._lock:
                await self._patiently(self._renew)

    async def keep(self) -> None:
        """Renew the lease, and look whether somebody cancelled the run, until cancelled or lost."""
        wait_s = self._terms.lease_s / 3
        while True:
            await self._terms.clock.sleep(wait_s)
            try:
                async with self._lock:
                    await self._renew()
                    await self._take_in()
            except StoreError as error:
                log.info("the lease of %s cannot be renewed now: %s", self._name(), error)
                wait_s = self._terms.lease_s / 15
            except LostError:
                return
            else:
                wait_s = self._terms.lease_s / 3

    async def give_back(self) -> None:
        """
        End the lease, so that others need not wait for that; without effect if it is lost.

        Raises:
            StoreError: the journal does not do it; the lease ends by itself.
        """
        if not self.lost:
            await self._terms.journal.release(self.run.run_id, fence=self.fence)

    async def _write(self, run: Run) -> bool:
        """Write the record; false if somebody wrote before us, and that was taken in."""
        terms, data = self._terms, msgspec.json.encode(run)
        ttl = terms.keep_s if run.outcome in ("succeeded", "rolled_back") else None
        written = await self._patiently(
            lambda: terms.journal.put(run.run_id, data, expected=self._version, fence=self.fence, ttl=ttl)
        )
        if written is not None:
            self._version = written.version
            return True
        await self._patiently(self._take_in)
        return False

    async def _take_in(self) -> None:
        """Read what somebody wrote who does not hold the run: only that it is to be cancelled."""
        held = await self._terms.journal.get(self.run.run_id)
        if held is None:
            await self._write_anew()
            return
        if held.lease is None or held.lease.fence != self.fence:
            self._lose()
        found = read_run(held.value)
        self._version = held.version
        if found is not None and found.cancel is not None and self.run.cancel is None:
            self.run = structs.replace(self.run, cancel=found.cancel)
            self.on_cancel()

    async def _write_anew(self) -> None:
        """Put a record back that the journal lost, unless somebody has begun the run anew meanwhile."""
        terms, asked_at = self._terms, self._terms.clock.monotonic()
        claimed = await terms.journal.claim(self.run.run_id, terms.owner, span=terms.lease_s)
        if claimed is None or claimed.lease is None or claimed.version:
            self._lose()
        self.fence, self._version, self._asked_at = claimed.lease.fence, 0, asked_at
        data = msgspec.json.encode(self.run)
        written = await terms.journal.put(self.run.run_id, data, expected=0, fence=self.fence)
        if written is None:
            self._lose()
        self._version = written.version
        log.error("%s had lost the record of %s; it was written anew", terms.journal.place, self._name())

    async def _renew(self) -> None:
        asked_at = self._terms.clock.monotonic()
        if await self._terms.journal.renew(self.run.run_id, fence=self.fence, span=self._terms.lease_s):
            self._asked_at = asked_at
        else:
            await self._take_in()  # which finds out whether it was taken over, or lost

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        backoff = Backoff(self._terms.random, first_s=0.1, cap_s=2.0)
        while True:
            try:
                return await ask()
            except StoreUnavailableError as error:
                log.info("%s waits for its journal: %s", self._name(), error)
                await self._terms.clock.sleep(backoff.wait_s())

    def _lose(self) -> NoReturn:
        if not self.lost:
            self.lost = True
            log.warning("%s was taken over by another process; it goes no further here", self._name())
            self.on_lost()
        raise LostError

    def _name(self) -> str:
        return f"run {self.run.run_id!r} of atom {self.run.atom!r}"


def _nothing() -> None:
    return
