"""
Patterns that are refused for their shape, whatever they would cost.

They are what stops programs, and are easy to write otherwise: an unbounded repeat inside another, and two unbounded
ones in a row that can take the same characters. And patterns that are small on paper only: RE2 writes every counted
repeat out, and refuses what it finds too much.
"""

import msgspec

from grayflow.core.pattern.charset import NONE, Ranges, merged, overlap
from grayflow.core.pattern.tree import Chars, Choice, Node, Repeat, Sequence, alphabet, width

__all__ = ["check_shape", "check_size"]

_LARGEST = 10_000
_MOST_REPEATS = 1_000


def check_size(node: Node) -> None:
    """
    Refuse what is small on paper only.

    Raises:
        ValueError: with its repeats written out the pattern is too long, or repeats multiply to more than 1,000.
    """
    size, repeats = _size(node)
    if size > _LARGEST or repeats > _MOST_REPEATS:
        raise ValueError(
            f"with its counted repeats written out the pattern is too long: repeats inside repeats may come to "
            f"{_MOST_REPEATS}, all of it to {_LARGEST} characters, of which a class counts as 5. Use smaller counts"
        )


def _size(node: Node) -> tuple[int, int]:
    match node:
        case Chars(ranges=ranges):
            return (1 if len(ranges) == 1 and ranges[0][1] - ranges[0][0] < 2 else 5), 1
        case Sequence(items=parts) | Choice(options=parts):
            sizes = [_size(part) for part in parts]
            return sum(size for size, _ in sizes), max((repeats for _, repeats in sizes), default=1)
        case Repeat(body=body, least=least, most=most):
            size, repeats = _size(body)
            times = max(1, least if most is None else most)
            return size * times, repeats * times
        case _:
            return 1, 1


class _Ends(msgspec.Struct, frozen=True):
    """Of a node: what unbounded repeats at its beginning and at its end take, and whether it may be passed over."""

    head: Ranges = NONE
    tail: Ranges = NONE
    empty: bool = False


def check_shape(node: Node) -> None:
    """
    Refuse unbounded repeats that are nested, or that follow each other and overlap.

    Raises:
        ValueError: there is one; the message says what to write instead.
    """
    _ends(node, inside=False)


def _ends(node: Node, *, inside: bool) -> _Ends:
    match node:
        case Sequence(items=items):
            found = _Ends(empty=True)
            for item in items:
                found = _joined(found, _ends(item, inside=inside))
            return found
        case Choice(options=options):
            ends = [_ends(option, inside=inside) for option in options]
            heads, tails = merged(*(end.head for end in ends)), merged(*(end.tail for end in ends))
            return _Ends(heads, tails, any(end.empty for end in ends))
        case Repeat(body=body, least=least, most=None):
            if inside:
                raise ValueError(
                    "an unbounded repeat inside an unbounded repeat is not allowed: it can take time without end. "
                    "Give the inner one a bound, as in ([a-z]{1,63}[.])+"
                )
            _ends(body, inside=True)
            chars = alphabet(body)
            return _Ends(chars, chars, least == 0)
        case Repeat(body=body, least=least, most=most):
            once = _ends(body, inside=inside)
            twice = _joined(once, once) if most != 1 else once
            return _Ends(twice.head, twice.tail, least == 0 or once.empty)
        case _:
            return _Ends(empty=width(node)[1] == 0)


def _joined(one: _Ends, other: _Ends) -> _Ends:
    if overlap(one.tail, other.head):
        raise ValueError(
            "two unbounded repeats in a row that can take the same characters are not allowed: they share them out in "
            "every way. Make one of the two, or put something between them that neither takes. At the beginning and "
            "the end of a pattern .* is never needed, because a pattern is found anywhere in the text"
        )
    return _Ends(
        merged(one.head, other.head) if one.empty else one.head,
        merged(one.tail, other.tail) if other.empty else other.tail,
        one.empty and other.empty,
    )
