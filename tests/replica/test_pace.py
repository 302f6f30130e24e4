"""How often a replica asks when there is always a reason to, and what it keeps while it loads."""

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grayflow.replica.pace import Pace
from grayflow.replica.replica import Replica
from grayflow.store.port import Change, Changed
from grayflow.store.wrappers import Recording
from grayflow.testing import FakeClock, Faulty
from tests.replica.conftest import Run
from tests.replica.kit import ON, Rewinding, put

APART_S = 0.25


@given(st.lists(st.floats(0, 2), max_size=200))
def test_in_no_stretch_of_time_are_there_more_questions_than_the_purse_and_its_income(pauses: list[float]):
    pace, now, asked = Pace(APART_S), 0.0, []
    for pause in pauses:
        now += pause
        now += pace.wait_s(now)
        pace.asked(now)
        asked.append(now)

    for index, first in enumerate(asked):
        for number, last in enumerate(asked[index:], 1):
            assert number <= 10 + (last - first) / APART_S + 1e-6


def test_a_few_doubts_in_a_row_wait_for_nothing():
    pace = Pace(APART_S)
    waits = []
    for _ in range(12):
        waits.append(pace.wait_s(5.0))
        pace.asked(5.0)

    assert waits == [0.0] * 10 + [APART_S, 2 * APART_S]


def test_quiet_times_are_not_saved_up_beyond_the_purse():
    pace = Pace(APART_S)
    pace.asked(0.0)
    for _ in range(10):
        assert pace.wait_s(1e6) == 0
        pace.asked(1e6)

    assert pace.wait_s(1e6) == pytest.approx(APART_S)


@pytest.mark.anyio
async def test_doubts_without_end_are_looked_into_five_times_a_second(
    run: Run, faulty: Faulty, store: Recording, clock: FakeClock
):
    async with run():
        asked = store.count("position")

        for _ in range(1000):
            faulty.gap()
            await clock.advance(0.01)

        assert 45 <= store.count("position") - asked <= 65


@pytest.mark.anyio
async def test_where_the_store_is_polled_often_it_may_be_asked_oftener(
    run: Run, faulty: Faulty, store: Recording, clock: FakeClock
):
    async with run(ttl_s=0.1):
        asked = store.count("position")

        await clock.advance(10)

        assert store.count("position") - asked >= 90


@pytest.mark.anyio
async def test_somebody_who_waits_is_not_kept_waiting_by_a_flood(
    run: Run, faulty: Faulty, store: Recording, clock: FakeClock
):
    async with run() as replica:
        for _ in range(30):
            faulty.gap()
            await clock.advance(0)
        asked, now = store.count("position"), clock.monotonic()

        assert await replica.confirm() is None

        assert store.count("position") == asked + 1
        assert clock.monotonic() == now


class Slow(Rewinding):
    """Loads when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.loading, self.go = anyio.Event(), anyio.Event()

    async def load(self):
        state = await super().load()
        self.loading.set()
        await self.go.wait()
        return state


@pytest.mark.anyio
async def test_a_flood_of_changes_during_a_load_is_not_kept_and_asked_for_afterwards(run: Run, clock: FakeClock):
    slow = Slow()
    store = Recording(slow)
    async with run(on=store) as replica:
        await slow.loading.wait()
        change = await put(slow, "f", **ON)

        for _ in range(3000):
            hear(replica, change)
        assert len(replica.sync._meanwhile or ()) == 1000

        asked = store.count("position")
        slow.go.set()
        await clock.advance(0)
        assert replica.view.position == change.position
        assert store.count("position") > asked


def hear(replica: Replica, change: Change) -> None:
    replica._hear(Changed(change))
