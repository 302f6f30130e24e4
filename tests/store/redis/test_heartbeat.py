"""A silent server is asked, a dead one is given up, and a busy process of our own is not mistaken for one."""

from grayflow.store.redis.heartbeat import IDLE_S, LOOK_S, SILENCE_S, Heartbeat


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
    assert run(Heartbeat(0.0), until=IDLE_S + SILENCE_S) == [(IDLE_S, "ask"), (IDLE_S + SILENCE_S, "dead")]


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
    assert run(heartbeat, start=IDLE_S + 10, until=IDLE_S + 10 + SILENCE_S)[-1][1] == "dead"


def test_a_process_that_never_looks_in_time_still_gives_up() -> None:
    heartbeat = Heartbeat(0.0)

    assert [heartbeat.silent(now) for now in (5.0, 10.0, 15.0)] == ["ask", "ask", "dead"]


def test_the_extra_round_is_granted_anew_after_an_answer() -> None:
    heartbeat = Heartbeat(0.0)
    heartbeat.silent(5.0)
    heartbeat.silent(10.0)
    heartbeat.heard(11.0)

    assert [heartbeat.silent(now) for now in (15.0, 20.0, 25.0)] == ["ask", "ask", "dead"]
