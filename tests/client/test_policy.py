"""What flags do while the snapshot is too old to be believed."""

from typing import Any

import pytest

from grayflow import ConfigurationError, Context, ErrorCode, Reason
from grayflow.testing import FakeClock, Faulty
from tests.client.conftest import Make
from tests.replica.kit import OFF, ON, put

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("opened")]

ANNA = Context(user_id="anna")


async def test_a_stale_snapshot_answers_and_says_that_it_is_stale(make: Make, store: Faulty, clock: FakeClock):
    await put(store, "f", **ON)
    async with make() as flags:
        assert (await flags.evaluate("f", ANNA)).stale is False
        store.down = True
        await clock.advance(32)

        decision = await flags.evaluate("f", ANNA)
        assert (decision.value, decision.stale, decision.reason) == (True, True, Reason.STATIC)
        assert flags.peek("f", ANNA) is True
        assert flags.peek_decision("missing", ANNA).stale is True


async def test_a_fresh_proof_takes_the_mark_away(make: Make, store: Faulty, clock: FakeClock):
    await put(store, "f", **ON)
    async with make() as flags:
        store.down = True
        await clock.advance(32)
        store.heal()
        await clock.advance(2)

        assert (await flags.evaluate("f", ANNA)).stale is False


async def test_an_expired_flag_answers_with_the_callers_default(make: Make, store: Faulty, clock: FakeClock):
    await put(store, "f", **ON)
    async with make() as flags:
        flags.peek("f", ANNA)
        store.down = True
        await clock.advance(302)

        for _ in range(2):
            assert await flags.is_enabled("f", ANNA) is False
            assert flags.peek("f", ANNA, default=True) is True
            decision = await flags.evaluate("f", ANNA, default=False)
            assert (decision.value, decision.reason, decision.error) == (False, Reason.STALE, ErrorCode.EXPIRED)
            assert decision.stale is True


async def test_a_flag_that_says_last_known_goes_on(make: Make, store: Faulty, clock: FakeClock):
    await put(store, "f", **ON, on_failure="last_known")
    async with make() as flags:
        store.down = True
        await clock.advance(302)

        for _ in range(2):
            decision = await flags.evaluate("f", ANNA, default=False)
            assert (decision.value, decision.stale, decision.reason) == (True, True, Reason.STATIC)


async def test_a_flag_may_name_the_variant_for_that_case(make: Make, store: Faulty, clock: FakeClock):
    await put(store, "f", **ON, on_failure={"variant": "off"})
    async with make(on_failure="last_known") as flags:
        store.down = True
        await clock.advance(302)

        decision = await flags.evaluate("f", ANNA, default=True)
        assert (decision.value, decision.variant, decision.reason) == (False, "off", Reason.STALE)
        assert decision.stale is True
        assert await flags.is_enabled("f", ANNA, default=True) is False


async def test_the_client_decides_for_flags_that_say_nothing(make: Make, store: Faulty, clock: FakeClock):
    await put(store, "f", **ON)
    async with make(on_failure="last_known") as flags:
        store.down = True
        await clock.advance(302)

        assert await flags.is_enabled("f", ANNA) is True


async def test_a_variant_that_a_flag_does_not_have_is_the_callers_default(make: Make, store: Faulty, clock):
    await put(store, "f", **ON)
    await put(store, "g", **ON, variants={"on": True, "off": False, "safe": False})
    async with make(on_failure={"variant": "safe"}) as flags:
        store.down = True
        await clock.advance(302)

        assert (await flags.evaluate("f", ANNA, default=True)).error is ErrorCode.EXPIRED
        assert (await flags.evaluate("g", ANNA, default=True)).variant == "safe"


async def test_the_type_of_the_default_holds_for_the_named_variant_too(make: Make, store: Faulty, clock: FakeClock):
    await put(store, "f", **ON, on_failure={"variant": "off"})
    async with make() as flags:
        store.down = True
        await clock.advance(302)

        assert (await flags.evaluate("f", ANNA, default="text")).error is ErrorCode.TYPE_MISMATCH


async def test_an_expired_flag_that_is_off_is_still_the_default(make: Make, store: Faulty, clock: FakeClock):
    await put(store, "f", **OFF)
    async with make() as flags:
        store.down = True
        await clock.advance(302)

        assert await flags.is_enabled("f", ANNA, default=True) is True


async def test_flags_come_back_when_the_store_does(make: Make, store: Faulty, clock: FakeClock):
    await put(store, "f", **ON)
    async with make() as flags:
        store.down = True
        await clock.advance(302)
        assert flags.peek("f", ANNA) is False

        store.heal()
        await clock.advance(2)

        assert flags.peek("f", ANNA) is True
        assert flags.health.state == "fresh"


@pytest.mark.parametrize("given", ["last-known", None, {"variant": 3}, {"variants": "x"}, 0])
async def test_another_policy_is_refused_at_once(make: Make, given: Any):
    with pytest.raises(ConfigurationError, match="'caller_default', 'last_known'"):
        make(on_failure=given)
