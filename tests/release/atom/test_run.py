"""Runs that end: well, undone, half undone, or in doubt; and what their callers are told."""

import copy
import pickle
import threading
from typing import Any

import anyio
import msgspec
import pytest
from msgspec import UNSET

from grayflow import ConfigurationError, LifetimeError, MemoryStore
from grayflow.cleanup.retry import Retry
from grayflow.release.atom.atoms import Atoms
from grayflow.release.atom.errors import (
    AtomInDoubt,
    AtomRefusedError,
    AtomRollbackFailed,
    AtomRolledBack,
    StepFailedError,
)
from grayflow.release.atom.model import Atom, Step, StepCall
from grayflow.testing import FakeClock
from tests.release.atom.bench import Bench, opened
from tests.release.atom.world import NAMES, QUICK

pytestmark = pytest.mark.anyio

BOOM = ValueError("boom")


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def rolled_back(atom: Atom, error: type[Any] = AtomRolledBack) -> Any:
    async with opened() as atoms:
        with pytest.raises(error) as caught:
            await atoms.run(atom, run_id="r")
    return caught.value


# Well


async def test_the_steps_are_done_in_order_between_pre_and_post(bench: Bench) -> None:
    async with opened() as atoms:
        result = await atoms.run(bench.atom(step={"check": bench.check}), {"tag": "v2"}, run_id="r", reason="release")
        (recorded,) = await atoms.runs()

    assert (result.outcome, result.error, result.undo_errors, result.remaining) == ("succeeded", None, (), ())
    assert bench.log == [f"{what} {name}" for name in NAMES for what in ("capture", "do", "capture", "check")]
    assert [(step.name, step.state, step.before, step.after, step.attempts) for step in result.steps] == [
        (name, "done", "old", "new", 1) for name in NAMES
    ]
    assert (recorded.run.reason, recorded.held, recorded.run.input) == ("release", False, {"tag": "v2"})


async def test_a_step_is_told_what_it_needs(bench: Bench) -> None:
    atom = bench.atom("drain", "link", "open")
    async with opened() as atoms:
        await atoms.run(atom, {"tag": ("v2",)}, run_id="r")

    call = next(call for call in bench.calls if call.step == "open" and call.before == "old")
    assert (call.run_id, call.atom, call.version, call.attempt, call.undoing) == ("r", "deploy", 1, 1, False)
    assert call.input == {"tag": ["v2"]}
    assert call.earlier == {"drain": "new", "link": "new"}
    assert call.idempotency_key == "r/open/do"
    assert call.fencing_token > 0


async def test_without_a_capture_the_state_after_is_what_the_step_returned(bench: Bench) -> None:
    bench.failures["do open"] = [BOOM]
    error = await rolled_back(bench.atom("link", "open", step={"capture": None}))

    assert error.result.step("link").after == "result of link"
    assert error.result.step("link").before is UNSET
    undone = next(call for call in bench.calls if call.undoing and call.step == "link")
    assert (undone.after, undone.done, undone.before) == ("result of link", True, None)


async def test_the_input_is_read_as_the_type_that_the_atom_says(bench: Bench) -> None:
    class Spec(msgspec.Struct):
        tag: str

    atom = bench.atom("link", input_type=Spec)
    async with opened() as atoms:
        await atoms.run(atom, Spec("v2"), run_id="r")
        with pytest.raises(ConfigurationError, match="Expected `str`, got `int`"):
            await atoms.run(atom, {"tag": 3})

    assert bench.calls[0].input == Spec("v2")


async def test_synchronous_functions_run_in_a_thread() -> None:
    threads = []

    def do(call: StepCall) -> int:
        threads.append(threading.get_ident())
        return 5

    atom = Atom("a", version=1, steps=[Step("x", do=do, undo=None, check=lambda call: call.after == 5)])
    async with opened() as atoms:
        result = await atoms.run(atom)

    assert result.step("x").after == 5
    assert threads != [threading.get_ident()]


async def test_the_same_run_id_gets_the_first_result_and_does_nothing_again(bench: Bench) -> None:
    atom = bench.atom("link")
    async with opened() as atoms:
        first = await atoms.run(atom, 1, run_id="r")
        again = await atoms.run(atom, 1, run_id="r")

    assert again == first
    assert bench.count("do link") == 1


async def test_a_run_that_failed_is_not_tried_again_under_its_id(bench: Bench) -> None:
    bench.failures["do link"] = [BOOM]
    atom = bench.atom("link")
    async with opened() as atoms:
        for _ in range(2):
            with pytest.raises(AtomRolledBack, match="under a new run id"):
                await atoms.run(atom, run_id="r")

    assert bench.count("do link") == 1


async def test_several_callers_of_one_run_id_share_one_run(bench: Bench) -> None:
    atom, results = bench.atom("link"), []
    gate = bench.gate("do link")

    async def call() -> None:
        results.append(await atoms.run(atom, run_id="r"))

    async with opened() as atoms, anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(call)
        await gate.reached.wait()
        gate.open.set()

    assert [result.outcome for result in results] == ["succeeded"] * 3
    assert bench.count("do link") == 1


async def test_a_run_id_stays_with_its_atom_and_its_input(bench: Bench) -> None:
    async with opened() as atoms:
        await atoms.run(bench.atom("link"), {"tag": 1}, run_id="r")
        with pytest.raises(AtomRefusedError, match="another input"):
            await atoms.run(bench.atom("link"), {"tag": 2}, run_id="r")
        with pytest.raises(AtomRefusedError, match="atom 'deploy'"):
            await atoms.run(Atom("other", version=1, steps=bench.atom("link").steps), {"tag": 1}, run_id="r")

    assert bench.count("do link") == 1


# Undone


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("what", ["capture", "do", "check"])
@pytest.mark.parametrize("half", [False, True])
async def test_whatever_raises_in_whichever_step_everything_is_as_before(
    bench: Bench, name: str, what: str, half: bool
) -> None:
    bench.failures[f"{what} {name}"] = [BOOM]
    if half:
        bench.half.add(f"{what} {name}")

    error = await rolled_back(bench.atom(step={"check": bench.check}))

    assert bench.state == "before"
    assert error.__cause__ is BOOM
    assert error.result.error.step == name
    assert error.result.error.during == what
    at = NAMES.index(name)
    assert [step.state for step in error.result.steps[at + 1 :]] == ["pending"] * (len(NAMES) - at - 1)
    assert {step.state for step in error.result.steps[:at]} <= {"undone"}


@pytest.mark.parametrize("name", NAMES)
async def test_a_capture_that_raises_after_the_step_undoes_it(bench: Bench, name: str) -> None:
    bench.failures[f"capture {name}"] = [None, BOOM]

    error = await rolled_back(bench.atom())

    assert bench.state == "before"
    assert error.result.step(name).state == "undone"
    assert bench.count(f"undo {name}") == 1


async def test_the_undo_goes_backwards_from_post_to_pre(bench: Bench) -> None:
    bench.failures["do open"] = [BOOM]

    await rolled_back(bench.atom())

    assert [entry for entry in bench.log if entry.startswith("undo")] == [f"undo {name}" for name in reversed(NAMES)]


async def test_a_step_whose_effect_is_there_although_it_raised_is_undone_exactly_once(bench: Bench) -> None:
    bench.half.add("do link")
    bench.failures["do link"] = [BOOM]

    error = await rolled_back(bench.atom(step={"check": bench.check}))

    assert bench.count("undo link") == 1
    assert bench.count("do link") == 1
    assert (error.result.step("link").verdict, error.result.step("link").after) == ("applied", "new")
    assert bench.state == "before"


async def test_a_step_whose_effect_is_not_there_is_not_undone(bench: Bench) -> None:
    bench.failures["do link"] = [BOOM]

    error = await rolled_back(bench.atom(step={"check": bench.check}))

    assert error.result.step("link").state == "not_applied"
    assert bench.count("undo link") == 0
    assert bench.state == "before"


async def test_a_step_that_nobody_can_ask_is_undone(bench: Bench) -> None:
    bench.failures["do link"] = [BOOM]

    error = await rolled_back(bench.atom())

    assert error.result.step("link").state == "undone"
    assert bench.count("undo link") == 1


@pytest.mark.parametrize(("answer", "state"), [(False, "undone"), ("wrong", "undone"), ("not_applied", "not_applied")])
async def test_a_step_that_returned_and_is_not_there_has_failed(bench: Bench, answer: Any, state: str) -> None:
    """A process that was started and is not healthy has to be stopped; only `not_applied` says nothing is there."""
    error = await rolled_back(bench.atom("link", step={"check": lambda call: answer, "capture": None}))

    assert error.result.error.kind == "NotApplied"
    assert error.result.step("link").state == state
    assert isinstance(error.__cause__, StepFailedError)


@pytest.mark.parametrize(
    ("answer", "state"),
    [(True, "undone"), (False, "undone"), (None, "undone"), ("unknown", "undone"), ("not_applied", "not_applied")],
)
async def test_a_step_that_raised_is_undone_unless_nothing_was_done_at_all(
    bench: Bench, answer: Any, state: str
) -> None:
    bench.failures["do link"] = [BOOM]

    error = await rolled_back(bench.atom("link", step={"check": lambda call: answer}))

    assert error.result.step("link").state == state


@pytest.mark.parametrize("answer", [True, None, "applied", "unknown"])
async def test_a_step_that_returned_is_done_unless_its_check_says_otherwise(bench: Bench, answer: Any) -> None:
    async with opened() as atoms:
        result = await atoms.run(bench.atom("link", step={"check": lambda call: answer}))

    assert result.outcome == "succeeded"


@pytest.mark.parametrize("answer", ["perhaps", 1, [], "Applied"])
async def test_an_answer_of_check_that_means_nothing_is_a_failure(bench: Bench, answer: object) -> None:
    error = await rolled_back(bench.atom("link", step={"check": lambda call: answer}))

    assert (error.result.error.kind, error.result.error.during) == ("TypeError", "check")
    assert bench.states == {"link": "old"}


async def test_a_step_that_may_be_tried_again_is(bench: Bench) -> None:
    bench.failures["do link"] = [BOOM, BOOM]
    bench.half.add("do link")
    async with opened() as atoms:
        result = await atoms.run(bench.atom(steps={"link": {"retry": QUICK}}))

    assert (result.outcome, result.step("link").attempts) == ("succeeded", 3)
    assert [call.attempt for call in bench.calls if call.idempotency_key.endswith("link/do")][-1] == 3
    assert bench.state == "after"


@pytest.mark.parametrize("value", [object(), "x" * 400_000, "\ud800"], ids=["no JSON", "too large", "no text"])
async def test_a_state_that_cannot_be_kept_undoes_the_run(bench: Bench, value: object) -> None:
    def capture(call: StepCall) -> object:
        return value if bench.states["link"] == "new" else None

    error = await rolled_back(bench.atom("link", "open", steps={"link": {"capture": capture}}))

    assert error.result.error.during == "capture"
    assert bench.states == {"link": "old", "open": "old"}


async def test_a_step_that_takes_too_long_is_interrupted_and_undone(bench: Bench) -> None:
    clock = FakeClock()
    gate = bench.gate("do link")
    errors = []

    async def call() -> None:
        with pytest.raises(AtomRolledBack) as caught:
            await atoms.run(bench.atom("link", "open", step={"timeout": 20}), run_id="r")
        errors.append(caught.value)

    async with opened(MemoryStore(clock=clock), clock=clock) as atoms, anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await gate.reached.wait()
        await clock.advance(19.9)
        assert not errors
        await clock.advance(0.2)

    assert isinstance(errors[0].__cause__, TimeoutError)
    assert "longer than 20 s" in str(errors[0])
    assert bench.states == {"link": "old", "open": "old"}


async def test_what_a_step_returns_after_it_was_told_that_it_is_late_still_counts() -> None:
    clock = FakeClock()
    reached = anyio.Event()

    async def do(call: StepCall) -> str:
        reached.set()
        try:
            await anyio.Event().wait()
        except anyio.get_cancelled_exc_class():
            return "in time after all"
        return ""

    atom, results = Atom("a", version=1, steps=[Step("x", do=do, undo=None, timeout=5)]), []

    async def call() -> None:
        results.append(await atoms.run(atom))

    async with opened(MemoryStore(clock=clock), clock=clock) as atoms, anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await reached.wait()
        await clock.advance(6)

    assert results[0].step("x").after == "in time after all"


async def test_a_step_that_cancels_itself_has_failed(bench: Bench) -> None:
    async def do(call: StepCall) -> None:
        raise anyio.get_cancelled_exc_class()

    error = await rolled_back(bench.atom("link", "open", steps={"open": {"do": do}}))

    assert "cancelled from within" in str(error)
    assert bench.states == {"link": "old", "open": "old"}


async def test_a_step_that_leaves_the_program_has_failed(bench: Bench) -> None:
    def do(call: StepCall) -> None:
        raise SystemExit(3)

    error = await rolled_back(bench.atom("link", "open", steps={"open": {"do": do}}))

    assert error.result.error.kind == "SystemExit"
    assert bench.states == {"link": "old", "open": "old"}


async def test_an_error_whose_text_cannot_be_read_is_a_failure_like_any_other(bench: Bench) -> None:
    class NastyError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    bench.failures["do link"] = [NastyError(), None]

    error = await rolled_back(bench.atom("link"))

    assert "its message cannot be read" in str(error)


# Half undone


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("half", [False, True])
async def test_an_undo_that_raises_is_tried_again(bench: Bench, name: str, half: bool) -> None:
    bench.failures["do open"] = [BOOM]
    bench.failures[f"undo {name}"] = [OSError("busy"), OSError("busy")]
    if half:
        bench.half.add(f"undo {name}")

    error = await rolled_back(bench.atom())

    assert bench.state == "before"
    assert error.result.step(name).undos == 3
    keys = {call.idempotency_key for call in bench.calls if call.undoing and call.step == name}
    assert keys == {f"r/{name}/undo"}


@pytest.mark.parametrize("name", NAMES)
async def test_halt_leaves_exactly_the_stated_list_and_resume_finishes_it(bench: Bench, name: str) -> None:
    bench.failures["do open"] = [BOOM]
    bench.always[f"undo {name}"] = OSError("gone")
    left = NAMES[: NAMES.index(name) + 1]
    async with opened() as atoms:
        with pytest.raises(AtomRollbackFailed) as caught:
            await atoms.run(bench.atom(), run_id="r")
        assert caught.value.result.remaining == tuple(reversed(left))
        assert [one for one, state in bench.states.items() if state == "new"] == [one for one in left if one != "open"]

        bench.always.clear()
        result = await atoms.resume_undo("r")

    assert (result.outcome, result.remaining) == ("rolled_back", ())
    assert bench.state == "before"


async def test_continue_undoes_the_rest_and_tells_every_error(bench: Bench) -> None:
    bench.failures["do open"] = [BOOM]
    bench.always.update({"undo link": OSError("gone"), "undo unpack": KeyError("x")})

    error = await rolled_back(bench.atom(undo_failure="continue", step={"independent": True}), AtomRollbackFailed)

    assert error.result.remaining == ("link", "unpack")
    assert {name for name, state in bench.states.items() if state == "new"} == {"link", "unpack"}
    group = error.__cause__
    assert isinstance(group, ExceptionGroup)
    assert list(group.exceptions) == [bench.always["undo link"], bench.always["undo unpack"]]
    assert group.__cause__ is BOOM


async def test_what_could_not_be_undone_can_be_waived(bench: Bench) -> None:
    bench.failures["do open"] = [BOOM]
    bench.always["undo link"] = OSError("gone")
    async with opened(actor="ann") as atoms:
        await atoms.run(bench.atom(), run_id="r", raise_=False)
        await atoms.skip("r", "link", reason="moved by hand")
        result = await atoms.resume_undo("r")

    assert result.outcome == "rolled_back"
    assert (result.step("link").state, result.step("link").reason, result.step("link").actor) == (
        "skipped",
        "moved by hand",
        "ann",
    )
    assert bench.states == {**dict.fromkeys(NAMES, "old"), "link": "new"}
    assert "but for what somebody said need not be undone (link)" in str(AtomRolledBack(result))


async def test_an_undo_that_does_not_bring_the_state_back_has_failed(bench: Bench) -> None:
    async def undo(call: StepCall) -> None:
        bench.states["link"] = "broken"

    bench.failures["do open"] = [BOOM]
    error = await rolled_back(bench.atom(steps={"link": {"undo": undo}}), AtomRollbackFailed)

    (trouble,) = error.result.undo_errors
    assert (trouble.kind, trouble.during) == ("UndoUnverified", "verify")
    assert "'broken' instead of 'old'" in trouble.message


async def test_a_step_that_needs_no_undo_is_verified_all_the_same(bench: Bench) -> None:
    bench.failures["do open"] = [BOOM]
    error = await rolled_back(bench.atom(steps={"link": {"undo": None}}), AtomRollbackFailed)

    assert error.result.undo_errors[0].kind == "UndoUnverified"
    assert error.result.remaining[0] == "link"


async def test_a_capture_that_raises_after_the_undo_makes_it_be_done_again(bench: Bench) -> None:
    bench.failures["do open"] = [BOOM]
    bench.failures["capture link"] = [None, None, OSError("busy")]

    error = await rolled_back(bench.atom())

    assert error.result.step("link").undos == 2
    assert bench.state == "before"


async def test_an_undo_has_so_much_time_for_all_its_attempts(bench: Bench) -> None:
    clock = FakeClock()
    bench.failures["do open"] = [BOOM]
    gate = bench.gate("undo link")
    errors = []

    async def call() -> None:
        with pytest.raises(AtomRollbackFailed) as caught:
            await atoms.run(bench.atom("link", "open", step={"undo_timeout": 30, "undo_retry": Retry()}), run_id="r")
        errors.append(caught.value)

    async with opened(MemoryStore(clock=clock), clock=clock) as atoms, anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await gate.reached.wait()
        await clock.advance(29)
        assert not errors
        await clock.advance(2)

    assert errors[0].result.undo_errors[0].kind == "TimeoutError"
    assert errors[0].result.step("link").undos == 1


# In doubt


@pytest.mark.parametrize(
    ("version", "names"),
    [(2, "link open"), (1, "link begin"), (1, "open link"), (1, "link")],
    ids=["another version", "a step renamed", "steps reordered", "a step removed"],
)
async def test_other_code_than_began_a_run_parks_it_and_touches_nothing(bench: Bench, version: int, names: str) -> None:
    store = MemoryStore()
    bench.always["do open"] = BOOM
    bench.always["undo open"] = OSError("gone")
    async with opened(store) as atoms:
        await atoms.run(bench.atom("link", "open"), run_id="r", raise_=False)
    bench.log = []

    async with opened(store, [bench.atom(*names.split(), version=version)]) as atoms:
        with pytest.raises(AtomInDoubt, match="by hand") as caught:
            await atoms.resume_undo("r")
        (recorded,) = await atoms.runs()

    assert bench.log == []
    assert caught.value.result.remaining == ("open", "link")
    assert (recorded.run.parked, recorded.held) == (True, False)
    assert bench.states["link"] == "new"


async def test_the_code_that_began_it_can_undo_what_was_in_doubt(bench: Bench) -> None:
    store = MemoryStore()
    bench.failures["do open"] = [BOOM]
    bench.failures["undo open"] = [OSError("gone")] * 4
    mine, other = bench.atom("link", "open"), bench.atom("link", "open", version=2)
    async with opened(store) as atoms:
        await atoms.run(mine, run_id="r", raise_=False)
    async with opened(store, [other]) as atoms:
        with pytest.raises(AtomInDoubt):
            await atoms.resume_undo("r")

    async with opened(store, [other, mine]) as atoms:
        result = await atoms.resume_undo("r")

    assert result.outcome == "rolled_back"
    assert bench.states == {"link": "old", "open": "old"}


async def test_an_input_that_the_code_cannot_read_any_more_is_in_doubt(bench: Bench) -> None:
    store = MemoryStore()
    bench.failures["do link"] = [BOOM]
    bench.failures["undo link"] = [OSError("gone")] * 4
    async with opened(store) as atoms:
        await atoms.run(bench.atom("link"), "text", run_id="r", raise_=False)

    async with opened(store, [bench.atom("link", input_type=int)]) as atoms:
        with pytest.raises(AtomInDoubt, match="Expected `int`, got `str`"):
            await atoms.resume_undo("r")


# What people may ask for


async def test_only_a_parked_run_can_be_resumed_or_have_a_step_waived(bench: Bench) -> None:
    async with opened() as atoms:
        await atoms.run(bench.atom("link"), run_id="r")
        for verb in (atoms.resume_undo("r"), atoms.skip("r", "link", reason="x"), atoms.cancel("r")):
            with pytest.raises(AtomRefusedError, match="succeeded"):
                await verb
        with pytest.raises(AtomRefusedError, match="no run 'nobody'"):
            await atoms.resume_undo("nobody")


async def test_a_waiver_names_a_step_that_is_left_and_a_reason(bench: Bench) -> None:
    bench.always["undo link"] = OSError("gone")
    bench.always["do link"] = BOOM
    async with opened() as atoms:
        await atoms.run(bench.atom("link"), run_id="r", raise_=False)
        with pytest.raises(AtomRefusedError, match="these are: link"):
            await atoms.skip("r", "open", reason="x")
        with pytest.raises(ConfigurationError, match="say why"):
            await atoms.skip("r", "link", reason=" ")
        await atoms.skip("r", "link", reason="x")
        with pytest.raises(AtomRefusedError, match="rolled_back"):
            await atoms.skip("r", "link", reason="x")


async def test_a_run_of_an_atom_that_is_not_known_cannot_be_resumed(bench: Bench) -> None:
    store = MemoryStore()
    bench.always.update({"undo link": OSError("gone"), "do link": BOOM})
    async with opened(store) as atoms:
        await atoms.run(bench.atom("link"), run_id="r", raise_=False)
    async with opened(store) as atoms:
        with pytest.raises(AtomRefusedError, match="register it"):
            await atoms.resume_undo("r")
        (recorded,) = await atoms.runs()

    assert recorded.run.parked


# What callers are told


async def test_outcomes_can_be_returned_instead_of_raised(bench: Bench) -> None:
    bench.failures["do link"] = [BOOM]
    async with opened() as atoms:
        result = await atoms.run(bench.atom("link"), raise_=False)

    assert result.outcome == "rolled_back"
    assert str(result.error) == "do of step 'link': ValueError: boom"


@pytest.mark.parametrize("kind", [AtomRolledBack, AtomRollbackFailed, AtomInDoubt])
async def test_errors_survive_pickle_and_copy(bench: Bench, kind: type[Any]) -> None:
    bench.failures["do link"] = [BOOM]
    async with opened() as atoms:
        result = await atoms.run(bench.atom("link"), raise_=False)
    error = kind(result)

    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (type(again), str(again), again.result) == (kind, str(error), result)


async def test_a_result_names_its_steps(bench: Bench) -> None:
    async with opened() as atoms:
        result = await atoms.run(bench.atom("link"))

    with pytest.raises(KeyError):
        result.step("open")


async def test_atoms_are_used_inside_of_their_block(bench: Bench) -> None:
    atoms = Atoms(MemoryStore())
    with pytest.raises(LifetimeError, match="async with Atoms"):
        await atoms.run(bench.atom("link"))
    async with atoms:
        pass
    with pytest.raises(LifetimeError, match="closed"):
        await atoms.run(bench.atom("link"))
    with pytest.raises(LifetimeError, match="make others"):
        await atoms.__aenter__()


@pytest.mark.parametrize("given", [object(), "x" * 200_000, {1: object()}], ids=["no JSON", "too large", "deep"])
async def test_an_input_that_cannot_be_kept_is_refused_before_anything_is_done(bench: Bench, given: object) -> None:
    async with opened() as atoms:
        with pytest.raises(ConfigurationError, match="input of atom 'deploy'"):
            await atoms.run(bench.atom("link"), given)
        assert await atoms.runs() == []

    assert bench.log == []
