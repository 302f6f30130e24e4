"""
One write, from reading what is there to the committed change: the same path for every verb.

An edit is planned from the newest document and committed only if that is still the newest. Whoever loses that race
plans again, so a kill switch never loses; only an edit of a whole document reports the conflict instead.
"""

import random
from collections.abc import Awaitable, Callable
from difflib import get_close_matches
from typing import Generic, TypeVar
from uuid import uuid4

import msgspec

from grayflow.admin.checks import canonical, decode, dependents, kind_word, reference_problems, refuse_degraded
from grayflow.admin.results import Saved
from grayflow.clock import Clock
from grayflow.core.codec import encode
from grayflow.core.extensions import Extensions
from grayflow.core.flag import Flag, Segment
from grayflow.core.generations import Generations, Marks
from grayflow.core.graph import needs
from grayflow.core.liveness import marks
from grayflow.core.position import Document
from grayflow.errors import (
    ConflictError,
    InvalidFlagError,
    Problem,
    StoreUnavailableError,
    UnknownFlagError,
)
from grayflow.store.given import refused
from grayflow.store.port import Change, DocumentKind, Edit, Store

__all__ = ["Held", "Order", "Plan", "Writer", "held_of", "unreadable"]

D = TypeVar("D", bound=Flag | Segment)

_TRIES = 50
"""How often a verb plans again after a conflict. One writer gets through each time, so 50 may collide at once."""
_LOST_REPLY_PAUSES = (0.1, 0.5)
"""Seconds before a commit that was not answered is sent again, under the same request id."""


class Held(msgspec.Struct, Generic[D], frozen=True, kw_only=True):
    """What the store holds under a key when an edit is planned."""

    model: type[D]
    key: str
    document: Document | None
    """The bytes, `None` if there is no document."""
    decoded: D | None
    """`None` if there is none or it cannot be read."""
    problems: tuple[Problem, ...] = ()
    """Why it cannot be read."""
    generations: Generations = {}

    @property
    def kind(self) -> DocumentKind:
        """What it is, in a word."""
        return kind_word(self.model)

    @property
    def revision(self) -> int:
        """The revision of the document, 0 for none."""
        return 0 if self.document is None else self.document.revision


def held_of(model: type[D], key: str, document: Document | None, generations: Generations) -> "Held[D]":
    """Return what a store gave, decoded if it can be."""
    decoded: D | None = None
    problems: tuple[Problem, ...] = ()
    if document is not None:
        try:
            decoded = decode(model, document.data, key)
        except InvalidFlagError as error:
            problems = error.problems
    return Held(model=model, key=key, document=document, decoded=decoded, problems=problems, generations=generations)


Plan = Callable[[Held[D]], Awaitable[D | None]]
"""From what is there to what shall be there, `None` for nothing. Called again after a conflict."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be written about an edit, and how careful to be."""

    action: str
    reason: str
    reapply: bool = True
    """Whether to plan again after a conflict instead of reporting it."""
    lenient: bool = False
    """Whether conditions that cannot be evaluated are let pass: the way back is never closed."""
    references: bool = True
    """Whether to look at what the document names; not where the caller has done so for many at once."""

    def __post_init__(self) -> None:
        """Refuse a reason that cannot be kept, before anything is planned."""
        if not isinstance(self.reason, str):
            raise refused("reason", self.reason, "give text")


class Writer:
    """Writes for one actor into one store."""

    def __init__(self, store: Store, *, actor: str, extensions: Extensions, clock: Clock) -> None:
        self._store, self._actor, self._extensions, self._clock = store, actor, extensions, clock

    async def write(self, model: type[D], key: str, plan: "Plan[D]", order: Order) -> "Saved[D]":
        """
        Plan and commit until it is done.

        Raises:
            ConflictError: somebody else was first, and the order does not re-apply itself or had no luck 50 times.
            InvalidFlagError: the planned document is refused.
            StoreError: the store did not do it.
        """
        for attempt in range(_TRIES):
            held = await self.read(model, key)
            try:
                return await self.save(held, await plan(held), order)
            except ConflictError:
                if not order.reapply or attempt == _TRIES - 1:
                    raise
            await self._step_aside(attempt)
        raise AssertionError("unreachable: the last attempt raises")

    async def read(self, model: type[D], key: str) -> "Held[D]":
        """
        Return what the store holds under a key.

        Raises:
            ConfigurationError: that is no text.
        """
        if not isinstance(key, str):
            raise refused("key", key, f"give the key of a {kind_word(model)}, a text")
        return held_of(model, key, *await self._store.get(kind_word(model), key))

    async def existing(self, held: "Held[D]") -> D:
        """
        Return the document, for verbs that change one.

        Raises:
            UnknownFlagError: there is none; names like it are given.
            InvalidFlagError: it cannot be read.
        """
        if held.decoded is not None:
            return held.decoded
        if held.document is None:
            raise await self.unknown(held.kind, held.key)
        raise unreadable(held)

    async def unknown(self, kind: DocumentKind, key: str) -> UnknownFlagError:
        """Return the error for a key that does not exist, with names that are like it."""
        state = await self._store.load()
        keys = state.flags if kind == "flag" else state.segments
        return UnknownFlagError(key, kind=kind, similar=tuple(get_close_matches(key, keys, 3)))

    async def save(self, held: "Held[D]", planned: D | None, order: Order) -> "Saved[D]":
        """
        Commit what was planned from `held`, once.

        Raises:
            ConflictError: `held` is not the newest any more; nothing was written.
            InvalidFlagError: the planned document is refused.
        """
        if planned is None and held.document is None:
            return await self._unchanged(held)
        if planned is None:
            return await self._commit(held, None, None, await self._missed(held) if order.references else (), order)
        after, data = canonical(held.model, planned, held.key)
        if held.decoded is not None and encode(held.decoded) == data:
            return await self._unchanged(held)
        return await self._commit(held, after, data, await self._checked(held, after, order), order)

    async def _checked(self, held: "Held[D]", after: Flag | Segment, order: Order) -> tuple[Problem, ...]:
        """Refuse what must not be written, and return what to warn of."""
        warnings: tuple[Problem, ...] = ()
        try:
            refuse_degraded(after, held.decoded, self._extensions)
        except InvalidFlagError as error:
            if not order.lenient:
                raise
            warnings = error.problems
        if not order.references:
            return warnings
        if _archived(after) and not _archived(held.decoded):
            warnings += await self._missed(held)
        if needs(after) - (frozenset() if held.decoded is None else needs(held.decoded)):
            warnings += reference_problems(after, held.decoded, await self._store.load())
        return warnings

    async def _missed(self, held: "Held[D]") -> tuple[Problem, ...]:
        """Return who still needs a document that goes away."""
        state = await self._store.load()
        return tuple(
            Problem(key=held.key, kind=held.kind, path="", message=f"the conditions of {kind} {key!r} still name it")
            for kind, key in dependents((held.kind, held.key), state)
        )

    async def _unchanged(self, held: "Held[D]") -> "Saved[D]":
        return Saved(
            kind=held.kind,
            key=held.key,
            revision=held.revision,
            position=await self._store.position(),
            before=held.decoded,
            after=held.decoded,
            change=None,
        )

    async def _commit(
        self, held: "Held[D]", after: D | None, data: bytes | None, warnings: tuple[Problem, ...], order: Order
    ) -> "Saved[D]":
        now = self._clock.now()
        edit = Edit(
            kind=held.kind,
            key=held.key,
            document=data,
            action=order.action,
            actor=self._actor,
            reason=order.reason,
            at=now,
            request_id=uuid4().hex,
            marks=_marks(held, after, now),
        )
        change = await self._send(edit, expected=held.revision)
        return Saved(
            kind=held.kind,
            key=held.key,
            revision=change.revision,
            position=change.position,
            before=held.decoded,
            after=after,
            change=change,
            warnings=warnings,
        )

    async def _send(self, edit: Edit, *, expected: int) -> Change:
        """Commit under one request id until there is an answer: a lost reply must not do the edit twice."""
        for pause in _LOST_REPLY_PAUSES:
            try:
                return await self._store.commit(edit, expected=expected)
            except StoreUnavailableError:
                await self._clock.sleep(pause)
        return await self._store.commit(edit, expected=expected)

    async def _step_aside(self, attempt: int) -> None:
        """Let whoever was first finish: at once the first time, then after longer and longer random pauses."""
        longest = 0.0 if attempt == 0 else min(0.25, 0.005 * 2**attempt)
        await self._clock.sleep(random.uniform(0, longest))  # noqa: S311 - spreads writers, guards nothing


def unreadable(held: "Held[D]") -> InvalidFlagError:
    """Return the error for a stored document that a verb cannot change because it cannot be read."""
    message = (
        f"the stored document (revision {held.revision}) cannot be read, so no part of it can be changed; "
        "roll it back to an earlier revision or put a whole new document in its place"
    )
    return InvalidFlagError((Problem(key=held.key, kind=held.kind, path="", message=message), *held.problems))


def _archived(document: Flag | Segment | None) -> bool:
    return isinstance(document, Flag) and document.archived


def _marks(held: "Held[D]", after: D | None, now: int) -> Marks:
    if held.kind == "segment":
        return Marks()
    before = held.decoded if isinstance(held.decoded, Flag) else None
    return marks(before, after if isinstance(after, Flag) else None, held.generations, now)
