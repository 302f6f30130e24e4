"""The part of `Migration` that knows the stage, and moves it."""

from typing import TypeVar

from grayflow.admin.fleet import Seen
from grayflow.admin.results import Saved
from grayflow.core.flag import Flag
from grayflow.errors import ConfigurationError
from grayflow.release.migration.desk import MigrationDesk
from grayflow.release.migration.engine import Seated
from grayflow.release.migration.rules import Stage
from grayflow.release.migration.status import MigrationStatus

__all__ = ["Moving"]

R = TypeVar("R")


class Moving(Seated[R]):
    """Moves the stage from inside of a service."""

    @property
    def stage(self) -> Stage:
        """
        The stage that this process goes by.

        Raises:
            StaleStageError: no flags have arrived yet.
            LifetimeError: it is not running.
        """
        return self._open().compass.standing().stage

    async def advance(self, to: Stage | str | None = None, *, reason: str = "", force: bool = False) -> Saved[Flag]:
        """Go on to the next stage; see `MigrationDesk.advance`. Needs `running(flags, admin)`."""
        await self._open().drain()  # what waits on the disk is unfinished, and nothing is proved with that
        return await self._desk().advance(to, reason=reason, force=force)

    async def retreat(self, to: Stage | str | None = None, *, reason: str = "", force: bool = False) -> Saved[Flag]:
        """Go back to the stage before; see `MigrationDesk.retreat`. Needs `running(flags, admin)`."""
        return await self._desk().retreat(to, reason=reason, force=force)

    async def wait_converged(self, timeout: float = 30.0) -> Seen:  # noqa: ASYNC109
        """Wait until every process goes by the present stage; see `MigrationDesk.wait_converged`."""
        return await self._desk().wait_converged(timeout)

    async def status(self) -> MigrationStatus:
        """Return how the migration is doing; see `MigrationDesk.status`. Needs `running(flags, admin)`."""
        return await self._desk().status()

    def _desk(self) -> MigrationDesk:
        engine = self._open()
        if engine.admin is None:
            raise ConfigurationError(
                f"this process does not move migration {self.name!r}; give an Admin: running(flags, admin)"
            )
        return MigrationDesk(engine.admin, self.name, terms=self._setup.terms, clock=engine.flags.clock)
