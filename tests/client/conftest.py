from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from grayflow import Client
from grayflow.testing import FakeClock, Faulty

Make = Callable[..., Client]


@pytest.fixture
def store(faulty: Faulty) -> Faulty:
    """Where the client's flags are."""
    return faulty


@pytest.fixture
def make(store: Faulty, clock: FakeClock) -> Make:
    """Make a client on the test's store and clock; the store has to be open and initialised by the test."""

    def made(**options: Any) -> Client:
        return Client(store, **{"clock": clock, "random": lambda: 0.5, **options})

    return made


@pytest.fixture
async def opened(store: Faulty) -> AsyncIterator[None]:
    """The store is open and initialised."""
    async with store:
        await store.init()
        yield
