"""What a record becomes: the instants at which things end, to the nanosecond."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grayflow.errors import ConfigurationError
from grayflow.store.board import Lease, Record
from grayflow.store.records import claimed, is_over, later_fence, span_ns

HELD = Record(value=b"1", version=1, lease=Lease(owner="ada", fence=7, until=1000))


def claim(now: int, owner: str) -> Record | None:
    asked = Lease(owner=owner, fence=0, until=now + 500)
    return claimed(HELD, asked, expected=None, now=now, next_fence=lambda: 8)


def test_what_ends_at_an_instant_is_over_from_then_on() -> None:
    assert [is_over(1000, now) for now in (999, 1000, 1001)] == [False, True, True]
    assert not is_over(None, 2**63)


def test_a_lease_is_held_to_the_instant_before_its_end() -> None:
    assert claim(999, "ben") is None
    taken = claim(1000, "ben")
    assert taken is not None
    assert taken.lease == Lease(owner="ben", fence=8, until=1500)


def test_its_owner_holds_it_no_longer_than_anybody_else() -> None:
    fences = [record.lease.fence for now in (999, 1000) if (record := claim(now, "ada")) and record.lease]

    assert fences == [7, 8]


@given(last=st.integers(0, 2**53), now=st.integers(0, 2**62))
def test_a_fence_is_later_than_the_last_and_than_the_time(last: int, now: int) -> None:
    fence = later_fence(last, now)

    assert fence > last
    assert fence >= now // 1000


def test_the_shortest_span_is_one_nanosecond() -> None:
    assert [span_ns("ttl", seconds) for seconds in (1e-12, 1e-9, 0.5, 2)] == [1, 1, 500_000_000, 2_000_000_000]


def test_what_is_no_span_is_refused_by_its_name() -> None:
    with pytest.raises(ConfigurationError, match="ttl is 0; give seconds"):
        span_ns("ttl", 0)
