"""Entered and left twice, in one loop after the other and in two at once, on every kind of place."""

import asyncio
import gc
import warnings

import anyio
import pytest

from grayflow import LifetimeError
from tests.lifetimes.census import Census, as_before, as_before_the_loop
from tests.lifetimes.owners import USES, Place

anyio_test = pytest.mark.anyio


@anyio_test
async def test_a_client_is_started_once_and_closed_as_often_as_one_likes(place: Place) -> None:
    await place.begin()
    before = Census()
    flags = place.client()

    async with flags:
        with pytest.raises(LifetimeError, match="running already"):
            async with flags:
                pass
        with pytest.raises(LifetimeError, match="running already"):
            await flags.start()
        assert (await flags.evaluate("f", freshness="confirmed")).stale is False
    await flags.aclose()
    await flags.__aexit__(None, None, None)
    with pytest.raises(LifetimeError, match=r"make a new one: async with Client\(\.\.\.\)"):
        await flags.start()

    assert flags.peek("f") is True
    await as_before(before)


@anyio_test
@pytest.mark.parametrize("use", USES)
async def test_everything_may_be_used_again(place: Place, use: str) -> None:
    await place.begin()
    before = Census()

    for _ in range(3):
        await USES[use](place)

    await as_before(before)


@anyio_test
async def test_an_admin_is_entered_once_at_a_time(place: Place) -> None:
    await place.begin()
    before = Census()
    admin = place.admin()

    for _ in range(2):
        async with admin:
            with pytest.raises(LifetimeError, match="open already"):
                await admin.__aenter__()
            assert await admin.state()
        await admin.__aexit__(None, None, None)

    await as_before(before)


@anyio_test
@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt("mine"), asyncio.CancelledError("mine")])
async def test_the_exception_of_the_body_leaves_as_it_was(place: Place, error: BaseException) -> None:
    await place.begin()
    before = Census()

    for owner in (place.client(), place.admin(), place.store()):
        with pytest.raises(type(error)) as caught:
            async with owner:
                raise error
        assert caught.value is error

    await as_before(before)


@anyio_test
async def test_another_loop_gets_answers_and_is_refused_the_rest(place: Place) -> None:
    await place.begin()

    async def elsewhere() -> None:
        assert await flags.is_enabled("f") is True
        assert flags.peek_decision("f").stale is False
        decision = await flags.evaluate("f", freshness="confirmed")
        assert "another event loop" in decision.detail
        with pytest.raises(LifetimeError, match="another event loop"):
            await flags.wait_for(token)
        with pytest.raises(LifetimeError, match="running already"):
            await flags.start()
        with pytest.raises(LifetimeError, match="another event loop"):
            await flags.aclose()

    async with place.client() as flags:
        token = flags.position.token()
        await anyio.to_thread.run_sync(lambda: asyncio.run(elsewhere()))

        assert (await flags.evaluate("f", freshness="confirmed")).stale is False
        assert flags.health.state == "fresh"


def test_one_loop_after_the_other(place: Place) -> None:
    async def use() -> None:
        before = Census()
        for each in USES.values():
            await each(place)
        await as_before(before)

    asyncio.run(place.begin())
    for _ in range(3):
        asyncio.run(use())


def test_a_loop_that_ends_without_the_close_takes_everything_along(place: Place) -> None:
    """`asyncio.run` cancels what still runs, and that is enough to clean up."""
    asyncio.run(place.begin())
    forgotten = []

    async def forget() -> None:
        forgotten.append(await place.client().start())

    before = Census()
    asyncio.run(forget())

    as_before_the_loop(before)
    assert forgotten[0].peek("f") is True
    assert forgotten[0].peek_decision("f").stale is True
    asyncio.run(forgotten[0].aclose())
    assert forgotten[0].health.state == "closed"
    asyncio.run(USES["client"](place))


def test_a_loop_that_is_torn_away_does_not_hold_the_place(place: Place) -> None:
    """Closed without ending its tasks: the client cannot be closed any more, and the next one does not mind."""
    asyncio.run(place.begin())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sockets and tasks that nobody ended
        loop = asyncio.new_event_loop()
        torn = loop.run_until_complete(place.client().start())
        loop.close()

        assert torn.peek("f") is True
        asyncio.run(torn.aclose())
        assert torn.health.state == "closed"
        for _ in range(2):
            asyncio.run(USES["client"](place))
        del torn, loop
        gc.collect()
