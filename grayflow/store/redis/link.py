"""
The subscription: every change as it is published, and every doubt as a `Gap`.

What redis-py 8.1.0 does to a Pub/Sub connection, and what is done about it here:

* It reconnects and subscribes again without a word; what was published in between is lost. The only sign is another
  `subscribe` confirmation: that is a `Gap`.
* Its health check sends PINGs and ignores the answers. Here is a heartbeat of our own (`heartbeat.py`).
* After a kernel time-out (ETIMEDOUT, which since Python 3.11 is the same class as asyncio's) every read returns at
  once with nothing, without ever letting another task run: the process stands still for ever. So a read that is too
  quick is followed by a pause, and three in a row are a dead socket. `listen()` would never return.
* A refused SUBSCRIBE shows on the first read, not on `subscribe()`.

Any exception ends the link. Coming back, with pauses in between, is what the replica above does.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio

from grayflow.clock import Clock
from grayflow.errors import StoreError, StoreUnavailableError
from grayflow.store.port import Event, Gap
from grayflow.store.redis.heartbeat import ANSWER_S, Heartbeat
from grayflow.store.redis.heed import heed
from grayflow.store.redis.line import Line
from grayflow.store.redis.translate import translate, translated
from grayflow.store.redis.wire import read_message

if TYPE_CHECKING:
    from redis.asyncio.client import PubSub

__all__ = ["Link", "open_link"]

_SUBSCRIBED_WITHIN_S = 3.0
"""Finding the server, connecting, logging in and the confirmation, together."""

_CLOSED_WITHIN_S = 1.0
_RENEWED_WITHIN_S = 1.5
_QUICK = 1 / 5
"""Of the time that a look was to take: one that found nothing so much sooner did not wait."""
_QUICK_READS = 3
_PAUSE_S = 0.01


@asynccontextmanager
async def open_link(
    line: Line, channel: str, *, place: str, check: Callable[[], None], clock: Clock
) -> AsyncIterator["Link"]:
    """
    Subscribe, for the length of the block; the line is closed with it.

    Args:
        line: A client of its own: a subscription never shares connections with commands.
        channel: What to hear.
        place: The URL without secrets, for errors.
        check: Called before each look; what it raises leaves the iterator as it is.
        clock: By which it pauses.

    Raises:
        StoreUnavailableError: no confirmation within 3 s.
        StoreAccessError: the server refuses the user or the channel.
    """
    pubsub = line.client.pubsub(ignore_subscribe_messages=False)
    link = Link(pubsub, place=place, check=check, clock=clock)
    try:
        with translated(place), anyio.fail_after(_SUBSCRIBED_WITHIN_S):
            await heed(pubsub.subscribe(channel))
            await link.confirmed()
        yield link
    finally:
        await _close(pubsub, line)


async def _close(pubsub: "PubSub", line: Line) -> None:
    if line.inherited:
        return
    try:
        # A socket that is broken cannot be closed any better than this.
        with anyio.move_on_after(_CLOSED_WITHIN_S, shield=True), suppress(Exception):
            await pubsub.aclose()  # type: ignore[no-untyped-call]
    finally:
        await line.aclose()


class Link:
    """The events of one subscription; an iterator for one task."""

    def __init__(self, pubsub: "PubSub", *, place: str, check: Callable[[], None], clock: Clock) -> None:
        self._pubsub = pubsub
        self._place = place
        self._check = check
        self._clock = clock
        self._now = asyncio.get_running_loop().time
        self._heartbeat = Heartbeat(self._now())
        self._quick = 0
        self._ended: StoreError | None = None

    def __aiter__(self) -> "Link":
        return self

    async def __anext__(self) -> Event:
        while True:
            self._check()
            if self._ended is not None:
                raise self._ended
            try:
                event = self._event(await self._look())
            except Exception as error:
                self._ended = translate(error, self._place)
                raise self._ended from error
            if event is not None:
                return event

    async def confirmed(self) -> None:
        """Wait for the confirmation of the subscription."""
        while True:
            message = await self._look()
            if message is not None and message["type"] == "subscribe":
                return

    async def _look(self) -> dict[str, Any] | None:
        """Return the next message, or `None` if none came for a while."""
        began = self._now()
        look_s = self._heartbeat.look_s(began)
        # The bound is for redis-py's attempt to reconnect, which can hang inside of a read.
        async with asyncio.timeout(look_s + _RENEWED_WITHIN_S):
            message: dict[str, Any] | None = await heed(self._pubsub.get_message(timeout=look_s))
        now = self._now()
        if message is not None:
            self._quick = 0
            self._heartbeat.heard(now)
            return message
        self._quick = self._quick + 1 if now - began < look_s * _QUICK else 0
        if self._quick:
            await self._suspect()
            return None
        await self._beat(now)
        return None

    async def _suspect(self) -> None:
        if self._quick >= _QUICK_READS:
            raise StoreUnavailableError(
                f"{self._place}: the link is broken, its socket returns from each read at once."
            )
        await self._clock.sleep(_PAUSE_S)

    async def _beat(self, now: float) -> None:
        match self._heartbeat.silent(now):
            case "ask":
                async with asyncio.timeout(ANSWER_S):
                    await heed(self._pubsub.ping())
            case "dead":
                raise StoreUnavailableError(f"{self._place}: the link is silent, no answer for {ANSWER_S:g} s.")
            case "wait":
                pass

    def _event(self, message: dict[str, Any] | None) -> Event | None:
        match message:
            case None | {"type": "pong"}:
                return None
            case {"type": "message", "data": bytes(data)}:
                return read_message(data)
            case {"type": "subscribe"}:
                return Gap("the connection to the server was renewed")
            case _:
                raise StoreUnavailableError(f"{self._place}: the server ended the subscription.")
