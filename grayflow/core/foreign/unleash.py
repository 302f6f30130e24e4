"""
How Unleash buckets: MurmurHash3 (32 bits, x86) of `group:id`.

Rollouts take the remainder of 100; variants, which have a seed of their own, that of the sum of their weights.
"""

from collections.abc import Callable

from mmh3 import hash as murmur3

from grayflow.core.extensions import Extensions, Hash
from grayflow.core.foreign.sized import SizedHashes

__all__ = ["ROLLOUT", "extensions", "variants"]

ROLLOUT = "unleash:rollout"
"""Slots of 1 %. The salt is the strategy's `groupId`."""

_VARIANTS = "unleash:variants"
# Contract: published by Unleash, so that variants are not skewed within a rollout.
_VARIANT_SEED = 86_028_157


def variants(total: int) -> str:
    """Return the name of the hash that shares ids among variants whose weights add up to `total`."""
    return f"{_VARIANTS}/{total}"


def extensions() -> Extensions:
    """Return what flags imported from Unleash need."""
    return Extensions(
        hashes=SizedHashes({ROLLOUT: _hash(100, 0)}, {_VARIANTS: lambda size: _hash(size, _VARIANT_SEED)})
    )


def _hash(size: int, seed: int) -> Hash:
    return Hash(size, _remainder(size, seed))


def _remainder(size: int, seed: int) -> Callable[[str, str], int]:
    return lambda salt, unit: murmur3(f"{salt}:{unit}", seed, False) % size
