"""What is due, case by case; `test_plan_machine.py` tries it in every order."""

import pytest

from grayflow.cleanup.plan import Case, Claim, Plan, Stop, Write, plan
from tests.cleanup.kit import NOW, ORPHAN_AFTER_NS, SECOND, case, job, site


def planned(*cases: Case, now: int = NOW) -> Plan:
    return plan(cases, now, orphan_after_ns=ORPHAN_AFTER_NS)


def only(*cases: Case, now: int = NOW):
    found = planned(*cases, now=now)
    assert len(found.actions) <= 1
    return found.actions[0] if found.actions else None


# Due


def test_a_switch_off_that_was_never_cleaned_up_after_is_claimed():
    action = only(case())

    assert isinstance(action, Claim)
    assert (action.job.state, action.job.wanted, action.job.done, action.job.since) == ("pending", 4, 0, NOW)


@pytest.mark.parametrize(
    ("state", "generation", "done"),
    [
        pytest.param("off", 0, 0, id="never switched off"),
        pytest.param("off", 4, 4, id="done"),
        pytest.param("on", 4, 0, id="switched on again"),
        pytest.param("spared", 4, 0, id="the off variant"),
        pytest.param("unknown", 4, 0, id="a document that cannot be read"),
    ],
)
def test_nothing_is_due(state, generation, done):
    assert planned(case(job(done=done), site(state, generation))) == Plan(actions=(), next=None)


def test_several_switch_offs_that_nobody_acted_upon_are_one():
    action = only(case(job(done=4, wanted=4), site("off", 20)))

    assert isinstance(action, Claim)
    assert (action.job.wanted, action.job.superseded) == (20, 0)


def test_a_newer_switch_off_takes_the_place_of_one_that_failed():
    action = only(case(job(state="failed", wanted=4, attempts=3, error="x"), site("off", 8)))

    assert isinstance(action, Claim)
    assert (action.job.wanted, action.job.attempts, action.job.error, action.job.superseded) == (8, 0, "", 1)


def test_a_switch_on_is_due_once_for_each_time_that_a_variant_is_on():
    first = only(case(job(switch="on", done=-1), site("on", 0)))
    again = only(case(job(switch="on", done=0), site("on", 4)))

    assert isinstance(first, Claim)
    assert isinstance(again, Claim)
    assert only(case(job(switch="on", done=4), site("on", 4))) is None
    assert only(case(job(switch="on", done=0), site("off", 4))) is None


def test_what_was_superseded_too_early_is_due_again():
    """As where a clock was set back: the variant is off by the same switch as before."""
    action = only(case(job(state="superseded", wanted=4, attempts=2)))

    assert isinstance(action, Claim)
    assert (action.job.state, action.job.attempts) == ("pending", 0)


def test_unfinished_work_waits_while_the_document_cannot_be_read():
    assert only(case(job(state="pending", wanted=4), site("unknown", 4))) is None


# Waiting


def test_the_next_attempt_waits_for_its_time():
    failed_once = job(state="pending", wanted=4, attempts=1, next_at=NOW + 5 * SECOND)

    assert planned(case(failed_once)) == Plan(actions=(), next=NOW + 5 * SECOND)
    assert isinstance(only(case(failed_once), now=NOW + 5 * SECOND), Claim)


def test_the_earliest_of_all_waits_counts():
    soon = case(job("a", state="pending", wanted=4, next_at=NOW + 5 * SECOND))
    late = case(job("b", state="pending", wanted=4, next_at=NOW + 9 * SECOND))

    assert planned(late, soon).next == planned(soon, late).next == NOW + 5 * SECOND


def test_what_another_process_does_is_waited_for_until_its_lease_ends():
    running = case(job(state="running", wanted=4, attempts=1), busy=NOW + 9 * SECOND)

    assert planned(running) == Plan(actions=(), next=NOW + 9 * SECOND)


def test_what_a_process_died_at_is_taken_over():
    action = only(case(job(state="running", wanted=4, attempts=1), busy=NOW))

    assert isinstance(action, Claim)
    assert action.job.attempts == 1


def test_what_took_down_as_many_processes_as_there_are_attempts_is_tried_no_more():
    action = only(case(job(state="running", wanted=4, attempts=3)))

    assert isinstance(action, Write)
    assert (action.why, action.job.state, action.job.attempts) == ("buried", "failed", 3)
    assert "was gone" in action.job.error


def test_a_dead_letter_is_left_alone():
    assert planned(case(job(state="failed", wanted=4, attempts=3))) == Plan(actions=(), next=None)


def test_a_retried_dead_letter_is_claimed():
    retried = job(state="failed", wanted=4, attempts=3).retry(actor="ann", reason="mended")

    assert isinstance(only(case(retried)), Claim)


# Order


def test_a_handler_waits_for_the_one_that_comes_first():
    first, second = case(job("a")), case(job("b"), after=("a",))

    actions = planned(first, second).actions

    assert [type(action) for action in actions] == [Claim, Write]
    assert (actions[1].job.handler, actions[1].job.state, actions[1].why) == ("b", "pending", "noted")


@pytest.mark.parametrize("done", [4, 6])
def test_it_goes_on_when_that_is_settled(done):
    first, second = case(job("a", done=done, wanted=done)), case(job("b"), after=("a",))

    assert [action.job.handler for action in planned(first, second).actions] == ["b"]


def test_it_waits_for_one_that_failed():
    first = case(job("a", state="failed", wanted=4, attempts=3))
    second = case(job("b", state="pending", wanted=4), after=("a",))

    assert planned(first, second).actions == ()


def test_a_handler_without_order_does_not_wait():
    assert [type(action) for action in planned(case(job("a")), case(job("b"))).actions] == [Claim, Claim]


def test_the_opposite_switch_is_not_begun_while_a_handler_is_at_work():
    cleaning = case(job("a", state="running", wanted=4), site("on", 4), busy=NOW + SECOND)
    warming = case(job("b", switch="on", done=-1), site("on", 4))

    assert [action.job.handler for action in planned(cleaning, warming).actions if isinstance(action, Claim)] == []
    assert isinstance(planned(case(job("a", done=4), site("on", 4)), warming).actions[0], Claim)


# Switched again


@pytest.mark.parametrize("state", ["pending", "running", "failed", "orphaned"])
def test_unfinished_work_is_superseded_when_the_flag_is_on_again(state):
    action = only(case(job(state=state, wanted=4, error="x"), site("on", 4)))

    assert isinstance(action, Write)
    assert (action.why, action.job.state, action.job.superseded, action.job.error) == (
        "superseded",
        "superseded",
        1,
        "x",
    )


@pytest.mark.parametrize("state", ["done", "superseded", "waived"])
def test_finished_work_stays_as_it_is(state):
    assert only(case(job(state=state, done=4, wanted=4), site("on", 4))) is None


@pytest.mark.parametrize(
    ("now", "why"),
    [
        pytest.param(site("on", 4), "superseded", id="on again"),
        pytest.param(site("off", 8), "superseded", id="off anew"),
        pytest.param(site("spared", 4), "superseded", id="became the off variant"),
        pytest.param(site("unknown", 4), "unknown", id="unreadable"),
        pytest.param(site("off", 4, epoch="other"), "moved", id="another epoch"),
    ],
)
def test_work_in_progress_is_stopped(now, why):
    action = only(case(job(state="running", wanted=4), now, working=4))

    assert isinstance(action, Stop)
    assert action.why == why


def test_work_in_progress_that_was_waived_is_stopped():
    waived = job(state="running", wanted=4).waive(actor="ann", reason="by hand", now=NOW)

    action = only(case(waived, working=4))

    assert isinstance(action, Stop)
    assert action.why == "waived"


def test_work_in_progress_goes_on():
    assert planned(case(job(state="running", wanted=4), working=4)) == Plan(actions=(), next=None)


def test_whoever_is_behind_touches_nothing_that_is_newer():
    """A process that has not heard of the switch-off 8 sees the flag on; others are at work after it."""
    assert only(case(job(state="pending", done=4, wanted=8), site("on", 4))) is None
    assert only(case(job(state="pending", done=0, wanted=8), site("off", 4))) is None
    assert only(case(job(switch="on", state="pending", done=-1, wanted=8), site("off", 8))) is None


# Nobody


def test_a_job_whose_handler_nobody_has_is_noted_then_orphaned_once():
    absent = case(runnable=False, reported=False)
    noted = only(absent)
    assert isinstance(noted, Write)
    assert (noted.why, noted.job.state, noted.job.lonely, noted.job.wanted) == ("lonely", "pending", NOW, 4)

    waiting = case(noted.job, runnable=False, reported=False)
    assert planned(waiting) == Plan(actions=(), next=NOW + ORPHAN_AFTER_NS)

    orphaned = only(waiting, now=NOW + ORPHAN_AFTER_NS)
    assert isinstance(orphaned, Write)
    assert (orphaned.why, orphaned.job.state) == ("orphaned", "orphaned")
    assert only(case(orphaned.job, runnable=False, reported=False), now=NOW + 2 * ORPHAN_AFTER_NS) is None


def test_a_job_that_others_can_do_is_left_to_them():
    assert only(case(runnable=False)) is None


def test_somebody_who_comes_back_ends_the_loneliness():
    action = only(case(job(state="pending", wanted=4, lonely=NOW), runnable=False))

    assert isinstance(action, Write)
    assert action.job.lonely == 0


def test_an_orphaned_job_is_claimed_by_a_process_that_has_the_handler():
    action = only(case(job(state="orphaned", wanted=4, lonely=NOW)))

    assert isinstance(action, Claim)
    assert action.job.begin("me", drained="acknowledged", now=NOW).state == "running"


# After a break of the chain


def moved(job_of, site_of, **fields):
    action = only(case(job_of, site_of, **{"broken": True, **fields}))
    assert action is None or isinstance(action, Write)
    return job_of if action is None else action.job


def test_in_another_epoch_what_is_done_is_what_was_loaded():
    after = moved(job(done=4, wanted=4), site("off", 30, epoch="new"))

    assert (after.epoch, after.done, after.state) == ("new", 30, "done")


def test_in_another_epoch_a_variant_that_was_on_before_is_due():
    after = moved(job(done=40, wanted=40), site("off", 30, epoch="new"), flipped=True)

    assert (after.epoch, after.done, after.wanted, after.state) == ("new", 29, 30, "pending")


def test_a_variant_without_any_generation_is_due_too_if_it_was_on_before():
    after = moved(job(done=40, wanted=40), site("off", 0, epoch="new"), flipped=True)

    assert isinstance(only(case(after, site("off", 0, epoch="new"))), Claim)


@pytest.mark.parametrize("state", ["pending", "running", "orphaned", "failed"])
def test_in_another_epoch_unfinished_work_stays_so(state):
    after = moved(job(done=4, wanted=40, state=state), site("off", 30, epoch="new"))

    assert (after.epoch, after.done < 30, after.wanted, after.state) == ("new", True, 30, state)


def test_in_another_epoch_unfinished_work_on_what_is_on_is_superseded():
    after = moved(job(done=4, wanted=40, state="pending"), site("on", 30, epoch="new"))

    assert (after.epoch, after.done, after.state) == ("new", 30, "superseded")
    assert isinstance(only(case(after, site("off", 34, epoch="new"))), Claim)


def test_marks_of_switches_that_the_store_has_lost_are_taken_back():
    """A fail-over lost revisions 15 to 20; the next switch-off may be number 36 once more."""
    after = moved(job(done=40, wanted=40), site("on", 30))

    assert after.done == 30
    assert isinstance(only(case(after, site("off", 36))), Claim)


def test_what_was_superseded_by_a_switch_that_the_store_has_lost_is_due_again():
    after = moved(job(done=4, wanted=40, state="superseded"), site("off", 30))

    assert isinstance(only(case(after, site("off", 30))), Claim)


def test_a_dead_letter_of_an_older_switch_does_not_stop_a_newer_one_after_a_break():
    action = only(case(job(state="failed", wanted=4), site("off", 8), broken=True))

    assert isinstance(action, Claim)


def test_what_is_being_tried_keeps_its_attempts_after_a_break():
    assert moved(job(state="failed", wanted=4, attempts=3), site("off", 4), flipped=True).attempts == 3


def test_marks_of_the_fleet_that_mean_something_stay_within_an_epoch():
    """The log was trimmed while this process was deaf; others have served and switched meanwhile."""
    assert moved(job(done=4, wanted=4), site("on", 8)) == job(done=4, wanted=4)
    assert isinstance(only(case(job(done=4, wanted=4), site("off", 8), broken=True)), Claim)


def test_a_process_that_was_deaf_takes_its_own_marks_from_what_it_loads():
    after = moved(job(done=4, wanted=4), site("off", 8), shared=False)

    assert after.done == 8


def test_unless_it_served_the_variant_until_then():
    after = moved(job(done=8, wanted=8), site("off", 8), shared=False, flipped=True)

    assert (after.done, after.state) == (7, "pending")


def test_a_broken_chain_that_changes_nothing_writes_nothing():
    assert only(case(job(done=4, wanted=4), site("off", 4), broken=True, shared=False)) is None
    assert only(case(job(done=4, wanted=4), site("off", 4), broken=True)) is None
    assert only(case(job(done=4), site("off", 4), broken=True, shared=False)) is None


def test_a_switch_on_that_was_not_there_before_is_due_after_a_break():
    after = moved(job(switch="on", done=8), site("on", 8, epoch="new"), flipped=True)

    assert isinstance(only(case(after, site("on", 8, epoch="new"))), Claim)
    settled = moved(job(switch="on", done=4), site("off", 8, epoch="new"))
    assert isinstance(only(case(settled, site("on", 8, epoch="new"))), Claim)
