from pathlib import Path
from uuid import uuid4

import pytest

from tests.lifetimes.owners import PLACES, Place
from tests.lifetimes.steps import cancel

__all__ = ["cancel"]


@pytest.fixture
def sqlite_place(tmp_path: Path) -> Place:
    return Place(f"sqlite:///{tmp_path}/flags.db", "shop")


@pytest.fixture
def redis_place(redis_url: str) -> Place:
    return Place(redis_url, f"t-{uuid4().hex[:12]}")


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> Place:
    """Return an empty place of each kind."""
    if request.param == "memory":
        return Place(None, "shop")
    found: Place = request.getfixturevalue(f"{request.param}_place")
    return found
