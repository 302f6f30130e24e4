"""Instants: RFC 3339, datetimes and epoch numbers, compared exactly."""

import itertools
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grayflow.core.instants import instant, not_after, not_before

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
offsets = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(timezones=offsets)


def seconds(when):
    """The exact meaning of an instant, as a fraction of seconds since 1970."""
    whole, rest = when
    return Fraction(whole, 10**9) + (Fraction(int(rest), 10 ** (9 + len(rest))) if rest else 0)


def exact(moment):
    delta = moment.replace(tzinfo=None) - EPOCH.replace(tzinfo=None) - moment.utcoffset()
    return Fraction((delta.days * 86_400 + delta.seconds) * 10**6 + delta.microseconds, 10**6)


@given(moments)
def test_a_datetime_is_read_to_the_microsecond(moment):
    assert seconds(instant(moment, None)) == exact(moment)


@given(moments)
def test_the_text_of_a_datetime_is_the_same_instant(moment):
    assert instant(moment.isoformat(), None) == instant(moment, None)


@given(st.floats(-1e15, 1e15) | st.integers(-(2**80), 2**80), st.sampled_from([("s", 1), ("ms", 1000)]))
def test_an_epoch_number_is_read_exactly(number, unit):
    assert seconds(instant(number, unit[0])) == Fraction(number) / unit[1]


@given(moments, moments, st.text("0123456789", max_size=15), st.text("0123456789", max_size=15))
def test_instants_order_as_the_times_they_stand_for(one, other, digits, more):
    texts = [
        f"{moment.isoformat(timespec='seconds')[:19]}.{fraction}0Z"
        for moment, fraction in ((one, digits), (other, more))
    ]
    mine, theirs = (instant(text, None) for text in texts)

    assert (mine < theirs) == (seconds(mine) < seconds(theirs))
    assert (mine == theirs) == (seconds(mine) == seconds(theirs))


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2027-01-04T00:00:00z", "2027-01-04T00:00:00Z"),
        ("2027-01-04t00:00:00Z", "2027-01-04T00:00:00Z"),
        ("2027-01-04 00:00:00Z", "2027-01-04T00:00:00Z"),
        ("2027-01-04T00:00:00.000Z", "2027-01-04T00:00:00Z"),
        ("2027-01-04T01:30:00+01:30", "2027-01-04T00:00:00Z"),
        ("2027-01-03T16:00:00-08:00", "2027-01-04T00:00:00Z"),
        ("2027-01-04T00:00:00-00:00", "2027-01-04T00:00:00Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ("1990-12-31T15:59:60-08:00", "1991-01-01T00:00:00Z"),
        ("2028-02-29T00:30:00+01:00", "2028-02-28T23:30:00Z"),
    ],
)
def test_spellings_of_one_instant(text, same):
    assert instant(text, None) == instant(same, None) is not None


def test_fractions_of_any_length_count():
    ladder = [
        "",
        ".000000000" + "0" * 5000 + "1",
        ".0000000001",
        ".000000001",
        ".000001",
        ".4",
        ".49",
        ".5",
        ".9" + "9" * 5000,
    ]
    read = [instant(f"2027-01-04T00:00:00{digits}Z", None) for digits in ladder]

    assert all(lower < higher for lower, higher in itertools.pairwise(read))
    assert read[-1] < instant("2027-01-04T00:00:01Z", None)


def test_zeros_at_the_end_of_a_fraction_do_not_count():
    assert instant("2027-01-04T00:00:00.10000000000000Z", None) == instant("2027-01-04T00:00:00.1Z", None)


def test_a_zone_may_be_off_by_microseconds():
    zone = timezone(timedelta(microseconds=5))

    assert instant(datetime(1970, 1, 1, tzinfo=zone), None) == (-5_000, "")


def test_the_first_and_the_last_moment():
    first, last = instant("0001-01-01T00:00:00+23:59", None), instant("9999-12-31T23:59:60Z", None)

    assert first < instant(datetime.min.replace(tzinfo=UTC), None)
    assert last > instant(datetime.max.replace(tzinfo=UTC), None)


@pytest.mark.parametrize(
    "text",
    [
        "", "2027-01-04", "2027-01-04T00:00:00", "2027-01-04T00:00Z", "2027-01-04T00Z", "20270104T000000Z",
        "2027-1-4T0:0:0Z",
        "2027-01-04T24:00:00Z", "2027-01-04T00:60:00Z", "2027-01-04T00:00:61Z", "2027-01-04T12:00:60Z",
        "2027-02-29T00:00:00Z",
        "2027-13-01T00:00:00Z", "2027-00-01T00:00:00Z", "2027-01-00T00:00:00Z", "0000-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "2027-01-04T00:00:00+0100", "2027-01-04T00:00:00+01", "2027-01-04T00:00:00+24:00", "2027-01-04T00:00:00+01:60",
        "2027-01-04T00:00:00.Z", "2027-01-04T00:00:00,5Z", "2027-01-04T00:00:00 Z", " 2027-01-04T00:00:00Z",
        "2027-01-04T00:00:00Z\n",
        "2027-01-04T00:00:00 UTC", "٢٠٢٧-01-04T00:00:00Z", "-2027-01-04T00:00:00Z", "now", "1700000000",
    ],
)  # fmt: skip
def test_text_that_is_no_instant(text):
    assert instant(text, "s") is None


class NoOffset(tzinfo):
    def utcoffset(self, when):
        return None


@pytest.mark.parametrize(
    "value",
    [
        datetime(2027, 1, 4),  # noqa: DTZ001 - naive on purpose
        datetime(2027, 1, 4, tzinfo=NoOffset()),
        date(2027, 1, 4),
        time(0, tzinfo=UTC),
        timedelta(1),
        True,
        float("nan"),
        float("inf"),
        None,
        [1],
    ],
)
def test_values_that_are_no_instant(value):
    assert instant(value, "s") is None


def test_numbers_count_only_where_it_is_said_what_they_count():
    assert instant(0, None) is None
    assert instant(1_000, "ms") == instant(1, "s") == instant("1970-01-01T00:00:01Z", None)
    assert instant(1.5, "s") == instant(1_500, "ms")
    assert instant(10**5000, "s") > instant(datetime.max.replace(tzinfo=UTC), None)


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1)), st.text("0123456789", max_size=12))  # noqa: DTZ001
def test_the_nearest_datetimes_lie_on_both_sides(moment, digits):
    when = instant(f"{moment.isoformat(timespec='seconds')}.{digits}0Z", None)
    below, above, step = not_after(when), not_before(when), timedelta(microseconds=1)

    assert instant(below, None) <= when < instant(below + step, None)
    assert instant(above - step, None) < when <= instant(above, None)


def test_the_earliest_datetime_that_is_not_before_a_tiny_fraction_is_a_step_later():
    assert not_before(instant("1970-01-01T00:00:00.0000000001Z", None)) == EPOCH + timedelta(microseconds=1)
    assert not_before(instant("1970-01-01T00:00:00.000000999Z", None)) == EPOCH + timedelta(microseconds=1)
    assert not_before(instant("1970-01-01T00:00:00Z", None)) == EPOCH


def test_datetime_cannot_say_every_instant():
    assert not_after(instant(10**18, "s")) is None
    assert not_before(instant("9999-12-31T23:59:59.9999999Z", None)) is None
