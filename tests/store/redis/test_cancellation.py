"""Whoever is cancelled while the server is asked ends, although redis-py forgets some cancellations."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest

from grayflow.clock import SystemClock
from grayflow.store.port import Store
from grayflow.testing.contract.kit import edit
from tests.store.redis.conftest import OpenRedis

pytestmark = pytest.mark.anyio

sleep = SystemClock().sleep


async def follow(store: Store) -> None:
    async with store.follow():
        pass


VERBS: dict[str, Callable[[Store], Awaitable[object]]] = {
    "read": lambda store: store.position(),
    "write": lambda store: store.commit(edit(uuid4().hex), expected=0),
    "follow": follow,
}


async def one_was_enough(ask: Callable[[], Awaitable[object]], moment: float) -> bool:
    """Cancel a task that asks all the time, and return whether it had to be done only once."""
    asked = 0

    async def work() -> None:
        nonlocal asked
        while True:
            await ask()
            asked += 1

    task = asyncio.create_task(work())  # noqa: TID251 - as a caller may
    await sleep(moment)
    before, times = asked, 1
    task.cancel()
    while not task.done():
        await sleep(0.001)
        if asked > before + 20:
            before, times = asked, times + 1
            task.cancel()
    assert task.cancelled()
    return times == 1


@pytest.mark.parametrize("verb", VERBS)
async def test_one_cancellation_is_enough(open_redis: OpenRedis, verb: str) -> None:
    moments = random.Random(1)
    async with open_redis() as store:
        await store.init()

        ended = [await one_was_enough(lambda: VERBS[verb](store), moments.uniform(0.0003, 0.006)) for _ in range(50)]

    assert all(ended)
