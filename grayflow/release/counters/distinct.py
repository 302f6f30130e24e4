"""How many different things were seen, in bounded memory. Pure."""

from collections.abc import Iterable

__all__ = ["Distinct"]

_LIMIT = 4096


class Distinct:
    """
    A set of hashes that forgets a fixed half of all possible ones whenever it is full, and counts the rest double.

    Exact up to its limit; above it the error is about 1 / sqrt(limit / 2), about 2 %.

    Args:
        limit: How many hashes are kept.
    """

    __slots__ = ("_limit", "kept", "mask")

    def __init__(self, limit: int = _LIMIT) -> None:
        self.kept: set[int] = set()
        self._limit, self.mask = limit, 0

    def add(self, value: int) -> None:
        """See one, by its hash."""
        if not value & self.mask:
            self.kept.add(value)
            if len(self.kept) > self._limit:
                self._halve()

    def update(self, other: "Distinct") -> None:
        """See all that another one saw."""
        while self.mask < other.mask:
            self._halve()
        for value in other.kept:
            self.add(value)

    @property
    def size(self) -> int:
        """About how many there were."""
        return len(self.kept) * (self.mask + 1)

    def _halve(self) -> None:
        self.mask = self.mask * 2 + 1
        self.kept = _without(self.kept, self.mask)


def _without(values: Iterable[int], mask: int) -> set[int]:
    return {value for value in values if not value & mask}
