import pytest

from grayflow.testing import FakeClock
from tests.release.guard.kit import World


@pytest.fixture
def world(clock: FakeClock) -> World:
    return World(clock)
