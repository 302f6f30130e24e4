"""
Patterns as trees, and what can be said of a tree without searching.

Only whether a pattern is found matters here, never where: there are no capture groups, and lazy repeats are the same
as greedy ones.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec

from grayflow.core.pattern.charset import NONE, Ranges, merged

__all__ = [
    "EMPTY",
    "Chars",
    "Choice",
    "Commit",
    "Edge",
    "Node",
    "Repeat",
    "Sequence",
    "alphabet",
    "choice",
    "repeat",
    "sequence",
    "skippable",
    "width",
]

Where = Literal["text_start", "text_end", "line_start", "line_end", "word", "inside"]


class Chars(msgspec.Struct, frozen=True):
    """One character out of a set."""

    ranges: Ranges


class Edge(msgspec.Struct, frozen=True):
    """A place between characters: an end of the text or of a line, an end of a word, or no end of a word."""

    where: Where


class Sequence(msgspec.Struct, frozen=True):
    """All of them, one after the other."""

    items: "tuple[Node, ...]"


class Choice(msgspec.Struct, frozen=True):
    """One of them."""

    options: "tuple[Node, ...]"


class Repeat(msgspec.Struct, frozen=True):
    """The same again and again; `most` None: without bound."""

    body: "Node"
    least: int
    most: int | None


class Commit(msgspec.Struct, frozen=True):
    """The nearest place where `tail` follows after any number of `gap`; other places are not tried."""

    gap: Ranges
    tail: "Node"


Node = Chars | Edge | Sequence | Choice | Repeat | Commit

EMPTY = Sequence(())


def sequence(items: Iterable[Node]) -> Node:
    """Join nodes; sequences among them are flattened."""
    flat: list[Node] = []
    for item in items:
        flat.extend(item.items if isinstance(item, Sequence) else (item,))
    return flat[0] if len(flat) == 1 else Sequence(tuple(flat))


def choice(options: Iterable[Node]) -> Node:
    """Choose among nodes; single characters become one set, and nothing is offered twice."""
    flat: dict[Node, None] = {}
    single: list[Ranges] = []
    for option in options:
        for one in option.options if isinstance(option, Choice) else (option,):
            if isinstance(one, Chars):
                single.append(one.ranges)
            else:
                flat[one] = None
    if single:
        flat[Chars(merged(*single))] = None
    return next(iter(flat)) if len(flat) == 1 else Choice(tuple(flat))


def repeat(body: Node, least: int, most: int | None) -> Node:
    """Repeat a node; what cannot consume anything, and optional inside optional, is made simple."""
    if most == 0 or width(body)[1] == 0:
        return EMPTY if least == 0 or most == 0 else body
    if least == most == 1:
        return body
    if isinstance(body, Repeat) and (body.least, body.most) == (0, 1):
        return repeat(body.body, 0, most)
    return Repeat(body, least, most)


def width(node: Node) -> tuple[int, int | None]:
    """Fewest and most characters that a node consumes; None: without bound."""
    match node:
        case Chars():
            return 1, 1
        case Edge():
            return 0, 0
        case Sequence(items=parts):
            widths = [width(part) for part in parts]
            bounds = [most for _, most in widths if most is not None]
            return sum(low for low, _ in widths), sum(bounds) if len(bounds) == len(widths) else None
        case Choice(options=options):
            widths = [width(option) for option in options]
            bounds = [most for _, most in widths if most is not None]
            return min(low for low, _ in widths), max(bounds) if len(bounds) == len(widths) else None
        case Repeat(body=body, least=least, most=bound):
            fewest, most = width(body)
            return fewest * least, None if bound is None or most is None else most * bound
        case Commit(tail=tail):
            return width(tail)[0], None


def skippable(node: Node) -> bool:
    """Whether a node may be left out wherever it stands. An edge may not: it asks for a place."""
    match node:
        case Sequence(items=items):
            return all(map(skippable, items))
        case Choice(options=options):
            return any(map(skippable, options))
        case Repeat(body=body, least=least):
            return least == 0 or skippable(body)
        case _:
            return False


def alphabet(node: Node) -> Ranges:
    """All characters that a node may consume."""
    match node:
        case Chars(ranges=ranges):
            return ranges
        case Edge():
            return NONE
        case Sequence(items=parts) | Choice(options=parts):
            return merged(*map(alphabet, parts))
        case Repeat(body=body):
            return alphabet(body)
        case Commit(gap=gap, tail=tail):
            return merged(gap, alphabet(tail))
