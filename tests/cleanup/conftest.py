"""A memory store on a clock that stands still: whole fleets run in one process, and hours pass at once."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from grayflow import Admin, Client, MemoryStore
from grayflow.store.jobs import Job
from grayflow.testing import FakeClock

Make = Callable[..., Client]
Jobs = Callable[[], Any]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(clock: FakeClock) -> AsyncIterator[MemoryStore]:
    async with MemoryStore(clock=clock) as opened:
        yield opened


@pytest.fixture
async def admin(store: MemoryStore, clock: FakeClock) -> AsyncIterator[Admin]:
    """Flags `f` and `g` are on."""
    async with Admin(store, actor="ann", clock=clock) as opened:
        for key in ("f", "g"):
            await opened.put({"key": key, "enabled": True})
        yield opened


@pytest.fixture
def make(store: MemoryStore, clock: FakeClock) -> Make:
    """Make a client of the fleet."""

    def made(name: str = "shop", **options: Any) -> Client:
        return Client(store, clock=clock, **{"random": lambda: 0.5, "name": name, **options})

    return made


@pytest.fixture
def recorded(store: MemoryStore, admin: Admin) -> Callable[..., Any]:
    """Return the fleet's only job."""

    async def one(handler: str | None = None) -> Job:
        (found,) = [job for job in await admin.jobs() if handler in (None, job.handler)]
        return found

    return one


@pytest.fixture
async def cache(redis_url: str) -> AsyncIterator[Redis]:
    """The application's own connection."""
    async with Redis.from_url(redis_url) as connection:
        yield connection
