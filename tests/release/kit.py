"""Two sides to switch between, which notice whatever is done to them too late; and flags that are flipped."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol, TypeVar

import anyio
from anyio.lowlevel import checkpoint

from grayflow import Admin, Client
from grayflow.clock import SystemClock

T = TypeVar("T")

PATIENCE_S = 20.0


class Notes(Protocol):
    """The interface of most tests."""

    async def get(self, key: str) -> str: ...

    def stream(self, count: int) -> AsyncIterator[str]: ...

    def lock(self, key: str) -> AbstractAsyncContextManager[str]: ...


class Side:
    """One opened implementation of `Notes`."""

    def __init__(self, name: str, misuses: list[str]):
        self.name, self.open, self._misuses = name, True, misuses
        self.calls = 0

    def use(self) -> None:
        if not self.open:
            self._misuses.append(self.name)

    async def get(self, key: str) -> str:
        self.use()
        self.calls += 1
        await checkpoint()
        self.use()
        return self.name

    async def stream(self, count: int) -> AsyncIterator[str]:
        for _ in range(count):
            self.use()
            await checkpoint()
            yield self.name
        self.use()

    @asynccontextmanager
    async def lock(self, key: str) -> AsyncIterator[str]:
        self.use()
        yield self.name
        self.use()


class Sides:
    """Makes factories, and remembers what they opened."""

    def __init__(self, kind: Callable[[str, list[str]], Any] = Side):
        self._kind = kind
        self.opened: list[Any] = []
        self.misuses: list[str] = []
        self.attempts: dict[str, int] = {}
        self.failing: dict[str, BaseException] = {}
        self.held_up: dict[str, anyio.Event] = {}

    def factory(self, name: str) -> Callable[[], AbstractAsyncContextManager[Any]]:
        @asynccontextmanager
        async def open_side() -> AsyncIterator[Any]:
            self.attempts[name] = self.attempts.get(name, 0) + 1
            if name in self.held_up:
                await self.held_up[name].wait()
            if name in self.failing:
                raise self.failing[name]
            side = self._kind(name, self.misuses)
            self.opened.append(side)
            try:
                yield side
            finally:
                try:
                    await checkpoint()
                finally:
                    side.open = False

        return open_side

    def still_open(self) -> list[str]:
        return [side.name for side in self.opened if side.open]


def opening(make: Callable[[], T]) -> Callable[[], AbstractAsyncContextManager[T]]:
    """Return a factory of implementations that need no closing."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[T]:
        yield make()

    return opened


async def until(condition: Callable[[], object]) -> None:
    """Wait until something holds."""
    with anyio.fail_after(PATIENCE_S):
        while not condition():
            await SystemClock().sleep(0.001)


async def serve(admin: Admin, flags: Client, variant: str, key: str = "notes") -> None:
    """Let a boolean flag serve one variant to everybody, and wait until the client knows."""
    saved = await admin.put({"key": key, "enabled": True, "otherwise": variant}, reason="test")
    await flags.wait_for(saved.token, timeout=PATIENCE_S)
