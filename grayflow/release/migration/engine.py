"""What runs inside of `Migration.running`: everything that needs a client, put together, and its background work."""

import logging
import os
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from typing import Any, Generic, TypeVar
from uuid import uuid4

import anyio

from grayflow.admin.admin import Admin
from grayflow.client.client import Client
from grayflow.errors import ConfigurationError, GrayflowError, LifetimeError, StoreAccessError, StoreError
from grayflow.release.atom.atoms import Atoms
from grayflow.release.migration.compass import Compass, gray_key
from grayflow.release.migration.compensating import AtomCompensation
from grayflow.release.migration.errors import StaleStageError
from grayflow.release.migration.journal import Journal
from grayflow.release.migration.ledger import Ledger
from grayflow.release.migration.pair import Pair
from grayflow.release.migration.past import everybody, read_past
from grayflow.release.migration.reading import Reader
from grayflow.release.migration.repairing import Repairer
from grayflow.release.migration.setup import Policy, Setup
from grayflow.release.migration.spool import Spool
from grayflow.release.migration.watching import Watch
from grayflow.release.migration.writing import Writer
from grayflow.release.parallel.run import ParallelRun
from grayflow.release.running import Running

__all__ = ["Engine", "Seated"]

log = logging.getLogger("grayflow.release")

R = TypeVar("R")

_LEAVE_S = 1.0


class Engine(Generic[R]):
    """
    The part that runs; see `grayflow.release.running.Part`.

    Args:
        setup: Of the migration.
        policy: Of its writes.
        compensation: With `on_mirror_failure="compensate"`.
        flags: Has the stage, and the store's board.
        admin: Moves the stage; `None`: this process does not.
        random: Draws from `[0, 1)`, for jitter.
        run: Compares reads; in the block.
        seat: Told when it begins and ends.
    """

    def __init__(
        self,
        setup: Setup[R],
        policy: Policy,
        compensation: AtomCompensation[R] | None,
        *,
        flags: Client,
        admin: Admin | None,
        random: Callable[[], float],
        run: ParallelRun[Any],
        seat: "Seated[R]",
    ) -> None:
        board = flags.store.board
        if board is None:
            raise ConfigurationError(f"migration {setup.name!r} needs a board: {flags.store.no_board}")
        self.setup, self.flags, self.admin, self._random, self._seat = setup, flags, admin, random, seat
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex}"
        spool = None if policy.spool is None else Spool(policy.spool, flags.store.namespace, setup.name)
        self.journal = Journal(board, setup.name, spool)
        self.ledger = Ledger(board, setup.name, soak_s=max(setup.terms.soak_s, 1.0))
        self.pair = Pair(setup)
        self.watch: Watch[R] = Watch(setup, self.ledger, self.journal, run)
        compass = Compass(flags, setup.name, setup.limits.max_stale_s)
        self.reader = Reader(setup, flags, compass, self.watch)
        self.writer = Writer(
            setup, flags, compass, self.journal, way=policy.way, failure=policy.failure, compensation=compensation
        )
        self.compass = compass
        self.repairer = Repairer(
            setup, self.journal, self.ledger, flags.clock, self.owner, lambda: self.writer.mirrored
        )
        self._compensation, self._run = compensation, run
        self._comparing, self._held = AsyncExitStack(), AsyncExitStack()
        self._told, self._gray = False, 0
        self._trouble: str | None = None

    async def open(self, running: Running) -> None:
        """See `grayflow.release.running.Part`."""
        self._seat.take(self)
        try:
            await self._comparing.enter_async_context(self._run.running(self.flags))
            if self._compensation is not None:
                atoms = Atoms(self.flags, [self._compensation.atom], random=self._random)
                self._compensation.open(atoms, self.journal)  # what a dead process left is undone from the start
                await self._held.enter_async_context(atoms)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._comparing.aclose()
            raise
        running.spawn(self._walk, name=f"migration {self.setup.name}")

    async def close(self) -> None:
        """See `grayflow.release.running.Part`."""
        self._seat.leave(self)
        await self._comparing.aclose()  # what it counts at last is told
        with anyio.move_on_after(_LEAVE_S), suppress(StoreError):
            await self.watch.flush()
            await self.drain()
        if self.journal.spool is not None:
            await self.journal.spool.seal()
        await self._held.aclose()

    def over(self, failure: Exception | None) -> None:
        """See `grayflow.release.running.Part`."""
        self._seat.leave(self)
        if failure is not None:
            log.error("a defect ended the background work of migration %r", self.setup.name, exc_info=failure)

    async def drain(self) -> None:
        """
        Bring to the board what waits on the disk, and count it.

        Raises:
            StoreError: the board does not answer.
        """
        found = await self.journal.drain()
        with suppress(StaleStageError):
            self.watch.spooled(self.compass.standing().revision, found)

    async def _walk(self) -> None:
        clock, pause_s = self.flags.clock, self.setup.limits.repair_s
        while True:
            try:
                await self._round()
                self._trouble = None
            except Exception as error:  # noqa: BLE001 - reads and writes go on, whatever breaks here
                self._note(error)
            await clock.sleep(pause_s * (0.8 + 0.4 * self._random()))

    async def _round(self) -> None:
        await self.drain()
        if not self._told:
            await self.ledger.tell_terms(self.setup.terms)
            self._told = True
        await self.watch.flush()
        # Asked first: a claim at each look would write to the board for nothing.
        if (await self.journal.sizes())[0]:
            await self.repairer.look()
        await self.note_gray()

    async def note_gray(self) -> None:
        """
        Let the board know since when everybody is on the gray list: whoever put them there may have a wrong clock.

        Raises:
            StoreError: the board does not answer.
        """
        key, snapshot = gray_key(self.setup.name), self.flags.snapshot
        flag, revision = (None if snapshot is None else snapshot.flag(key)) or (None, 0)
        if revision == self._gray or not everybody(flag, self.flags.clock.now()):
            return
        with suppress(StoreAccessError):  # a user who may not read history; then the clock of the writer counts
            past = await read_past(self.flags.store, self.setup.name)
            if past.gray_since is not None:
                await self.ledger.note_gray(past.gray_revision)
        self._gray = revision

    def _note(self, error: Exception) -> None:
        told = str(error) if isinstance(error, GrayflowError) else repr(error)
        if told != self._trouble:
            level = logging.WARNING if isinstance(error, StoreError) else logging.ERROR
            defect = None if isinstance(error, GrayflowError) else error
            log.log(level, "migration %r repairs nothing at the moment: %s", self.setup.name, told, exc_info=defect)
        self._trouble = told


class Seated(Generic[R]):
    """
    What every part of `Migration` stands on: a place for what runs at the moment, if anything does.

    Args:
        setup: Of the migration.
    """

    def __init__(self, setup: Setup[R]) -> None:
        self.name = setup.name
        """Of the migration: its flag's key."""
        self._setup = setup
        self._engine: Engine[R] | None = None

    def _open(self) -> Engine[R]:
        if self._engine is None:
            raise LifetimeError(f"migration {self.name!r} is not running; use it inside: async with X.running(flags)")
        return self._engine

    def take(self, engine: Engine[R]) -> None:
        """
        Called by what begins to run.

        Raises:
            LifetimeError: something runs already.
        """
        if self._engine is not None:
            raise LifetimeError(f"migration {self.name!r} is running already")
        self._engine = engine

    def leave(self, engine: Engine[R]) -> None:
        """Called by what ran."""
        if self._engine is engine:
            self._engine = None
