"""
Hashes by name, of which some come in any size: `flagd:text/300` is `flagd:text` with 300 slots.

Other systems let weights add up to whatever they do, and count slots in that sum. A name that holds the size keeps
the weights of an imported flag as people wrote them.
"""

import re
from collections.abc import Callable, Iterator, Mapping

from grayflow.core.extensions import Hash

__all__ = ["SizedHashes"]

_SIZED = re.compile("(.+)/([1-9][0-9]{0,9})", re.DOTALL)


class SizedHashes(Mapping[str, Hash]):
    """
    Hashes under their own names, and families of them under `FAMILY/SIZE`.

    Iterating gives those that have a name of their own; every size of a family is in it nevertheless.

    Args:
        fixed: Name -> hash.
        families: Name -> function that makes the hash of a size.
    """

    def __init__(self, fixed: Mapping[str, Hash], families: Mapping[str, Callable[[int], Hash]]) -> None:
        self.fixed, self.families = fixed, families
        self._made: dict[str, Hash] = {}

    def __getitem__(self, name: str) -> Hash:
        found = self.fixed.get(name) or self._made.get(name)
        if found is None:
            # Kept: evaluation asks by name each time.
            found = self._made[name] = self._make(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self.fixed)

    def __len__(self) -> int:
        return len(self.fixed)

    def _make(self, name: str) -> Hash:
        parts = _SIZED.fullmatch(name)
        if parts is None or parts[1] not in self.families:
            raise KeyError(name)
        return self.families[parts[1]](int(parts[2]))
