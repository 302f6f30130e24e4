"""The board of a wrapped store: every verb goes through the wrapper's one hook, as those of the store do."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, ParamSpec, Protocol, TypeVar

from grayflow.store.board import Board, Member, Record, Records
from grayflow.store.durability import Durability

__all__ = ["WrappedBoard"]

P = ParamSpec("P")
T = TypeVar("T")


class _Around(Protocol):
    def __call__(self, verb: str, arguments: Mapping[str, Any], proceed: Callable[[], Awaitable[T]]) -> Awaitable[T]:
        """Do what a verb does, perhaps with something before, after or instead."""


class WrappedBoard(Board):
    """
    Passes every verb on to `inner`.

    Args:
        inner: The board that does the work.
        around: The hook; it is given the verb's name, its arguments by name and what calls the inner board.
    """

    def __init__(self, inner: Board, around: _Around) -> None:
        self.inner = inner
        self._around = around

    def durable(self, durability: Durability) -> "WrappedBoard":
        """See `Board.durable`: its verbs go through the hook, too."""
        return WrappedBoard(self.inner.durable(durability), self._around)

    async def now(self) -> int:
        """See `Board.now`."""
        return await self._pass(self.inner.now)

    async def get(self, collection: str, name: str) -> Record | None:
        """See `Board.get`."""
        return await self._pass(self.inner.get, collection=collection, name=name)

    async def list(self, collection: str) -> Records:
        """See `Board.list`."""
        return await self._pass(self.inner.list, collection=collection)

    async def put(
        self,
        collection: str,
        name: str,
        value: bytes,
        *,
        expected: int | None = None,
        fence: int | None = None,
        ttl: float | None = None,
    ) -> Record | None:
        """See `Board.put`."""
        return await self._pass(
            self.inner.put, collection=collection, name=name, value=value, expected=expected, fence=fence, ttl=ttl
        )

    async def delete(
        self, collection: str, name: str, *, expected: int | None = None, fence: int | None = None
    ) -> bool:
        """See `Board.delete`."""
        return await self._pass(self.inner.delete, collection=collection, name=name, expected=expected, fence=fence)

    async def claim(
        self, collection: str, name: str, owner: str, *, span: float, expected: int | None = None
    ) -> Record | None:
        """See `Board.claim`."""
        return await self._pass(
            self.inner.claim, collection=collection, name=name, owner=owner, span=span, expected=expected
        )

    async def renew(self, collection: str, name: str, *, fence: int, span: float) -> bool:
        """See `Board.renew`."""
        return await self._pass(self.inner.renew, collection=collection, name=name, fence=fence, span=span)

    async def release(self, collection: str, name: str, *, fence: int) -> bool:
        """See `Board.release`."""
        return await self._pass(self.inner.release, collection=collection, name=name, fence=fence)

    async def count(self, counter: str, writer: str, sequence: int, amounts: Mapping[str, int], *, ttl: float) -> bool:
        """See `Board.count`."""
        return await self._pass(
            self.inner.count, counter=counter, writer=writer, sequence=sequence, amounts=amounts, ttl=ttl
        )

    async def counts(self, counters: Sequence[str]) -> Sequence[Mapping[str, int]]:
        """See `Board.counts`."""
        return await self._pass(self.inner.counts, counters=counters)

    async def add(self, name: str, members: Collection[str], *, ttl: float | None = None) -> frozenset[str]:
        """See `Board.add`."""
        return await self._pass(self.inner.add, name=name, members=members, ttl=ttl)

    async def remove(self, name: str, members: Collection[str]) -> None:
        """See `Board.remove`."""
        await self._pass(self.inner.remove, name=name, members=members)

    async def members(self, name: str, *, limit: int = 1000, offset: int = 0) -> Sequence[Member]:
        """See `Board.members`."""
        return await self._pass(self.inner.members, name=name, limit=limit, offset=offset)

    async def size(self, name: str) -> int:
        """See `Board.size`."""
        return await self._pass(self.inner.size, name=name)

    async def _pass(self, verb: Callable[P, Awaitable[T]], *args: P.args, **arguments: P.kwargs) -> T:
        return await self._around(verb.__name__, arguments, partial(verb, *args, **arguments))
