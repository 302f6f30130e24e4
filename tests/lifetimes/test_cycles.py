"""A thousand lives, one after the other, leave the process as it was."""

import gc

import pytest

from tests.lifetimes.census import Census, as_before
from tests.lifetimes.owners import Place

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

CYCLES = 1_000
CONNECTIONS = 8
"""That a store of Redis may keep for its next questions."""

SETTLED = 100
"""Cycles until caches are filled."""


def objects() -> int:
    """Count what the garbage collector knows."""
    gc.collect()
    return len(gc.get_objects())


async def test_a_thousand_clients_leave_nothing(place: Place) -> None:
    await place.begin()
    before, settled = Census(), 0
    for number in range(CYCLES):
        async with place.client() as flags:
            assert flags.peek("f") is True
        del flags
        if number == SETTLED:
            await as_before(before)
            settled = objects()

    await as_before(before)
    assert objects() - settled < CYCLES / 10


async def test_a_hundred_admins_leave_nothing(place: Place) -> None:
    await place.begin()
    before = Census()
    for number in range(100):
        async with place.admin() as admin:
            await admin.edit({"key": "f", "enabled": True, "description": str(number)}, reason="test")

    await as_before(before)


async def test_a_hundred_clients_on_one_store_leave_it_open(place: Place) -> None:
    await place.begin()
    before = Census()
    async with place.store() as store:
        await store.load()
        open_then = Census()
        for _ in range(100):
            async with place.client_on(store) as flags:
                assert flags.peek("f") is True
        left = Census()
        assert left.tasks == open_then.tasks
        assert len(left.files) <= len(open_then.files) + CONNECTIONS
        assert await store.position()

    await as_before(before)


async def test_clients_side_by_side_share_a_store_and_leave_nothing(place: Place) -> None:
    await place.begin()
    before = Census()
    async with place.store() as store:
        flags = [await place.client_on(store).start() for _ in range(20)]
        assert all(each.peek("f") for each in flags)
        for each in flags[::2]:
            await each.aclose()
        assert (await flags[1].evaluate("f", freshness="confirmed")).stale is False
        for each in flags[1::2]:
            await each.aclose()

    await as_before(before)
