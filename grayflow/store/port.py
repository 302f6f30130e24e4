"""
The port between grayflow and the place where flags live.

A store holds, per namespace, one document per flag and per segment, the switch-off generations of every variant,
and a log of every change. Every change makes one new *position*. This module holds what a second implementer must
know; `grayflow.testing.StoreContract` is the same in tests, and every adapter and wrapper passes it.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, Self

import msgspec

from grayflow.core.position import Document, Position
from grayflow.errors import HistoryGoneError

__all__ = [
    "Change",
    "Changed",
    "Document",
    "DocumentKind",
    "Edit",
    "Event",
    "Gap",
    "Generation",
    "Marks",
    "Position",
    "State",
    "Store",
]

SCHEMA = 1
"""The layout of stored data that this release reads and writes. A higher number in the store is refused."""

DocumentKind = Literal["flag", "segment"]


class Generation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    What is known of the switch-offs of one variant; lives outside the document and survives its deletion.

    `off` names the newest switch-off, 0 for none: `2·R` if the commit of revision R took the variant away, `2·A+1`
    if the clock did, A being `armed`. `armed` is the revision of the last commit that changed whether or when the
    variant can be served. Within an epoch `off` never falls.
    """

    off: int = 0
    armed: int = 0


Generations = Mapping[str, Generation]
"""Variant -> its generation, of one flag."""


class Marks(msgspec.Struct, frozen=True, kw_only=True):
    """
    How an edit moves its flag's generations. R is the revision that the commit is given, known to the store only.

    For every variant named anywhere in here the store computes, starting from what it holds (or zeros):
    `off = 2·R` if in `off`, else the larger of the stored `off` and `passed[variant]`; `armed = R` if in `armed`.
    """

    off: tuple[str, ...] = ()
    armed: tuple[str, ...] = ()
    passed: Mapping[str, int] = {}
    """Switch-offs by the clock that went by unrecorded before this edit: the value for `off`, as it stands."""

    def apply(self, held: Generations, revision: int) -> dict[str, Generation]:
        """Return all generations of the flag after a commit of `revision`."""
        after = dict(held)
        for variant in {*self.off, *self.armed, *self.passed}:
            old = after.get(variant, Generation())
            off = 2 * revision if variant in self.off else max(old.off, self.passed.get(variant, 0))
            after[variant] = Generation(off=off, armed=revision if variant in self.armed else old.armed)
        return after


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    """One intended change of one document."""

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


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One committed change: what history, the log and followers see."""

    position: Position
    """After the change."""
    previous: str
    """The nonce of the position before: a change continues a reader's position if epoch and this fit and the revision is the next."""
    kind: DocumentKind
    key: str
    document: bytes | None
    """The whole document after, `None` if it was deleted."""
    before: Document | None
    """The document before, `None` if there was none. Also `None` in events of `follow`, which carry what readers need."""
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
    """Flag key -> variant -> generation; deleted flags included."""


class Changed(msgspec.Struct, frozen=True):
    """A change that was pushed. It may be a duplicate, or not the next one: the reader compares positions."""

    change: Change


class Gap(msgspec.Struct, frozen=True):
    """Something may have been missed: compare positions with the store."""

    cause: str


Event = Changed | Gap


class Store(ABC):
    """
    Flags and their history, one namespace.

    Lifetime: a store is built without I/O and used inside `async with`. It belongs to the event loop that entered it.
    All methods may be called by several tasks at once.

    Errors: what an adapter cannot do raises a `StoreError` (`grayflow.errors`); no other library's exception leaves
    it. Reading never changes anything. Cancelling a read is harmless; after a cancelled `commit` the change was made
    or was not, and committing the same request id again tells which without doing it twice.
    """

    namespace: str

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
        enter first, then load. Every doubt (a re-subscription, an unreadable or oversized message, a slow reader)
        is a `Gap`. Events may repeat. The iterator raises `StoreUnavailableError` when the link is lost and
        `StoreAccessError` when the server forbids it; both end it, and the caller enters a new block, which is a gap
        as well.
        """

    @abstractmethod
    async def commit(self, edit: Edit, *, expected: int) -> Change:
        """
        Write one document, its generations and its log entry, all or nothing.

        `expected` is the revision of the document that the edit was made from, 0 if there must be none. A segment
        and a flag may have the same key. Deleting what is not there is a conflict.

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

    async def at(self, revision: int) -> State:
        """
        Return the state as it was at `revision`: generations and nonce excepted, which are not kept.

        The default walks back from the current state over `history`. The nonce is `""`, generations are empty.

        Raises:
            HistoryGoneError: the changes since then are not all kept.
            StoreFormatError, NotInitializedError: as `load`.
        """
        state = await self.load()
        oldest = await self.oldest()
        if revision < oldest - 1:
            raise HistoryGoneError(revision, oldest=oldest)
        kinds: dict[str, dict[str, Document]] = {"flag": dict(state.flags), "segment": dict(state.segments)}
        upper: int | None = state.position.revision + 1
        while upper is not None:
            page = await self.history(before=upper, limit=500)
            upper = None
            for change in page:
                if change.revision <= revision:
                    break
                upper = change.revision
                _undo(kinds[change.kind], change)
            else:
                continue
            break
        return State(
            position=Position(epoch=state.position.epoch, revision=min(revision, state.position.revision), nonce=""),
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
