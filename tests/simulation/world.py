"""One schedule, played: a process with a replica, its server, and everything that happens to both."""

from collections import deque
from random import Random

import anyio

from grayflow.testing.virtual import VirtualClock, VirtualLoop
from tests.simulation.fate import Fate
from tests.simulation.network import ANSWER_LIMIT_S, Network
from tests.simulation.process import DISK_S, Process
from tests.simulation.script import Script, Step
from tests.simulation.server import Server
from tests.simulation.store import SimulatedStore
from tests.simulation.watch import LONGEST_POLL, Watch

_HERD_S = 5.0
"""The longest pause before a full load after a lost link, or ttl if that is shorter."""
_RELINK_S = ANSWER_LIMIT_S + 6.0 + 1.0
"""The longest wait for a new link: a lost request, and the pause after a refusal."""


class SimulatedLoop(VirtualLoop):
    """Virtual time, of which no moment passes unwatched."""

    def __init__(self) -> None:
        super().__init__()
        self.watch: Watch | None = None

    def jump(self, seconds: float) -> None:
        if self.watch is not None:
            self.watch.lasts(seconds)
        super().jump(seconds)

    def stop_process(self, seconds: float) -> None:
        super().jump(seconds)


class World:
    """
    Everything there is.

    Args:
        loop: What it runs in.
        seed: For what is decided on the way: the fate of each message, and the library's own random numbers.
        script: What happens, and when.
    """

    def __init__(self, loop: SimulatedLoop, seed: int, script: Script) -> None:
        settings = self._settings = script.settings
        self._loop, self._steps = loop, deque(script.steps)
        self._random = Random(f"jitter {seed}").random
        self._clock, self._server = VirtualClock(loop), Server()
        self.watch = loop.watch = Watch(loop, self._clock, settings, self._server)
        self._network = Network(
            Random(f"network {seed}"),
            latency_s=settings.latency_s,
            patience_s=settings.patience_s,
            waiting=settings.waiting,
        )
        self._fate = Fate(self._server, self._network)
        self._store = SimulatedStore(self._server, self._network, self.watch)

    async def live(self) -> None:
        """Play the schedule to its end, and then see that all is well."""
        async with self._store, anyio.create_task_group() as tasks:
            self._tasks = tasks
            self.watch.alarm = tasks.cancel_scope.cancel
            if self._settings.filled:
                self._server.init()
            self._process = self._new_process()
            await tasks.start(self._process.run)
            while self._steps:
                step = self._steps.popleft()
                await self._wait(step.after_s)
                await self._do(step)
            await self._end()
            tasks.cancel_scope.cancel()

    async def _wait(self, seconds: float) -> None:
        await anyio.sleep(seconds)  # noqa: TID251 - virtual time

    async def _do(self, step: Step) -> None:
        self.watch.note("STEP", step.what, step.number)
        seconds = self._settings.ttl_s * (0.5 + step.number % 8 / 2)
        match step.what:
            case "restart":
                await self._restart()
            case "recall":
                await self._restart(remember=True)
            case "stop":
                self._miss(seconds)
                self._loop.stop_process(seconds)
            case "suspend":
                self._miss(seconds)
                self._clock.suspend(seconds)
                self.watch.suspended()
            case "confirm":
                self._process.confirm()
            case "wait_for":
                if self._server.now is not None:
                    self._process.wait_for(self._server.now)
            case _:
                self._fate.do(step)

    def _miss(self, seconds: float) -> None:
        """Let happen what happens to the server while the process does nothing."""
        while self._steps and self._steps[0].after_s <= seconds and self._fate.can(self._steps[0]):
            step = self._steps.popleft()
            seconds -= step.after_s
            self.watch.note("MISSED", step.what, step.number)
            self._fate.do(step)

    def _new_process(self) -> Process:
        return Process(self._store, self._settings, self._clock, self._random, self.watch)

    async def _restart(self, *, remember: bool = False) -> None:
        await self._process.end()
        held, proved_at = self.watch.held, self.watch.believed_from
        self._process = self._new_process()
        if remember and held is not None and self._clock.monotonic() - proved_at <= DISK_S:
            await self._process.recall(held, proved_at)
        await self._tasks.start(self._process.run)

    # The end

    async def _end(self) -> None:
        self._network.heal()
        await self._settle()
        if self._refused():
            await self._see_incident()
            self._server.newer = False
            self._fate.do(Step(0.0, "replace", len(self._server.known)))
            await self._settle()
        self._see_equal()
        await self._see_link()
        await self._see_push()
        self._see_loads()

    async def _settle(self) -> None:
        """Wait as long as it may take from the last fault: ttl, and one load with its jitter."""
        ttl_s, way_s = self._settings.ttl_s, self._settings.latency_s
        last = max(self._loop.time(), self._network.spoiled_until)
        self.watch.note("the last fault is over at", last)
        load_s = min(_HERD_S, ttl_s) + 10 * way_s + 40 * self._settings.work_s
        await self._wait(last - self._loop.time() + ttl_s * LONGEST_POLL + load_s)

    def _refused(self) -> bool:
        """Tell whether the server holds something that must not be taken over."""
        now, held = self._server.now, self.watch.held
        if now is None or self._server.newer:
            return True
        if held is None:
            return self._server.half
        if not now.takes_over(held):
            return True
        goes_on = now.position.epoch == held.position.epoch and self._server.changes(held.position) is not None
        return self._server.half and not goes_on

    async def _see_incident(self) -> None:
        check, troubles = self.watch.check, self._process.replica.troubles
        check(troubles.incident, "the store is refused, and health does not call it an incident")
        check(self._remedy() in (troubles.text or ""), f"health does not name {self._remedy()!r}: {troubles.text!r}")
        held = self.watch.held
        await self._wait(self._settings.unresolved_s)
        check(self.watch.held is held, "the last good snapshot was given up")
        check(troubles.incident, "the incident is over for no reason")

    def _remedy(self) -> str:
        now, held = self._server.now, self.watch.held
        if now is None:
            return "grayflow init --namespace" if held is None else "grayflow init --replace"
        if self._server.newer:
            return "pip install -U grayflow"
        return "a backup" if held is None or now.takes_over(held) else "grayflow init --replace"

    def _see_equal(self) -> None:
        view, server, troubles = self._process.replica.view, self._server.current(), self._process.replica.troubles
        check = self.watch.check
        check(view.position == server.position, f"holds {view.position}, and the server {server.position}")
        check(dict(view.generations) == server.generations, "a switch-off was not seen")
        check(view.freshness == "fresh", f"is {view.freshness} without any fault")
        check(not troubles.incident, f"still an incident: {troubles.text}")

    def _see_loads(self) -> None:
        if self._server.steady:
            sync = self._process.replica.sync
            self.watch.check(sync.loads <= 1, f"{sync.loads} full loads, and the first one would have done")
            self.watch.check(sync.failovers == 0, "a failover was seen where there was none")

    async def _see_link(self) -> None:
        if self._process.replica.link == "down":
            await self._wait(_RELINK_S)
        self.watch.check(self._process.replica.link == "up", "the link does not come up again")
        self.watch.check(
            self._process.replica.troubles.text is None, f"still in trouble: {self._process.replica.troubles.text}"
        )

    async def _see_push(self) -> None:
        self._fate.do(Step(0.0, "edit", 1))
        await self._wait(self._settings.latency_s + self._settings.work_s)
        self.watch.check(
            self._process.replica.view.position == self._server.current().position, "a change was not pushed"
        )
        self._see_equal()
