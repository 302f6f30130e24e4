"""What every part of `Migration` stands on: what runs at the moment, if anything does."""

from typing import Generic, TypeVar

from grayflow.errors import LifetimeError
from grayflow.release.migration.engine import Engine
from grayflow.release.migration.setup import Setup

__all__ = ["Seated"]

R = TypeVar("R")


class Seated(Generic[R]):
    """
    Has a place for what runs.

    Args:
        setup: Of the migration.
    """

    def __init__(self, setup: Setup[R]) -> None:
        self.name = setup.name
        """Of the migration: its flag's key."""
        self._setup = setup
        self._engine: Engine[R] | None = None

    def _open(self) -> Engine[R]:
        if self._engine is None:
            raise LifetimeError(f"migration {self.name!r} is not running; use it inside: async with X.running(flags)")
        return self._engine

    def take(self, engine: Engine[R]) -> None:
        """
        Called by what begins to run.

        Raises:
            LifetimeError: something runs already.
        """
        if self._engine is not None:
            raise LifetimeError(f"migration {self.name!r} is running already")
        self._engine = engine

    def leave(self, engine: Engine[R]) -> None:
        """Called by what ran."""
        if self._engine is engine:
            self._engine = None
