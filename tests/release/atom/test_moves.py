"""What becomes of a record, one rule at a time."""

from typing import Any

import pytest
from msgspec import structs

from grayflow.cleanup.retry import Retry
from grayflow.release.atom import moves
from grayflow.release.atom.model import Atom, Step
from grayflow.release.atom.moves import Facts
from grayflow.release.atom.plan import Ask, BeginUndo, Do, Prepare, TurnBack, Undo, Wait, cancelled, plan
from grayflow.release.atom.record import Cancel, Run, Trouble

BROKEN = Trouble(kind="Broken", message="told to fail")
SECOND = 10**9


async def nothing(call: object) -> None:
    """Stand for a function of a step."""


def an_atom(step: dict[str, Any] | None = None, **rules: Any) -> Atom:
    made = [Step(name, do=nothing, undo=nothing, **(step or {})) for name in "ab"]
    return Atom("atom", version=1, steps=made, **rules)


def at(run: Run, index: int, **changes: Any) -> Run:
    steps = list(run.steps)
    steps[index] = structs.replace(steps[index], **changes)
    return structs.replace(run, steps=tuple(steps))


def a_run(atom: Atom) -> Run:
    return moves.begun(atom, "r", None, actor="ann", reason="", now=0)


def attempted(atom: Atom, facts: Facts, *, attempts: int = 1, wait_s: float = 3) -> Run:
    run = at(a_run(atom), 0, state="intent", attempts=attempts, fence=7)
    return moves.done(run, atom.sequence[0], 0, facts, fence=7, now=0, wait_s=wait_s)


# An attempt that failed


@pytest.mark.parametrize("verdict", ["not_applied", "unknown", "wrong"])
def test_a_failed_step_is_tried_again_after_a_wait_if_its_effect_is_not_known_to_be_there(verdict: Any) -> None:
    atom = an_atom({"retry": Retry(attempts=2)})

    run = attempted(atom, Facts(error=BROKEN, verdict=verdict))

    assert run.steps[0].state == "intent"
    assert run.steps[0].attempts == 2
    assert plan(run, atom, fence=7, now=0) == Wait(3 * SECOND)
    assert plan(run, atom, fence=7, now=3 * SECOND) == Do(0)


def test_a_step_that_failed_and_is_there_is_not_done_again() -> None:
    run = attempted(an_atom({"retry": Retry(attempts=5)}), Facts(error=BROKEN, verdict="applied", after=1))

    assert (run.direction, run.steps[0].state, run.steps[0].after) == ("back", "failed", 1)


def test_a_step_that_failed_and_is_there_counts_as_done_if_it_says_so() -> None:
    run = attempted(an_atom({"accept_applied": True}), Facts(error=BROKEN, verdict="applied", after=1))

    assert (run.direction, run.steps[0].state, run.steps[0].error) == ("forward", "done", BROKEN)


@pytest.mark.parametrize("verdict", ["not_applied", "unknown", "wrong"])
def test_only_what_is_known_to_be_there_counts_as_done(verdict: Any) -> None:
    run = attempted(an_atom({"accept_applied": True}), Facts(error=BROKEN, verdict=verdict))

    assert run.direction == "back"


def test_an_interrupted_step_is_neither_tried_again_nor_accepted() -> None:
    atom = an_atom({"retry": Retry(attempts=5), "accept_applied": True})

    for verdict in ("unknown", "applied"):
        run = attempted(atom, Facts(error=BROKEN, verdict=verdict, stopped=True))
        assert (run.direction, run.steps[0].state) == ("back", "failed")


def test_the_last_attempt_turns_the_run_back() -> None:
    atom = an_atom({"retry": Retry(attempts=2)})

    run = attempted(atom, Facts(error=BROKEN, verdict="unknown"), attempts=2)

    assert (run.direction, run.steps[0].state, run.error) == ("back", "failed", BROKEN)
    assert plan(run, atom, fence=7, now=0) == BeginUndo(0)


def test_what_is_known_not_to_be_there_is_not_undone() -> None:
    atom = an_atom()

    run = attempted(atom, Facts(error=BROKEN, verdict="not_applied"))

    assert run.steps[0].state == "not_applied"
    assert run.remaining == ()


def test_a_state_that_cannot_be_captured_is_tried_again_as_often_as_the_step_says() -> None:
    atom, run = an_atom({"retry": Retry(attempts=3)}), None
    run = a_run(atom)
    for attempt in (1, 2, 3):
        assert plan(run, atom, fence=1, now=attempt * SECOND) == Prepare(0)
        run = moves.prepared(run, atom.sequence[0], 0, None, BROKEN, fence=1, now=attempt * SECOND, wait_s=1)
        assert run.steps[0].state == "pending"
        assert run.steps[0].attempts == attempt

    assert run.direction == "back"
    assert run.error == BROKEN


# An undo that failed


def undo_failing(atom: Atom, *, undos: int = 1, undo_by: int = 60 * SECOND, wait_s: float = 3) -> Run:
    run = at(a_run(atom), 0, state="undoing", undos=undos, undo_by=undo_by, fence=7)
    run = moves.turned_back(run, TurnBack(BROKEN))
    return moves.undone(run, atom.sequence[0], 0, BROKEN, now=0, wait_s=wait_s)


def test_a_failed_undo_is_tried_again_after_a_wait() -> None:
    atom = an_atom()

    run = undo_failing(atom)

    assert (run.steps[0].state, run.steps[0].undos) == ("undoing", 2)
    assert plan(run, atom, fence=7, now=0) == Wait(3 * SECOND)
    assert plan(run, atom, fence=7, now=3 * SECOND) == Undo(0)


def test_an_undo_is_given_up_after_its_attempts() -> None:
    run = undo_failing(an_atom({"undo_retry": Retry(attempts=2)}), undos=2)

    assert (run.steps[0].state, run.steps[0].undo_error) == ("undo_failed", BROKEN)


def test_an_undo_is_given_up_when_its_time_would_be_over() -> None:
    assert undo_failing(an_atom(), undo_by=3 * SECOND).steps[0].state == "undo_failed"
    assert undo_failing(an_atom(), undo_by=3 * SECOND + 1).steps[0].state == "undoing"


def test_who_takes_over_an_undo_begins_it_with_all_its_time() -> None:
    atom = an_atom({"undo_timeout": 60})
    run = at(a_run(atom), 0, state="undoing", undos=1, undo_by=5 * SECOND, next_at=4 * SECOND, fence=7)
    run = moves.turned_back(run, TurnBack(BROKEN))

    action = plan(run, atom, fence=8, now=SECOND)

    assert action == BeginUndo(0)
    run = moves.undo_begun(run, atom.sequence[0], BeginUndo(0), fence=8, now=SECOND)
    assert (run.steps[0].undo_by, run.steps[0].undos, run.steps[0].next_at) == (61 * SECOND, 2, 0)
    assert plan(run, atom, fence=8, now=SECOND) == Undo(0)


# Taking over


def test_a_run_whose_process_is_gone_is_undone_unless_it_is_to_be_continued() -> None:
    run = at(a_run(an_atom()), 0, state="done")

    assert moves.taken_over(run, an_atom()).direction == "back"
    assert moves.taken_over(run, an_atom(on_recover="continue")).direction == "forward"


def test_what_another_process_began_is_asked_about_first() -> None:
    atom = an_atom(on_recover="continue")
    run = at(a_run(atom), 0, state="intent", attempts=1, fence=7, before=1)

    assert plan(run, atom, fence=8, now=0) == Ask(0)


@pytest.mark.parametrize("verdict", ["not_applied", "unknown", "wrong"])
def test_what_is_to_be_continued_and_not_known_to_be_there_is_done_again_from_the_same_state(verdict: Any) -> None:
    atom = an_atom(on_recover="continue")
    run = at(a_run(atom), 0, state="intent", attempts=1, fence=7, before=1)

    run = moves.asked(run, 0, Facts(verdict=verdict), fence=8)

    assert plan(run, atom, fence=8, now=0) == Do(0)
    assert (run.steps[0].before, run.steps[0].attempts) == (1, 2)


def test_what_is_to_be_continued_and_is_there_counts_as_done() -> None:
    atom = an_atom(on_recover="continue")
    run = at(a_run(atom), 0, state="intent", attempts=1, fence=7, before=1)

    run = moves.asked(run, 0, Facts(after=2), fence=8)

    assert (run.steps[0].state, run.steps[0].after) == ("done", 2)


def test_a_run_that_gets_nowhere_is_turned_back_and_then_parked() -> None:
    atom = an_atom(on_recover="continue", recoveries=2)
    run = at(a_run(atom), 0, state="intent", attempts=1, fence=7)
    directions = []

    while run.outcome is None:
        run = moves.taken_over(run, atom)
        directions.append(run.direction)

    assert directions == ["forward", "forward", "back", "back", "back"]
    assert run.outcome == "rollback_failed"
    assert run.remaining == ("a",)
    assert "was gone, 3 times" in str(run.steps[0].undo_error)


def test_a_run_is_parked_for_the_undo_that_its_processes_died_in_and_not_for_one_given_up_before() -> None:
    atom = an_atom({"independent": True}, undo_failure="continue", recoveries=1)
    run = at(a_run(atom), 0, state="undoing", undos=1, fence=7)
    run = at(run, 1, state="undo_failed", undo_error=BROKEN)
    run = structs.replace(moves.turned_back(run, TurnBack(BROKEN)), recoveries=1)

    run = moves.taken_over(run, atom)

    assert run.outcome == "rollback_failed"
    assert [step.state for step in run.steps] == ["undo_failed", "undo_failed"]
    assert run.steps[1].undo_error == BROKEN
    assert "was gone, 2 times" in str(run.steps[0].undo_error)


@pytest.mark.parametrize("how", ["done", "asked", "undone"])
def test_getting_further_lets_a_run_be_taken_over_as_often_again(how: str) -> None:
    atom = an_atom()
    run = structs.replace(at(a_run(atom), 0, state="intent", attempts=1), recoveries=3)
    step = atom.sequence[0]

    match how:
        case "done":
            run = moves.done(run, step, 0, Facts(), fence=1, now=0, wait_s=0)
        case "asked":
            run = moves.asked(run, 0, Facts(), fence=1)
        case "undone":
            run = moves.undone(run, step, 0, None, now=0, wait_s=0)

    assert run.recoveries == 0


def test_nothing_is_taken_over_that_has_ended() -> None:
    run = structs.replace(a_run(an_atom()), outcome="succeeded")

    assert moves.taken_over(run, an_atom()) is run


# Cancelling and deciding


def test_a_cancelled_run_turns_back_and_says_who_and_why() -> None:
    atom = an_atom()
    run = moves.cancelled_by(a_run(atom), Cancel(actor="ben", reason="wrong branch"))

    assert plan(run, atom, fence=1, now=0) == TurnBack(cancelled(run))
    assert str(cancelled(run)) == "Cancelled: by ben: wrong branch"


def test_a_run_that_is_to_be_finished_does_not_turn_back() -> None:
    atom = an_atom(on_cancel="finish")
    run = moves.cancelled_by(a_run(atom), Cancel(actor="ben"))

    assert plan(run, atom, fence=1, now=0) == Prepare(0)


def test_the_first_who_cancels_is_the_one_who_did() -> None:
    run = moves.cancelled_by(a_run(an_atom()), Cancel(actor="ben"))

    assert moves.cancelled_by(run, Cancel(actor="eve")) is run


def test_a_parked_run_is_resumed_with_all_attempts() -> None:
    run = undo_failing(an_atom({"undo_retry": Retry(attempts=2)}), undos=2)
    run = structs.replace(run, outcome="rollback_failed", finished=9, recoveries=2)

    run = moves.resumed(run, actor="ann")

    assert (run.outcome, run.direction, run.finished, run.recoveries, run.resumed_by) == (None, "back", 0, 0, "ann")
    assert (run.steps[0].state, run.steps[0].undos) == ("failed", 0)


def test_a_step_that_is_waived_keeps_who_and_why() -> None:
    run = at(structs.replace(a_run(an_atom()), outcome="rollback_failed"), 0, state="undo_failed")

    run = moves.skipped(run, ("a",), actor="ann", reason="by hand", now=5)

    assert (run.outcome, run.finished) == ("rolled_back", 5)
    assert (run.steps[0].state, run.steps[0].actor, run.steps[0].reason) == ("skipped", "ann", "by hand")
