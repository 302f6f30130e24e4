"""
What people do with runs: look at them, let a parked one go on, waive a step, cancel.

Needs no code of atoms, only the journal, so the command line can do it for services. What it writes is read by the
process that has the code, at its next look.
"""

import getpass
import os
import socket
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any

import msgspec

from grayflow.errors import ConfigurationError
from grayflow.release.atom.errors import AtomRefusedError
from grayflow.release.atom.journal import KEEP_S, Journal
from grayflow.release.atom.moves import cancelled_by, resumed, skipped
from grayflow.release.atom.record import Cancel, Run, read_run
from grayflow.store.board import Lease, Record, Records
from grayflow.store.given import refused

__all__ = ["AtomRun", "Desk", "checked_actor", "read_runs", "unreadable"]

_REPEATS = 20
_ALIKE = 0.8
"""How alike a run's id is that may be meant; many are random, and as unlike as such are."""


class AtomRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run as the journal has it now."""

    run: Run
    lease: Lease | None = None
    """Who is at work on it, if somebody is."""
    now: int = 0
    """The instant by the journal's clock, nanoseconds since the epoch."""

    @property
    def held(self) -> bool:
        """Whether a process is at work on it, as far as anybody can know."""
        return self.lease is not None and self.lease.until > self.now

    @property
    def due(self) -> bool:
        """Whether it waits for a process that takes it over: it has not ended, and nobody is at work on it."""
        return self.run.outcome is None and not self.held


def read_runs(found: Records) -> Sequence[AtomRun]:
    """Return the runs of a journal, the oldest first; what no release can read is left out."""
    read = ((read_run(record.value), record.lease) for record in found.records.values() if record.version)
    runs = [AtomRun(run=run, lease=lease, now=found.now) for run, lease in read if run is not None]
    return sorted(runs, key=lambda one: (one.run.created, one.run.run_id))


def unreadable(found: Records) -> Sequence[str]:
    """Return the ids of the runs of a journal that this release cannot read."""
    records = found.records.items()
    return sorted(run_id for run_id, record in records if record.version and read_run(record.value) is None)


def checked_actor(given: Any) -> str:
    """
    Return who acts, for the record; the login name if nobody is named.

    Raises:
        ConfigurationError: it is no text, or an empty one.
    """
    if given is None:
        try:
            return getpass.getuser()
        except (OSError, KeyError, ImportError):  # a container may run under a number that has no name
            return f"{socket.gethostname()}:{os.getpid()}"
    if not isinstance(given, str) or not given.strip():
        raise refused("actor", given, "say who runs the atoms, for the record")
    return given


class Desk:
    """
    Reads and changes what is recorded of runs.

    Args:
        journal: Open.
        actor: Who does it, for the record.
        keep_s: How long the record of a run is kept whose last step was skipped.
    """

    def __init__(self, journal: Journal, *, actor: str, keep_s: float = KEEP_S) -> None:
        self._journal, self._actor, self._keep_s = journal, actor, keep_s

    async def runs(self) -> Sequence[AtomRun]:
        """Return all runs that are recorded, the oldest first; what no release can read is left out."""
        return read_runs(await self._journal.list())

    async def look(self) -> tuple[Sequence[AtomRun], Sequence[str]]:
        """Return all runs, the oldest first, and the ids of those that this release cannot read."""
        found = await self._journal.list()
        return read_runs(found), unreadable(found)

    async def run(self, run_id: str) -> AtomRun:
        """
        Return one run.

        Raises:
            AtomRefusedError: there is none of that id.
        """
        run, record = await self._read(run_id)
        return AtomRun(run=run, lease=record.lease, now=await self._journal.now())

    async def resume_undo(self, run_id: str) -> Run:
        """
        Let a parked run go on with its undo, from where it stopped, with all attempts.

        Raises:
            AtomRefusedError: there is none of that id, or it is not parked.
        """
        return await self._change(run_id, lambda run, _: resumed(_parked(run, "resume"), actor=self._actor))

    async def skip(self, run_id: str, step: str, *, reason: str) -> Run:
        """
        Record that a step of a parked run need not be undone; if it was the last, the run is rolled back.

        Raises:
            AtomRefusedError: there is none of that id, it is not parked, or the step is not left to undo.
            ConfigurationError: no reason is given.
        """
        if not reason.strip():
            raise ConfigurationError("say why the step need not be undone; it is kept with the run")

        def change(run: Run, now: int) -> Run:
            left = _parked(run, "skip").remaining
            if step not in left:
                raise AtomRefusedError(
                    f"step {step!r} of run {run_id!r} is not left to undo; these are: {', '.join(left)}", run_id=run_id
                )
            return skipped(run, (step,), actor=self._actor, reason=reason, now=now)

        return await self._change(run_id, change)

    async def cancel(self, run_id: str, *, reason: str = "") -> Run:
        """
        Ask for a run to be cancelled; the process that is at work on it hears of it within a third of its lease.

        Raises:
            AtomRefusedError: there is none of that id, or it has ended.
        """

        def change(run: Run, now: int) -> Run:
            if run.outcome is not None:
                raise AtomRefusedError(f"run {run_id!r} has ended: {run.outcome}", run_id=run_id)
            return cancelled_by(run, Cancel(actor=self._actor, reason=reason, at=now))

        return await self._change(run_id, change)

    async def _change(self, run_id: str, change: Callable[[Run, int], Run]) -> Run:
        for _ in range(_REPEATS):
            held, record = await self._read(run_id)
            run = change(held, await self._journal.now())
            if run == held:
                return run
            ttl = self._keep_s if run.outcome == "rolled_back" else None
            data = msgspec.json.encode(run)
            if await self._journal.put(run_id, data, expected=record.version, ttl=ttl) is not None:
                return run
        raise AtomRefusedError(f"run {run_id!r} is being written by somebody else; try again", run_id=run_id)

    async def _read(self, run_id: str) -> tuple[Run, Record]:
        record = await self._journal.get(run_id)
        if record is None or not record.version:
            raise await self._unknown(run_id)
        run = read_run(record.value)
        if run is None:
            text = f"run {run_id!r} cannot be read; install the release that wrote it"
            raise AtomRefusedError(text, run_id=run_id)
        return run, record

    async def _unknown(self, run_id: str) -> AtomRefusedError:
        recorded = (await self._journal.list()).records
        known = [name for name, record in recorded.items() if record.version]
        near = get_close_matches(run_id, known, 3, _ALIKE)
        hint = f"Did you mean {' or '.join(map(repr, near))}?" if near else "`grayflow atoms` lists those there are"
        return AtomRefusedError(f"there is no run {run_id!r} at {self._journal.place}. {hint}", run_id=run_id)


def _parked(run: Run, verb: str) -> Run:
    if not run.parked:
        state = "has not ended" if run.outcome is None else f"is {run.outcome}"
        raise AtomRefusedError(
            f"run {run.run_id!r} {state}; {verb} is for runs whose undo was given up, or that are in doubt",
            run_id=run.run_id,
        )
    return run
