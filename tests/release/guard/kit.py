"""A switch between two sides that do as they are told, and a guard of the new one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import anyio
from anyio.lowlevel import checkpoint

from grayflow import Client
from grayflow.release import (
    BreakerState,
    FallbackGuard,
    GuardEvent,
    ImplementationSwitch,
    Outcome,
    idempotent,
    safe,
)
from grayflow.testing import FakeClock
from tests.release.kit import opening


class Shelf(Protocol):
    @safe
    async def get(self, key: str) -> str: ...

    @idempotent
    async def set(self, key: str) -> str: ...

    async def charge(self, key: str) -> str: ...

    @safe
    def peek(self, key: str) -> str: ...

    @safe
    def stream(self, key: str) -> AsyncIterator[str]: ...


class Side:
    """An implementation that does as it is told."""

    def __init__(self, name: str):
        self.name = name
        self.calls: list[str] = []
        self.error: BaseException | None = None
        self.hangs = False
        self.wait: anyio.Event | None = None
        self.clock: FakeClock | None = None
        self.takes_s = 0.0
        self.ended = 0

    async def _answer(self, key: str) -> str:
        self.calls.append(key)
        await checkpoint()
        if self.hangs:
            await anyio.sleep_forever()
        if self.wait is not None:
            await self.wait.wait()
        if self.clock is not None:
            self.clock._monotonic += round(self.takes_s * 1e9)
        if self.error is not None:
            raise self.error
        return f"{self.name} {key}"

    async def get(self, key: str) -> str:
        return await self._answer(key)

    async def set(self, key: str) -> str:
        return await self._answer(key)

    async def charge(self, key: str) -> str:
        return await self._answer(key)

    def peek(self, key: str) -> str:
        self.calls.append(key)
        if self.error is not None:
            raise self.error
        return f"{self.name} {key}"

    async def stream(self, key: str) -> AsyncIterator[str]:
        try:
            for number in range(3):
                self.calls.append(key)
                await checkpoint()
                if self.error is not None and (key == "first" or number == 1):
                    raise self.error
                yield f"{self.name} {number}"
        finally:
            self.ended += 1


class World:
    """A switch whose flag says `new` to everybody, and both sides of it."""

    def __init__(self, clock: FakeClock):
        self.flags, self.clock = Client("memory://"), clock
        self.old, self.new = Side("old"), Side("new")
        variants = {"off": opening(lambda: self.old), "on": opening(lambda: self.new)}
        self.switch = ImplementationSwitch(Shelf, flag="shelf", variants=variants, default="off")
        self.events: list[GuardEvent] = []

    def guard(self, **options: Any) -> FallbackGuard[Shelf]:
        # No time limit but where a test is about one: what is slow here is the machine.
        given = {
            "timeout": None,
            "clock": self.clock,
            "random": lambda: 0.5,
            "on_event": self.events.append,
            **options,
        }
        return FallbackGuard(self.switch, new="on", old="off", **given)

    @asynccontextmanager
    async def serving(self, **options: Any) -> AsyncIterator[Shelf]:
        self.made = self.guard(**options)
        async with self.switch.running(self.flags):
            with self.flags.override(shelf=True):
                await self.switch.proxy().get("warm up")
                self.switch.proxy().peek("warm up")
                with self.flags.override(shelf=False):
                    await self.switch.proxy().get("warm up")
                self.old.calls.clear()
                self.new.calls.clear()
                yield self.made.proxy()
                # Whatever was called, nobody uses either side any more: else they could never be closed.
                assert {one.calls for one in self.switch.status.variants.values()} <= {0}

    @property
    def state(self) -> BreakerState:
        return self.made.status.state

    @property
    def outcomes(self) -> dict[Outcome, int]:
        return dict(self.made.status.outcomes)


def tripped(world: World) -> None:
    """Open the breaker without a call."""
    breaker = world.made._breaker
    while (permit := breaker.admit(world.clock.monotonic())) is not None:
        breaker.settle(permit, Outcome.FAILURE, world.clock.monotonic())
