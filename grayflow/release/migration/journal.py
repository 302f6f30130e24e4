"""
Announces writes that go to two stores, so that whoever finds one unfinished can finish it.

One member of a set for each write, put there before the first store is touched and taken out after the second: a
process that is killed in between leaves it, and no writer takes out another's. While the board does not answer they
may wait on the disk.
"""

import logging
from collections.abc import Collection, Sequence
from uuid import uuid4

import msgspec
from anyio import Lock

from grayflow.errors import StoreError, StoreUnavailableError
from grayflow.release.migration.errors import NotAnnouncedError
from grayflow.release.migration.spool import Spool
from grayflow.store.board import Board

__all__ = ["Announced", "Journal"]

log = logging.getLogger("grayflow.release")

_KEPT = 10_000
"""Of so many rows a process remembers which announcement stands for its writes."""
_PAGE, _MOST = 1000, 10_000


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
        spool: Where they wait while the board does not answer; `None`: they do not.
    """

    def __init__(self, board: Board, name: str, spool: Spool | None = None) -> None:
        self._board, self._name, self.spool = board, name, spool
        self._dirty, self._dead = f"migrations:{name}:dirty", f"migrations:{name}:dead"
        self._kept: dict[str, str] = {}
        self._said: str | None = None
        self._asked = self._answered = 0
        self._announced: frozenset[str] | None = None
        self._asking = Lock()

    @staticmethod
    def member(key: str) -> str:
        """Return what stands for one write of a row."""
        return f"{uuid4().hex}:{key}"

    async def announce(self, key: str) -> str:
        """
        Announce a write, and return what `finished` takes.

        Raises:
            NotAnnouncedError: neither board nor disk took it, so the write must not be begun.
        """
        member = self.member(key)
        # Who has met an outage does not wait for the board again with each write.
        if self._spooling and await self._spooled(key):
            return member
        try:
            await self._board.add(self._dirty, (member,))
        except StoreError as error:
            if isinstance(error, StoreUnavailableError) and await self._spooled(key):
                return member
            raise NotAnnouncedError(
                f"row {key!r} was not written: migration {self._name!r} writes to two stores, and without an "
                f"announcement nobody could repair that: {error}{self._trouble()}",
                migration=self._name,
            ) from error
        return member

    async def keep(self, member: str) -> None:
        """
        Announce a write anew that is over and has not reached the other store; what was announced for it is over too.

        Anew, because a repair that began before the write was over may be about to take the old announcement back. And
        one for each row: this one stands for all writes of the row that were over before, so those of this process go.
        """
        key = member.partition(":")[2]
        if self._spooling and await self._spooled(key):
            return
        anew = self.member(key)
        try:
            await self._board.add(self._dirty, (anew,))
        except StoreError as error:
            if not await self._spooled(key):
                log.info("whether a write of migration %r is still announced is not known: %s", self._name, error)
            return
        before = self._kept.pop(key, None)
        self._kept[key] = anew
        if len(self._kept) > _KEPT:
            del self._kept[next(iter(self._kept))]
        await self.finished([member] if before is None else [member, before])

    async def finished(self, members: Collection[str]) -> None:
        """
        Take announcements back. What cannot be taken back is repaired once more, which does no harm.

        What waits on the disk stays there: several writes may stand on one line.
        """
        if self._spooling:
            return
        try:
            await self._board.remove(self._dirty, members)
        except StoreError as error:
            log.info("finished writes of migration %r stay announced: %s", self._name, error)

    async def drain(self) -> int:
        """
        Bring to the board what waits on the disk, and return how much that was.

        Raises:
            StoreError: the board does not answer yet; what waits stays.
        """
        if self.spool is None:
            return 0
        if self._spooling:
            await self._board.now()  # asked first: the rows of one outage stay in one file
        try:
            found = await self.spool.drain(lambda members: self._board.add(self._dirty, members))
        except OSError as error:
            self._say(f"what waits on the disk cannot be read: {error}")
            return 0
        self._said = None
        if found:
            log.warning("migration %r: the board has %d announcements that waited on the disk", self._name, found)
        return found

    async def unfinished(self, limit: int = 1000, offset: int = 0) -> Sequence[Announced]:
        """Return what is announced, the oldest first."""
        return await self._read(self._dirty, limit, offset)

    async def announced(self, key: str) -> bool:
        """
        Tell whether a write of a row is announced: it goes on, or waits for its repair.

        Who asks while others do gets the answer of one look, begun after it has asked.

        Raises:
            StoreError: the board does not answer.
        """
        self._asked += 1
        turn = self._asked
        async with self._asking:
            if self._answered < turn:
                asked = self._asked
                self._announced = await self._all_announced()
                self._answered = asked
            return self._announced is None or key in self._announced

    async def _all_announced(self) -> frozenset[str] | None:
        """Return the rows that are announced, `None` if they are too many to be looked at."""
        keys: set[str] = set()
        for offset in range(0, _MOST, _PAGE):
            page = await self.unfinished(_PAGE, offset)
            keys.update(one.key for one in page)
            if len(page) < _PAGE:
                return frozenset(keys)
        return None

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

    @property
    def _spooling(self) -> bool:
        return self.spool is not None and self.spool.waiting > 0

    async def _spooled(self, key: str) -> bool:
        if self.spool is None:
            return False
        done = await self.spool.put(key)
        if done:
            self._say(f"the board does not answer; writes are announced in {self.spool.status.folder} until it does")
        return done

    def _say(self, told: str) -> None:
        """Log what goes on for a while: once."""
        if told != self._said:
            log.warning("migration %r: %s", self._name, told)
        self._said = told

    def _trouble(self) -> str:
        problem = None if self.spool is None else self.spool.status.problem
        return "" if problem is None else f"; and the spool does not take it: {problem}"

    async def _read(self, name: str, limit: int, offset: int) -> Sequence[Announced]:
        found = await self._board.members(name, limit=limit, offset=offset)
        read = [_read(member.text, member.since) for member in found]
        return [one for one in read if one is not None]


def _read(member: str, since: int) -> Announced | None:
    token, colon, key = member.partition(":")
    return Announced(member=member, key=key, since=since) if token and colon and key else None
