"""What a migration was told: the functions that read rows, the two stores, and the limits; checked once."""

from collections.abc import Callable
from typing import Any, Generic, Literal, TypeVar

import msgspec

from grayflow.core.ids import id_text
from grayflow.errors import ConfigurationError
from grayflow.release.migration.adapter import MigrationStore, Place
from grayflow.release.migration.rules import Profile, Side
from grayflow.release.migration.spool import SpoolPlace

__all__ = ["JournalUnavailable", "Limits", "MirrorFailure", "MirrorWay", "Policy", "Setup", "Terms", "Written"]

R = TypeVar("R")

MirrorWay = Literal["copy", "replay"]
MirrorFailure = Literal["record", "fail", "compensate"]
JournalUnavailable = Literal["fail", "proceed"]

_LONGEST_KEY = 800


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How long things may take, in seconds, and how often they are tried."""

    call_s: float
    """One call of a store."""
    grace_s: float
    """After so long an announced write is nobody's any more, and is repaired."""
    max_stale_s: float
    repair_s: float
    """Between two looks for writes to repair."""
    attempts: int
    """How often one row is repaired in vain before people have to look at it."""
    compares: int
    """How many comparisons go on at once."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a migration has to prove before it goes on; running services tell it to whoever moves its stage."""

    profile: Profile = "split"
    soak_s: float = 3600.0
    """How long it stays at `live` with everybody on the gray list, and at `rampdown` without reads of the old store."""
    min_compared: int = 100
    """Reads that have to be compared at `shadow`."""
    max_mismatch: float = 0.0
    """The share of them that may differ."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How writes reach the other store."""

    way: MirrorWay
    failure: MirrorFailure
    spool: SpoolPlace | None = None
    """Where they are announced while the board does not answer."""


class Written(msgspec.Struct, frozen=True):
    """What came of a write."""

    side: Side
    """The store that it went to first: whose copy counts."""
    applied: bool
    """False if that store has this version of the row, or a newer one: then that stays."""
    mirrored: bool | None = None
    """Whether the other store has it too; False: it is recorded and will be repaired; `None`: it need not."""


class Setup(Generic[R]):
    """
    The application's side of a migration.

    Args:
        name: Of the migration, and of its flag.
        stores: By side.
        terms: Its rules.
        limits: Times and numbers.
        row_key: Returns the key of a row, or of what is asked for.
        route_by: Returns what the gray list knows.
        version: Returns the version of a row.
        order: Returns what lists are ordered by.
        same: Tells whether two copies hold the same.
    """

    def __init__(  # noqa: PLR0913 - filled in one place
        self,
        name: str,
        stores: dict[Side, MigrationStore[R]],
        terms: Terms,
        limits: Limits,
        *,
        row_key: Callable[[Any], Any],
        route_by: Callable[[Any], Any],
        version: Callable[[R], int],
        order: Callable[[R], Any] | None,
        same: Callable[[R, R], bool],
    ) -> None:
        self.name, self.stores, self.terms, self.limits = name, stores, terms, limits
        self.same = same
        self._row_key, self._route_by, self._version, self._order = row_key, route_by, version, order

    def key(self, subject: Any) -> str:
        """
        Return the key of a row, or of what is asked for.

        Raises:
            ConfigurationError: `row_key` gives something else than text or a whole number, or more than 800 bytes.
        """
        text = id_text(self._row_key(subject))
        if not text or len(text.encode()) > _LONGEST_KEY:
            raise ConfigurationError(
                f"row_key of migration {self.name!r} gave {text!r:.100}; keys are text of 1 to {_LONGEST_KEY} bytes, "
                "or whole numbers"
            )
        return text

    def route(self, subject: Any) -> str | None:
        """Return what the gray list knows of a row or of what is asked for; `None`: it is on no list."""
        return id_text(self._route_by(subject))

    def version(self, row: R) -> int:
        """
        Return the version of a row.

        Raises:
            ConfigurationError: it is no whole number from 0.
        """
        found: Any = self._version(row)
        if not isinstance(found, int) or isinstance(found, bool) or found < 0:
            raise ConfigurationError(
                f"version of migration {self.name!r} gave {found!r:.100}; give a whole number from 0 that grows with "
                "every write of the row, wherever it is written"
            )
        return found

    def place(self, row: R) -> Place:
        """Return where a row stands in lists."""
        key = self.key(row)
        return (key if self._order is None else self._order(row), key)
