"""A silent server is asked, a dead one is given up, and a busy process of our own is not mistaken for one."""

import pytest

from grayflow.store.redis.heartbeat import ANSWER_S, IDLE_S, LOOK_S, Heartbeat


def run(heartbeat: Heartbeat, *, until: float, start: float = 0.0) -> list[tuple[float, str]]:
    """Look in vain every `LOOK_S` seconds and return what was not `wait`."""
    said = []
    now = start
    while now < until:
        now += LOOK_S
        verdict = heartbeat.silent(now)
        if verdict != "wait":
            said.append((now, verdict))
    return said


def test_a_silent_link_is_asked_and_then_given_up() -> None:
    assert run(Heartbeat(0.0), until=IDLE_S + ANSWER_S) == [(IDLE_S, "ask"), (IDLE_S + ANSWER_S, "dead")]


@pytest.mark.parametrize("heard", [0.0, 0.1, 0.2, 0.24, 0.4])
def test_a_dead_link_is_found_a_second_and_a_half_after_the_last_that_was_heard(heard: float) -> None:
    heartbeat = Heartbeat(0.0)
    heartbeat.silent(heard)
    heartbeat.heard(heard)

    now = heard
    while heartbeat.silent(now) != "dead":
        now += heartbeat.look_s(now)

    assert now - heard == pytest.approx(1.5, abs=0.03)


def test_a_look_is_never_so_short_that_it_is_no_wait() -> None:
    heartbeat = Heartbeat(0.0)

    assert heartbeat.look_s(IDLE_S - 0.001) > 0.01
    assert heartbeat.look_s(IDLE_S + 10) > 0.01


def test_an_answer_begins_a_new_silence() -> None:
    heartbeat = Heartbeat(0.0)
    run(heartbeat, until=IDLE_S)

    heartbeat.heard(IDLE_S + 0.1)

    assert heartbeat.silent(IDLE_S + 0.1 + LOOK_S) == "wait"
    assert heartbeat.silent(IDLE_S + 0.1 + 2 * LOOK_S) == "ask"


def test_a_link_that_is_heard_is_never_asked() -> None:
    heartbeat = Heartbeat(0.0)

    for step in range(1, 100):
        heartbeat.heard(step * 0.3)
        assert heartbeat.silent(step * 0.3 + 0.29) == "wait"


def test_a_process_that_did_not_look_grants_one_more_round() -> None:
    heartbeat = Heartbeat(0.0)
    run(heartbeat, until=IDLE_S)

    assert heartbeat.silent(IDLE_S + 10) == "ask"
    assert run(heartbeat, start=IDLE_S + 10, until=IDLE_S + 10 + ANSWER_S)[-1][1] == "dead"


def test_a_process_that_never_looks_in_time_still_gives_up() -> None:
    heartbeat = Heartbeat(0.0)

    assert [heartbeat.silent(now) for now in (5.0, 10.0, 15.0)] == ["ask", "ask", "dead"]


def test_the_extra_round_is_granted_anew_after_an_answer() -> None:
    heartbeat = Heartbeat(0.0)
    heartbeat.silent(5.0)
    heartbeat.silent(10.0)
    heartbeat.heard(11.0)

    assert [heartbeat.silent(now) for now in (15.0, 20.0, 25.0)] == ["ask", "ask", "dead"]
