"""
What a message carries from its sender to its worker: which flags the sender saw, and if it likes, for whom.

The worker then decides by flags at least as new, and for the same user, although it may be another host and later.
"""

import logging
from collections.abc import Mapping
from typing import Any

import msgspec

from grayflow.core.context import Context, field_names
from grayflow.core.position import Position
from grayflow.errors import ConfigurationError

__all__ = ["AT_LEAST", "CONTEXT", "carried_context", "carried_token", "packed"]

log = logging.getLogger("grayflow.client")

AT_LEAST = "grayflow_at_least"
"""Contract: the header with a position's token."""
CONTEXT = "grayflow_context"
"""Contract: the header with a context as a JSON object, its attributes among its fields."""

_MOST_BYTES = 65_536


def packed(position: Position | None, context: Context | None) -> dict[str, str]:
    """
    Return the headers of a message.

    Raises:
        ConfigurationError: the context holds what cannot be written as JSON, or is larger than 64 KiB.
    """
    headers = {} if position is None else {AT_LEAST: position.token()}
    if context is not None:
        headers[CONTEXT] = _written(context)
    return headers


def carried_token(headers: Mapping[str, Any]) -> str | None:
    """Return the token that a message carries, `None` if it carries none."""
    return _text(_held(headers).get(AT_LEAST))


def carried_context(headers: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the context that a message carries; `None` if it carries none, or one that cannot be read."""
    text = _text(_held(headers).get(CONTEXT))
    if text is None or len(text) > _MOST_BYTES:
        return None
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        log.warning("a message carries a context that cannot be read, and is decided without one: %s", error)
        return None


def _held(headers: Any) -> Mapping[str, Any]:
    """Return the headers; brokers give None for a message that was sent without any."""
    return headers if isinstance(headers, Mapping) else {}


def _text(given: Any) -> str | None:
    if isinstance(given, bytes):
        given = given.decode("utf-8", "replace")
    return given if isinstance(given, str) and given else None


def _written(context: Context) -> str:
    fields = {name: getattr(context, name) for name in field_names(type(context))}
    said = {name: value for name, value in {**context.attributes, **fields}.items() if value is not None}
    try:
        data = msgspec.json.encode(said)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"the context cannot be put into a message: {error}; leave that attribute out"
        ) from None
    if len(data) > _MOST_BYTES:
        raise ConfigurationError(f"the context has {len(data)} bytes; a message carries at most {_MOST_BYTES}")
    return data.decode()
