"""
A mapping that is changed by making a new one, at a cost that does not grow with its size.

A large base that all versions share, and a small overlay that each change copies. When the overlay has grown to a
fair share of the base, both are merged: the copying then comes to a constant number of steps a change.
"""

from collections.abc import Hashable, Iterator, Mapping
from typing import Generic, TypeVar

__all__ = ["Table"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_SMALL = 32


class Table(Mapping[K, V], Generic[K, V]):
    """Immutable; `put` and `drop` return new tables."""

    __slots__ = ("_base", "_overlay")

    def __init__(self, base: dict[K, V], overlay: dict[K, V | None] | None = None) -> None:
        """Take over `base`, which nobody may change from now on. A `None` in the overlay hides what is below."""
        self._base = base
        self._overlay = {} if overlay is None else overlay

    def put(self, key: K, value: V) -> "Table[K, V]":
        """Return the table with `key` set."""
        return self._with(key, value)

    def drop(self, key: K) -> "Table[K, V]":
        """Return the table without `key`, which need not be there."""
        return self._with(key, None)

    def _with(self, key: K, value: V | None) -> "Table[K, V]":
        overlay = {**self._overlay, key: value}
        if len(overlay) ** 2 <= len(self._base) or len(overlay) <= _SMALL:
            return Table(self._base, overlay)
        merged: dict[K, V | None] = {**self._base, **overlay}
        return Table({name: held for name, held in merged.items() if held is not None})

    def __getitem__(self, key: K) -> V:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def get(self, key: K, default: V | None = None) -> V | None:  # type: ignore[override]
        """Return what is held under `key`."""
        if key in self._overlay:
            value = self._overlay[key]
            return default if value is None else value
        return self._base.get(key, default)

    def __contains__(self, key: object) -> bool:
        return self.get(key) is not None  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[K]:
        yield from (key for key in self._base if key not in self._overlay)
        yield from (key for key, value in self._overlay.items() if value is not None)

    def __len__(self) -> int:
        hidden = sum(key in self._base for key in self._overlay)
        return len(self._base) - hidden + sum(value is not None for value in self._overlay.values())
