"""
The face of atoms: runs them, takes over those whose process is gone, and lets people decide about the rest.

Each run has a task of its own here, which belongs to this object and not to whoever called `run`: a caller that is
cancelled asks for the undo and waits for it, and whatever becomes of the caller, the undo comes to its end.
"""

import os
import random as randomness
import socket
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Literal, Self
from uuid import uuid4

import anyio
import msgspec
from anyio.lowlevel import checkpoint

from grayflow.client.client import Client
from grayflow.clock import Clock
from grayflow.errors import ConfigurationError, LifetimeError
from grayflow.release.atom.crew import Crew
from grayflow.release.atom.desk import AtomRun, Desk, checked_actor
from grayflow.release.atom.errors import AtomRefusedError
from grayflow.release.atom.failing import error_of
from grayflow.release.atom.hold import Terms
from grayflow.release.atom.journal import KEEP_S, BoardJournal, Journal
from grayflow.release.atom.model import Atom
from grayflow.release.atom.probing import read_input
from grayflow.release.atom.pursuit import Pursuit, Start
from grayflow.release.atom.record import AtomResult, Cancel, plain
from grayflow.release.atom.recovery import Registry
from grayflow.release.running import Running
from grayflow.store.board import check_span, check_text
from grayflow.store.durability import Durability
from grayflow.store.given import Duration, checked_clock, opened_store, refused, seconds
from grayflow.store.port import Store

__all__ = ["Atoms"]

_NOT_OPEN = "these atoms were not opened; use them inside: async with Atoms(...) as atoms:"
_CLOSED = "run {!r} was left because these atoms are being closed; whoever opens them next goes on with it"
_INPUT_LIMIT = 150_000


class Atoms:
    """
    Runs atoms, and goes on with those whose process is gone: `async with Atoms(flags) as atoms:`.

    Args:
        journal: Where runs are recorded: a client that is running, a store or its URL, or a `Journal` such as
            `FileJournal("/var/lib/shop/atoms")`.
        atoms: Those whose runs are taken over when their process is gone. What `run` is called with is added.
        namespace: With a URL: the environment, `"default"` if left out.
        durability: Who has to have a record before a step begins; see `BoardJournal`. A `Journal` has its own.
        actor: Who runs them, for the record; the login name if left out.
        lease: How long a run is held without a sign of life; renewed after a third of it. If its process dies,
            another takes over when it ends. 0.1 s at least. An event loop that stands still for longer loses its runs.
        recover_every: How often it is looked for runs whose process is gone, ± 20 %, the first time at once; `None`:
            only by `recover`.
        keep: How long the record of a run is kept that succeeded or was rolled back: for so long a repeated `run_id`
            gets its result.
        close_timeout: How long leaving waits for steps that are being done, and for undos. What takes longer is
            interrupted, and whoever opens them next goes on with it.
        clock: The time; a client's own if left out.
        random: Draws from `[0, 1)`, for jitter; for tests.

    Raises:
        ConfigurationError: an option cannot be used; the text names it and what is allowed.
    """

    def __init__(  # noqa: PLR0913 - each has a default, and one place to look is worth more than few
        self,
        journal: Client | Store | Journal | str,
        atoms: Iterable[Atom] = (),
        *,
        namespace: str | None = None,
        durability: Durability | Literal["wait"] | None = None,
        actor: str | None = None,
        lease: Duration = 15.0,
        recover_every: Duration | None = 10.0,
        keep: Duration = KEEP_S,
        close_timeout: Duration = 30.0,
        clock: Clock | None = None,
        random: Callable[[], float] = randomness.random,
    ) -> None:
        found = journal.clock if clock is None and isinstance(journal, Client) else checked_clock(clock)
        self._actor = checked_actor(actor)
        self._terms = Terms(
            journal=_journal(journal, namespace, durability, found),
            owner=f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex}",
            clock=found,
            random=random,
            lease_s=check_span("lease", seconds("lease", lease, least=0.1)),
            keep_s=check_span("keep", seconds("keep", keep)),
        )
        if isinstance(atoms, Atom) or not isinstance(atoms, Iterable):
            raise refused("atoms", atoms, "give them in a list: Atoms(journal, [atom])")
        self._registry = Registry(map(_checked, atoms))
        self._crew = Crew(
            self._terms,
            self._registry,
            recover_s=None if recover_every is None else seconds("recover_every", recover_every, least=0.01),
            close_s=seconds("close_timeout", close_timeout, least=0.0),
        )
        self._desk = Desk(self._terms.journal, actor=self._actor, keep_s=self._terms.keep_s)
        self._running: Running | None = None

    async def __aenter__(self) -> Self:
        if self._running is not None:
            raise LifetimeError("these atoms were opened before; make others: async with Atoms(...) as atoms:")
        self._running = Running("atoms", self._crew, limit_s=self._crew.limit_s)
        await self._running.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._running is not None:
            await self._running.__aexit__(kind, error, trace)

    def __repr__(self) -> str:
        return f"<Atoms at {self._terms.journal.place}>"

    def register(self, atom: Atom) -> None:
        """
        Let runs of an atom be taken over here.

        Raises:
            ConfigurationError: it is none.
        """
        self._registry.add(_checked(atom))

    async def run(
        self,
        atom: Atom,
        input: Any = None,  # noqa: A002 - what users call it
        *,
        run_id: str | None = None,
        reason: str = "",
        raise_: bool = True,
    ) -> AtomResult:
        """
        Do the steps of an atom, or undo them, and return how it ended.

        Args:
            atom: What to do.
            input: What its steps are told; anything JSON can hold, up to 150 kB.
            run_id: Names this intention, 1 to 1,000 bytes. Where a run of that id is recorded its result is returned,
                and nothing is done again; one that another process is at work on is waited for, one whose process is
                gone is taken over.
            reason: Why, for the record.
            raise_: Whether an outcome other than `succeeded` is raised.

        Raises:
            AtomRolledBack: it did not succeed, and everything is as it was before; the cause is what was raised.
            AtomRollbackFailed: some steps could not be undone.
            AtomInDoubt: a run of that id was begun by other code.
            AtomRefusedError: the run id belongs to another atom, or to another input; nothing was done.
            ConfigurationError: the input, or something else, cannot be used; nothing was done.
            StoreError: the journal did not answer or refused, or its record is not as safe as `durability` says
                (`UnacknowledgedError`); the step that would have come next did not begin. What is recorded by then is
                taken up as if its process were gone.
            LifetimeError: these atoms are not open, or were closed before the run ended.

        Cancellation: the step that is being done is interrupted (unless it is not `cancellable`), everything is undone
        and that waited for, however long the steps allow it to take; then the cancellation is raised. Who is cancelled
        again meanwhile, natively, returns at once, and the undo goes on. With `on_cancel="finish"` the run is waited
        for. The steps run in the caller's context, with its scope and overrides.
        """
        self._check()
        start = Start(given=_plain_input(_checked(atom), input), actor=self._actor, reason=reason)
        run_id = uuid4().hex if run_id is None else check_text("run id", run_id)
        self._registry.add(atom)
        await checkpoint()
        await self._crew.until_free(run_id)  # then it is looked at anew: it may have been left, or be another atom's
        pursuit = self._crew.begin(atom, run_id, start)
        try:
            await pursuit.over.wait()
        except anyio.get_cancelled_exc_class():
            at = self._terms.clock.now()
            pursuit.cancel(Cancel(actor=self._actor, reason="its caller was cancelled", at=at))
            with anyio.CancelScope(shield=True):
                await pursuit.over.wait()
            raise
        return _answer(pursuit, raise_=raise_)

    async def recover(self, *, wait: bool = False) -> Sequence[AtomResult]:
        """
        Take over the runs whose process is gone, of the atoms that are registered here, and return how they ended.

        Args:
            wait: Whether to wait also for those that are held by somebody, until they end or can be taken over: a
                process that died a moment ago still holds its runs for the rest of the lease.

        Raises:
            StoreError: the journal did not answer or refused.
            LifetimeError: these atoms are not open.

        Cancellation: the runs go on.
        """
        self._check()
        pursuits = await self._crew.take_over(held=wait)
        for pursuit in pursuits:
            await pursuit.over.wait()
        for pursuit in pursuits:
            if pursuit.failure is not None:
                raise pursuit.failure
        return tuple(pursuit.run.result() for pursuit in pursuits if pursuit.run is not None)

    async def runs(self) -> Sequence[AtomRun]:
        """Return all runs that are recorded, of whichever atom and process, the oldest first."""
        self._check()
        return await self._desk.runs()

    async def resume_undo(self, run_id: str) -> AtomResult:
        """
        Go on with the undo of a parked run, from where it stopped, and return how it ended.

        Raises:
            AtomRefusedError: there is no parked run of that id, or no atom of its name is registered here.
            AtomRollbackFailed: something still cannot be undone.
            AtomInDoubt: the code here is not the one that began it.

        Cancellation: the undo goes on.
        """
        self._check()
        recorded = (await self._desk.run(run_id)).run
        atom = self._registry.find(recorded.atom, recorded.version)
        if atom is None:
            raise AtomRefusedError(
                f"run {run_id!r} is of atom {recorded.atom!r}, which is not known here; register it: "
                f"Atoms(..., [{recorded.atom}])",
                run_id=run_id,
            )
        await self._desk.resume_undo(run_id)
        pursuit = self._crew.find(run_id) or self._crew.begin(atom, run_id, None)
        await pursuit.over.wait()
        return _answer(pursuit, raise_=pursuit.run is None or pursuit.run.outcome != "rolled_back")

    async def skip(self, run_id: str, step: str, *, reason: str) -> None:
        """
        Record that a step of a parked run need not be undone; if it was the last, the run is rolled back.

        Raises:
            AtomRefusedError: there is no parked run of that id, or the step is not left to undo.
            ConfigurationError: no reason is given.
        """
        self._check()
        await self._desk.skip(run_id, step, reason=reason)

    async def cancel(self, run_id: str, *, reason: str = "") -> None:
        """
        Cancel a run, wherever it is; a process elsewhere hears of it within a third of its lease.

        Raises:
            AtomRefusedError: there is none of that id, or it has ended.
        """
        self._check()
        await self._desk.cancel(run_id, reason=reason)

    def _check(self) -> None:
        if self._running is None:
            raise LifetimeError(_NOT_OPEN)
        self._crew.check()


def _journal(given: Any, namespace: str | None, durability: Any, clock: Clock) -> Journal:
    found = given.store if isinstance(given, Client) else given
    if isinstance(found, str | Store):
        store = opened_store(found, namespace, client_name="grayflow-atoms", clock=clock)
        return BoardJournal(store, durability=durability)
    verbs = ("get", "list", "put", "claim", "renew", "release", "now")
    if isinstance(given, type) or not all(callable(getattr(given, verb, None)) for verb in verbs):
        raise refused("journal", given, "give a Client, a store or its URL, or a Journal such as FileJournal(folder)")
    if namespace is not None:
        raise refused("namespace", namespace, "the journal has its own place: leave the namespace out")
    if durability is not None:
        remedy = "the journal has its own: BoardJournal(store, durability=...); FileJournal syncs every write by itself"
        raise refused("durability", durability, remedy)
    journal: Journal = given
    return journal


def _checked(given: Any) -> Atom:
    if not isinstance(given, Atom):
        raise refused("atom", given, "give an Atom(name, version=..., steps=[...])")
    return given


def _plain_input(atom: Atom, given: Any) -> Any:
    try:
        kept = plain(given, limit=_INPUT_LIMIT)
        read_input(atom, kept)
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise ConfigurationError(f"the input of atom {atom.name!r} cannot be used: {error}") from error
    return kept


def _answer(pursuit: Pursuit, *, raise_: bool) -> AtomResult:
    if pursuit.failure is not None:
        raise pursuit.failure
    if pursuit.run is None:
        raise LifetimeError(_CLOSED.format(pursuit.run_id))
    result = pursuit.run.result()
    error = error_of(result, pursuit.failures) if raise_ else None
    if error is not None:
        raise error
    return result
