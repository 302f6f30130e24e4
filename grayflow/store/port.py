"""
The port between grayflow and the place where flags live.

A store holds, per namespace, one document per flag and per segment, the switch-off generations of every variant,
and a log of every change. Every change makes one new *position*. This module holds what a second implementer must
know; `grayflow.testing.StoreContract` is the same in tests, and every adapter and wrapper passes it.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, Self

import msgspec

from grayflow.core.flag import Key
from grayflow.core.generations import Generation, Generations, Marks
from grayflow.core.position import Document, Position
from grayflow.errors import ConfigurationError, HistoryGoneError, InvalidFlagError, Problem
from grayflow.store.board import Board

__all__ = [
    "SCHEMA",
    "Awaited",
    "Change",
    "Changed",
    "Document",
    "DocumentKind",
    "Edit",
    "Event",
    "Gap",
    "Generation",
    "Generations",
    "Marks",
    "Position",
    "Remark",
    "State",
    "Store",
    "check_namespace",
]

SCHEMA = 1
"""The layout of stored data that this release reads and writes. A higher number in the store is refused."""

DocumentKind = Literal["flag", "segment"]


def check_namespace(namespace: object) -> str:
    """
    Return `namespace` if it can name one: 1 to 64 of `A-Za-z0-9._-`. Every adapter asks when it is built.

    Raises:
        ConfigurationError: it cannot.
    """
    if not (isinstance(namespace, str) and re.fullmatch(r"[A-Za-z0-9._-]{1,64}", namespace)):
        raise ConfigurationError(f"{namespace!r} cannot name a namespace; use 1 to 64 of A-Z a-z 0-9 . _ -")
    return namespace


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    """
    One intended change of one document.

    The document is any bytes: no store reads it in order to keep it. Texts are any text that UTF-8 can hold, NUL
    included, and come back as they were.

    Raises:
        InvalidFlagError: a key that no flag can have, a text with a lone surrogate, an instant or the number of a
            switch-off beyond 64 bits.
    """

    kind: DocumentKind
    key: str
    document: bytes | None
    """The whole new document, canonical bytes; `None` deletes it."""
    action: str
    """The verb, for the audit: `create`, `switch_on`, `rollback` …"""
    actor: str
    reason: str
    at: int
    """When the writer decided, nanoseconds since the epoch, by the writer's clock."""
    request_id: str
    """Names this intention. Committing the same id again returns the first result and writes nothing."""
    marks: Marks = Marks()
    """Of no effect on a segment, which has no generations."""

    def __post_init__(self) -> None:
        try:
            msgspec.convert(self.key, Key)
        except msgspec.ValidationError:
            self._refuse("key", "is not 1 to 200 of A-Z a-z 0-9 . _ : / -")
        for name in ("action", "actor", "reason", "request_id"):
            try:
                getattr(self, name).encode()
            except UnicodeEncodeError:
                self._refuse(name, "holds a lone surrogate, which is no text")
        if not -(2**63) <= self.at < 2**63:
            self._refuse("at", "is not an instant in nanoseconds")
        if max(self.marks.passed.values(), default=0) >= 2**63:
            self._refuse("marks", "names a switch-off beyond 64 bits")

    def committed(self, position: Position, before: Document | None, held: Generations, *, nonce: str) -> "Change":
        """
        Return the change that this edit makes.

        Args:
            position: Of the namespace before it.
            before: The document that it replaces.
            held: The generations that the store holds for this flag.
            nonce: Of the position after it.
        """
        revision = position.revision + 1
        return Change(
            position=Position(epoch=position.epoch, revision=revision, nonce=nonce),
            previous=position.nonce,
            kind=self.kind,
            key=self.key,
            document=self.document,
            before=before,
            generations=self.marks.apply(held, revision) if self.kind == "flag" else {},
            action=self.action,
            actor=self.actor,
            reason=self.reason,
            at=self.at,
            request_id=self.request_id,
        )

    def _refuse(self, name: str, message: str) -> None:
        problem = Problem(key=self.key, kind=self.kind, path=name, message=f"{getattr(self, name)!r} {message}")
        raise InvalidFlagError((problem,))


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One committed change: what history, the log and followers see."""

    position: Position
    """After the change."""
    previous: str
    """
    The nonce of the position before. A change continues a reader's position if it has that epoch and that nonce,
    and the next revision.
    """
    kind: DocumentKind
    key: str
    document: bytes | None
    """The whole document after, `None` if it was deleted."""
    before: Document | None
    """
    The document before, `None` if there was none. Promised by `commit` and `history` only: `changes` and `follow`
    carry what readers need and may leave it out.
    """
    generations: Generations
    """All generations of this flag after the change; empty for segments."""
    action: str
    actor: str
    reason: str
    at: int
    request_id: str

    @property
    def revision(self) -> int:
        """The revision that this change made."""
        return self.position.revision


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Everything at one position."""

    position: Position
    flags: Mapping[str, Document]
    segments: Mapping[str, Document]
    generations: Mapping[str, Generations]
    """Flag key -> variant -> generation; deleted flags included, those that never had one left out."""


class Changed(msgspec.Struct, frozen=True):
    """A change that was pushed. It may be a duplicate, or not the next one: the reader compares positions."""

    change: Change


class Gap(msgspec.Struct, frozen=True):
    """Something may have been missed: compare positions with the store."""

    cause: str


class Awaited(msgspec.Struct, frozen=True):
    """Somebody waits until every process says that it decides by nothing older than this; see `request_reports`."""

    position: Position


Event = Changed | Gap | Awaited


class Remark(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that an operator should know of the place where the flags are; `grayflow doctor` prints it."""

    name: str
    """What was looked at, in a word."""
    status: Literal["ok", "warning", "error"]
    found: str
    remedy: str = ""


class Store(ABC):
    """
    Flags and their history, one namespace.

    Lifetime: a store is built without I/O and used inside `async with`. Entering never fails for what is wrong with
    the place; the verbs tell that, one by one, and recover when it is mended. Blocks are counted: a store may be
    entered again while it is open, and the last exit closes it. It belongs to the event loop and the process that
    entered it; elsewhere, and outside its blocks, every verb raises `LifetimeError` (see `grayflow.store.lifetime`).
    All methods may be called by several tasks at once.

    Errors: what an adapter cannot do raises a `StoreError` (`grayflow.errors`); no other library's exception leaves
    it. Reading never changes anything. Cancelling a read, or the wait for the next event, is harmless; after a
    cancelled `commit` the change was made or was not, and committing the same request id again tells which without
    doing it twice.
    """

    namespace: str

    initialised_by_writer: bool = False
    """
    Whether whoever opens it to write, such as `Admin`, calls `init()` first, because nobody else would. `commit`
    refuses an uninitialised namespace all the same, and readers never make one.
    """

    board: Board | None = None
    """What running processes write beside the flags; `None` if it has no place here, see `no_board`."""

    no_board: str = "this store has no place for what running processes write"
    """Why `board` is `None`, for messages."""

    keeps_all_history: bool = False
    """Whether `history`, `changes` and `at` reach back to the first change. Others keep the newest 100 at least."""

    reports_on_request: bool = False
    """
    Whether followers hear of `request_reports`. Then a process says with its next regular report that it has seen a
    change for whose end nobody waits by itself; where they do not, each change is reported at once.
    """

    @property
    @abstractmethod
    def place(self) -> str:
        """Where the data is, for messages: a URL without secrets, or a path."""

    @abstractmethod
    async def __aenter__(self) -> Self: ...

    @abstractmethod
    async def __aexit__(self, *exc: object) -> None: ...

    @abstractmethod
    async def init(self, *, replaces: Sequence[str] | None = None) -> Position:
        """
        Make the namespace usable, on purpose.

        Without `replaces`: create an empty namespace under a new epoch; where there is one already, change nothing
        and return its position. With `replaces` (epochs, `"*"` for any): the operator's word that what the store
        holds now is the truth. A new epoch is drawn that names these epochs, the epoch found here and those it
        replaced; documents, generations and history that are there stay, the number of documents is taken anew, and
        the revision goes on from the highest that can be found. Clients that refused the store then load it.

        Followers see an `init` that changed something as a `Gap`.

        Raises:
            StoreFormatError: the data was written by a newer release (whatever `replaces` says).
        """

    @abstractmethod
    async def position(self) -> Position:
        """
        Return the current position, cheaply: this is the proof of freshness, asked every few seconds.

        Raises:
            NotInitializedError: no data, or not marked as ready.
            StoreFormatError: a newer schema.
        """

    @abstractmethod
    async def replaced(self) -> Sequence[str]:
        """Return the epochs that the current epoch replaces, `"*"` for any; see `init`."""

    @abstractmethod
    async def load(self) -> State:
        """
        Return everything, consistent at one position.

        Raises:
            NotInitializedError: no data, or not marked as ready.
            StoreFormatError: a newer schema, or fewer or more documents than the store says it holds.
        """

    async def get(self, kind: DocumentKind, key: str) -> tuple[Document | None, Generations]:
        """
        Return one document, `None` if there is none, and all generations of that flag, read together.

        Generations outlive their document; a segment has none. This is what an edit is planned from, so it should
        cost no more than one look-up; the default takes them from `load`.

        Raises:
            StoreFormatError, NotInitializedError: as `position`.
        """
        state = await self.load()
        if kind == "segment":
            return state.segments.get(key), {}
        return state.flags.get(key), state.generations.get(key, {})

    @abstractmethod
    async def changes(self, since: Position) -> Sequence[Change] | None:
        """
        Return every change after `since`, oldest first, without a hole; empty if it is the current position.

        `None` if that cannot be proved: another epoch, `since` is not in the log (any more) with that very nonce, or
        the log has a hole. The caller then loads.
        """

    @abstractmethod
    def follow(self) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """
        Watch for changes, for the length of the block.

        Entering returns when changes committed from then on are sure to be seen (or to show up as a `Gap`): so
        enter first, then load. The namespace need not be initialised yet. Every doubt (a re-subscription, an
        unreadable or oversized message, a slow reader) is a `Gap`. Events may repeat. The iterator raises
        `StoreUnavailableError` when the link is lost and `StoreAccessError` when the server forbids it; both end it,
        and the caller enters a new block, which is a gap as well.
        """

    async def request_reports(self, position: Position) -> None:  # noqa: B027 - most stores need not be asked
        """
        Let all processes report now that do not yet say that they have seen `position`: somebody waits for it.

        Followers hear it as an `Awaited`, those whose link is broken do not; so who waits asks again now and then.
        The default does nothing, see `reports_on_request`.

        Raises:
            StoreAccessError: this user may not ask. Reports then come when they are due.
        """

    @abstractmethod
    async def commit(self, edit: Edit, *, expected: int) -> Change:
        """
        Write one document, its generations and its log entry, all or nothing.

        `expected` is the revision of the document that the edit was made from, 0 if there must be none. A segment
        and a flag may have the same key. Deleting what is not there is a conflict, `expected=0` included.

        A request id that was committed before, in the last 10 minutes at least, answers with that first change,
        whatever document and `expected` come with it now.

        Raises:
            ConflictError: the document has another revision; nothing was written.
            NotInitializedError: the namespace was never initialised; the first write does not do it.
            StoreFormatError: a newer schema, or a log that does not fit the position.
            StoreUnavailableError: no answer within the time. The change may have been made: the adapter has
                already retried with the same request id, and so may the caller.
            ReadOnlyError, StoreAccessError: writing is not allowed here.
        """

    @abstractmethod
    async def history(
        self, key: str | None = None, *, kind: DocumentKind = "flag", before: int | None = None, limit: int = 50
    ) -> Sequence[Change]:
        """
        Return changes, newest first: of one document, or of all if `key` is `None` (`kind` is not looked at then).

        `before` leaves out that revision and everything newer, for paging. `limit` is 1 or more.
        """

    @abstractmethod
    async def oldest(self) -> int:
        """Return the oldest revision whose change `history` still has, the current revision + 1 if none."""

    async def clock_offset(self) -> float | None:
        """
        Return by how many seconds the store's clock is ahead of ours.

        `None` if it has no clock of its own; the default knows of none.

        Raises:
            StoreAccessError: it keeps that to itself.
        """
        return None

    async def checkup(self) -> Sequence[Remark]:
        """
        Look at how the place is set up, as far as this user may ask; what may not be asked is a remark, too.

        The default has nothing to say. It is for people, so it may take a few questions.

        Raises:
            StoreUnavailableError: the store did not answer.
        """
        return ()

    async def at(self, revision: int) -> State:
        """
        Return the state as it was at `revision`: generations and nonce excepted, which are not kept.

        The default walks back from the current state over `history`. The nonce is `""`, generations are empty.

        Raises:
            HistoryGoneError: the changes since then are not all kept.
            StoreFormatError, NotInitializedError: as `load`.
        """
        state, oldest = await self.load(), await self.oldest()
        if revision < oldest - 1:
            raise HistoryGoneError(revision, oldest=oldest)
        kinds: dict[DocumentKind, dict[str, Document]] = {"flag": dict(state.flags), "segment": dict(state.segments)}
        reached = state.position.revision
        while reached > revision:
            page = await self.history(before=reached + 1, limit=500)
            for change in page:
                if change.revision != reached or reached <= revision:
                    break
                _undo(kinds[change.kind], change)
                reached -= 1
            if not page or page[0].revision <= reached:  # the next one was dropped while we walked
                raise HistoryGoneError(revision, oldest=await self.oldest())
        return State(
            position=Position(epoch=state.position.epoch, revision=reached, nonce=""),
            flags=kinds["flag"],
            segments=kinds["segment"],
            generations={},
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.place!r}, namespace={self.namespace!r})"


def _undo(documents: dict[str, Document], change: Change) -> None:
    if change.before is None:
        documents.pop(change.key, None)
    else:
        documents[change.key] = change.before
