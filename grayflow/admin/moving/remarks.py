"""What a translation between two systems has to say: nothing is lost or bent without a remark."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from grayflow.admin.formats import write_text
from grayflow.core.codec import encode
from grayflow.core.extensions import Extensions
from grayflow.core.flag import Flag, Segment
from grayflow.core.validate import degradations

__all__ = ["Ledger", "Moved", "Remark", "Subject", "Weight", "is_faithful"]

Weight = Literal["refused", "left out", "changed", "note"]
"""
How much it matters: the whole document was not translated; a part of it is missing; it is there, and decides otherwise
for somebody; it decides the same, and there is something to know or to do.
"""

WEIGHTS: tuple[Weight, ...] = ("refused", "left out", "changed", "note")

Subject = Literal["flag", "segment", "file"]


class Remark(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that could not be carried over as it was."""

    weight: Weight
    kind: Subject
    key: str
    """The flag or segment, under the name that the source gives it; empty for the file as a whole."""
    path: str
    """Where in the source, within that document: `strategies[1].constraints[0]`."""
    what: str
    """What was found there, and why it cannot be carried over."""
    instead: str
    """What was done instead."""

    def __str__(self) -> str:
        about = self.kind if self.kind == "file" else f"{self.kind} {self.key!r}"
        place = f", {self.path}" if self.path else ""
        return f"{about}{place}: {self.what}; {self.instead}"


def is_faithful(remarks: Iterable[Remark]) -> bool:
    """Tell whether nothing is missing and nothing decides otherwise."""
    return all(remark.weight == "note" for remark in remarks)


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """Another system's flag set as grayflow documents, and what is to be said about it."""

    flags: tuple[Flag, ...]
    segments: tuple[Segment, ...]
    remarks: tuple[Remark, ...]
    """The weightiest first."""

    @property
    def faithful(self) -> bool:
        """Whether all of it was carried over and decides the same for everybody."""
        return is_faithful(self.remarks)

    @property
    def complete(self) -> bool:
        """Whether every flag and segment was translated, if perhaps not in all parts."""
        return all(remark.weight != "refused" for remark in self.remarks)

    @property
    def needs_extensions(self) -> bool:
        """Whether services need `foreign_extensions` to evaluate them."""
        documents: tuple[Flag | Segment, ...] = (*self.flags, *self.segments)
        return any(degradations(one, Extensions()) for one in documents)

    def text(self) -> str:
        """Return the documents as JSON that `Admin.import_` and `grayflow import` read."""
        documents = [("segment", one.key, encode(one)) for one in self.segments]
        return write_text([*documents, *(("flag", one.key, encode(one)) for one in self.flags)], "json")  # type: ignore[list-item]


class Ledger:
    """
    Collects remarks about one document after the other.

    A remark that is made twice about the same place is kept once.
    """

    def __init__(self) -> None:
        self._remarks: dict[Remark, None] = {}
        self._kind: Subject = "file"
        self._key = ""

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """All remarks, the weightiest first, else in the order in which they were made."""
        return tuple(sorted(self._remarks, key=lambda remark: WEIGHTS.index(remark.weight)))

    def about(self, kind: Subject, key: str = "") -> "Ledger":
        """Let the following remarks be about this document, and return the ledger."""
        self._kind, self._key = kind, key
        return self

    def refused(self, path: str, what: str) -> None:
        """The document cannot be translated."""
        self._add("refused", path, what, f"the {self._kind} was not imported")

    def left_out(self, path: str, what: str, instead: str) -> None:
        """A part of the document is missing from the translation."""
        self._add("left out", path, what, instead)

    def changed(self, path: str, what: str, instead: str) -> None:
        """Somebody may get another answer."""
        self._add("changed", path, what, instead)

    def note(self, path: str, what: str, instead: str) -> None:
        """All answers are the same."""
        self._add("note", path, what, instead)

    def _add(self, weight: Weight, path: str, what: str, instead: str) -> None:
        remark = Remark(weight=weight, kind=self._kind, key=self._key, path=path, what=what, instead=instead)
        self._remarks[remark] = None
