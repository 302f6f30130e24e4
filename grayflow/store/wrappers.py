"""
Stores around stores: one behaviour added, everything else passed on.

A wrapper overrides the hook `around`, through which every verb goes, those of the board too, or single verbs. Each
passes the contract of a store, so wrappers stack; `repr` prints the stack.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Self, TypeVar

import msgspec

from grayflow.errors import ReadOnlyError
from grayflow.store.port import Change, Document, DocumentKind, Edit, Event, Generations, Position, Remark, State, Store
from grayflow.store.wrapped_board import WrappedBoard

__all__ = ["Call", "ReadOnly", "Recording", "Wrapper"]

T = TypeVar("T")


class Call(msgspec.Struct, frozen=True):
    """One call of a verb: its name (`load`; of the board `board.put`) and its arguments by name, defaults included."""

    verb: str
    arguments: Mapping[str, Any] = {}


class Wrapper(Store):
    """
    Passes every verb on to `inner`. Entering and leaving are passed on too, so the wrapper is all that is entered.

    Args:
        inner: The store that does the work.
    """

    def __init__(self, inner: Store) -> None:
        self.inner = inner
        self.namespace = inner.namespace
        self.initialised_by_writer = inner.initialised_by_writer
        self.keeps_all_history = inner.keeps_all_history
        self.reports_on_request = inner.reports_on_request
        self.board = None if inner.board is None else WrappedBoard(inner.board, self._around_board)
        self.no_board = inner.no_board

    async def around(self, call: Call, proceed: Callable[[], Awaitable[T]]) -> T:  # noqa: ARG002 - the hook's
        """
        Do what a verb does; override it to do something before, after or instead.

        `proceed()` calls the inner store. For `follow` it enters the block and returns the iterator of events.
        """
        return await proceed()

    @property
    def place(self) -> str:
        """See `Store.place`."""
        return self.inner.place

    async def __aenter__(self) -> Self:
        await self.inner.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.inner.__aexit__(*exc)

    async def init(self, *, replaces: Sequence[str] | None = None) -> Position:
        """See `Store.init`."""
        return await self.around(Call("init", {"replaces": replaces}), partial(self.inner.init, replaces=replaces))

    async def position(self) -> Position:
        """See `Store.position`."""
        return await self.around(Call("position"), self.inner.position)

    async def replaced(self) -> Sequence[str]:
        """See `Store.replaced`."""
        return await self.around(Call("replaced"), self.inner.replaced)

    async def load(self) -> State:
        """See `Store.load`."""
        return await self.around(Call("load"), self.inner.load)

    async def get(self, kind: DocumentKind, key: str) -> tuple[Document | None, Generations]:
        """See `Store.get`."""
        return await self.around(Call("get", {"kind": kind, "key": key}), partial(self.inner.get, kind, key))

    async def changes(self, since: Position) -> Sequence[Change] | None:
        """See `Store.changes`."""
        return await self.around(Call("changes", {"since": since}), partial(self.inner.changes, since))

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[AsyncIterator[Event]]:
        """See `Store.follow`."""
        async with AsyncExitStack() as stack:
            yield await self.around(Call("follow"), lambda: stack.enter_async_context(self.inner.follow()))

    async def request_reports(self, position: Position) -> None:
        """See `Store.request_reports`."""
        call = Call("request_reports", {"position": position})
        await self.around(call, partial(self.inner.request_reports, position))

    async def commit(self, edit: Edit, *, expected: int) -> Change:
        """See `Store.commit`."""
        call = Call("commit", {"edit": edit, "expected": expected})
        return await self.around(call, partial(self.inner.commit, edit, expected=expected))

    async def history(
        self, key: str | None = None, *, kind: DocumentKind = "flag", before: int | None = None, limit: int = 50
    ) -> Sequence[Change]:
        """See `Store.history`."""
        call = Call("history", {"key": key, "kind": kind, "before": before, "limit": limit})
        return await self.around(call, partial(self.inner.history, **call.arguments))

    async def oldest(self) -> int:
        """See `Store.oldest`."""
        return await self.around(Call("oldest"), self.inner.oldest)

    async def clock_offset(self) -> float | None:
        """See `Store.clock_offset`."""
        return await self.around(Call("clock_offset"), self.inner.clock_offset)

    async def checkup(self) -> Sequence[Remark]:
        """See `Store.checkup`."""
        return await self.around(Call("checkup"), self.inner.checkup)

    async def at(self, revision: int) -> State:
        """See `Store.at`."""
        return await self.around(Call("at", {"revision": revision}), partial(self.inner.at, revision))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.inner!r})"

    async def _around_board(self, verb: str, arguments: Mapping[str, Any], proceed: Callable[[], Awaitable[T]]) -> T:
        return await self.around(Call(f"board.{verb}", arguments), proceed)


class ReadOnly(Wrapper):
    """A store that cannot be changed through this object: what would, the board included, raises `ReadOnlyError`."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self.initialised_by_writer = False

    async def around(self, call: Call, proceed: Callable[[], Awaitable[T]]) -> T:
        """See `Wrapper.around`."""
        if call.verb not in _READING:
            edit = call.arguments.get("edit")
            what = f"{edit.kind} {edit.key!r} was not saved" if edit else f"{call.verb} did nothing"
            raise ReadOnlyError(f"{what}: namespace {self.namespace!r} at {self.place} is opened for reading only")
        return await proceed()


_READING = frozenset(
    {
        *("position", "replaced", "load", "get", "changes", "follow", "history", "oldest", "clock_offset", "checkup"),
        *("at", "request_reports"),
        *("board.now", "board.get", "board.list", "board.counts", "board.members", "board.size"),
    }
)


class Recording(Wrapper):
    """Keeps the calls in `calls`, oldest first, those included that failed; for tests."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self.calls: list[Call] = []

    async def around(self, call: Call, proceed: Callable[[], Awaitable[T]]) -> T:
        """See `Wrapper.around`."""
        self.calls.append(call)
        return await proceed()

    def count(self, verb: str) -> int:
        """Return how often a verb was called."""
        return sum(call.verb == verb for call in self.calls)
