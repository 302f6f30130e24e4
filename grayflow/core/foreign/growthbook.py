"""
How GrowthBook buckets and compares.

Ids go through FNV-1a (32 bits, over UTF-16 code units), once or twice. Conditions are MongoDB's; those that our
operators cannot say come with operators of their own.
"""

from collections.abc import Callable
from typing import Any

from grayflow.core.extensions import Extensions, ForeignOperator, Hash
from grayflow.core.foreign import mongo

__all__ = ["CONDITION", "SIZES", "extensions", "hash_name", "version_operator"]

SIZES = {1: 1_000, 2: 10_000}
"""`hashVersion` -> how many slots there are."""

CONDITION = "growthbook:condition"
"""Each value is what GrowthBook writes behind an attribute's name, such as `{"$elemMatch": {"$gt": 3}}`."""

_PREFIX = "growthbook:"
_VERSIONS = ("$veq", "$vlt", "$vlte", "$vgt", "$vgte")


def hash_name(version: int) -> str:
    """Return the name of the hash that GrowthBook calls `hashVersion`."""
    return f"{_PREFIX}{version}"


def version_operator(name: str) -> str:
    """Return our name of an operator on versions, such as `$vgte`."""
    return f"{_PREFIX}{name.removeprefix('$')}"


def extensions() -> Extensions:
    """Return what flags imported from GrowthBook need."""
    operators: dict[str, ForeignOperator] = {version_operator(name): _one_of(name) for name in _VERSIONS}
    operators[CONDITION] = _condition
    return Extensions(
        hashes={
            hash_name(1): Hash(SIZES[1], lambda salt, unit: _fnv1a(unit + salt) % SIZES[1]),
            hash_name(2): Hash(SIZES[2], lambda salt, unit: _fnv1a(str(_fnv1a(salt + unit))) % SIZES[2]),
        },
        operators=operators,
    )


def _fnv1a(text: str) -> int:
    value = 0x811C9DC5
    units = text.encode("utf-16-le", "surrogatepass")
    for low, high in zip(units[::2], units[1::2], strict=True):
        value = ((value ^ (low | high << 8)) * 0x01000193) & 0xFFFFFFFF
    return value


def _one_of(name: str) -> Callable[[Any, tuple[Any, ...]], bool]:
    def holds(value: Any, wanted: tuple[Any, ...]) -> bool:
        return any(mongo.version_holds(name, value, one) for one in wanted)

    return holds


def _condition(value: Any, wanted: tuple[Any, ...]) -> bool:
    return any(mongo.matches(one, value) is True for one in wanted)
