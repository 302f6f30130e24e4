"""
Announces writes that go to two stores, so that whoever finds one unfinished can finish it.

One member of a set for each write, put there before the first store is touched and taken out after the second: a
process that is killed in between leaves it, and no writer takes out another's.
"""

import logging
from collections.abc import Collection, Sequence
from uuid import uuid4

import msgspec

from grayflow.errors import StoreError
from grayflow.release.migration.errors import NotAnnouncedError
from grayflow.store.board import Board

__all__ = ["Announced", "Journal"]

log = logging.getLogger("grayflow.release")


class Announced(msgspec.Struct, frozen=True, kw_only=True):
    """One write that was begun."""

    member: str
    key: str
    since: int = 0
    """Nanoseconds since the epoch, by the board's clock."""


class Journal:
    """
    The unfinished writes of one migration.

    Args:
        board: Where they are.
        name: Of the migration.
    """

    def __init__(self, board: Board, name: str) -> None:
        self._board, self._name = board, name
        self._dirty, self._dead = f"migrations:{name}:dirty", f"migrations:{name}:dead"

    @staticmethod
    def member(key: str) -> str:
        """Return what stands for one write of a row."""
        return f"{uuid4().hex}:{key}"

    async def announce(self, key: str) -> str:
        """
        Announce a write, and return what `finished` takes.

        Raises:
            NotAnnouncedError: the board did not take it, so the write must not be begun.
        """
        member = self.member(key)
        try:
            await self._board.add(self._dirty, (member,))
        except StoreError as error:
            raise NotAnnouncedError(
                f"row {key!r} was not written: migration {self._name!r} writes to two stores, and without an "
                f"announcement nobody could repair that: {error}",
                migration=self._name,
            ) from error
        return member

    async def keep(self, member: str) -> None:
        """See to it that a write stays announced: its writer may have been so slow that it was taken for dead."""
        try:
            await self._board.add(self._dirty, (member,))
        except StoreError as error:
            log.info("whether a write of migration %r is still announced is not known: %s", self._name, error)

    async def finished(self, members: Collection[str]) -> None:
        """Take announcements back. What cannot be taken back is repaired once more, which does no harm."""
        try:
            await self._board.remove(self._dirty, members)
        except StoreError as error:
            log.info("finished writes of migration %r stay announced: %s", self._name, error)

    async def unfinished(self, limit: int = 1000, offset: int = 0) -> Sequence[Announced]:
        """Return what is announced, the oldest first."""
        return await self._read(self._dirty, limit, offset)

    async def dead(self, limit: int = 1000) -> Sequence[Announced]:
        """Return what was repaired in vain too often."""
        return await self._read(self._dead, limit, 0)

    async def bury(self, members: Collection[str]) -> None:
        """Give announcements up until somebody looks at them."""
        await self._board.add(self._dead, members)
        await self._board.remove(self._dirty, members)

    async def revive(self) -> int:
        """Let everything that was given up be repaired again, and return how much that is."""
        found = [one.member for one in await self.dead(100_000)]
        await self._board.add(self._dirty, found)
        await self._board.remove(self._dead, found)
        return len(found)

    async def sizes(self) -> tuple[int, int]:
        """Return how many are unfinished, and how many were given up."""
        return await self._board.size(self._dirty), await self._board.size(self._dead)

    async def _read(self, name: str, limit: int, offset: int) -> Sequence[Announced]:
        found = await self._board.members(name, limit=limit, offset=offset)
        read = [_read(member.text, member.since) for member in found]
        return [one for one in read if one is not None]


def _read(member: str, since: int) -> Announced | None:
    token, colon, key = member.partition(":")
    return Announced(member=member, key=key, since=since) if token and colon and key else None
