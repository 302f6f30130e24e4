from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import pytest

from grayflow.replica.replica import Replica, ReplicaOptions
from grayflow.store.port import Store
from grayflow.store.wrappers import Recording
from grayflow.testing import FakeClock, Faulty

Run = Callable[..., AbstractAsyncContextManager[Replica]]


@pytest.fixture
def store(faulty: Faulty) -> Recording:
    return Recording(faulty)


@pytest.fixture
def run(store: Recording, clock: FakeClock) -> Run:
    """Run a replica, and let it settle; the namespace is initialised unless `init=False`."""

    @asynccontextmanager
    async def running(
        *, init: bool = True, random: Callable[[], float] = lambda: 0.5, on: Store | None = None, **options: Any
    ) -> AsyncIterator[Replica]:
        place = on if on is not None else store
        async with place, anyio.create_task_group() as tasks:
            if init and await _missing(place):
                await place.init()
            given = {"ttl_s": 10.0, "max_staleness_s": 300.0, **options}
            replica = Replica(place, ReplicaOptions(**given), clock=clock, random=random)
            tasks.start_soon(replica.run)
            await clock.advance(0)
            yield replica
            tasks.cancel_scope.cancel()

    return running


async def _missing(store: Store) -> bool:
    inner = store
    while hasattr(inner, "inner"):
        inner = inner.inner
    return getattr(inner, "_position", None) is None
