"""The play: which acts there are, what each does to the store, and what is measured meanwhile."""

import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from grayflow.admin import Admin, Saved
from grayflow.cli.demo.figures import Act, Figures
from grayflow.cli.demo.fleet import Fleet
from grayflow.cli.demo.outage import Outage
from grayflow.cli.demo.worker import FLAG
from grayflow.clock import SystemClock
from grayflow.core.flag import Flag

__all__ = ["PERCENTS", "Play", "Show"]

PERCENTS = (1, 10, 50, 100)
WATCH_S = 2.5
"""How long each act stays on stage, so that its effect can be seen."""
PATIENCE_S = 10.0
"""How long an act may take to reach every worker before the demo says that something is wrong."""
CLEANED_S = 40.0
"""The same for the cleanup, which waits for workers that are slow to say what they serve."""


class Show(Protocol):
    """Whoever tells the audience."""

    def say(self, text: str, detail: str = "") -> None:
        """Announce one event."""


class Play:
    """Runs the acts and keeps the figures."""

    def __init__(self, admin: Admin, fleet: Fleet, outage: Outage | None, show: Show) -> None:
        self._admin, self._fleet, self._outage, self._show = admin, fleet, outage, show
        self._clock = SystemClock()
        self._acts: list[Act] = []
        self._noticed_s: float | None = None
        self._recovered_s: float | None = None

    async def run(self) -> Figures:
        """Play all acts, about twenty seconds."""
        await self._fleet.until(lambda: self._fleet.all_are("fresh"), 20.0)
        self._show.say(f"{self._fleet.size} workers are up", f"{FLAG} is off for everybody")
        await self._clock.sleep(WATCH_S / 2)
        for percent in PERCENTS:
            await self._act(f"promoted to {percent} %", self._promotion(percent))
        if self._outage is None:
            self._show.say("the store stays", "this kind of URL cannot be taken away by a proxy")
        else:
            await self._take_the_store_away(self._outage)
        await self._act("switched off", lambda: self._admin.switch_off(FLAG, reason="demo: an incident"))
        await self._see_the_cleanup()
        return Figures(
            workers=self._fleet.size,
            acts=tuple(self._acts),
            ticks=tuple(self._fleet.ticks),
            noticed_ms=None if self._noticed_s is None else self._noticed_s * 1000,
            recovered_ms=None if self._recovered_s is None else self._recovered_s * 1000,
            cleaned=tuple(self._fleet.cleaned),
        )

    def _promotion(self, percent: int) -> Callable[[], Awaitable[Saved[Flag]]]:
        return lambda: self._admin.set_percent(FLAG, percent, reason=f"demo: {percent} %")

    async def _act(self, name: str, write: Callable[[], Awaitable[Saved[Flag]]]) -> None:
        start_ns = time.monotonic_ns()
        saved = await write()
        revision = saved.revision
        await self._fleet.until(lambda: self._fleet.all_saw(revision), PATIENCE_S)
        delays = self._fleet.delays_ms(revision, start_ns)
        self._acts.append(Act(name, delays, start_ns))
        self._show.say(f"{FLAG} {name}", f"in all {self._fleet.size} workers after {max(delays):.1f} ms")
        await self._clock.sleep(WATCH_S)

    async def _see_the_cleanup(self) -> None:
        await self._fleet.until(self._fleet.is_clean, CLEANED_S)
        entries = sum(one.removed for one in self._fleet.cleaned if one.scope == "process")
        self._show.say("cleaned up in each process", f"{entries:,} entries of {self._fleet.size} workers' memory")
        for one in self._fleet.cleaned:
            if one.scope == "fleet":
                self._show.say(
                    "cleaned up once in the fleet", f"worker {one.worker} removed {one.removed} shared files"
                )
        await self._clock.sleep(WATCH_S / 2)

    async def _take_the_store_away(self, outage: Outage) -> None:
        outage.begin()
        try:
            self._show.say("the store is gone", "requests go on from memory")
            self._noticed_s = await self._fleet.until(lambda: self._fleet.all_are("stale"), PATIENCE_S)
            self._show.say("every worker knows", f"after {self._noticed_s:.1f} s; nobody got another answer")
            await self._clock.sleep(WATCH_S)
        finally:
            outage.end()
        self._recovered_s = await self._fleet.until(lambda: self._fleet.all_are("fresh"), PATIENCE_S)
        self._show.say("the store is back", f"all fresh again after {self._recovered_s * 1000:,.0f} ms")
        await self._clock.sleep(WATCH_S / 2)
