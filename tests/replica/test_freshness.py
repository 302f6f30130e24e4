import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grayflow.core.flag import Flag, ServeOnFailure
from grayflow.replica.backoff import Backoff
from grayflow.replica.freshness import flips_in, policy, state

ages = st.floats(min_value=0, max_value=1e6)
ttls = st.floats(min_value=0.01, max_value=1e4)


@pytest.mark.parametrize(
    ("age_s", "expected"),
    [(0, "fresh"), (30, "fresh"), (30.001, "stale"), (300, "stale"), (300.001, "expired"), (math.inf, "expired")],
)
def test_three_missed_checks_make_stale_and_the_bound_makes_expired(age_s: float, expected: str):
    assert state(age_s, 10, 300) == expected


def test_an_infinite_bound_never_expires():
    assert state(1e12, 10, math.inf) == "stale"


def test_expired_beats_fresh_where_the_bound_is_shorter():
    assert state(5, 10, 4) == "expired"


@given(age_s=ages, ttl_s=ttls, bound_s=st.floats(min_value=0.01, max_value=1e5))
def test_the_state_stays_until_it_flips_and_is_another_one_afterwards(age_s: float, ttl_s: float, bound_s: float):
    left_s = flips_in(age_s, ttl_s, bound_s)

    if left_s == math.inf:
        assert state(age_s, ttl_s, bound_s) == "expired"
    else:
        assert state(age_s + left_s * 0.999, ttl_s, bound_s) == state(age_s, ttl_s, bound_s)
        assert state(age_s + left_s + 0.001, ttl_s, bound_s) != state(age_s, ttl_s, bound_s)


def test_a_flag_that_says_nothing_follows_the_client():
    assert policy(Flag(key="a"), "last_known") == "last_known"
    assert policy(None, "caller_default") == "caller_default"


def test_a_flag_that_says_something_is_followed():
    serve = ServeOnFailure(variant="off")

    assert policy(Flag(key="a", on_failure=serve), "last_known") == serve


def test_waits_are_drawn_below_a_bound_that_doubles_up_to_the_cap():
    backoff = Backoff(lambda: 0.5, first_s=1, cap_s=4)

    assert [backoff.wait_s() for _ in range(5)] == [0.5, 1, 2, 2, 2]


def test_a_success_begins_anew():
    backoff = Backoff(lambda: 1.0, first_s=1, cap_s=4)
    backoff.wait_s()
    backoff.wait_s()

    backoff.reset()

    assert backoff.wait_s() == 1
