"""What the process says when it ends, and which error means what."""

from enum import IntEnum

from grayflow.errors import (
    ConfigurationError,
    ConflictError,
    GrayflowError,
    InvalidFlagError,
    LifetimeError,
    NotInitializedError,
    ReadOnlyError,
    StoreAccessError,
    StoreFormatError,
    StoreUnavailableError,
)
from grayflow.release.atom.errors import AtomRefusedError
from grayflow.release.migration.errors import MigrationBusyError, StageRefusedError

__all__ = ["EXITS", "Exit", "exit_of"]


class Exit(IntEnum):
    """Exit codes; `EXITS` says them in the help."""

    OK = 0
    NO = 1
    USAGE = 2
    STORE = 3
    REFUSED = 4
    INTERRUPTED = 130


EXITS = (
    "Exit codes: 0 done; 1 the answer is no, or problems were found; 2 wrong usage or configuration; "
    "3 the store did not do it; 4 refused, or somebody else was first: nothing was written; 130 Ctrl-C."
)

_CODES: tuple[tuple[type[GrayflowError], Exit], ...] = (
    (ConfigurationError, Exit.USAGE),
    (LifetimeError, Exit.USAGE),
    (InvalidFlagError, Exit.REFUSED),
    (ConflictError, Exit.REFUSED),
    (AtomRefusedError, Exit.REFUSED),
    (MigrationBusyError, Exit.REFUSED),
    (StageRefusedError, Exit.REFUSED),
    (ReadOnlyError, Exit.REFUSED),
    (StoreUnavailableError, Exit.STORE),
    (StoreAccessError, Exit.STORE),
    (StoreFormatError, Exit.STORE),
    (NotInitializedError, Exit.STORE),
)


def exit_of(error: GrayflowError) -> Exit:
    """Return the exit code that an error means; what is unknown or forgotten is a `no`."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), Exit.NO)
