"""
One run as one process sees to it: begun, taken over, or waited for while another process is at work on it.

Whatever happens in between, the loop looks at the journal again: an outcome there is the answer, a lease that ended is
an invitation, and one that somebody holds is a reason to wait.
"""

import logging
from collections.abc import Mapping
from typing import Any

import anyio
import msgspec

from grayflow.errors import StoreError, StoreFormatError
from grayflow.release.atom import moves
from grayflow.release.atom.engine import Engine
from grayflow.release.atom.errors import AtomRefusedError
from grayflow.release.atom.hold import Hold, Terms
from grayflow.release.atom.model import Atom
from grayflow.release.atom.record import Cancel, During, Run, read_run
from grayflow.replica.waiting import pause
from grayflow.store.board import Lease, Record

__all__ = ["Pursuit", "Start"]

log = logging.getLogger("grayflow.release")

_LOOK_S = 1.0
_STOPPED = (
    "Run {!r} stopped before its next step. What is recorded of it, if anything, is gone on with as if its process "
    "were gone: by recovery, or by running it again under the same id."
)


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """How a run begins that is not recorded yet."""

    given: Any
    """The input, as the journal keeps it."""
    actor: str
    reason: str


class Pursuit:
    """
    Sees to one run.

    Args:
        terms: Common to all.
        atom: Its code.
        run_id: Which.
        start: How it begins if nothing is recorded of it; `None`: it does not.
    """

    def __init__(self, terms: Terms, atom: Atom, run_id: str, start: Start | None) -> None:
        self.atom, self.run_id = atom, run_id
        self.over = anyio.Event()
        """Set when nothing more is done for it here."""
        self.run: Run | None = None
        """As it ended; `None` if it did not, or was never begun."""
        self.failure: Exception | None = None
        """Why it cannot be gone on with here."""
        self._terms, self._start = terms, start
        self._engine: Engine | None = None
        self._cancel: Cancel | None = None
        self._closing = self._waiting = False
        self._wake = anyio.Event()
        self._scope = anyio.CancelScope(shield=True)
        self._failures: dict[tuple[str, During], BaseException] = {}

    @property
    def failures(self) -> Mapping[tuple[str, During], BaseException]:
        """What was raised in this process, by step and function: the newest."""
        return self._failures

    def cancel(self, cancel: Cancel) -> None:
        """Whoever began it wants it not to go on. One that another process is at work on is only left."""
        self._cancel = cancel
        if self._engine is not None:
            self._engine.cancel(cancel)
        elif self._waiting:
            self.close()

    def close(self) -> None:
        """Leave it for others as soon as that can be done in good order."""
        self._closing = True
        self._wake.set()
        if self._engine is not None:
            self._engine.close()

    def abandon(self) -> None:
        """End at once, whatever is being done."""
        if self._engine is not None:
            self._engine.abandon()
        self._scope.cancel()

    async def see_to_it(self) -> None:
        """Go on until the run has ended, or is left for others. Failures are kept, not raised."""
        try:
            with self._scope:
                await self._follow()
        except Exception as error:
            self.failure = error
            if isinstance(error, StoreError):
                error.add_note(_STOPPED.format(self.run_id))
            if self._start is None:
                log.warning("run %r of atom %r cannot be gone on with now", self.run_id, self.atom.name, exc_info=error)
        finally:
            self.over.set()

    async def _follow(self) -> None:
        while not self._closing:
            record = await self._terms.journal.get(self.run_id)
            run = self._read(record)
            if run is not None and run.outcome is not None:
                self.run = run
                return
            if run is None and self._start is None:
                return
            if not await self._pursue():
                return

    async def _pursue(self) -> bool:
        """Try to take the run forward; return whether to look at the journal again."""
        terms, asked_at = self._terms, self._terms.clock.monotonic()
        claimed = await terms.journal.claim(self.run_id, terms.owner, span=terms.lease_s)
        if claimed is None or claimed.lease is None:
            await self._wait()
            return True
        hold = await self._hold(claimed, claimed.lease, asked_at)
        if hold is None:
            await terms.journal.release(self.run_id, fence=claimed.lease.fence)
            return self._cancel is None
        engine = Engine(self.atom, hold, taking_over=claimed.version > 0, clock=terms.clock, random=terms.random)
        self._engine = engine
        try:
            if self._cancel is not None:
                engine.cancel(self._cancel)
            ending = await engine.drive()
        finally:
            self._failures.update(engine.failures)
            self._engine = None
        if ending == "ended":
            self.run = engine.run
        return ending == "lost"

    async def _hold(self, claimed: Record, lease: Lease, asked_at: float) -> Hold | None:
        """Return the run as this process holds it now; `None` if there is nothing to be done with it."""
        run, version = self._read(claimed), claimed.version
        if run is None and self._start is not None and self._cancel is None:
            start, now = self._start, lease.until - round(self._terms.lease_s * 1e9)
            run = moves.begun(self.atom, self.run_id, start.given, actor=start.actor, reason=start.reason, now=now)
            data = msgspec.json.encode(run)
            written = await self._terms.journal.put(self.run_id, data, expected=0, fence=lease.fence)
            if written is None:
                return None
            version = written.version
        if run is None or run.outcome is not None:
            return None
        return Hold(self._terms, run, version=version, lease=lease, asked_at=asked_at)

    async def _wait(self) -> None:
        """Wait until the one who holds it may be done with it, or gone."""
        self._waiting = True
        if self._cancel is not None:
            self.close()
        if not self._closing:
            await pause(self._terms.clock, min(_LOOK_S, self._terms.lease_s / 5), self._wake)
        self._waiting = False

    def _read(self, record: Record | None) -> Run | None:
        """
        Return the run of a record, `None` if nothing is recorded.

        Raises:
            StoreFormatError: it is none that this release can read.
            AtomRefusedError: it is another atom's, or was given something else.
        """
        if record is None or not record.version:
            return None
        run = read_run(record.value)
        if run is None:
            raise StoreFormatError(
                f"what {self._terms.journal.place} holds as run {self.run_id!r} cannot be read",
                remedy="Install the release that wrote it",
            )
        if run.atom != self.atom.name:
            raise AtomRefusedError(
                f"run id {self.run_id!r} belongs to a run of atom {run.atom!r}; take another", run_id=self.run_id
            )
        if self._start is not None and run.input != self._start.given:
            raise AtomRefusedError(
                f"run id {self.run_id!r} belongs to a run with another input, which is not run again; take another id",
                run_id=self.run_id,
            )
        return run
