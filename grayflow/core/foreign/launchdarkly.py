"""How LaunchDarkly buckets: the first 60 bits of a SHA-1 as a fraction, weights in thousandths of a per cent."""

from hashlib import sha1

from grayflow.core.extensions import Extensions, Hash

__all__ = ["HASH", "extensions"]

HASH = "launchdarkly"
"""100,000 slots. The salt is `flag key.salt`, or the seed of an experiment."""

_SIZE = 100_000
_SCALE = float(0xFFF_FFFF_FFFF_FFFF)


def extensions() -> Extensions:
    """Return what flags imported from LaunchDarkly need."""
    return Extensions(hashes={HASH: Hash(_SIZE, _slot)})


def _slot(salt: str, unit: str) -> int:
    digest = sha1(f"{salt}.{unit}".encode(), usedforsecurity=False).hexdigest()
    # The largest of all fractions is 1, and belongs to the last bucket.
    return min(int(int(digest[:15], 16) / _SCALE * _SIZE), _SIZE - 1)
