"""Everything that has a lifetime, on every kind of place where flags live, as something to enter and to leave."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

from grayflow import Admin, Client, MemoryStore
from grayflow.store.port import Store
from grayflow.store.urls import open_store

__all__ = ["PLACES", "USES", "Place"]

PLACES = ("memory", "sqlite", "redis")

Use = Callable[["Place"], Awaitable[None]]


class Place:
    """
    Where a test's flags live.

    Args:
        url: Of a store that processes share; `None` for the memory of this one.
        namespace: The environment.
    """

    def __init__(self, url: str | None, namespace: str) -> None:
        self._url, self._namespace = url, namespace
        self._memory = MemoryStore(namespace)

    @property
    def shared(self) -> bool:
        """Whether several stores can be opened on it."""
        return self._url is not None

    def store(self) -> Store:
        """Return a store that is not open; in memory there is only one."""
        return self._memory if self._url is None else open_store(self._url, namespace=self._namespace)

    def client(self, **options: Any) -> Client:
        """Return a client that was not started."""
        return Client(self.store(), **options)

    @staticmethod
    def client_on(store: Store, **options: Any) -> Client:
        """Return a client that was not started, on a store that is open."""
        return Client(store, **options)

    def admin(self) -> Admin:
        """Return an admin that is not open."""
        return Admin(self.store(), actor="ada")

    async def begin(self) -> None:
        """Make the namespace, with a flag `f` that is on."""
        async with self.admin() as admin:
            await admin.init()
            await admin.create({"key": "f", "enabled": True})


async def client(place: Place) -> None:
    """Ask a client, with what it keeps and what it calls."""
    async with place.client() as flags:
        flags.on_change("f", lambda old, new: None)
        await flags.evaluate("f", freshness="confirmed")


async def admin(place: Place) -> None:
    """Ask and change."""
    async with place.admin() as opened:
        await opened.state()
        await opened.edit({"key": "f", "enabled": True, "description": uuid4().hex}, reason="test")


async def store(place: Place) -> None:
    """Ask by every connection that a store has."""
    async with place.store() as opened:
        await opened.init()
        await opened.load()
        await opened.position()


async def follow(place: Place) -> None:
    """Hear one change."""
    async with place.store() as opened, opened.follow() as events:
        await opened.init(replaces=["*"])
        await anext(events)


USES: dict[str, Use] = {"client": client, "admin": admin, "store": store, "follow": follow}
"""Enter it, use it, leave it."""
