import pytest

from grayflow.testing import FakeClock, Faulty
from tests.replica.conftest import Run
from tests.replica.kit import ON, Rewinding, put

pytestmark = pytest.mark.anyio


async def test_without_a_proof_fresh_becomes_stale_and_then_expired(run: Run, faulty: Faulty, clock: FakeClock):
    async with run() as replica:
        faulty.down = True

        await clock.advance(30)
        assert replica.view.freshness == "fresh"
        await clock.advance(1.1)
        assert replica.view.freshness == "stale"
        await clock.advance(268)
        assert replica.view.freshness == "stale"
        await clock.advance(2)
        assert replica.view.freshness == "expired"


async def test_one_proof_makes_fresh_again(run: Run, faulty: Faulty, clock: FakeClock):
    async with run() as replica:
        faulty.down = True
        await clock.advance(400)
        faulty.heal()

        await clock.advance(1.1)

        assert replica.view.freshness == "fresh"


async def test_a_push_alone_proves_nothing(run: Run, memory: Rewinding, faulty: Faulty, clock: FakeClock):
    async with run() as replica:
        faulty.hung.add("position")
        for _ in range(40):
            await put(memory, "a", **ON)
            await clock.advance(1)

        assert replica.view.position is not None
        assert replica.view.position.revision == 40
        assert replica.view.freshness == "stale"


async def test_the_age_is_measured_from_before_the_question(run: Run, faulty: Faulty, clock: FakeClock):
    async with run() as replica:
        faulty.delays["position"] = 4.0
        await clock.advance(15)
        faulty.delays.clear()
        faulty.down = True

        assert replica.holder.age_s >= 4.0


async def test_a_proof_that_is_old_when_it_arrives_is_stale_in_time(run: Run, faulty: Faulty, clock: FakeClock):
    faulty.delays["load"] = 29.2
    async with run(ttl_s=9.8, random=lambda: 0.0) as replica:
        faulty.hung.add("position")
        await clock.advance(29.3)
        assert replica.view.freshness == "fresh"

        await clock.advance(0.2)

        assert replica.view.freshness == "stale"


async def test_after_a_suspended_hour_it_is_stale_within_a_second(run: Run, faulty: Faulty, clock: FakeClock):
    async with run() as replica:
        faulty.down = True
        await clock.advance(0)
        # The timers of the loop stand still while the machine sleeps, the clock goes on.
        clock._monotonic += 3600 * 1_000_000_000
        later = [(due + 3600 * 1_000_000_000, order, wake) for due, order, wake in clock._sleepers]
        clock._sleepers[:] = later

        await clock.advance(1.01)

        assert replica.view.freshness == "expired"


async def test_views_of_one_snapshot_share_what_was_prepared(run: Run, memory: Rewinding, faulty, clock: FakeClock):
    async with run() as replica:
        await put(memory, "a", **ON)
        await clock.advance(0)
        fresh = replica.view
        faulty.down = True

        await clock.advance(31.1)

        assert replica.view is not fresh
        assert replica.view.snapshot is fresh.snapshot
        assert replica.view.checks is fresh.checks


async def test_an_endless_bound_never_expires(run: Run, faulty: Faulty, clock: FakeClock):
    async with run(max_staleness_s=float("inf")) as replica:
        faulty.down = True

        await clock.advance(1000)

        assert replica.view.freshness == "stale"
