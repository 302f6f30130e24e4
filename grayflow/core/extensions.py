"""
Foreign hashes and operators, so that imported flags keep their users' buckets and their rules' meaning.

They are given as one value to whoever builds snapshots. All of them are called during evaluation: synchronous,
quick, and the same answer for the same arguments.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from grayflow.core.operators import BUILT_IN
from grayflow.errors import ConfigurationError

__all__ = ["Extensions", "ForeignOperator", "Hash"]

ForeignOperator = Callable[[Any, tuple[Any, ...]], bool | None]
"""Gets the attribute (never missing, never null) and the values; `None` means that it cannot read the attribute."""


class Hash(msgspec.Struct, frozen=True):
    """
    A way to bucket ids that is not ours.

    `fn(salt, id)` gets the salt that a native bucket would use, without a lane, and returns a whole number in
    `[0, size)`. Ranges and weights that name this hash count in `size`. Raising, or leaving the range, counts as an
    absent id.
    """

    size: int
    fn: Callable[[str, str], int]


class Extensions(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a flag set needs beyond the built-in: `Extensions(hashes={"sha1": Hash(10_000, fn)}, operators={"geo": fn})`.

    Raises:
        ConfigurationError: what was given is no mapping of names to hashes or functions, a size is not a positive whole
            number, or an operator has a built-in's name.
    """

    hashes: Mapping[str, Hash] = {}
    operators: Mapping[str, ForeignOperator] = {}

    def __post_init__(self) -> None:
        """Refuse what could never work."""
        for name, hash_ in _named("hashes", self.hashes, "{'sha1': Hash(10_000, fn)}"):
            _check_hash(name, hash_)
        for name, operator in _named("operators", self.operators, "{'geo': fn}"):
            if not callable(operator):
                raise ConfigurationError(
                    f"operator {name!r} is {operator!r}; give a function of the attribute and the values"
                )
        if taken := sorted(BUILT_IN & self.operators.keys()):
            raise ConfigurationError(f"operator {taken[0]!r} is built in and cannot be replaced; choose another name")

    def slot(self, name: str, salt: str, unit: str) -> int | None:
        """Return the slot of an id under a foreign hash; `None`, as for an absent id, if it cannot tell."""
        hash_ = self.hashes.get(name)
        if hash_ is None:
            return None
        try:
            found = hash_.fn(salt, unit)
        except Exception:  # noqa: BLE001 - foreign code; whatever it raises, the id has no slot
            return None
        return found if type(found) is int and 0 <= found < hash_.size else None


def _named(what: str, given: Any, example: str) -> Iterable[tuple[str, Any]]:
    """Return the names and what they stand for."""
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"{what} is {given!r}; give a mapping such as {example}")
    for name in given:
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"{what} holds the name {name!r}; flags name them by a text that is not empty")
    return given.items()


def _check_hash(name: str, given: Any) -> None:
    if not isinstance(given, Hash):
        raise ConfigurationError(f"hash {name!r} is {given!r}; give Hash(size, fn)")
    if type(given.size) is not int or given.size < 1:
        raise ConfigurationError(f"hash {name!r} has size {given.size!r}; a whole number of 1 or more is needed")
    if not callable(given.fn):
        raise ConfigurationError(f"hash {name!r} has {given.fn!r} as its function; give a function of salt and id")
