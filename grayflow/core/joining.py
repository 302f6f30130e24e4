"""
Conditions joined as functions, for documents that are too large to be written as one.

Python takes some 50 µs to compile a condition from source, and a document may hold a thousand: compiled as one function
it would stop the event loop. Each condition is a function of its own then, of which few have a shape that was not
compiled before; what joins them is here. That costs a call for each condition, at every evaluation.
"""

from collections.abc import Callable
from typing import Any

from grayflow.core.flag import All, AnyOf, Condition, Not

__all__ = ["Part", "every", "inverse", "size", "some"]

Part = Callable[[Any, Any, Any], bool]
"""A condition as a function of context, instant and links, as compiled flags are."""


def size(conditions: tuple[Condition, ...]) -> int:
    """Return how many conditions these are, with those inside them."""
    count = len(conditions)
    for condition in conditions:
        match condition:
            case All(of=inner) | AnyOf(of=inner):
                count += size(inner)
            case Not(of=one):
                count += size((one,))
    return count


def every(parts: tuple[Part, ...]) -> Part:
    """Return the function that is true where all of them are."""
    if len(parts) == 1:
        return parts[0]

    def test(context: Any, now: Any, links: Any) -> bool:
        for part in parts:  # noqa: SIM110 - a generator would cost another frame
            if not part(context, now, links):
                return False
        return True

    return test


def some(parts: tuple[Part, ...]) -> Part:
    """Return the function that is true where one of them is."""
    if len(parts) == 1:
        return parts[0]

    def test(context: Any, now: Any, links: Any) -> bool:
        for part in parts:  # noqa: SIM110 - as above
            if part(context, now, links):
                return True
        return False

    return test


def inverse(part: Part) -> Part:
    """Return the function that is true where it is not."""
    return lambda context, now, links: not part(context, now, links)
