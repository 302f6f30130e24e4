"""
Cancelled at every await point of a start, of a stop and of what lies between: nothing is left behind.

The await points are those of all tasks that take part, counted until there is none left; a place whose start has fifty
of them is started fifty times.
"""

import pytest

from tests.client.test_lifetime import tasks_of_grayflow
from tests.lifetimes.owners import USES, Place
from tests.lifetimes.steps import Cancelled, Steps, counted, each

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", ("asyncio", {"use_uvloop": True})], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


async def test_a_client_that_is_cancelled_while_it_starts(place: Place, cancel: Cancelled) -> None:
    await place.begin()

    async def attempt(steps: Steps, at: int) -> bool:
        flags = place.client()
        cancelled = await cancel(steps, at, flags.start)
        assert flags.health.state == ("closed" if cancelled else "fresh")
        await flags.aclose()
        assert flags.health.state == "closed"
        assert tasks_of_grayflow() == []
        return cancelled

    points, ended = await each(attempt)

    assert points > 10
    assert ended > 5


async def test_a_client_that_is_cancelled_while_it_stops(place: Place, cancel: Cancelled) -> None:
    await place.begin()

    async def attempt(steps: Steps, at: int) -> bool:
        flags = await place.client().start()
        cancelled = await cancel(steps, at, flags.aclose)
        assert flags.health.state == "closed"
        assert tasks_of_grayflow() == []
        await flags.aclose()
        return cancelled

    points, _ = await each(attempt)

    assert points > 2


@pytest.mark.parametrize("use", USES)
async def test_a_use_that_is_cancelled_anywhere(place: Place, cancel: Cancelled, use: str) -> None:
    await place.begin()

    points, ended = await each(lambda steps, at: cancel(steps, at, lambda: USES[use](place)))

    assert points > 1
    assert ended >= points / 2


async def test_what_was_cancelled_everywhere_still_works(place: Place, cancel: Cancelled) -> None:
    await place.begin()
    for at in range(1, 60, 7):
        async with counted() as steps:
            flags = place.client()
            await cancel(steps, at, flags.start)
            await flags.aclose()

    async with place.client() as flags, place.admin() as admin:
        saved = await admin.switch_off("f", reason="test")
        await flags.wait_for(saved.token)

        assert await flags.is_enabled("f") is False
