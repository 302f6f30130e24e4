"""
Foreign hashes and operators, so that imported flags keep their users' buckets and their rules' meaning.

They are given as one value to whoever builds snapshots. All of them are called during evaluation: synchronous,
quick, and the same answer for the same arguments.
"""

from collections.abc import Callable, Mapping
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
        ConfigurationError: a size that is not a positive whole number, or an operator that has a built-in's name.
    """

    hashes: Mapping[str, Hash] = {}
    operators: Mapping[str, ForeignOperator] = {}

    def __post_init__(self) -> None:
        """Refuse what could never work."""
        for name, hash_ in self.hashes.items():
            if type(hash_.size) is not int or hash_.size < 1:
                raise ConfigurationError(
                    f"hash {name!r} has size {hash_.size!r}; a whole number of 1 or more is needed"
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
