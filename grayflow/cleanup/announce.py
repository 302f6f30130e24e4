"""
Telling other systems of a switch: an event on a Redis stream or channel, or whatever a function of the caller does.

It is told at least once: a handler that is tried again tells it again, with the same idempotency key.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from grayflow.cleanup.event import SwitchEvent, SwitchOn
from grayflow.cleanup.keyspace import awaited
from grayflow.errors import ConfigurationError
from grayflow.store.given import refused

__all__ = ["Send", "announcement", "publish"]

Send = Callable[[dict[str, Any]], Awaitable[object]]
"""Hands an announcement to a broker; returns when the broker has it, and raises if it has not."""


def announcement(event: SwitchEvent) -> dict[str, Any]:
    """
    Return what others are told of a switch; all of it can be written as JSON.

    Contract: names and meanings stay, later releases may add some.

    | name | what it is |
    |---|---|
    | `event` | `gray_switch_off`, or `gray_switch_on` |
    | `namespace`, `flag`, `variant` | what was switched |
    | `generation` | names the switch-off; of a later one it is higher |
    | `cause` | see `grayflow.cleanup.event.Cause` |
    | `actor`, `reason` | whose change it was, and why; null where nobody knows |
    | `at` | when, RFC 3339 in UTC; null where nobody knows |
    | `idempotency_key` | the same each time that this handler tells of this switch: whoever saw it can leave it out |
    """
    return {
        "event": "gray_switch_on" if isinstance(event, SwitchOn) else "gray_switch_off",
        "namespace": event.namespace,
        "flag": event.flag,
        "variant": event.variant,
        "generation": event.generation,
        "cause": event.cause,
        "actor": event.actor,
        "reason": event.reason,
        "at": _text(event.at),
        "idempotency_key": event.idempotency_key,
    }


async def publish(
    to: Any, event: SwitchEvent, *, stream: str | None = None, channel: str | None = None, maxlen: int | None = 10_000
) -> dict[str, Any]:
    """
    Tell of a switch on a Redis stream (kept until it is trimmed) or channel (heard by who listens at that moment).

    An entry of the stream has the fields `event`, `idempotency_key` and `payload`; a message of a channel is the
    payload. The payload is `announcement(event)` as JSON.

    Other brokers get it from an async function:

        async def to_kafka(told: dict[str, Any]) -> None:
            key = told["idempotency_key"].encode()
            await producer.send_and_wait("gray_switch_off", json.dumps(told).encode(), key=key)

        await off.publish(to_kafka)

    Args:
        to: The application's own connection, a `redis.asyncio.Redis` or `RedisCluster`, which stays open; or a `Send`.
        event: What the handler was given.
        stream: The key of the stream.
        channel: The channel; with a connection, one of the two.
        maxlen: The stream is trimmed to about so many entries; `None` trims nothing.

    Returns:
        What was told.

    Raises:
        ConfigurationError: not one of `stream` and `channel`, or any of them with a function; or the connection is
            synchronous.
        Exception: whatever the connection or the function raises. It may have been told all the same: let the handler
            fail, and it is told again.
    """
    told = announcement(event)
    if callable(to):
        if stream is not None or channel is not None:
            raise ConfigurationError("publish was given a function, which knows where to: leave out stream and channel")
        await awaited(to(told))
        return told
    if (stream is None) == (channel is None):
        raise ConfigurationError("give publish either stream='...' or channel='...'")
    payload = msgspec.json.encode(told)
    if channel is not None:
        await awaited(to.publish(channel, payload))
    else:
        fields = {"event": told["event"], "idempotency_key": told["idempotency_key"], "payload": payload}
        await awaited(to.xadd(stream, fields, maxlen=_maxlen(maxlen), approximate=True))
    return told


def _maxlen(given: Any) -> int | None:
    if given is None or (isinstance(given, int) and not isinstance(given, bool) and given >= 1):
        return given
    raise refused("maxlen", given, "give a whole number from 1, or None to trim nothing")


def _text(at: int | None) -> str | None:
    if at is None:
        return None
    try:
        whole = datetime.fromtimestamp(at // 1_000_000_000, UTC)
    except (OverflowError, ValueError, OSError):  # a date that `datetime` does not know
        return None
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{at % 1_000_000_000 // 1000:06d}Z"
