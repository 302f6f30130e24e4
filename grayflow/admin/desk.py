"""What every part of `Admin` stands on: the store for the length of a block, who acts, and by which clock."""

import getpass
from contextlib import AsyncExitStack
from typing import Self, TypeVar

from grayflow.admin.past import check_revision
from grayflow.admin.writer import Held, Writer
from grayflow.clock import Clock
from grayflow.core.context import Context
from grayflow.core.extensions import Extensions
from grayflow.core.flag import Flag, Segment
from grayflow.core.snapshot import Builder, Snapshot
from grayflow.errors import ConfigurationError, LifetimeError
from grayflow.store.given import checked_clock, checked_context_type, checked_extensions, opened_store, refused
from grayflow.store.port import State, Store

__all__ = ["Desk"]

D = TypeVar("D", bound=Flag | Segment)


class Desk:
    """
    A store, opened to be changed by somebody.

    Args:
        store: A store or its URL. One that was passed in is held open for the length of the block, not closed for
            others who hold it too.
        namespace: The environment, `default` if left out; of a store that was passed in, its own.
        actor: Who changes flags, for the audit; the login name of this process if left out.
        extensions: Foreign hashes and operators that documents may name. Without them a document that names one is
            refused, and one that names it already can still be switched.
        context_type: The class whose fields conditions read, for `preview` and `explain`.
        clock: Tells when changes are made; the machine's if left out.

    Raises:
        ConfigurationError: an argument cannot be used; the text names it and what is allowed.
    """

    def __init__(
        self,
        store: Store | str,
        *,
        namespace: str | None = None,
        actor: str | None = None,
        extensions: Extensions | None = None,
        context_type: type[Context] = Context,
        clock: Clock | None = None,
    ) -> None:
        self.actor = _actor(actor)
        """Who the audit names."""
        self.extensions = checked_extensions(extensions)
        """Foreign hashes and operators."""
        self._clock = checked_clock(clock)
        self._store = opened_store(store, namespace, client_name="grayflow-admin", clock=self._clock)
        self._context_type = checked_context_type(context_type)
        self._writer = Writer(self._store, actor=self.actor, extensions=self.extensions, clock=self._clock)
        self._held: AsyncExitStack | None = None

    @property
    def namespace(self) -> str:
        """The environment."""
        return self._store.namespace

    @property
    def store(self) -> Store:
        """
        The store, open.

        Raises:
            LifetimeError: outside the block.
        """
        if self._held is None:
            raise LifetimeError("this Admin is not open; use it inside: async with Admin(...) as admin:")
        return self._store

    async def __aenter__(self) -> Self:
        if self._held is not None:
            raise LifetimeError("this Admin is open already; make another one")
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._store)
            if self._store.initialised_by_writer:
                await self._store.init()
            self._held = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        held, self._held = self._held, None
        if held is not None:
            await held.aclose()

    async def state(self) -> State:
        """Return everything as the store holds it: bytes, revisions and generations, at one position."""
        return await self.store.load()

    async def snapshot(self, at: int | None = None) -> Snapshot:
        """
        Return all flags and segments, ready to be evaluated, broken ones included as such.

        Args:
            at: The revision as of which; now, if left out.

        Raises:
            ConfigurationError: there is no such revision yet.
            HistoryGoneError: the changes since then are not all kept.
        """
        if at is None:
            return self._snapshot_of(await self.store.load())
        await check_revision(self.store, at)
        return self._snapshot_of(await self.store.at(at))

    def _snapshot_of(self, state: State) -> Snapshot:
        builder = Builder(extensions=self.extensions, context_type=self._context_type)
        for key, document in state.segments.items():
            builder.add_segment(key, document)
        for key, document in state.flags.items():
            builder.add_flag(key, document)
        return builder.build(state.position)

    async def _read(self, model: type[D], key: str) -> Held[D]:
        """Return what the store holds, for reading: a key that never was is an error, a broken document is not."""
        store = self.store
        held = await self._writer.read(model, key)
        if held.document is None and not await store.history(key, kind=held.kind, limit=1):
            raise await self._writer.unknown(held.kind, key)
        return held


def _actor(actor: object) -> str:
    if actor is not None:
        if isinstance(actor, str) and actor.strip():
            return actor
        raise refused("actor", actor, "say who changes flags, for the audit")
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container may run under a number that has no name
        raise ConfigurationError(
            "this process has no login name; say who changes flags, for the audit: Admin(..., actor=) in code, "
            "GRAYFLOW_ACTOR on the command line"
        ) from None
