"""What the verbs of `Admin` hand back: what was there, what is there now, and what the operator should know."""

from typing import Generic, TypeVar

import msgspec

from grayflow.core.flag import Flag, Segment
from grayflow.core.graph import Node
from grayflow.core.position import Position
from grayflow.errors import Problem, StoreError
from grayflow.store.port import Change, DocumentKind

__all__ = ["ImportReport", "Misfit", "Removal", "Saved"]

D = TypeVar("D", bound=Flag | Segment)


class Saved(msgspec.Struct, Generic[D], frozen=True, kw_only=True):
    """The outcome of one write."""

    kind: DocumentKind
    key: str
    revision: int
    """The revision that the write made; where nothing had to be written, that of the document, 0 for none."""
    position: Position
    """Where the namespace is now, or was when nothing had to be written."""
    before: D | None
    """The document that was replaced, `None` if there was none that could be read."""
    after: D | None
    """The document that holds now, `None` if it was deleted."""
    change: Change | None
    """What was committed; `None`: it was so already, and nothing was written."""
    warnings: tuple[Problem, ...] = ()
    """What was not refused, but is probably not what was meant."""

    @property
    def changed(self) -> bool:
        """Whether anything was written."""
        return self.change is not None

    @property
    def token(self) -> str:
        """The position as text: `Client.wait_for(token)` returns when a process has seen this write."""
        return self.position.token()


class Removal(msgspec.Struct, frozen=True):
    """Stands for the deletion of a document among the edits of a preview."""

    key: str
    kind: DocumentKind = "flag"


class Misfit(msgspec.Struct, frozen=True):
    """A document that was not imported, and why."""

    place: str
    """Where it stands in the text: `line 3`, `flags[2]`, `flags.payment_v2`."""
    problem: Problem

    def __str__(self) -> str:
        said = self.problem.message if self.problem.key == "?" else self.problem
        return f"{self.place}: {said}"


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """
    What an import did, or would do. Documents are pairs of kind and key, in the order in which they were written.

    To resume one that stopped, import the same text again: what is there already is passed over.
    """

    dry_run: bool = False
    created: tuple[Node, ...] = ()
    updated: tuple[Node, ...] = ()
    deleted: tuple[Node, ...] = ()
    unchanged: tuple[Node, ...] = ()
    remaining: tuple[Node, ...] = ()
    """What was still to be written when the import stopped, or was not written since other documents are bad."""
    problems: tuple[Misfit, ...] = ()
    """Why documents were left out."""
    warnings: tuple[Problem, ...] = ()
    stopped: StoreError | None = None
    """What the store raised in the middle; everything listed as written is."""

    @property
    def ok(self) -> bool:
        """Whether the store now holds all of it (or would, in a dry run)."""
        return not self.problems and self.stopped is None
