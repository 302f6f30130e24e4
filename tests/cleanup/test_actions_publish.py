"""`publish`: what is told of a switch, to whom, and that telling it twice can be noticed."""

import json
from typing import Any
from uuid import uuid4

import anyio
import msgspec
import pytest
from redis.asyncio import Redis

from grayflow.cleanup.actions import announcement, publish
from grayflow.cleanup.event import SwitchEvent, SwitchOff, SwitchOn
from grayflow.errors import ConfigurationError
from tests.servers import RedisServer

pytestmark = pytest.mark.anyio

OFF = SwitchOff(
    namespace="shop",
    flag="payment_v2",
    variant="on",
    generation=84,
    handler="tell",
    attempt=1,
    cause="disabled",
    actor="anna",
    reason="double charges",
    at=1_767_225_600_123_456_789,
)
TOLD = {
    "event": "gray_switch_off",
    "namespace": "shop",
    "flag": "payment_v2",
    "variant": "on",
    "generation": 84,
    "cause": "disabled",
    "actor": "anna",
    "reason": "double charges",
    "at": "2026-01-01T00:00:00.123456Z",
    "idempotency_key": "shop:payment_v2:on:84:tell",
}


@pytest.fixture
def name() -> str:
    return f"events-{uuid4().hex}"


async def entries(cache: Redis, stream: str) -> list[dict[bytes, bytes]]:
    return [fields for _, fields in await cache.xrange(stream)]


def test_what_is_told_says_all_that_is_known():
    assert announcement(OFF) == TOLD


def test_what_nobody_knows_is_null():
    told = announcement(SwitchOff(namespace="n", flag="f", variant="on", generation=2, handler="h", attempt=1))

    assert (told["cause"], told["actor"], told["reason"], told["at"]) == ("unknown", None, None, None)


def test_a_switch_on_has_a_name_of_its_own():
    on = SwitchOn(namespace="n", flag="f", variant="on", generation=2, handler="h", attempt=1)

    assert announcement(on)["event"] == "gray_switch_on"


@pytest.mark.parametrize("at", [-1, 0, 253_402_300_800_000_000_000, -(10**25)])
def test_a_date_of_any_year_can_be_told(at: int):
    text = announcement(msgspec.structs.replace(OFF, at=at))["at"]

    assert text is None or text.endswith("Z")


async def test_a_stream_gets_an_entry_with_the_payload_as_json(cache: Redis, name: str):
    assert await OFF.publish(cache, stream=name) == TOLD

    (fields,) = await entries(cache, name)
    assert json.loads(fields.pop(b"payload")) == TOLD
    assert fields == {b"event": b"gray_switch_off", b"idempotency_key": b"shop:payment_v2:on:84:tell"}


async def test_a_second_attempt_tells_the_same_again(cache: Redis, name: str):
    for attempt in (1, 2):
        await msgspec.structs.replace(OFF, attempt=attempt, fencing_token=attempt).publish(cache, stream=name)

    first, second = await entries(cache, name)
    assert first == second


async def test_a_stream_is_trimmed(cache: Redis, name: str):
    for _ in range(500):
        await publish(cache, OFF, stream=name, maxlen=10)

    assert await cache.xlen(name) < 300


async def test_a_stream_may_keep_everything(cache: Redis, name: str):
    for _ in range(300):
        await publish(cache, OFF, stream=name, maxlen=None)

    assert await cache.xlen(name) == 300


async def test_a_channel_gets_the_payload(cache: Redis, name: str):
    async with cache.pubsub() as listening:
        await listening.subscribe(name)
        assert await listening.get_message(timeout=5)

        await OFF.publish(cache, channel=name)

        message = await listening.get_message(timeout=5)
        assert json.loads(message["data"]) == TOLD


async def test_another_broker_gets_it_from_a_function():
    sent: list[dict[str, Any]] = []

    async def to_kafka(told: dict[str, Any]) -> None:
        sent.append(told)

    assert await OFF.publish(to_kafka) == TOLD
    assert sent == [TOLD]


async def test_a_broker_that_refuses_makes_the_handler_fail():
    async def to_rabbit(_: dict[str, Any]) -> None:
        raise ConnectionError("no broker")

    with pytest.raises(ConnectionError):
        await OFF.publish(to_rabbit)


@pytest.mark.parametrize("where", [{}, {"stream": "s", "channel": "c"}])
async def test_a_connection_needs_one_place(cache: Redis, where: dict[str, str]):
    with pytest.raises(ConfigurationError, match=r"either stream=.* or channel="):
        await OFF.publish(cache, **where)


async def test_a_function_knows_the_place_itself():
    with pytest.raises(ConfigurationError, match="leave out stream"):
        await OFF.publish(lambda _: anyio.lowlevel.checkpoint(), stream="s")


@pytest.mark.parametrize("maxlen", [0, True, "5"])
async def test_a_length_that_cannot_be_used_is_refused(cache: Redis, name: str, maxlen: Any):
    with pytest.raises(ConfigurationError, match="maxlen"):
        await OFF.publish(cache, stream=name, maxlen=maxlen)


def test_what_is_synchronous_is_refused(redis_server: RedisServer):
    async def tell() -> None:
        with redis_server.connect() as connection:
            await OFF.publish(connection, channel="c")

    with pytest.raises(ConfigurationError, match="synchronous"):
        anyio.run(tell)


def test_the_documented_names_are_those_that_are_told():
    documented = announcement.__doc__ or ""

    assert [name for name in TOLD if f"`{name}`" not in documented] == []
    assert isinstance(OFF, SwitchEvent)
