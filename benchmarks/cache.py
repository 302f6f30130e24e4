"""The smallest thing that can be switched; what is measured is what stands around it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from grayflow.release import safe

__all__ = ["Cache", "Side", "opened"]


class Cache(Protocol):
    """What is switched."""

    @safe
    async def get(self, key: str) -> str:
        """Read."""
        ...


class Side:
    """An implementation that costs as little as one can."""

    async def get(self, key: str) -> str:
        """Return the key."""
        return key


@asynccontextmanager
async def opened() -> AsyncIterator[Side]:
    yield Side()
