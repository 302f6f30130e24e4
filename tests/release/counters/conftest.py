from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from grayflow import Admin, Client, MemoryStore, Store, open_store


@pytest.fixture(params=["memory", "sqlite", "redis"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Where flags and counts are, of each kind."""
    if request.param == "memory":
        return MemoryStore()
    url = f"sqlite:///{tmp_path}/flags.db"
    if request.param == "redis":
        url = request.getfixturevalue("redis_url")
    return open_store(url, namespace=f"t-{uuid4().hex[:12]}")


@pytest.fixture
async def served(any_store: Store) -> AsyncIterator[tuple[Admin, Client]]:
    """An admin and a client of it, and a flag that chance decides."""
    async with any_store, Admin(any_store, actor="ada") as admin:
        await admin.init()
        await admin.put({"key": "shelf", "enabled": True}, reason="release")
        async with Client(any_store) as flags:
            yield admin, flags
