"""What processes agree on about counted calls: names, fields and cut points that never change."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grayflow.store.board import check_name, check_text
from grayflow.store.counts import (
    EDGES_S,
    Arm,
    Latency,
    Tally,
    bin_of,
    counter_name,
    failed_name,
    field_name,
    is_mark,
    read_counter,
    unit_digest,
)

ARMS = st.builds(Arm, st.text(max_size=200), st.integers(0, 2**53), st.booleans())
NUMBERS = st.integers(1, 2**40)
TALLIES = st.builds(
    Tally,
    calls=NUMBERS,
    failures=st.integers(0, 2**40),
    units=st.integers(0, 2**40),
    latency=st.builds(Latency, st.dictionaries(st.integers(0, 127), NUMBERS)),
    marks=st.dictionaries(st.sampled_from(["turned_away", "mismatch", "l", "lateness"]), NUMBERS),
)


def test_names_and_fields_are_those_that_other_releases_read() -> None:
    arm = Arm("on", 12, chance=True)

    assert counter_name("payment_v2", 29_453_760) == "stats/e2a79a8f1c948e6adf13dabde0a05216/29453760"
    assert failed_name("payment_v2", arm) == "failed/46d040e1f0a7de30a3a88ac97e5ae8d6"
    assert field_name("calls", arm) == "calls:12:s:on"
    assert field_name("l40", Arm("a:b", 3)) == "l40:3:o:a:b"
    assert unit_digest("u-17") == "409a58a7682adf1062"


def test_cut_points_are_a_fifth_apart_from_a_microsecond_to_an_hour() -> None:
    assert len(EDGES_S) == 128
    assert EDGES_S[0] == 1e-6
    assert EDGES_S[40] == pytest.approx(0.001024)
    assert EDGES_S[-1] == pytest.approx(3611.6, abs=0.1)
    assert (bin_of(0), bin_of(1e-6), bin_of(1.1e-6), bin_of(0.001024), bin_of(1e9)) == (0, 0, 1, 40, 127)


@given(st.text(min_size=1, max_size=200), ARMS)
def test_every_name_is_one_that_a_board_takes(flag: str, arm: Arm) -> None:
    arm = Arm(arm.variant.encode("utf-8", "replace").decode(), arm.revision, arm.chance)
    flag = flag.encode("utf-8", "replace").decode()

    check_name(counter_name(flag, 29_453_760))
    check_name(failed_name(flag, arm))
    check_text("field", field_name("turned_away", arm))


@given(st.dictionaries(ARMS, TALLIES, max_size=4))
def test_what_was_written_is_read(tallies: dict[Arm, Tally]) -> None:
    fields = {field: amount for arm, tally in tallies.items() for field, amount in tally.amounts(arm).items()}

    assert read_counter(fields) == tallies


def test_what_another_release_wrote_is_passed_over() -> None:
    found = read_counter(
        {
            "calls:1:o:on": 5,
            "l128:1:o:on": 1,
            "l²:1:o:on": 1,
            "p99.9:1:o:on": 1,
            "calls:x:o:on": 1,
            "calls:²:o:on": 1,
            "calls:1:z:on": 1,
            "calls": 1,
            "": 1,
        }
    )

    assert found == {Arm("on", 1): Tally(calls=5)}


@pytest.mark.parametrize(
    "name", ["", "calls", "failures", "units", "Mismatch", "a:b", "a" * 41, "l12", "ä", "turned-away"]
)
def test_not_everything_can_be_a_mark(name: str) -> None:
    assert not is_mark(name)
    assert is_mark("turned_away")
    assert is_mark("latency")


def test_quantiles_are_cut_points_that_enough_calls_did_not_exceed() -> None:
    latency = Latency({bin_of(0.010): 98, bin_of(0.5): 1, bin_of(20): 1})

    assert latency.count == 100
    assert latency.quantile(0.5) == pytest.approx(0.010, rel=0.19)
    assert latency.quantile(0.98) == latency.quantile(0.5)
    assert latency.quantile(0.99) == pytest.approx(0.5, rel=0.19)
    assert latency.quantile(1) == pytest.approx(20, rel=0.19)
    assert Latency().quantile(0.5) is None


@given(st.lists(st.integers(0, 127), min_size=1, max_size=50), st.integers(0, 127))
def test_at_the_cut_points_it_is_known_exactly_who_was_slower(places: list[int], cut: int) -> None:
    took = [EDGES_S[place] for place in places]
    latency = Latency({place: places.count(place) for place in places})

    assert latency.slower_than(EDGES_S[cut]) == sum(each > EDGES_S[cut] for each in took)


@given(TALLIES, TALLIES)
def test_tallies_add_up(one: Tally, other: Tally) -> None:
    both = one + other

    assert (both.calls, both.failures, both.units) == (
        one.calls + other.calls,
        one.failures + other.failures,
        one.units + other.units,
    )
    assert both.latency.count == one.latency.count + other.latency.count
    assert sum(both.marks.values()) == sum(one.marks.values()) + sum(other.marks.values())
    assert one + Tally() == one


def test_the_failure_ratio_of_nothing_is_nothing() -> None:
    assert Tally().failure_ratio == 0
    assert Tally(calls=4, failures=1).failure_ratio == 0.25
