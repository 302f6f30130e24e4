"""
How flagd's `fractional` buckets, in the three ways that it has had, and its targeting logic as an operator.

All take MurmurHash3 (32 bits, x86). The first spread its absolute value over floats; the second scales the unsigned
one to the sum of the weights; the third does that with the canonical CBOR of the value instead of its text.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from mmh3 import hash as murmur3

from grayflow.core.extensions import Extensions, Hash
from grayflow.core.foreign import jsonlogic
from grayflow.core.foreign.sized import SizedHashes

__all__ = ["IT", "LOGIC", "Generation", "Shape", "extensions", "hash_name"]

Generation = Literal[1, 2, 3]
"""How flagd numbers its ways to bucket."""

Shape = Literal["pair", "prefix", "suffix"]
"""
What is hashed: the pair of salt and id (flag key and targeting key, where nothing else is said), or one text with
the salt before or behind the id.
"""

LOGIC = "flagd:logic"
"""Each value is a JSONLogic expression of the attribute, which it calls `{"var": "it"}`."""

IT = "it"


def hash_name(generation: Generation, shape: Shape, total: int) -> str:
    """Return the name of the hash for weights that add up to `total`."""
    return f"{_family(generation, shape)}/{total}"


def extensions() -> Extensions:
    """Return what flags imported from flagd need."""
    families = {
        _family(generation, shape): _sized(_POINTS[generation], encode)
        for generation in _POINTS
        for shape, encode in _encoders(generation).items()
    }
    return Extensions(hashes=SizedHashes({}, families), operators={LOGIC: _logic})


def _family(generation: Generation, shape: Shape) -> str:
    # Before CBOR a pair was hashed as one text.
    written = "prefix" if shape == "pair" and generation != 3 else shape
    return f"flagd{generation}:{written}"


def _sized(point: Callable[[bytes, int], int], encode: Callable[[str, str], bytes]) -> Callable[[int], Hash]:
    return lambda size: Hash(size, lambda salt, unit: point(encode(salt, unit), size))


def _scaled(data: bytes, size: int) -> int:
    return murmur3(data, 0, False) * size >> 32


def _absolute(data: bytes, size: int) -> int:
    return min(int(abs(murmur3(data, 0, True)) / 0x7FFFFFFF * size), size - 1)


_POINTS: Mapping[Generation, Callable[[bytes, int], int]] = {1: _absolute, 2: _scaled, 3: _scaled}


def _encoders(generation: Generation) -> Mapping[Shape, Callable[[str, str], bytes]]:
    if generation != 3:
        return {
            "prefix": lambda salt, unit: f"{salt}{unit}".encode(),
            "suffix": lambda salt, unit: f"{unit}{salt}".encode(),
        }
    return {
        "pair": lambda salt, unit: b"\x82" + _cbor(salt) + _cbor(unit),
        "prefix": lambda salt, unit: _cbor(salt + unit),
        "suffix": lambda salt, unit: _cbor(unit + salt),
    }


def _cbor(text: str) -> bytes:
    """Encode text as CBOR does (RFC 8949, major type 3), its length in as few bytes as can be."""
    data = text.encode()
    size = len(data)
    if size < 24:
        return bytes((0x60 | size,)) + data
    width = next(width for width in range(4) if size < 1 << (8 << width))
    return bytes((0x78 + width,)) + size.to_bytes(1 << width, "big") + data


def _logic(value: Any, expressions: tuple[Any, ...]) -> bool:
    return any(jsonlogic.truth(jsonlogic.evaluate(one, {IT: value})) for one in expressions)
