"""
What a migration raises, grouped by what is true afterwards.

    ReleaseError
    └── MigrationError            a migration refused, or could not do all of it
        ├── NotAppliedError       raised by stores: nothing was written, for certain
        ├── RowExistsError        an insert of a row that there is; nothing was written
        ├── StaleStageError       this process does not know the stage; nothing was written
        ├── StageRefusedError     the stage cannot be changed now; nothing was changed
        ├── MigrationBusyError    somebody else is at it; what was done before stays
        ├── NotAnnouncedError     a write could not be announced; nothing was written
        └── MirrorWriteError      the one store has the write, the other does not yet
"""

from typing import Any

from grayflow.errors import ReleaseError

__all__ = [
    "MigrationBusyError",
    "MigrationError",
    "MirrorWriteError",
    "NotAnnouncedError",
    "NotAppliedError",
    "RowExistsError",
    "StageRefusedError",
    "StaleStageError",
]


class MigrationError(ReleaseError):
    """A migration refused, or could not do all of it."""

    def __init__(self, message: str, *, migration: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.migration = migration

    def __str__(self) -> str:
        return self.message


class NotAppliedError(MigrationError):
    """Raised by a `MigrationStore` that is certain not to have written: the row then needs no repair."""


class RowExistsError(MigrationError):
    """There is a row of that key, or a deletion that is not older; nothing was written."""

    def __init__(self, key: str, *, side: str, migration: str) -> None:
        super().__init__(
            f"row {key!r} was not inserted: the {side} store has it, or deleted it at this version or later. "
            "Update it, or give the row a newer version",
            migration=migration,
        )
        self.key = key
        self.side = side


class StaleStageError(MigrationError):
    """This process cannot know the stage of the migration any more, and its write could go to the wrong store."""


class StageRefusedError(MigrationError):
    """The stage cannot be changed now; `unmet` says what is missing."""

    def __init__(self, message: str, *, migration: str, unmet: tuple[str, ...] = ()) -> None:
        super().__init__(message, migration=migration)
        self.unmet = unmet

    def __str__(self) -> str:
        return "\n".join([self.message, *(f"- {one}" for one in self.unmet)])


class MigrationBusyError(MigrationError):
    """Somebody else is doing it, or has taken over; what was done here before stays, and is harmless."""


class NotAnnouncedError(MigrationError):
    """The board did not take the announcement of a write, so nothing was written; `__cause__` says why."""


class MirrorWriteError(MigrationError):
    """
    The other store did not take a write; `__cause__` is what it raised.

    With `compensated` the first store was put back as it was. Else it has the write, `result` is what came of it, and
    the other store is repaired as soon as it can be.
    """

    def __init__(self, message: str, *, migration: str, result: Any, compensated: bool = False) -> None:
        super().__init__(message, migration=migration)
        self.result = result
        self.compensated = compensated
