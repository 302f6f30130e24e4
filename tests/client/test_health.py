import json

import msgspec
import pytest

from grayflow import Context
from grayflow.testing import FakeClock, Faulty
from tests.client.conftest import Make
from tests.replica.kit import ON, Rewinding, put, put_bytes, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("opened")]


async def test_a_fresh_client_says_so(make: Make, store: Faulty, clock: FakeClock):
    change = await put(store, "f", **ON)
    async with make(name="shop-api") as flags:
        health = flags.health

        assert (health.state, health.link, health.last_error, health.incident) == ("fresh", "up", None, False)
        assert (health.revision, health.position, health.flags) == (1, change.position, 1)
        assert (health.place, health.namespace, health.name) == ("memory://", "default", "shop-api")
        assert health.age_s == 0


async def test_it_is_json(make: Make, store: Faulty):
    await put_bytes(store, "f", b"no json")
    async with make() as flags:
        flags.peek("missing")
        await until(lambda: flags.health.degraded)

        told = json.loads(msgspec.json.encode(flags.health))

        assert told["state"] == "fresh"
        assert "f" in told["degraded"]
        assert told["unknown"] == ["missing"]


async def test_the_states_of_an_outage(make: Make, store: Faulty, clock: FakeClock):
    async with make() as flags:
        store.down = True
        await clock.advance(1)
        health = flags.health
        assert (health.state, health.link) == ("fresh", "down")
        assert "cannot be reached" in (health.last_error or "")

        await clock.advance(40)
        assert flags.health.state == "stale"
        assert (flags.health.age_s or 0) >= 40
        await clock.advance(300)
        assert flags.health.state == "expired"

        store.heal()
        await clock.advance(2)
        assert (flags.health.state, flags.health.last_error) == ("fresh", None)


async def test_before_the_first_flags_it_is_starting(make: Make, store: Faulty, clock: FakeClock):
    flags = make(start_timeout=0)
    assert flags.health.state == "starting"
    assert "async with" in (flags.health.last_error or "")

    store.down = True
    async with flags:
        await clock.advance(1)
        health = flags.health
        assert (health.state, health.age_s, health.revision) == ("starting", None, None)
        assert "callers get their defaults" in (health.last_error or "")


async def test_an_incident_is_one(make: Make, store: Faulty, memory: Rewinding, clock: FakeClock):
    await put(store, "f", **ON)
    async with make() as flags:
        memory.empty()
        await clock.advance(60)

        health = flags.health
        assert health.incident is True
        assert health.state == "stale"
        assert "grayflow init --replace --namespace default" in (health.last_error or "")
        assert flags.peek("f", Context()) is True


async def test_degraded_flags_and_segments_are_told_apart(make: Make, store: Faulty, clock: FakeClock):
    await put_bytes(store, "f", b"no json")
    await put_bytes(store, "s", b"no json", kind="segment")
    async with make() as flags:
        await clock.advance(0)

        assert set(flags.health.degraded) == {"f"}
        assert set(flags.health.degraded_segments) == {"s"}


async def test_reading_it_does_not_change_it(make: Make, store: Faulty, clock: FakeClock):
    await put_bytes(store, "f", b"no json")
    async with make() as flags:
        await clock.advance(0)
        flags.health.degraded.clear()  # type: ignore[attr-defined]

        assert set(flags.health.degraded) == {"f"}


async def test_readiness_is_that_of_health_without_asking_for_the_rest(
    make: Make, store: Faulty, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
):
    await put(store, "f", **ON)
    flags = make()
    assert flags.readiness == flags.health.readiness
    assert (flags.readiness.ready, flags.readiness.age_s, flags.readiness.revision) == (False, None, None)
    async with flags:
        assert flags.readiness == flags.health.readiness
        store.down = True
        await clock.advance(31)
        assert flags.readiness == flags.health.readiness
        told = flags.readiness
        assert (told.ready, told.state, told.stale, told.revision) == (True, "stale", True, 1)

        monkeypatch.setattr("grayflow.client.client.examine", None)
        assert flags.readiness == told
    assert (flags.readiness.ready, flags.readiness.state) == (False, "closed")
