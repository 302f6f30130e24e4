"""
Whether every call that one function takes is taken by another, with each value where it belongs.

Pure. Defaults may differ, names of positional-only arguments too; types are not looked at.
"""

from collections.abc import Iterator
from inspect import Parameter, Signature

import msgspec

__all__ = ["refusals"]


class _Shape(msgspec.Struct, frozen=True):
    """A signature by how arguments can be given."""

    positional: tuple[Parameter, ...]
    named: dict[str, Parameter]
    any_positional: bool
    any_named: bool

    def place(self, name: str) -> int | None:
        """Return where an argument stands that can be given by name and by position."""
        places = (index for index, one in enumerate(self.positional) if one.name == name and one.name in self.named)
        return next(places, None)

    def reaches(self, index: int) -> bool:
        """Tell whether a call can give that many arguments by position, and one more."""
        return self.any_positional or index < len(self.positional)


def refusals(wanted: Signature, found: Signature) -> tuple[str, ...]:
    """
    Return which calls of `wanted` the other does not take, as ends of a sentence; none if it takes all.

    Args:
        wanted: What callers go by.
        found: What they get.
    """
    ours, theirs = _shape(wanted), _shape(found)
    return tuple(dict.fromkeys((*_positions(ours, theirs), *_names(ours, theirs), *_demands(ours, theirs))))


def _positions(wanted: _Shape, found: _Shape) -> Iterator[str]:
    """What is given by position."""
    if not found.any_positional:
        if wanted.any_positional:
            yield "does not take any number of arguments"
        for one in wanted.positional[len(found.positional) :]:
            yield f"takes no argument {one.name!r} by position"


def _names(wanted: _Shape, found: _Shape) -> Iterator[str]:
    """What is given by name."""
    for index, one in enumerate(wanted.positional):
        if one.name not in wanted.named:
            continue
        if one.name in found.named:
            if found.place(one.name) != index:
                yield f"has {one.name!r} at another position"
        elif index < len(found.positional) or not found.any_named:
            yield f"takes no argument {one.name!r} by name"
    for name, one in wanted.named.items():
        if one.kind is Parameter.KEYWORD_ONLY:
            yield from _only_named(name, wanted, found)
    if wanted.any_named:
        yield from _any_names(wanted, found)


def _only_named(name: str, wanted: _Shape, found: _Shape) -> Iterator[str]:
    place = found.place(name)
    if name not in found.named and not found.any_named:
        yield f"takes no argument {name!r} by name"
    elif place is not None and wanted.reaches(place):
        yield f"takes {name!r} by position as well, where the interface has another argument"


def _any_names(wanted: _Shape, found: _Shape) -> Iterator[str]:
    if not found.any_named:
        yield "does not take named arguments of any name"
    for index, one in enumerate(found.positional):
        if one.name in found.named and one.name not in wanted.named and wanted.reaches(index):
            yield f"has an argument {one.name!r}, which the interface leaves free as a name"


def _demands(wanted: _Shape, found: _Shape) -> Iterator[str]:
    """What has to be given, and may be left out by callers."""
    always = {name for name, one in wanted.named.items() if one.default is Parameter.empty}
    certain = sum(one.default is Parameter.empty for one in wanted.positional)
    for one in (*found.positional[certain:], *found.named.values()):
        if one.default is not Parameter.empty or (one.name in always and one.name in found.named):
            continue
        if one not in found.positional[:certain]:
            yield f"needs an argument {one.name!r}"


def _shape(signature: Signature) -> _Shape:
    every = tuple(signature.parameters.values())
    return _Shape(
        tuple(one for one in every if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)),
        {one.name: one for one in every if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)},
        any(one.kind is one.VAR_POSITIONAL for one in every),
        any(one.kind is one.VAR_KEYWORD for one in every),
    )
