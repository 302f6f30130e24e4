"""A soak from its start to its findings: trouble for a minute, then everything is healed and has to be true; again."""

import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from grayflow import Admin
from grayflow.core.position import Position
from grayflow.errors import StoreError
from tests.faults.fill import fill
from tests.faults.places import NAMESPACE, opened
from tests.faults.proxy import Proxy
from tests.faults.servers import Killed
from tests.faults.stage import BrokenPromiseError, clock
from tests.soak.crew import FLAGS, Report
from tests.soak.crews import Crew
from tests.soak.editor import Editor
from tests.soak.troubles import Troubles

__all__ = ["Findings", "Plan", "soak"]

_PATIENCE_S = 90.0
_WARM_S = 55.0
_GROWTH = 16 << 20
_SPARE_FILES, _SPARE_TASKS = 4, 1
"""A client keeps up to four connections, and needed few in its first minute; it was between two links when counted."""
_EXPECTED = re.compile(
    # What the troubles are, in the words of the library; anything else is a finding.
    r"WARNING grayflow\.replica: .*(did not answer|cannot be used|the link is silent|acknowledged changes were lost"
    r"|was set up anew|no data at|is still loading its data)"
    r"|ERROR grayflow\.replica: .*(no data at|holds another flag set|NOPERM|may not|refused us)"
    r"|WARNING grayflow\.client: there is no flag"
    r"|WARNING grayflow\.replica: .*there is no segment"
)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long and how large."""

    seed: int = 1
    rounds: int = 10
    round_s: float = 55.0
    """Of trouble; healing and comparing comes on top."""
    crews: int = 4
    clients: int = 5
    mortal: int = 2
    """How many of the crews are killed at times."""


@dataclass(kw_only=True)
class Findings:
    """What is printed in the end."""

    edits: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    unanswered: int = 0
    troubles: Counter[str] = field(default_factory=Counter)
    lives: list[list[Report]] = field(default_factory=list)
    """Of each process, the last report of each life."""
    warm: list[Report | None] = field(default_factory=list)
    healed_s: list[float] = field(default_factory=list)
    """How long it took after each round until all clients were equal to the server."""
    told_s: list[float] = field(default_factory=list)
    """How long the last switch-off of each round took to be confirmed by all."""
    broken: list[str] = field(default_factory=list)


async def soak(plan: Plan, say: Callable[[str], None]) -> Findings:
    """Play it. What went wrong is in the findings; `say` gets a line for each round."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="grayflow-soak-")))
        place = await stack.enter_async_context(opened(Killed()))
        await anyio.to_thread.run_sync(fill, place.server, NAMESPACE, 0)
        admin = await stack.enter_async_context(Admin(place.writers_url, namespace=NAMESPACE, actor="editor"))
        editor = Editor(admin, plan.seed)
        for key in FLAGS:
            editor.remember(await admin.create({"key": key, "enabled": True}))
        crews = [
            Crew(stack.enter_context(Proxy(place.server.port)), plan.clients, folder / f"errors-{number}")
            for number in range(plan.crews)
        ]
        for crew in crews:
            stack.push_async_callback(crew.kill)
        mortal = crews[plan.crews - plan.mortal :]
        troubles = Troubles(place.server, admin, editor, crews, seed=plan.seed, mortal=mortal)
        return await _Soak(plan, admin, editor, crews, troubles).run(say)


class _Soak:
    def __init__(self, plan: Plan, admin: Admin, editor: Editor, crews: Sequence[Crew], troubles: Troubles) -> None:
        self._plan, self._admin, self._editor = plan, admin, editor
        self._crews, self._troubles = crews, troubles
        self._found = Findings(edits=editor.done, troubles=troubles.met)

    async def run(self, say: Callable[[str], None]) -> Findings:
        found = self._found
        for crew in self._crews:
            await crew.start()
        async with self._busy():
            for number in range(1, self._plan.rounds + 1):
                await self._troubles.run(self._plan.round_s)
                await self._judged()
                edits, healed_s = sum(found.edits.values()), found.healed_s[-1]
                say(f"round {number}: {edits} edits, equal after {healed_s:.1f} s, broken: {found.broken or 0}")
        for number, crew in enumerate(self._crews):
            found.broken += [f"process {number}: {line}" for line in await crew.leave()]
        found.refused, found.unanswered = self._editor.refused, self._editor.unanswered
        found.lives, found.warm = [crew.lives for crew in self._crews], [crew.warm for crew in self._crews]
        reports = [report for crew in self._crews for report in crew.lives]
        found.broken += {line for report in reports for line in report.wrong}
        found.broken += {line for report in reports for line in report.logged if not _EXPECTED.match(line)}
        return found

    @asynccontextmanager
    async def _busy(self) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._editor.run)
            tasks.start_soon(self._watch)
            try:
                yield
            except BrokenPromiseError as error:
                self._found.broken.append(str(error))
            tasks.cancel_scope.cancel()

    async def _watch(self) -> None:
        """Look every second whether a client takes itself for fresher than it is."""
        while True:
            await clock.sleep(1)
            for crew in self._crews:
                self._check_ages(await crew.ask())

    def _check_ages(self, report: Report) -> None:
        for seat in report.seats:
            if seat.position is None:
                continue
            known = [one.position for one in self._editor.ledger if one.at < seat.proved_at]
            if known and (known[-1].epoch != seat.position.epoch or known[-1].revision > seat.position.revision):
                self._break(f"{seat.position} was said to be the newest after {known[-1]} was acknowledged")

    def _break(self, what: str) -> None:
        self._found.broken[20:] = [what]

    # What has to be true when all is healed

    async def _judged(self) -> None:
        async with self._editor.turn:
            began = clock.monotonic()
            position = await self._answered(self._admin.store.position)
            await self._until(lambda reports: _all_at(reports, position), f"not all clients came to {position}")
            self._found.healed_s.append(clock.monotonic() - began)
            for crew in self._crews:
                await crew.ask("compare")
            await self._check_ledger()
            await self._check_switch_offs()
            await self._check_growth()

    async def _check_ledger(self) -> None:
        """Every acknowledged edit was made once."""
        ledger = self._editor.ledger
        made: Counter[str] = Counter()
        before, oldest = None, min((one.position.revision for one in ledger), default=0)
        while page := await self._admin.store.history(before=before, limit=500):
            made.update(change.request_id for change in page)
            before = page[-1].revision
            if before <= oldest:
                break
        for one in ledger:
            if made[one.request_id] == 0:
                self._break(f"{one.position} was acknowledged and is gone")
        for request_id, times in made.items():
            if times > 1:
                self._break(f"{request_id} was made {times} times")

    async def _check_switch_offs(self) -> None:
        """Switch off all that is on: every client has to serve it, to report so, and to run its handlers."""
        wanted = {}
        for flag in (await self._admin.snapshot()).flags.values():
            if flag.key not in FLAGS:
                continue
            saved = await self._admin.switch_off(flag.key, reason="the end of a round")
            self._editor.remember(saved)
            generation = saved.change.generations.get("on") if saved.change else None
            if generation is not None and generation.off == 2 * saved.revision:
                wanted[flag.key] = generation.off
        members = self._plan.crews * self._plan.clients
        with anyio.move_on_after(_PATIENCE_S):
            while len((await self._admin.fleet()).processes) != members:
                await clock.sleep(0.2)
        seen = await self._admin.wait_until_seen(await self._admin.store.position(), timeout=_PATIENCE_S)
        self._found.told_s.append(seen.took_s)
        if not seen.complete or seen.processes != members:
            self._break(f"{seen.processes} of {members} clients report, {len(seen.behind)} of them are behind")
        try:
            await self._until(
                lambda reports: _all_noticed(reports, wanted), "not all handlers heard of all switch-offs"
            )
        except BrokenPromiseError as error:
            reports = [await crew.ask("dump") for crew in self._crews]
            late = [
                {key: (seat.noticed.get(key), off) for key, off in wanted.items() if seat.noticed.get(key) != off}
                for report in reports
                for seat in report.seats
            ]
            raise BrokenPromiseError(f"{error}: {[one for one in late if one]}") from None

    async def _check_growth(self) -> None:
        for crew in self._crews:
            report = await crew.ask()
            if crew.warm is None:
                if clock.monotonic() - crew.started_at > min(_WARM_S, self._plan.round_s):
                    crew.warm = report
                continue
            if report.rss - crew.warm.rss > _GROWTH:
                self._break(f"memory went from {crew.warm.rss >> 20} to {report.rss >> 20} MiB")
        await self._until(_none_grew(self._crews), "tasks or files grew")

    async def _until(self, condition: Callable[[list[Report]], bool], what: str) -> None:
        reports: list[Report] = []
        with anyio.move_on_after(_PATIENCE_S):
            while not (reports and condition(reports)):
                await clock.sleep(0.05)
                reports = [await crew.ask() for crew in self._crews]
            return
        raise BrokenPromiseError(f"{what}: not within {_PATIENCE_S:g} s")

    async def _answered(self, question: Callable) -> Position:
        while True:
            try:
                return await question()
            except StoreError:
                await clock.sleep(0.1)


def _all_at(reports: Sequence[Report], position: Position) -> bool:
    return all(seat.well and seat.position == position for report in reports for seat in report.seats)


def _all_noticed(reports: Sequence[Report], wanted: dict[str, int]) -> bool:
    return all(wanted.items() <= seat.noticed.items() for report in reports for seat in report.seats)


def _none_grew(crews: Sequence[Crew]) -> Callable[[list[Report]], bool]:
    def flat(reports: list[Report]) -> bool:
        return all(
            crew.warm is None
            or (
                report.tasks <= crew.warm.tasks + _SPARE_TASKS * crew.count
                and report.files <= crew.warm.files + _SPARE_FILES * crew.count
            )
            for crew, report in zip(crews, reports, strict=True)
        )

    return flat
