"""
What differs between two versions of a document, place by place. Pure.

Lists are matched before they are compared: a rule put in front does not make every rule behind it look changed, and
of a gray list only the ids show that came or went.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

import msgspec
from msgspec import UNSET

from grayflow.admin.checks import decode, model_of
from grayflow.core.codec import encode
from grayflow.core.flag import Flag, Segment
from grayflow.errors import InvalidFlagError
from grayflow.store.port import DocumentKind

__all__ = ["Difference", "diff", "path_text", "plain"]

Step = str | int


class Difference(msgspec.Struct, frozen=True, omit_defaults=True):
    """One place: what was there and what is."""

    path: tuple[Step, ...]
    """Where, step by step. Indexes count in the newer version, for what was removed in the older one."""
    before: Any = UNSET
    """`UNSET` if there was nothing."""
    after: Any = UNSET
    """`UNSET` if there is nothing any more."""

    @property
    def place(self) -> str:
        """The path as text: `rules[2].percent`."""
        return path_text(self.path)


def path_text(path: Sequence[Step]) -> str:
    """Return a path as it stands in messages."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def plain(document: Flag | Segment | bytes, kind: DocumentKind = "flag") -> Any:
    """
    Return a document as JSON values, in its canonical form if it is valid.

    Whether a flag is enabled is spelled out, though canonical bytes leave defaults out: everybody looks for it first.
    Bytes that are no JSON come back as text.

    Args:
        document: A document, or its bytes as a store holds them.
        kind: What the bytes are of.
    """
    if isinstance(document, bytes):
        try:
            return plain(decode(model_of(kind), document))
        except InvalidFlagError:
            return _raw(document)
    value = msgspec.json.decode(encode(document))
    return {"key": document.key, "enabled": False, **value} if isinstance(document, Flag) else value


def _raw(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return data.decode(errors="replace")


def diff(
    before: Flag | Segment | bytes | None, after: Flag | Segment | bytes | None, kind: DocumentKind = "flag"
) -> tuple[Difference, ...]:
    """
    Return every difference between two versions, in the order of the document; empty if they mean the same.

    `None` is a document that does not exist: everything in the other one then came or went.
    """
    old, new = ({} if document is None else plain(document, kind) for document in (before, after))
    return tuple(_differences((), old, new))


def _differences(path: tuple[Step, ...], before: Any, after: Any) -> Iterator[Difference]:
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _mappings(path, before, after)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _lists(path, before, after)
    elif _spelled(before) != _spelled(after):
        yield Difference(path, before, after)


def _mappings(path: tuple[Step, ...], before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    for name in {**before, **after}:
        if name not in after:
            yield Difference((*path, name), before=before[name])
        elif name not in before:
            yield Difference((*path, name), after=after[name])
        else:
            yield from _differences((*path, name), before[name], after[name])


def _lists(path: tuple[Step, ...], before: list[Any], after: list[Any]) -> Iterator[Difference]:
    old, new = [_spelled(item) for item in before], [_spelled(item) for item in after]
    if old == new:
        return
    if any(isinstance(item, dict | list) for item in (*before, *after)):
        yield from _matched(path, before, after, SequenceMatcher(None, old, new, autojunk=False))
    elif Counter(old) == Counter(new):
        yield Difference(path, before, after)  # only the order changed
    else:
        yield from _members(path, before, after)


def _matched(
    path: tuple[Step, ...], before: list[Any], after: list[Any], matcher: "SequenceMatcher[str]"
) -> Iterator[Difference]:
    for _, low, high, new_low, new_high in (code for code in matcher.get_opcodes() if code[0] != "equal"):
        paired = min(high - low, new_high - new_low)
        for offset in range(paired):
            yield from _differences((*path, new_low + offset), before[low + offset], after[new_low + offset])
        for index in range(low + paired, high):
            yield Difference((*path, index), before=before[index])
        for index in range(new_low + paired, new_high):
            yield Difference((*path, index), after=after[index])


def _members(path: tuple[Step, ...], before: list[Any], after: list[Any]) -> Iterator[Difference]:
    """Compare lists of ids and other plain values as bags: their order means nothing there."""
    kept = Counter(map(_spelled, after))
    for index, item in enumerate(before):
        if kept[_spelled(item)]:
            kept[_spelled(item)] -= 1
        else:
            yield Difference((*path, index), before=item)
    known = Counter(map(_spelled, before))
    for index, item in enumerate(after):
        if known[_spelled(item)]:
            known[_spelled(item)] -= 1
        else:
            yield Difference((*path, index), after=item)


def _spelled(value: Any) -> str:
    """Return a value as text that tells `true` from `1` and `1` from `1.0`."""
    return msgspec.json.encode(value, order="deterministic").decode()
