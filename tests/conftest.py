"""What all tests share."""

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from grayflow.testing import FakeClock, Faulty
from tests.replica.kit import Rewinding
from tests.servers import RedisServer

settings.register_profile("dev", max_examples=50, deadline=None)
# CI looks further, and at the same examples every time: a red build is about the change and not about luck.
settings.register_profile("ci", max_examples=500, deadline=None, derandomize=True, print_blob=True)
settings.register_profile(
    "nightly", max_examples=20_000, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))


def pytest_configure() -> None:
    """Heed Ctrl-C: what a shell runs in the background ignores it, and the processes under test inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a server: `-m redis` is the part of the suite that a second kind of server has to pass."""
    for item in items:
        names = [item.path.name, item.path.parent.name, *getattr(item, "fixturenames", ())]
        if any("redis" in name for name in names):
            item.add_marker("redis")


@pytest.fixture
def anyio_backend() -> str:
    """redis-py knows asyncio only, and so does grayflow."""
    return "asyncio"


@pytest.fixture
def clock() -> FakeClock:
    """Time that the test moves."""
    return FakeClock()


@pytest.fixture
def memory() -> Rewinding:
    """Where the flags of a test are; it can lose them."""
    return Rewinding()


@pytest.fixture
def faulty(memory: Rewinding, clock: FakeClock) -> Faulty:
    """The same flags, as they are reached on a bad day."""
    return Faulty(memory, clock=clock)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """Start the server that all ordinary tests share. Nobody flushes, stops or configures it."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """Return where the shared server is; a test takes a random namespace of its own."""
    return redis_server.url
