"""
Three processes, a board and a flag that is switched, in any order of everything that can happen.

The plan and the transitions are the real ones; what they do to the board is modelled as its port promises it. A
process may be late, be killed with or without its lease, lose its lease while it works on, fail, and come back.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec import structs

from grayflow.cleanup.plan import Case, Claim, Stop, Write, plan
from grayflow.cleanup.sites import Site
from grayflow.store.jobs import Job
from tests.cleanup.kit import NOW, ORPHAN_AFTER_NS, SECOND, job, site

LEASE_NS = 15 * SECOND
LIMIT = 4
AFTER: dict[str, tuple[str, ...]] = {"a": (), "b": ("a",)}
PROCESSES = st.integers(0, 2)
HANDLERS = st.sampled_from(sorted(AFTER))


class Held:
    """A record on the board."""

    def __init__(self, held: Job) -> None:
        self.job, self.version, self.owner, self.fence, self.until = held, 0, -1, 0, 0


class Work:
    """One handler that was begun in one process."""

    def __init__(self, fence: int, begun: Job) -> None:
        self.fence, self.job, self.ended = fence, begun, False


class World(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now, self.fence, self.revision = NOW, 0, 1
        self.sites: list[Site] = [site("on", 0)]
        self.seen = [0, 0, 0]
        self.board = {name: Held(job(name)) for name in AFTER}
        self.works: list[dict[str, Work]] = [{}, {}, {}]
        self.begun: dict[str, list[int]] = {name: [] for name in AFTER}
        self.finished: dict[str, list[int]] = {name: [] for name in AFTER}

    # What happens

    @rule()
    def switch(self) -> None:
        self.revision += 1
        last = self.sites[-1]
        off = last.state == "on"
        self.sites.append(site("off", 2 * self.revision) if off else site("on", last.generation))

    @rule(seconds=st.sampled_from([1, 4, 16, 40]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule(process=PROCESSES)
    def hear(self, process: int) -> None:
        self.seen[process] = min(self.seen[process] + 1, len(self.sites) - 1)

    @rule(process=PROCESSES)
    def renew(self, process: int) -> None:
        for name, work in self.works[process].items():
            if self.board[name].fence == work.fence and not work.ended:
                self.board[name].until = self.now + LEASE_NS

    @rule(process=PROCESSES)
    def die(self, process: int) -> None:
        self.works[process] = {}

    @rule(process=PROCESSES, name=HANDLERS, well=st.booleans())
    def end(self, process: int, name: str, well: bool) -> None:
        work = self.works[process].pop(name, None)
        if work is None or self.board[name].fence != work.fence:
            return
        last = work.job.attempts >= LIMIT
        ended = (
            work.job.finish(self.now) if well else work.job.fail("x", now=self.now, next_at=None if last else self.now)
        )
        if well:
            assert max(self.begun[name]) <= work.job.wanted, "an older generation finished after a newer began"
            self.finished[name].append(work.job.wanted)
        self.put(name, ended)
        self.board[name].owner = -1

    @rule(process=PROCESSES)
    def look(self, process: int) -> None:
        """Plan once with what this process knows, and do it."""
        found = plan(self.cases(process), self.now, orphan_after_ns=ORPHAN_AFTER_NS)
        for action in found.actions:
            held = self.board[action.case.job.handler]
            if isinstance(action, Stop):
                self.stop(process, action.case.job.handler)
            elif held.version != action.case.version:
                continue
            elif isinstance(action, Write):
                self.put(action.job.handler, action.job)
            else:
                self.claim(process, action)

    @rule(process=PROCESSES, well=st.sampled_from([True, True, False]))
    def go_on(self, process: int, well: bool) -> None:
        """One step of a process to which nothing bad happens, so that many runs get somewhere."""
        self.seen[process] = len(self.sites) - 1
        self.renew(process)
        for name in AFTER:
            self.end(process, name, well)
        self.look(process)

    # What the runner does with it

    def claim(self, process: int, action: Claim) -> None:
        name, held = action.job.handler, self.board[action.job.handler]
        if held.owner not in (-1, process) and held.until > self.now:
            return
        assert AFTER[name] == () or self.board["a"].job.done >= action.job.wanted, "b began before a was done"
        self.fence += 1
        held.owner, held.fence, held.until = process, self.fence, self.now + LEASE_NS
        self.put(name, action.job)
        if self.view(process) != self.sites[-1]:
            held.owner = -1  # the store knows better: given back before the handler began
            return
        begun = action.job.begin(str(process), drained="acknowledged", now=self.now)
        self.put(name, begun)
        self.begun[name].append(begun.wanted)
        self.works[process][name] = Work(self.fence, begun)

    def stop(self, process: int, name: str) -> None:
        work = self.works[process].pop(name)
        if self.board[name].fence == work.fence:
            self.put(name, work.job.supersede(self.now))
            self.board[name].owner = -1

    def put(self, name: str, changed: Job) -> None:
        assert changed.done >= self.board[name].job.done, "what is done was forgotten"
        self.board[name].job = changed
        self.board[name].version += 1

    def view(self, process: int) -> Site:
        return self.sites[self.seen[process]]

    def cases(self, process: int) -> list[Case]:
        cases = []
        for name, held in self.board.items():
            work = self.works[process].get(name)
            others = held.owner not in (-1, process) and held.until > self.now
            cases.append(
                Case(
                    job=held.job,
                    site=self.view(process),
                    version=held.version,
                    limit=LIMIT,
                    after=AFTER[name],
                    busy=held.until if others else None,
                    working=None if work is None else work.job.wanted,
                )
            )
        return cases

    # What must be so

    @invariant()
    def each_generation_is_finished_once(self) -> None:
        for name, finished in self.finished.items():
            assert finished == sorted(set(finished)), f"{name} finished {finished}"
            assert self.board[name].job.completed == len(finished)

    def teardown(self) -> None:
        """In the end, with nobody disturbing, everything is as the last switch says."""
        for process in range(3):
            self.die(process)
            self.seen[process] = len(self.sites) - 1
        for _ in range(2 * LIMIT * len(AFTER) + 4):
            self.now += LEASE_NS
            for process in range(3):
                self.look(process)
                for name in AFTER:
                    self.end(process, name, well=True)
        last, failed = self.sites[-1], False
        for name in sorted(AFTER):
            held = self.board[name].job
            failed = failed or held.state == "failed"
            if last.state == "on":
                assert not held.unfinished
            elif last.generation and not failed:
                assert (held.done, held.state) == (last.generation, "done")
        self.each_generation_is_finished_once()
        assert not [work for works in self.works for work in works.values()]


World.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestWorld = World.TestCase


def test_begin_counts_the_attempt_before_the_handler_runs() -> None:
    begun = job(state="pending", wanted=4).begin("me", drained="timeout", now=NOW)

    assert (begun.state, begun.attempts, begun.drained, begun.owner) == ("running", 1, "timeout", "me")
    assert structs.replace(begun, attempts=0, state="pending").interrupt().attempts == 0
