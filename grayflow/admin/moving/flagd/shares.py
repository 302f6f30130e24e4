"""flagd's `fractional` as splits, and as buckets where a share decides further."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from grayflow.admin.moving.flagd.logic import UnsayableError, constant, is_constant, plain_variable
from grayflow.admin.moving.wording import NEVER, attribute, either, every, exists, opposite
from grayflow.core.flag import Bucket, Condition, Path
from grayflow.core.foreign import foreign_extensions
from grayflow.core.foreign.flagd import Generation, Shape, hash_name
from grayflow.core.foreign.jsonlogic import operation

__all__ = ["Shares", "Way", "fractional"]

PathOf = Callable[[str], Path]

_MOST = 0x7FFFFFFF
"""What weights may add up to."""


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """How ids are shared out: what is hashed, and with what."""

    by: Path
    salt: str
    shape: Shape
    needs_text: bool = False
    """An empty id has no share: flagd's own targeting key must not be empty."""
    missing: str | None = None
    """What a missing attribute is hashed as; `None`: it has no share."""


class Shares(msgspec.Struct, frozen=True, kw_only=True):
    """A distribution."""

    ways: tuple[Way, ...]
    """Tried in order, until there is an id; none if nobody gets a share."""
    parts: tuple[tuple[Any, int, int], ...]
    """What is served, an expression, and its half-open range of slots."""
    hashes: tuple[str, ...]
    """The name of the hash of each way."""

    @property
    def total(self) -> int:
        """What the weights add up to."""
        return self.parts[-1][2] if self.parts else 0

    def slot_of_missing(self, way: int) -> int | None:
        """Return the slot that everybody without the attribute has."""
        said = self.ways[way]
        if said.missing is None:
            return None
        return foreign_extensions("flagd").hashes[self.hashes[way]].fn(said.salt, said.missing)

    def bucket(self, way: int, ranges: tuple[tuple[int, int], ...]) -> Bucket:
        """Return the condition that an id falls into one of the ranges."""
        at, said = self.slot_of_missing(way), self.ways[way]
        absent = at is not None and any(low <= at < high for low, high in ranges)
        return Bucket(ranges=ranges, by=said.by, salt=said.salt, hash=self.hashes[way], absent=absent)

    def named(self, value: str) -> Condition:
        """
        Return the condition that the share of an id has this name.

        Raises:
            UnsayableError: shares are named by expressions.
        """
        if not all(is_constant(serve) for serve, _, _ in self.parts):
            raise UnsayableError("its shares decide further")
        ranges = tuple((low, high) for serve, low, high in self.parts if constant(serve) == value)
        found: list[Condition] = []
        for way in reversed(range(len(self.ways))):
            without = self.without_id(way)
            mine = every([*([] if without is None else [opposite(without)]), self.bucket(way, ranges)])
            found = [either([mine, *(every([opposite(exists(self.ways[way].by)), one]) for one in found)])]
        return every(found) if found and ranges else NEVER

    def without_id(self, way: int) -> Condition | None:
        """Return the condition that there is an id that gets no share although it is there."""
        return attribute(self.ways[way].by, "in", "") if self.ways[way].needs_text else None


def fractional(arguments: list[Any], key: str, path: PathOf, generation: Generation) -> Shares:
    """
    Read the arguments of `fractional`.

    Args:
        arguments: As they stand.
        key: The flag's key in flagd, which is hashed.
        path: Gives where an attribute is found.
        generation: How ids are hashed.

    Raises:
        UnsayableError: ids or weights are computed in a way that cannot be said.
    """
    first = arguments[0] if arguments else None
    shorthand = isinstance(first, list)
    parts = list(_parts(arguments if shorthand else arguments[1:]))
    whole = parts[-1][2] if parts else 0
    usable = 0 < whole <= _MOST and None not in {part[1] for part in parts}
    ways = _ways(None if shorthand else first, key, path, generation) if usable else ()
    return Shares(
        ways=ways,
        parts=tuple((serve, low, high) for serve, low, high in parts) if usable else (),
        hashes=tuple(hash_name(generation, way.shape, whole) for way in ways),
    )


def _parts(arguments: list[Any]) -> Iterator[tuple[Any, Any, int]]:
    """Yield what is served, and from where to where; a bad weight ends all, as in flagd."""
    start = 0
    for one in arguments:
        if not isinstance(one, list) or not 0 < len(one) <= 2:
            yield None, None, 0
            return
        weight = _weight(one[1]) if len(one) == 2 else 1
        if weight is None:
            yield None, None, 0
            return
        yield one[0], start, start + weight
        start += weight


def _weight(expression: Any) -> int | None:
    if not is_constant(expression):
        raise UnsayableError("its weights are computed from the context")
    found = constant(expression)
    if isinstance(found, float) and found.is_integer():
        found = int(found)
    return max(found, 0) if isinstance(found, int) and not isinstance(found, bool) else None


def _ways(first: Any, key: str, path: PathOf, generation: Generation) -> tuple[Way, ...]:
    usual = Way(by=path("targetingKey"), salt=key, shape="pair", needs_text=True)
    if first is None:
        return (usual,)
    variable = plain_variable(first)
    if variable is not None and variable[1] is None:
        named = Way(by=path(variable[0]), salt="", shape="prefix")
        # Before its third way, flagd hashed the targeting key where the attribute was missing.
        return (named,) if generation == 3 else (named, usual)
    found = operation(first)
    if found is not None and found[0] == "cat":
        return (_concatenated(found[1], path),)
    raise UnsayableError("what it hashes is neither an attribute nor one with text before or behind it")


def _concatenated(arguments: list[Any], path: PathOf) -> Way:
    """Read text put together from constants and one attribute."""
    places = [place for place, one in enumerate(arguments) if not is_constant(one)]
    variable = plain_variable(arguments[places[0]]) if len(places) == 1 else None
    if variable is None:
        raise UnsayableError("what it hashes is put together from several attributes")
    before = constant({"cat": arguments[: places[0]]})
    behind = constant({"cat": arguments[places[0] + 1 :]})
    if before and behind:
        raise UnsayableError("what it hashes has text before and behind the attribute")
    name, default = variable
    missing = constant({"cat": [default]})
    if behind:
        return Way(by=path(name), salt=behind, shape="suffix", missing=missing)
    return Way(by=path(name), salt=before, shape="prefix", missing=missing)
