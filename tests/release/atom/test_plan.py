"""
The plan and the moves, played against a world that fails and dies wherever it is told to.

The player below does what the engine does, one thing at a time and without time or tasks, so that a process can die
between any two of them, any number of times.
"""

import random

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import UNSET, structs

from grayflow.cleanup.retry import Retry
from grayflow.release.atom import moves
from grayflow.release.atom.model import Atom, Step, Verdict
from grayflow.release.atom.moves import Facts
from grayflow.release.atom.plan import Ask, BeginUndo, Do, End, Prepare, TurnBack, Undo, Wait, plan
from grayflow.release.atom.record import Cancel, Run, StepRecord, Trouble, read_run

BROKEN = Trouble(kind="Broken", message="told to fail")


class DiedError(Exception):
    """The process is gone."""


class Fate(msgspec.Struct, frozen=True):
    """How often what happens, and a seed that says when. After so many questions nothing bad happens any more."""

    seed: int = 0
    dying: float = 0.0
    failing: float = 0.0
    doubting: float = 0.0
    cancelling: float = 0.0
    patience: int = 300


class World:
    """What the steps change: each is `old`, `half` or `new`."""

    def __init__(self, atom: Atom, fate: Fate) -> None:
        self.atom, self.fate = atom, fate
        self._random, self._left = random.Random(fate.seed), fate.patience
        self.states = dict.fromkeys(atom.names, "old")
        self.run = moves.begun(atom, "r", None, actor="ann", reason="", now=0)
        self.fence = self.now = 0
        self.died = 0

    def chance(self, rate: float) -> bool:
        """Tell whether something happens that happens so often."""
        self._left -= 1
        return self._left > 0 and self._random.random() < rate

    def write(self, run: Run) -> None:
        """Keep a record, or die before or after that."""
        self.maybe_die()
        self.run = read_run(msgspec.json.encode(run)) or pytest.fail("it cannot be read back")
        self.maybe_die()

    def maybe_die(self) -> None:
        if self.chance(self.fate.dying):
            raise DiedError

    def turn(self, index: int, to: str) -> Trouble | None:
        """Change a step's state in two halves; fail, or die, before, between or after them."""
        name = self.atom.names[index]
        for state in (None, "half", to):
            if state is not None:
                self.states[name] = state
            self.maybe_die()
            if self.chance(self.fate.failing):
                return BROKEN
        return None

    def verdict(self, index: int) -> Verdict:
        """Return what the check of a step says."""
        if self.atom.sequence[index].check is None or self.chance(self.fate.doubting):
            return "unknown"
        return {"old": "not_applied", "new": "applied", "half": "wrong"}[self.states[self.atom.names[index]]]

    # What the engine does

    def live(self) -> None:
        """Be one process: until the run has ended, or it dies."""
        self.fence += 1
        if self.fence > 1:
            self.write(moves.taken_over(self.run, self.atom))
        while (action := plan(self.run, self.atom, fence=self.fence, now=self.now)) is not None:
            self.expect_sense(action)
            self.act(action)
            if self.chance(self.fate.cancelling):
                cancel = Cancel(actor="ben", at=self.now)
                self.write(moves.cancelled_by(self.run, cancel))

    def act(self, action: object) -> None:
        atom, run, now = self.atom, self.run, self.now
        match action:
            case Prepare(index):
                error = BROKEN if self.chance(self.fate.failing) else None
                before = self.states[atom.names[index]] if error is None else UNSET
                step = atom.sequence[index]
                self.write(moves.prepared(run, step, index, before, error, fence=self.fence, now=now, wait_s=1))
            case Do(index):
                facts = self.done(index)
                step = atom.sequence[index]
                self.write(moves.done(run, step, index, facts, fence=self.fence, now=now, wait_s=1))
            case Ask(index):
                self.write(moves.asked(run, index, Facts(verdict=self.verdict(index)), fence=self.fence))
            case BeginUndo(index):
                self.write(moves.undo_begun(run, atom.sequence[index], action, fence=self.fence, now=now))
            case Undo(index):
                error = self.turn(index, "old")
                self.write(moves.undone(run, atom.sequence[index], index, error, now=now, wait_s=1))
            case TurnBack():
                self.write(moves.turned_back(run, action))
            case Wait(until):
                assert until > now
                self.now = until
            case End():
                self.write(moves.ended(run, action, now))

    def done(self, index: int) -> Facts:
        error = self.turn(index, "new")
        if error is not None:
            return Facts(error=error, verdict=self.verdict(index))
        return Facts(after="new")

    def expect_sense(self, action: object) -> None:
        """No effect without its record, none out of order."""
        names, states = self.atom.names, self.states
        match action:
            case Do(index):
                assert self.run.steps[index].state == "intent"
                assert self.run.steps[index].fence == self.fence
                assert all(states[name] == "new" for name in names[:index])
                assert all(states[name] == "old" for name in names[index + 1 :])
            case Undo(index):
                assert self.run.steps[index].state == "undoing"
                later = [other for other in range(index + 1, len(names)) if states[names[other]] != "old"]
                assert all(self.may_be_left(other, index) for other in later)

    def may_be_left(self, later: int, index: int) -> bool:
        """Tell whether a step may be undone while a later one is not: only after a failed undo, and if it is let."""
        steps, rest = self.atom.sequence, self.run.steps[index + 1 :]
        apart = steps[later].independent or steps[index].independent
        return self.atom.undo_failure == "continue" and apart and any(step.state == "undo_failed" for step in rest)


async def nothing(call: object) -> None:
    """Stand for a function of a step: the world does the work."""


def a_step(
    *, check: bool = False, attempts: int = 1, undos: int = 1, accept: bool = False, independent: bool = False
) -> Step:
    return Step(
        "x",
        do=nothing,
        undo=nothing,
        capture=nothing,
        check=nothing if check else None,
        retry=Retry(attempts=attempts),
        undo_retry=Retry(attempts=undos),
        accept_applied=accept,
        independent=independent,
        undo_timeout=1e9,
    )


def an_atom(made: list[Step], *, recover: str, cancel: str, failure: str, recoveries: int) -> Atom:
    return Atom(
        "a",
        version=1,
        steps=[structs.replace(step, name=f"s{index}") for index, step in enumerate(made)],
        on_recover=recover,  # type: ignore[arg-type]
        on_cancel=cancel,  # type: ignore[arg-type]
        undo_failure=failure,  # type: ignore[arg-type]
        recoveries=recoveries,
    )


steps = st.builds(
    a_step,
    check=st.booleans(),
    attempts=st.integers(1, 3),
    undos=st.integers(1, 3),
    accept=st.booleans(),
    independent=st.booleans(),
)
atoms = st.builds(
    an_atom,
    made=st.lists(steps, min_size=1, max_size=5),
    recover=st.sampled_from(["undo", "continue"]),
    cancel=st.sampled_from(["undo", "finish"]),
    failure=st.sampled_from(["halt", "continue"]),
    recoveries=st.integers(1, 4),
)
fates = st.builds(
    Fate,
    seed=st.integers(0, 2**32),
    dying=st.sampled_from([0.0, 0.02, 0.1]),
    failing=st.sampled_from([0.0, 0.1, 0.4]),
    doubting=st.sampled_from([0.0, 0.3]),
    cancelling=st.sampled_from([0.0, 0.05]),
    patience=st.integers(0, 600),
)
MIDDLE_LEFT = (
    an_atom(
        [a_step(independent=True), a_step(), a_step(attempts=2)],
        recover="undo",
        cancel="undo",
        failure="continue",
        recoveries=1,
    ),
    Fate(seed=0, dying=0.02, failing=0.1, patience=54),
)
"""The first step is undone after the last could not be, and the one between them, which relies on that, is left."""
TWICE_LEFT = (
    an_atom(
        [a_step(), a_step(independent=True), a_step(), a_step(attempts=2, undos=2), a_step(attempts=3)],
        recover="continue",
        cancel="undo",
        failure="continue",
        recoveries=2,
    ),
    Fate(seed=2, dying=0.1, failing=0.4, patience=108),
)
"""The same with steps before and after, and processes that die."""

often = settings(max_examples=max(400, settings().max_examples))


def play(world: World) -> None:
    """Let one process after the other live."""
    for _ in range(500):
        try:
            world.live()
        except DiedError:
            world.died += 1
        else:
            return
    pytest.fail(f"no process comes to an end: {world.run}")


@often
@given(atoms, fates)
@example(*MIDDLE_LEFT)
@example(*TWICE_LEFT)
def test_whatever_fails_and_dies_the_world_is_as_the_outcome_says(atom: Atom, fate: Fate) -> None:
    world = World(atom, fate)

    play(world)

    states, run = list(world.states.values()), world.run
    assert run.cancel is None or atom.on_cancel == "finish" or run.outcome != "succeeded"
    match world.run.outcome:
        case "succeeded":
            assert set(states) == {"new"}
        case "rolled_back":
            assert set(states) == {"old"}
        case "rollback_failed":
            left = set(world.run.remaining)
            assert left
            assert all(world.states[name] == "old" for name in atom.names if name not in left)
            assert any(step.state == "undo_failed" for step in world.run.steps)
        case other:
            pytest.fail(f"the outcome is {other}")


@often
@given(atoms, fates)
@example(*MIDDLE_LEFT)
@example(*TWICE_LEFT)
def test_a_parked_run_can_always_be_resumed_to_its_end(atom: Atom, fate: Fate) -> None:
    world = World(atom, fate)
    play(world)
    if world.run.outcome != "rollback_failed":
        return

    world.run = moves.resumed(world.run, actor="ann")
    world.fate = Fate()
    play(world)

    assert world.run.outcome == "rolled_back"
    assert set(world.states.values()) == {"old"}


@often
@given(atoms, fates)
def test_a_parked_run_ends_when_every_step_that_is_left_is_waived(atom: Atom, fate: Fate) -> None:
    world = World(atom, fate)
    play(world)
    run = world.run
    if run.outcome != "rollback_failed":
        return

    for count, name in enumerate(run.remaining, 1):
        assert run.parked
        run = moves.skipped(run, (name,), actor="ann", reason="gone", now=count)

    assert run.outcome == "rolled_back"
    assert not run.remaining


@given(atoms, st.sampled_from(["halt", "continue"]))
def test_without_failures_every_step_is_done_once_and_in_order(atom: Atom, failure: str) -> None:
    world = World(structs.replace(atom, undo_failure=failure), Fate())

    play(world)

    assert world.run.outcome == "succeeded"
    assert [step.attempts for step in world.run.steps] == [1] * len(atom.names)
    assert [step.undos for step in world.run.steps] == [0] * len(atom.names)


@given(atoms, st.integers(1, 5), st.data())
def test_other_steps_than_the_recorded_ones_are_in_doubt_and_touch_nothing(
    atom: Atom, version: int, data: st.DataObject
) -> None:
    other = data.draw(st.permutations([*atom.names, "new"]).filter(lambda names: tuple(names) != atom.names))
    made = [structs.replace(atom.sequence[0], name=name) for name in other]
    changed = Atom("a", version=version, steps=made)
    run = moves.begun(atom, "r", None, actor="ann", reason="", now=0)

    action = plan(run, changed, fence=1, now=0)

    assert isinstance(action, End)
    assert action.outcome == "in_doubt"


def test_a_run_that_has_ended_needs_nothing() -> None:
    atom = Atom("a", version=1, steps=[Step("x", do=nothing, undo=nothing)])
    run = Run(run_id="r", atom="a", version=1, steps=(StepRecord(name="x"),), outcome="succeeded")

    assert plan(run, atom, fence=1, now=0) is None


@pytest.mark.parametrize(
    ("policy", "failed", "independent", "undone"),
    [
        ("halt", "c", "", ""),
        ("halt", "c", "abc", ""),
        ("continue", "c", "", ""),
        ("continue", "c", "c", "ba"),
        ("continue", "c", "a", "a"),
        ("continue", "c", "ab", "ba"),
        ("continue", "bc", "c", ""),
        ("continue", "bc", "b", ""),
        ("continue", "bc", "bc", "a"),
        ("continue", "bc", "a", "a"),
    ],
)
def test_after_failed_undos_only_what_is_independent_of_each_is_undone(
    policy: str, failed: str, independent: str, undone: str
) -> None:
    made = [Step(name, do=nothing, undo=nothing, independent=name in independent) for name in "abc"]
    atom = Atom("a", version=1, steps=made, undo_failure=policy)  # type: ignore[arg-type]
    steps = tuple(StepRecord(name=name, state="undo_failed" if name in failed else "done") for name in "abc")
    run = Run(run_id="r", atom="a", version=1, direction="back", steps=steps)
    found = ""

    while isinstance(action := plan(run, atom, fence=1, now=0), BeginUndo):
        found += run.steps[action.index].name
        run = moves.undo_begun(run, made[action.index], action, fence=1, now=0)
        run = moves.undone(run, made[action.index], action.index, None, now=0, wait_s=0)

    assert found == undone
    assert action == End("rollback_failed", None)
