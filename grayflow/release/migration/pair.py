"""The two stores as one thing: looks at both copies of a row, and brings them together."""

import asyncio
from collections.abc import Awaitable
from inspect import isawaitable
from typing import Generic, TypeVar

import anyio

from grayflow.client.cancelling import cancelled_from_within
from grayflow.errors import ConfigurationError
from grayflow.release.migration.adapter import MigrationStore
from grayflow.release.migration.rules import Mirror, Side
from grayflow.release.migration.settling import Copy, settlement
from grayflow.release.migration.setup import Setup

__all__ = ["Pair"]

R = TypeVar("R")
T = TypeVar("T")

_LOOKS = 5


class Pair(Generic[R]):
    """
    Both stores, each call of which may take so long and no longer.

    Args:
        setup: Of the migration.
    """

    def __init__(self, setup: Setup[R]) -> None:
        self._setup = setup

    def store(self, side: Side) -> MigrationStore[R]:
        """Return one store."""
        return self._setup.stores[side]

    async def within(self, call: Awaitable[T]) -> T:
        """
        Wait for a call of a store.

        Raises:
            TimeoutError: it took too long; it may have done its work.
            RuntimeError: it was cancelled, and nobody has cancelled this task; likewise.
            ConfigurationError: the method is not async.
        """
        if not isawaitable(call):
            raise ConfigurationError(
                f"a store of migration {self._setup.name!r} returned {type(call).__name__} where it has to be awaited; "
                "make the methods of MigrationStore async"
            )
        with anyio.fail_after(self._setup.limits.call_s):
            try:
                return await call
            except asyncio.CancelledError as error:
                if not cancelled_from_within():
                    raise
                raise RuntimeError("a call of the store was cancelled from within") from error

    async def look(self, side: Side, key: str) -> tuple[Copy | None, R | None]:
        """Return what a store knows of a row, and the row if there is one."""
        store = self.store(side)
        row = await self.within(store.get(key))
        if row is not None:
            return Copy(self._setup.version(row)), row
        deleted = await self.within(store.tombstone(key))
        return (None if deleted is None else Copy(deleted, deleted=True)), None

    async def deleted_from_old(self, key: str, row: R) -> bool:
        """
        Tell whether a row that only the new store has was deleted from the old one, and is a copy left behind.

        Deletes at `off` go to the old store alone: by processes that have not heard of `dualwrite` yet, and by all
        after the way back to `off`. Until the copy is settled nobody may take it for a row that was inserted there.
        """
        deleted = await self.within(self.store(Side.OLD).tombstone(key))
        return deleted is not None and deleted >= self._setup.version(row)

    async def copy(self, key: str, source: Side, mirror: Mirror) -> None:
        """Bring the other store's copy up to date with that of `source`, as it is there now."""
        target = self.store(source.other)
        known, row = await self.look(source, key)
        if known is None or (mirror is Mirror.IF_PRESENT and not await self.within(target.exists(key))):
            return
        if row is None:
            await self.within(target.delete_if_not_newer(key, known.version))
        else:
            await self.within(target.upsert_if_newer(row, known.version))

    async def settle(self, key: str) -> bool:
        """
        Bring the copies together, whichever is ahead.

        Returns:
            Whether something had to be done. Who writes meanwhile settles the rest, which is announced.
        """
        for look in range(_LOOKS):
            # The new one last: what is written to the old one and copied meanwhile is found there at least.
            (old, old_row), (new, new_row) = await self.look(Side.OLD, key), await self.look(Side.NEW, key)
            todo = settlement(old, new, self._setup.terms.profile)
            if todo is None:
                return look > 0
            row = new_row if todo.side is Side.OLD else old_row
            target = self.store(todo.side)
            if todo.delete:
                await self.within(target.delete_if_not_newer(key, todo.version))
            elif row is not None:
                await self.within(target.upsert_if_newer(row, todo.version))
        return True
