"""A `Store` whose data is a simulated server's, behind a simulated network; without faults it is as good as any."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Self, TypeVar

from grayflow.store.lifetime import Lifetime
from grayflow.store.port import (
    Change,
    Changed,
    Document,
    DocumentKind,
    Edit,
    Event,
    Gap,
    Generations,
    Position,
    State,
    Store,
)
from tests.simulation.network import Link, Network
from tests.simulation.server import PLACE, Node, Server

T = TypeVar("T")


class Observer:
    """Looks on while a replica asks and hears; this one does not care."""

    def asked(self, verb: str) -> float:
        """See a question on its way; return the moment."""
        return 0.0

    def answered(self, verb: str, asked_at: float, node: Node) -> None:
        """See an answer arrive; `node` is the state that it was given from."""

    def failed(self, verb: str, error: BaseException) -> None:
        """See that no answer came."""

    def linked(self) -> None:
        """See `follow` being entered."""

    def heard(self, event: Event) -> None:
        """See an event being read."""


class SimulatedStore(Store):
    """
    One process's way to a server.

    Args:
        server: Holds the data.
        network: Lies between; all stores of one server share it.
        observer: Told of every question that a replica asks, and of every event that it reads.
    """

    keeps_all_history = True

    def __init__(self, server: Server, network: Network, observer: Observer | None = None) -> None:
        self.namespace = server.namespace
        self._server, self._network = server, network
        self._observer = Observer() if observer is None else observer
        self._lifetime = Lifetime(type(self).__name__)
        self._links: set[Link] = set()

    @property
    def place(self) -> str:
        return PLACE

    async def __aenter__(self) -> Self:
        self._lifetime.enter()
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._lifetime.leave():
            for link in self._links:
                link.close()

    # What a replica asks

    async def position(self) -> Position:
        return await self._ask("position", lambda node: node.position)

    async def replaced(self) -> Sequence[str]:
        return await self._ask("replaced", lambda node: node.replaced)

    async def load(self) -> State:
        return await self._ask("load", lambda _: self._server.whole().state())

    async def changes(self, since: Position) -> Sequence[Change] | None:
        return await self._ask("changes", lambda _: self._server.changes(since))

    async def _ask(self, verb: str, answer: Callable[[Node], T]) -> T:
        self._lifetime.check()
        asked_at = self._observer.asked(verb)
        try:
            node, found = await self._network.carry(verb, partial(self._answer, answer))
        except BaseException as error:
            self._observer.failed(verb, error)
            raise
        self._observer.answered(verb, asked_at, node)
        return found

    def _answer(self, answer: Callable[[Node], T]) -> tuple[Node, T]:
        node = self._server.current()
        return node, answer(node)

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[AsyncIterator[Event]]:
        self._lifetime.check()
        link = await self._network.carry("follow", partial(self._network.open, self._observer.heard))
        self._links.add(link)
        self._observer.linked()
        try:
            yield link
        finally:
            self._links.discard(link)
            self._network.links.discard(link)

    # What writers and readers of the history do

    async def init(self, *, replaces: Sequence[str] | None = None) -> Position:
        return await self._do("init", partial(self._init, replaces))

    async def get(self, kind: DocumentKind, key: str) -> tuple[Document | None, Generations]:
        return await self._do("get", partial(self._get, kind, key))

    async def commit(self, edit: Edit, *, expected: int) -> Change:
        return await self._do("commit", partial(self._commit, edit, expected))

    async def history(
        self, key: str | None = None, *, kind: DocumentKind = "flag", before: int | None = None, limit: int = 50
    ) -> Sequence[Change]:
        found = [
            change
            for change in await self._do("history", self._server.log)
            if (key is None or (change.key, change.kind) == (key, kind))
            and (before is None or change.revision < before)
        ]
        return found[:limit]

    async def oldest(self) -> int:
        log = await self._do("oldest", self._server.log)
        return log[-1].revision if log else (await self.position()).revision + 1

    async def _do(self, verb: str, do: Callable[[], T]) -> T:
        self._lifetime.check()
        return await self._network.carry(verb, do)

    def _init(self, replaces: Sequence[str] | None) -> Position:
        if self._server.init(replaces):
            self._network.push(Gap("the namespace was initialised"))
        return self._server.current().position

    def _get(self, kind: DocumentKind, key: str) -> tuple[Document | None, Generations]:
        node = self._server.current()
        return node.documents[kind].get(key), node.generations.get(key, {}) if kind == "flag" else {}

    def _commit(self, edit: Edit, expected: int) -> Change:
        before = self._server.current()
        change = self._server.commit(edit, expected)
        if self._server.current() is not before:
            self._network.push(Changed(change))
        return change
