"""A parallel run under load between two places in a real Redis, and its stream of differences."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import anyio
import pytest
from redis.asyncio import Redis

from grayflow import ConfigurationError
from grayflow.release import ParallelOutcome, to_stream
from tests.release.parallel.kit import Bench, answers

pytestmark = pytest.mark.anyio

CALLERS, CALLS = 40, 50


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url, decode_responses=True) as opened:
        yield opened


@pytest.fixture
async def key(redis: Redis) -> AsyncIterator[str]:
    name = f"t-{uuid4().hex[:12]}"
    yield name
    await redis.unlink(*[each async for each in redis.scan_iter(match=f"{name}*")], name)


async def test_under_load_every_answer_is_the_controls_and_every_candidate_is_counted_once(redis: Redis, key: str):
    keys = [f"{key}:{side}:{number}" for side in ("old", "new") for number in range(100)]
    values = {name: name.rpartition(":")[2] for name in keys} | {f"{key}:new:7": "other"}
    await redis.mset(values)
    most = alive = 0

    async def old(number: int) -> Any:
        return await redis.get(f"{key}:old:{number}")

    async def new(number: int) -> Any:
        nonlocal alive, most
        alive, most = alive + 1, max(most, alive + 1)
        try:
            if number % 10 == 3:
                raise OSError("the new one is broken")
            if number % 10 == 5:
                await anyio.sleep_forever()
            return await redis.get(f"{key}:new:{number}")
        finally:
            alive -= 1

    async with Bench().running(timeout=0.5, max_in_flight=16) as run:

        async def caller(first: int) -> None:
            for number in range(first, first + CALLS):
                wanted = number % 100
                assert await run(control=old, candidates={"new": new}, args=(wanted,)) == str(wanted)

        async with anyio.create_task_group() as tasks:
            for index in range(CALLERS):
                tasks.start_soon(caller, index * 7)
        await run.idle()

    counts = run.counts
    assert counts.sampled == counts.total(*ParallelOutcome) == CALLERS * CALLS
    assert (most <= 16, alive, counts.in_flight) == (True, 0, 0)
    assert counts.total(ParallelOutcome.MATCH) > 0
    assert counts.total(ParallelOutcome.TIMEOUT) > 0
    assert counts.harness_errors == counts.skipped == {}


async def test_differences_go_to_a_stream_with_cleaned_values_only(redis: Redis, key: str):
    options = {"clean": lambda user: user["login"], "about": lambda uid: {"uid": uid}}
    async with Bench().running(publish=to_stream(redis, key, maxlen=1000), **options) as run:
        old, new = answers({"login": "anna", "password": "s3cret"}), answers({"login": "ben", "password": "s3cret"})
        await run(control=old, candidates={"new": new, "same": old}, args=(42,))
        await run.idle()

    ((_, fields),) = await redis.xrange(key)
    assert (fields["run"], fields["candidate"], fields["outcome"]) == ("users", "new", "mismatch")
    told = json.loads(fields["payload"])
    assert (told["control"]["clean"], told["answer"]["clean"], told["about"]) == ("anna", "ben", {"uid": 42})
    assert "s3cret" not in fields["payload"]


async def test_the_stream_is_capped(redis: Redis, key: str):
    publish = to_stream(redis, key, maxlen=1)
    async with Bench().running(publish=publish, max_in_flight=1000) as run:
        for _ in range(500):
            await run(control=answers(1), candidates={"new": answers(2)})
        await run.idle()

    assert run.counts.published == 500
    assert await redis.xlen(key) < 500


async def test_a_server_that_is_away_costs_observations_only(key: str):
    async with (
        Redis.from_url("redis://127.0.0.1:1", retry=None) as away,
        Bench().running(publish=to_stream(away, key)) as run,
    ):
        assert await run(control=answers(1), candidates={"new": answers(2)}) == 1
        await run.idle()

    assert run.counts.total(ParallelOutcome.MISMATCH) == 1
    assert run.counts.harness_errors == {"publish": 1}


@pytest.mark.parametrize(("stream", "maxlen"), [("", 10), ("s", 0), ("s", True)])
def test_a_stream_without_name_or_end_is_refused(stream: str, maxlen: int):
    with pytest.raises(ConfigurationError):
        to_stream(None, stream, maxlen=maxlen)
