"""The breaker's state machine and its window, without a clock: every law, and a machine that tries them together."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from grayflow import ConfigurationError
from grayflow.release import BreakerPolicy, BreakerState, Outcome
from grayflow.release.guard.breaker import Breaker, Permit, Transition
from grayflow.release.guard.window import Totals, Window

POLICY = BreakerPolicy(window=30, buckets=10, minimum_calls=20, failure_ratio=0.5, open_for=5, probes=3, close_after=3)


class Told:
    """A breaker and what it told."""

    def __init__(self, policy: BreakerPolicy = POLICY):
        self.transitions: list[Transition] = []
        self.breaker = Breaker(policy, random=lambda: 0.5, told=self.transitions.append)

    def call(self, outcome: Outcome, now: float, *, slow: bool = False) -> bool:
        permit = self.breaker.admit(now)
        if permit is not None:
            self.breaker.settle(permit, outcome, now, slow=slow)
        return permit is not None

    def trip(self, now: float) -> None:
        while self.call(Outcome.FAILURE, now):
            pass


# Opening


def test_three_failures_to_one_success_open_it_within_the_minimum_of_calls():
    """Where every fourth call succeeds, a count of failures in a row never opens."""
    told, calls = Told(), 0
    while told.call(Outcome.FAILURE if calls % 4 else Outcome.SUCCESS, now=calls * 0.01):
        calls += 1

    assert calls == POLICY.minimum_calls
    assert told.breaker.state is BreakerState.OPEN
    assert "15 of 20 calls failed within 30 s" in told.transitions[0].why


def test_slow_answers_open_it():
    told = Told()
    for number in range(100):
        told.call(Outcome.SLOW if number % 10 else Outcome.SUCCESS, now=number * 0.01)

    assert told.breaker.state is BreakerState.OPEN
    assert "calls were slow" in told.transitions[0].why


def test_a_failure_that_was_slow_counts_as_both():
    told = Told(BreakerPolicy(failure_ratio=1.0, slow_ratio=0.5, minimum_calls=4))
    for outcome, slow in [(Outcome.SUCCESS, False), (Outcome.SUCCESS, False), (Outcome.SLOW, False)]:
        told.call(outcome, 0, slow=slow)
    told.call(Outcome.FAILURE, 0, slow=True)

    assert told.breaker.state is BreakerState.OPEN


@pytest.mark.parametrize("outcome", [Outcome.CANCELLED, Outcome.IGNORED, Outcome.BOTH_FAILED])
@pytest.mark.parametrize("number", [3, 30, 300])
def test_what_says_nothing_about_the_new_side_changes_nothing(outcome: Outcome, number: int):
    told = Told()
    for _ in range(number):
        told.call(outcome, now=0)

    assert told.breaker.state is BreakerState.CLOSED
    assert told.breaker.totals(0) == Totals()

    told.trip(0)
    for _ in range(number):
        assert told.call(outcome, now=6)
    assert told.breaker.state is BreakerState.HALF_OPEN
    assert [told.breaker.admit(6) is not None for _ in range(5)] == [True, True, True, False, False]


def test_old_failures_are_forgotten():
    told = Told()
    for number in range(200):
        told.call(Outcome.FAILURE, now=number * 3)

    assert told.breaker.state is BreakerState.CLOSED


# Half-open


def test_exactly_as_many_calls_as_there_are_probes_are_let_through():
    told = Told()
    told.trip(0)
    admitted = [told.breaker.admit(now=6) for _ in range(100)]

    assert sum(permit is not None for permit in admitted) == 3


def test_it_lets_nothing_through_before_its_time():
    told = Told()
    told.trip(0)

    assert told.breaker.admit(4.99) is None
    assert told.breaker.reopens_in(4) == 1
    assert told.breaker.admit(5) is not None
    assert told.breaker.reopens_in(5) == 0


def test_enough_successes_close_it_and_a_returned_permit_is_given_again():
    told = Told(BreakerPolicy(probes=1, close_after=3))
    told.trip(0)
    for _ in range(3):
        assert told.breaker.state is not BreakerState.CLOSED
        assert told.call(Outcome.SUCCESS, now=6)

    assert [each.after for each in told.transitions] == ["open", "half_open", "closed"]


def test_a_probe_that_fails_opens_it_for_twice_as_long_up_to_a_bound():
    told, now, waits = Told(BreakerPolicy(open_for=5, open_for_at_most=30)), 0.0, []
    told.trip(now)
    for _ in range(5):
        wait = told.breaker.reopens_in(now)
        waits.append(wait)
        now += wait
        told.call(Outcome.FAILURE, now)

    assert waits == pytest.approx([5, 10, 20, 30, 30])


def test_once_closed_it_opens_for_the_first_time_again():
    told = Told()
    told.trip(0)
    told.call(Outcome.FAILURE, 6)
    for _ in range(3):
        told.call(Outcome.SUCCESS, 30)
    told.trip(30)

    assert told.breaker.reopens_in(30) == pytest.approx(5)


def test_what_comes_back_after_the_state_has_changed_is_not_counted():
    told = Told()
    early = [told.breaker.admit(0) for _ in range(40)]
    told.trip(0)
    probes = [told.breaker.admit(6) for _ in range(3)]
    for permit in early:
        assert permit is not None
        told.breaker.settle(permit, Outcome.FAILURE, 6)

    assert told.breaker.state is BreakerState.HALF_OPEN
    assert told.breaker.admit(6) is None
    assert None not in probes


def test_a_probe_is_given_back_once():
    told = Told()
    told.trip(0)
    permit = told.breaker.admit(6)
    assert permit is not None
    for _ in range(3):
        told.breaker.settle(permit, Outcome.SUCCESS, 6)

    assert told.breaker.state is BreakerState.HALF_OPEN
    assert sum(told.breaker.admit(6) is not None for _ in range(10)) == 3


def test_a_slow_probe_opens_it_again():
    told = Told()
    told.trip(0)
    told.call(Outcome.SLOW, 6)

    assert told.breaker.state is BreakerState.OPEN
    assert "a probe was slow" in told.transitions[-1].why


def test_successes_of_an_earlier_half_open_time_close_nothing():
    told, now = Told(), 6.0
    told.trip(0)
    for outcome in (Outcome.SUCCESS, Outcome.SUCCESS, Outcome.FAILURE):
        told.call(outcome, now)
    now += 20
    for _ in range(2):
        told.call(Outcome.SUCCESS, now)
    assert told.breaker.state is BreakerState.HALF_OPEN
    told.call(Outcome.SUCCESS, now)

    assert told.breaker.state is BreakerState.CLOSED


def test_once_closed_it_goes_by_new_calls_only():
    told = Told()
    told.trip(0)
    for _ in range(3):
        told.call(Outcome.SUCCESS, 6)
    told.call(Outcome.FAILURE, 6)

    assert told.breaker.state is BreakerState.CLOSED
    assert told.breaker.totals(6) == Totals(1, 1, 0)


@pytest.mark.parametrize(("drawn", "wait"), [(0.0, 4.5), (0.5, 5.0), (1.0, 5.5)])
def test_a_fleet_does_not_probe_at_one_moment(drawn: float, wait: float):
    breaker = Breaker(POLICY, random=lambda: drawn, told=lambda _: None)
    while permit := breaker.admit(0):
        breaker.settle(permit, Outcome.FAILURE, 0)

    assert breaker.reopens_in(0) == pytest.approx(wait)


def test_however_often_it_opens_its_time_stays_within_bounds():
    told, now = Told(), 0.0
    told.trip(now)
    for _ in range(1100):
        now += 400
        told.call(Outcome.FAILURE, now)

    assert told.breaker.trips == 1101
    assert told.breaker.reopens_in(now) == 300


def test_it_says_for_how_long_it_lets_nothing_through_only_while_it_does():
    told = Told()
    assert told.breaker.reopens_in(0) == 0
    told.trip(0)
    assert told.breaker.reopens_in(0) == 5
    assert told.breaker.reopens_in(100) == 0
    told.breaker.reset()

    assert told.breaker.reopens_in(0) == 0


def test_whether_a_call_would_be_let_through_is_known_without_making_it():
    told = Told()
    assert not told.breaker.blocks(0)
    told.trip(0)
    assert told.breaker.blocks(4.9)
    assert not told.breaker.blocks(5)
    probes = [told.breaker.admit(6) for _ in range(3)]
    assert told.breaker.blocks(6)
    assert probes[0] is not None
    told.breaker.settle(probes[0], Outcome.CANCELLED, 6)
    assert not told.breaker.blocks(6)
    told.breaker.isolate()

    assert told.breaker.blocks(1e9)


# By hand


def test_isolated_it_lets_nothing_through_until_it_is_reset():
    told = Told()
    told.breaker.isolate()
    told.breaker.isolate()
    assert told.breaker.admit(1e9) is None
    told.breaker.reset()
    told.breaker.reset()

    assert told.breaker.admit(1e9) is not None
    assert [each.after for each in told.transitions] == ["isolated", "closed"]


def test_a_reset_forgets_what_was_counted():
    told = Told()
    for _ in range(19):
        told.call(Outcome.FAILURE, 0)
    told.breaker.reset()

    assert told.call(Outcome.FAILURE, 0)
    assert told.breaker.totals(0) == Totals(1, 1, 0)


# Together


class Machine(RuleBasedStateMachine):
    """Calls begin and end in any order while time passes; the laws hold at every moment."""

    def __init__(self) -> None:
        super().__init__()
        self.policy = BreakerPolicy(window=10, buckets=5, minimum_calls=4, open_for=2, probes=2, close_after=3)
        self.now = 100.0
        self.transitions: list[Transition] = []
        self.breaker = Breaker(self.policy, random=lambda: 0.5, told=self.transitions.append)
        self.calls: list[Permit] = []

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.9, 2.0, 5.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def begin(self) -> None:
        before = self.breaker.state
        permit = self.breaker.admit(self.now)
        if before is BreakerState.CLOSED:
            assert permit is not None
        if before is BreakerState.ISOLATED:
            assert permit is None
        if permit is not None:
            self.calls.append(permit)

    @precondition(lambda self: self.calls)
    @rule(outcome=st.sampled_from(Outcome), slow=st.booleans(), data=st.data())
    def end(self, outcome: Outcome, slow: bool, data: st.DataObject) -> None:
        permit = self.calls.pop(data.draw(st.integers(0, len(self.calls) - 1)))
        before, told = self.breaker.state, len(self.transitions)
        self.breaker.settle(permit, outcome, self.now, slow=slow)
        if outcome in (Outcome.CANCELLED, Outcome.IGNORED, Outcome.BOTH_FAILED):
            assert self.breaker.state is before
            assert len(self.transitions) == told

    @rule()
    def isolate(self) -> None:
        self.breaker.isolate()

    @rule()
    def reset(self) -> None:
        self.breaker.reset()
        assert self.breaker.state is BreakerState.CLOSED

    @invariant()
    def at_most_as_many_probes_as_there_may_be(self) -> None:
        if self.breaker.state is BreakerState.HALF_OPEN:
            probing = sum(permit.probe and permit.period == self.breaker._period for permit in self.calls)
            assert probing == self.breaker._probing <= self.policy.probes

    @invariant()
    def each_state_follows_the_one_before(self) -> None:
        allowed = {
            "closed": {"open", "isolated"},
            "open": {"half_open", "isolated", "closed"},
            "half_open": {"open", "closed", "isolated"},
            "isolated": {"closed"},
        }
        states = [BreakerState.CLOSED, *(each.after for each in self.transitions)]
        assert all(after in allowed[before] for before, after in pairwise(states))
        assert states[-1] is self.breaker.state


TestMachine = Machine.TestCase


# The window


@given(
    st.lists(st.tuples(st.floats(0, 3), st.booleans(), st.booleans()), max_size=60),
    st.integers(1, 12),
    st.sampled_from([1.0, 10.0, 30.0]),
)
def test_a_window_counts_what_lies_in_its_last_buckets(
    steps: list[tuple[float, bool, bool]], buckets: int, span: float
):
    window, seen, now = Window(span, buckets), [], 1000.0
    width = span / buckets
    for step, failed, slow in steps:
        now += step
        window.add(now, failed=failed, slow=slow)
        seen.append((now, failed, slow))
        held = [each for each in seen if int(each[0] // width) > int(now // width) - buckets]

        assert window.totals(now) == Totals(len(held), sum(one[1] for one in held), sum(one[2] for one in held))


def test_a_window_is_empty_after_a_pause():
    window = Window(10, 5)
    window.add(0, failed=True, slow=True)

    assert window.totals(1000) == Totals()
    assert window.totals(0) == Totals()


def test_an_earlier_time_counts_as_the_latest():
    window = Window(10, 5)
    for now in (10, 5, 10):
        window.add(now, failed=True, slow=False)

    assert window.totals(10) == Totals(3, 3, 0)


# Options


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"window": 0}, "window is 0.0 s"),
        ({"buckets": 0}, "buckets is 0; give a whole number"),
        ({"minimum_calls": 1.5}, "minimum_calls is 1.5"),
        ({"failure_ratio": 0}, "failure_ratio is 0; give a share above 0 and up to 1"),
        ({"slow_ratio": 1.01}, "slow_ratio is 1.01"),
        ({"failure_ratio": True}, "failure_ratio is True"),
        ({"open_for": 10, "open_for_at_most": 9}, "open_for_at_most is 9 s; give at least open_for, 10 s"),
        ({"probes": -1}, "probes is -1"),
        ({"close_after": "three"}, "close_after is 'three'"),
    ],
)
def test_a_policy_that_cannot_be_used_is_refused(options: dict[str, Any], words: str):
    with pytest.raises(ConfigurationError) as caught:
        BreakerPolicy(**options)

    assert words in str(caught.value)
