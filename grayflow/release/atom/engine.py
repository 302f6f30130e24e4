"""
Drives one run to its end: asks the plan, does what it says, and records what came of it.

It runs in a task that no caller owns, under a shield, so that neither a caller that is cancelled nor a group that ends
can stop an undo half-way. What may interrupt it is said from outside: `cancel`, `close`, and `abandon`.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Literal

import anyio
import msgspec

from grayflow.clock import Clock
from grayflow.errors import StoreError
from grayflow.release.atom import moves
from grayflow.release.atom.calling import Caller
from grayflow.release.atom.hold import Hold, LostError
from grayflow.release.atom.model import Atom
from grayflow.release.atom.plan import Action, Ask, BeginUndo, Do, End, Prepare, TurnBack, Undo, Wait, plan
from grayflow.release.atom.probing import Prober, read_input
from grayflow.release.atom.record import Cancel, During, Run, Trouble
from grayflow.replica.waiting import pause

__all__ = ["Ending", "Engine"]

log = logging.getLogger("grayflow.release")

Ending = Literal["ended", "lost", "left"]
"""The run has its outcome; somebody else has taken it over; it was left for somebody else."""

_LEAVE_S = 0.5


class Engine:
    """
    One run.

    Args:
        atom: Its code.
        hold: Its record and lease.
        taking_over: Whether another process began it.
        clock: The time.
        random: Draws from `[0, 1)`, for waits.
    """

    def __init__(self, atom: Atom, hold: Hold, *, taking_over: bool, clock: Clock, random: Callable[[], float]) -> None:
        self._atom, self._hold, self._clock, self._random = atom, hold, clock, random
        self._caller = Caller(clock)
        self._prober = Prober(atom, self._caller)
        self._taking_over = taking_over
        self._scope = anyio.CancelScope(shield=True)
        self._wake = anyio.Event()
        self._cancel: Cancel | None = None
        self._cancelled = anyio.Event()
        self._closing = False
        self._refused: StoreError | None = None
        hold.on_lost = self._caller.stop
        hold.on_cancel = self._interrupt

    @property
    def run(self) -> Run:
        """What is recorded."""
        return self._hold.run

    @property
    def failures(self) -> Mapping[tuple[str, During], BaseException]:
        """What was raised in this process, by step and function: the newest."""
        return self._prober.failures

    def cancel(self, cancel: Cancel) -> None:
        """Somebody wants the run not to go on. The first who says so counts."""
        if self._cancel is None:
            self._cancel = cancel
            self._cancelled.set()
            self._interrupt()

    def close(self) -> None:
        """Leave the run for others before the next step; one that is on its way back comes to its end."""
        self._closing = True
        self._wake.set()

    def abandon(self) -> None:
        """End at once, whatever is being done."""
        self._scope.cancel()

    async def drive(self) -> Ending:
        """
        Go on until the end, or until it is somebody else's.

        Raises:
            StoreError: the journal refuses; the run is left as it is.
        """
        ending: Ending = "left"
        with self._scope:
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._hold.keep, name="grayflow atom lease")
                    tasks.start_soon(self._hear_cancel, name="grayflow atom cancel")
                    ending = await self._work()
                    tasks.cancel_scope.cancel()
            finally:
                with anyio.move_on_after(_LEAVE_S, shield=True):
                    await self._leave()
        if self._refused is not None:
            raise self._refused
        return ending

    async def _work(self) -> Ending:
        try:
            await self._begin()
            while True:
                await self._record_cancel()
                action = self._plan(self.run)
                if action is None:
                    return "ended"
                if self._closing and self.run.direction == "forward" and not isinstance(action, End | TurnBack):
                    return "left"
                await self._perform(action)
        except LostError:
            return "lost"
        except StoreError as error:
            self._refused = error  # raised by `drive`: a task group would wrap it
            return "left"

    async def _begin(self) -> None:
        """Take the run over, if it was another's, and read its input; one that the code cannot read is in doubt."""
        if self._taking_over:
            log.info("run %r of atom %r is taken over", self.run.run_id, self.run.atom)
            await self._update(lambda run: moves.taken_over(run, self._atom))
        try:
            self._prober.given = read_input(self._atom, self.run.input)
        except msgspec.ValidationError as error:
            doubt = Trouble(kind="InDoubt", message=f"the code cannot read the run's input: {error}")
            end, now = End("in_doubt", doubt), self._hold.time.now()
            await self._update(lambda run: moves.ended(run, end, now))

    def _plan(self, run: Run) -> Action | None:
        return plan(run, self._atom, fence=self._hold.fence, now=self._hold.time.now())

    async def _perform(self, action: Action) -> None:
        match action:
            case Prepare(index):
                await self._prepare(index)
            case Do(index):
                await self._do(index)
            case Ask(index):
                facts, fence = await self._prober.ask(self.run, index, self._hold.fence), self._hold.fence
                await self._update(lambda run: moves.asked(run, index, facts, fence=fence))
            case BeginUndo(index):
                step, now, fence = self._atom.sequence[index], self._hold.time.now(), self._hold.fence
                await self._update(lambda run: moves.undo_begun(run, step, action, fence=fence, now=now))
            case Undo(index):
                await self._undo(index)
            case Wait(until):
                await self._wait((until - self._hold.time.now()) / 1e9)
            case TurnBack():
                await self._update(lambda run: moves.turned_back(run, action))
            case End():
                now = self._hold.time.now()
                # Somebody may cancel it at this very moment: then the plan is another.
                await self._update(lambda run: moves.ended(run, action, now) if self._plan(run) == action else run)

    async def _prepare(self, index: int) -> None:
        fence, step = self._hold.fence, self._atom.sequence[index]
        before, error = await self._prober.before(self.run, index, fence)
        wait_s = step.retry.wait_s(self.run.steps[index].attempts + 1, self._random)
        now = self._hold.time.now()
        await self._update(
            lambda run: moves.prepared(run, step, index, before, error, fence=fence, now=now, wait_s=wait_s)
        )

    async def _do(self, index: int) -> None:
        await self._hold.assure()
        if self._is_cancelled():
            return
        fence, step = self._hold.fence, self._atom.sequence[index]
        facts = await self._prober.do(self.run, index, fence)
        wait_s = step.retry.wait_s(self.run.steps[index].attempts, self._random)
        now = self._hold.time.now()
        await self._update(lambda run: moves.done(run, step, index, facts, fence=fence, now=now, wait_s=wait_s))

    async def _undo(self, index: int) -> None:
        await self._hold.assure()
        step = self._atom.sequence[index]
        error = await self._prober.undo(self.run, index, self._hold.fence, self._hold.time.now())
        wait_s = step.undo_retry.wait_s(self.run.steps[index].undos, self._random)
        now = self._hold.time.now()
        await self._update(lambda run: moves.undone(run, step, index, error, now=now, wait_s=wait_s))

    async def _wait(self, seconds: float) -> None:
        if not self._wake.is_set():
            await pause(self._clock, seconds, self._wake)
        self._wake = anyio.Event()

    async def _update(self, change: Callable[[Run], Run]) -> None:
        before = self.run
        await self._hold.update(change)
        _tell(before, self.run)

    # Cancelling

    def _interrupt(self) -> None:
        if self._is_cancelled():
            self._caller.interrupt()
            self._wake.set()

    def _is_cancelled(self) -> bool:
        """Whether the run is to turn back because somebody cancelled it."""
        asked = self._cancel is not None or self.run.cancel is not None
        return asked and self._atom.on_cancel == "undo" and self.run.direction == "forward"

    async def _hear_cancel(self) -> None:
        """Record a cancellation at once: if the process dies during a step, whoever takes over has to know."""
        await self._cancelled.wait()
        with suppress(LostError, StoreError):
            await self._record_cancel()

    async def _record_cancel(self) -> None:
        cancel = self._cancel
        if cancel is not None and self.run.cancel is None:
            await self._hold.update(lambda run: moves.cancelled_by(run, cancel))

    async def _leave(self) -> None:
        if self._caller.abandoned:
            return  # a thread that was left behind may still be at work: nobody is to begin before the lease is over
        try:
            await self._hold.give_back()
        except StoreError as error:
            log.info("run %r could not be given back; its lease ends by itself: %s", self.run.run_id, error)


def _tell(before: Run, after: Run) -> None:
    """Log what people want to know, once."""
    name = f"run {after.run_id!r} of atom {after.atom!r}"
    if before.direction == "forward" and after.direction == "back":
        log.warning("%s is undone: %s", name, after.error)
    if before.outcome == after.outcome:
        return
    if after.outcome == "succeeded":
        log.info("%s succeeded", name)
    elif after.outcome == "rolled_back":
        log.warning("%s was rolled back", name)
    else:
        left = ", ".join(after.remaining)
        log.error("%s needs somebody to decide, %s: %s; left to undo: %s", name, after.outcome, after.error, left)
