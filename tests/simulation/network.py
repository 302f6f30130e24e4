"""
The way between a process and the server: what becomes of each request and of each message.

Without faults everything arrives in order, after a short while. Faults are switched on for a time, and `heal` switches
all of them off; what they had spoiled until then may still come, but not after `spoiled_until`.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from random import Random
from typing import TypeVar

import anyio
from anyio.lowlevel import checkpoint

from grayflow.errors import LifetimeError, StoreAccessError, StoreError, StoreUnavailableError
from grayflow.store.port import Event, Gap
from tests.simulation.server import PLACE

T = TypeVar("T")

ANSWER_LIMIT_S, LOAD_LIMIT_S = 5.0, 8.0
"""What the replica is told to grant short answers and long ones, where the adapter has no limit of its own."""
LATE_S = 6.0
"""A message may be so late, or its copy: it arrives among newer ones, and after the end of its server's life."""


class Network:
    """
    Carries requests and messages.

    Args:
        random: Decides what becomes of each.
        latency_s: The longest way in one direction; 0 to be there at once.
        patience_s: After so long without an answer the adapter gives up; without it, the replica has to.
        waiting: Events that a reader may leave unread before they are replaced by one `Gap`.
    """

    def __init__(
        self, random: Random, *, latency_s: float = 0.0, patience_s: float | None = None, waiting: int = 1000
    ) -> None:
        self._random, self._latency_s, self._patience_s, self._waiting = random, latency_s, patience_s, waiting
        self.links: set[Link] = set()
        self.spoiled_until = 0.0
        self._thawed = anyio.Event()
        self.heal()

    def heal(self) -> None:
        """End all faults."""
        self.down = self.denied = self.muted = self.frozen = False
        self.slow_s = 0.0
        """So much longer an answer may take."""
        self.losing = 0.0
        """The share of requests that are lost, before or after the server did what was asked."""
        self.dropping = self.doubling = self.shuffling = 0.0
        """The shares of messages that are lost, come twice, or come at any later time."""
        self._thawed.set()

    # Requests

    async def carry(self, verb: str, ask: Callable[[], T]) -> T:
        """Bring a request there, and the answer back."""
        if not self._latency_s:
            await checkpoint()
            return ask()
        patience_s = self._limit_s(verb, self._patience_s)
        if patience_s is None:
            return await self._travel(verb, ask)
        with anyio.move_on_after(patience_s):
            return await self._travel(verb, ask)
        raise StoreUnavailableError(f"{PLACE} did not answer in time; the {verb} may have been done")

    def _limit_s(self, verb: str, limit_s: float | None) -> float | None:
        """Return what an adapter grants this verb; entering `follow` is nobody else's to limit."""
        if verb == "follow":
            return limit_s or ANSWER_LIMIT_S
        return limit_s and limit_s * (3 if verb == "load" else 1)

    async def _travel(self, verb: str, ask: Callable[[], T]) -> T:
        lost = self._random.random() if self.losing else 1.0
        await self._way()
        if lost < self.losing / 2:
            await self._silence(verb)
        answer = await self._arrive(ask)
        if lost < self.losing:
            await self._silence(verb)
        await self._way(self.slow_s)
        return answer

    async def _arrive(self, ask: Callable[[], T]) -> T:
        while self.frozen:
            await self._thawed.wait()
        if (refusal := self.refusal()) is not None:
            raise refusal
        return ask()

    def refusal(self) -> StoreError | None:
        """Return what whoever arrives at the server is told."""
        if self.down:
            return StoreUnavailableError(f"{PLACE} cannot be reached")
        if self.denied:
            return StoreAccessError(f"{PLACE} refused the password")
        return None

    def freeze(self) -> None:
        """Let the server answer nobody, until it is healed."""
        if not self.frozen:
            self.frozen, self._thawed = True, anyio.Event()

    async def _way(self, more_s: float = 0.0) -> None:
        length_s = self._latency_s * self._random.random()
        if more_s:
            length_s += more_s * self._random.random()
            self._spoil(length_s)
        await anyio.sleep(length_s)  # noqa: TID251 - virtual time

    async def _silence(self, verb: str) -> None:
        limit_s = LOAD_LIMIT_S if verb in {"load", "changes"} else ANSWER_LIMIT_S
        self._spoil(min(limit_s, self._limit_s(verb, self._patience_s) or limit_s))
        await anyio.sleep_forever()

    def _spoil(self, for_s: float) -> None:
        self.spoiled_until = max(self.spoiled_until, anyio.current_time() + for_s)

    # Messages

    def push(self, event: Event) -> None:
        """Send an event on its way to everybody who follows."""
        for link in self.links:
            self.push_to(link, event)

    def push_to(self, link: "Link", event: Event) -> None:
        if not self._latency_s:
            link.put(event)
            return
        chance = self._random.random
        if not (self.muted or self.frozen or self.down or chance() < self.dropping):
            late = chance() < self.shuffling
            self._send(link, event, LATE_S * chance() if late else self._latency_s * chance(), in_order=not late)
        if chance() < self.doubling:
            self._send(link, event, LATE_S * chance(), in_order=False)

    def _send(self, link: "Link", event: Event, after_s: float, *, in_order: bool) -> None:
        if in_order:
            after_s = link.queue_behind(after_s)
        else:
            self._spoil(after_s)
        link.send(event, after_s)

    def cut(self, error: StoreError | None = None) -> None:
        """End the links that are open."""
        for link in self.links:
            link.end(error or StoreUnavailableError(f"the link to {PLACE} is lost"))

    def open(self, heard: Callable[[Event], None]) -> "Link":
        link = Link(self._waiting, heard)
        self.links.add(link)
        return link


class Link:
    """The messages that one follower has not read yet; `heard` is told of each that it reads."""

    def __init__(self, waiting: int, heard: Callable[[Event], None]) -> None:
        self._waiting, self._heard = waiting, heard
        self._events: deque[Event] = deque()
        self._wake = anyio.Event()
        self._error: Exception | None = None
        self._last_at = 0.0

    def queue_behind(self, after_s: float) -> float:
        """Return the wait after which a message that is sent now arrives, not before those sent earlier."""
        now = anyio.current_time()
        self._last_at = max(self._last_at, now + after_s)
        return self._last_at - now

    def send(self, event: Event, after_s: float) -> None:
        asyncio.get_running_loop().call_later(after_s, self.put, event)

    def put(self, event: Event) -> None:
        if len(self._events) >= self._waiting:
            self._events.clear()
            event = Gap(f"the reader was more than {self._waiting} events late")
        self._events.append(event)
        self._wake.set()

    def end(self, error: Exception) -> None:
        self._error = self._error or error
        self._wake.set()

    def close(self) -> None:
        self.end(LifetimeError("the store was closed while somebody followed it; leave `follow` first"))

    def __aiter__(self) -> "Link":
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            if self._error is not None:
                raise self._error
            self._wake = anyio.Event()
            await self._wake.wait()
        event = self._events.popleft()
        self._heard(event)
        return event
