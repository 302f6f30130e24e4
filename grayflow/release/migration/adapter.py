"""The port to each of the two stores: what a migration needs from the application's data access."""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

__all__ = ["MigrationStore", "Place"]

R = TypeVar("R")

Place = tuple[Any, str]
"""Where a row stands in a list: what `Migration(order=)` returns of it, and its key."""


class MigrationStore(Protocol[R]):
    """
    One of the two stores, as an application gives it to a `Migration`; implement it for the old and for the new.

    Rows are whatever the application uses. Their key is text, and their version a whole number that grows with every
    write of the row *wherever it is written*: a sequence of the application or a hybrid clock, carried in the row. A
    counter that one store keeps for itself would make rows incomparable.

    Every method is atomic in its store, and so that repeating it does no harm. A deletion leaves a tombstone (the key
    and the version of the deletion, in a column or a table beside the rows) for as long as the migration lasts: without
    one, a copy that was read before the deletion and comes after it would bring the row back.

    A method that raises may have done its work or not, and the row is looked at again later. Raise `NotAppliedError`
    where it is certain that nothing was done, such as a constraint that was violated.
    """

    async def get(self, key: str) -> R | None:
        """Return a row, `None` if there is none."""
        ...

    async def exists(self, key: str) -> bool:
        """Tell whether there is a row; asked for each read in the profile `split`, hence it should be cheap."""
        ...

    async def tombstone(self, key: str) -> int | None:
        """Return the version of a row's deletion, `None` if it was not deleted or is there again."""
        ...

    async def list(self, query: Any, after: Place | None, limit: int) -> Sequence[R]:
        """
        Return rows that a query asks for, in ascending order of (what `Migration(order=)` returns, key).

        Args:
            query: Of the application, as it was given to `Migration.list`.
            after: Only rows that stand after this place; `None`: from the first.
            limit: How many at most. Fewer mean that there are no more.
        """
        ...

    async def insert(self, row: R, version: int) -> bool:
        """Write a new row. False, and nothing is written, if it is there, or was deleted at this version or later."""
        ...

    async def upsert_if_newer(self, row: R, version: int) -> bool:
        """Write a row, new or not. False, and nothing is written, if what is there, a tombstone too, is not older."""
        ...

    async def delete_if_not_newer(self, key: str, version: int) -> bool:
        """
        Remove a row unless it is newer, and leave a tombstone of that version, also where there was no row.

        Returns:
            Whether there is no row now.
        """
        ...

    async def scan(self, after: str | None, limit: int) -> Sequence[R]:
        """Return rows in ascending order of their keys by code points, from behind one key; fewer than asked: all."""
        ...
