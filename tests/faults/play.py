"""One fault, from the setting of the stage to the verdict."""

import gc
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from grayflow.core.position import Position
from grayflow.errors import GrayflowError, lone
from grayflow.store.port import State
from tests.faults.fault import Fault
from tests.faults.judge import differences, judge
from tests.faults.stage import BrokenPromiseError, Setting, Stage, clock, staged, until

__all__ = ["Verdict", "play"]

_LIMIT_S = 180.0
_STALL_S = 0.1
"""A loop that was busy for so long at a stretch stood still. Slices are a tenth of it, and machines differ."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One row of the table."""

    name: str
    detected_s: float | None = None
    """From the strike to the first thing that told the client; `None` if nothing did."""
    recovered_s: float | None = None
    """
    From the end of the healing, or from the strike if nobody had to heal, until the client had what was new at that
    moment and said that all is well.
    """
    decisions: int = 0
    """Asked between strike and recovery."""
    lost: int = 0
    doubled: int = 0
    forgotten: int = 0
    """Edits that the server itself lost after it had acknowledged them."""
    longest_s: float = 0.0
    """The longest time for which the client's loop let nobody run."""
    broken: Sequence[str] = ()
    """Promises that were not kept."""


async def play(kind: type[Fault], setting: Setting) -> Verdict:
    """Play a fault to its end. It never raises: what went wrong is in the verdict."""
    fault = kind()
    gc.collect()
    gc.freeze()  # what a whole test suite has left is not this loop's to look through
    try:
        with anyio.fail_after(_LIMIT_S):
            async with staged(fault, setting) as stage:
                return await _Play(fault, stage).run()
    except Exception as error:  # noqa: BLE001 - a row of the table, and the others are played all the same
        cause = lone(error)
        told = str(cause) if isinstance(cause, BrokenPromiseError | GrayflowError) else repr(cause)
        return Verdict(name=fault.name, broken=(told,))
    finally:
        gc.unfreeze()


class _Play:
    def __init__(self, fault: Fault, stage: Stage) -> None:
        self._fault, self._stage = fault, stage
        self._lasts_s = fault.brief_s if stage.setting.brief else fault.lasts_s
        self._broken: list[str] = []

    async def run(self) -> Verdict:
        fault, stage, witness = self._fault, self._stage, self._stage.witness
        await fault.prepare(stage)
        async with self._held_still() as good:
            struck_at, asked = clock.monotonic(), witness.decisions
            await fault.strike(stage)
        await fault.meanwhile(stage)
        await self._noticed(struck_at)
        if fault.heals_itself:
            recovered_s, asked = await self._recovered(struck_at), witness.decisions - asked
        await clock.sleep(struck_at + self._lasts_s - clock.monotonic())
        if good is not None:
            await self._refused(good)
        await fault.heal(stage)
        if not fault.heals_itself:
            recovered_s, asked = await self._recovered(clock.monotonic()), witness.decisions - asked
        edited = len(stage.writer.acknowledged)
        await until(lambda: len(stage.writer.acknowledged) > edited + 5, "the writer did not go on")
        async with stage.writer.quiet():
            found = await judge(stage, forgets=fault.forgets)
        self._broken += (*found.lost[:5], *found.doubled[:5], *witness.wrong)
        if not fault.remedy and not stage.flags.health.failovers and witness.seen & set(found.forgotten):
            self._broken.append("the server lost edits that the client had seen, and the client did not notice")
        if witness.longest_s > _STALL_S:
            self._broken.append(f"the loop stood still for {witness.longest_s:.1f} s")
        return Verdict(
            name=fault.name,
            detected_s=witness.noticed_after(struck_at),
            recovered_s=recovered_s,
            decisions=asked,
            lost=len(found.lost),
            doubled=len(found.doubled),
            forgotten=len(found.forgotten),
            longest_s=witness.longest_s,
            broken=tuple(self._broken),
        )

    async def _noticed(self, struck_at: float) -> None:
        if not self._fault.silent:
            witness = self._stage.witness
            await until(lambda: witness.noticed_after(struck_at) is not None, "the client noticed nothing")

    async def _recovered(self, since: float) -> float:
        """Wait until the client has what the server has now, and is well; return how long after `since` that is."""
        await self._stage.seen(await self._position())
        await until(self._stage.well, f"not well again: {self._stage.flags.health}")
        return clock.monotonic() - since

    async def _position(self) -> Position:
        while True:
            try:
                return await self._stage.store.position()
            except GrayflowError:
                await clock.sleep(0.02)

    @asynccontextmanager
    async def _held_still(self) -> AsyncIterator[State | None]:
        """Where the last good flags are to be kept: nobody edits in this block, and the client has what it yields."""
        if not self._fault.remedy:
            yield None
            return
        async with self._stage.writer.quiet():
            state = await self._stage.store.load()
            await self._stage.seen(state.position)
            yield state

    async def _refused(self, good: State) -> None:
        """Look whether the last good flags are still there, and whether health says what to do."""
        flags, remedy = self._stage.flags, self._fault.remedy
        await until(lambda: flags.health.incident, "health speaks of no incident")
        if remedy not in (flags.health.last_error or ""):
            self._broken.append(f"health does not name {remedy!r}: {flags.health.last_error}")
        found = await self._stage.aside(differences, flags._replica.view, good)
        self._broken += [f"not the last good flags: {difference}" for difference in found[:3]]
