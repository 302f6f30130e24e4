"""
What people do with a migration: look how far it is, let it go on, take it back, wait for the fleet.

Needs the flags and the board, and none of the application's code, so the command line can do it for services. What is
needed of them (terms, counts, cursors, reconciliations) they have left on the board.
"""

import anyio
from msgspec import structs

from grayflow.admin.admin import Admin
from grayflow.admin.fleet import Seen
from grayflow.admin.results import Saved
from grayflow.clock import Clock
from grayflow.core.flag import Flag
from grayflow.errors import ConfigurationError, ConflictError
from grayflow.release.migration.arguments import check_migration_name
from grayflow.release.migration.compass import gray_flag, gray_key, stage_flag
from grayflow.release.migration.errors import StageRefusedError
from grayflow.release.migration.ledger import Ledger
from grayflow.release.migration.past import read_past
from grayflow.release.migration.rules import Stage
from grayflow.release.migration.setup import Terms
from grayflow.release.migration.status import MigrationStatus, read_status
from grayflow.store.fleet import read_fleet
from grayflow.store.given import checked_clock, refused, seconds

__all__ = ["MigrationDesk"]

_LOOK_S = 0.02


class MigrationDesk:
    """
    Moves one migration: `MigrationDesk(admin, "orders.store")`.

    Args:
        admin: Open; its actor is the audit's.
        name: Of the migration: its flag's key.
        terms: What it has to prove; what the services told last, if left out.
        clock: Times the wait for processes; the machine's if left out.

    Raises:
        ConfigurationError: an argument cannot be used, or the store has no board.
    """

    def __init__(self, admin: Admin, name: str, *, terms: Terms | None = None, clock: Clock | None = None) -> None:
        if not isinstance(admin, Admin):
            raise refused("admin", admin, "give the grayflow.Admin that moves the stage")
        board = admin.store.board
        if board is None:
            raise ConfigurationError(f"migrations need a board: {admin.store.no_board}")
        self._admin, self._name, self._terms = admin, check_migration_name(name), terms
        self._clock = checked_clock(clock)
        self._board = board

    async def status(self) -> MigrationStatus:
        """
        Return how it is doing.

        Raises:
            ConfigurationError: the flag of that name is no migration's.
            StoreError: flags or board cannot be read.
        """
        return await read_status(self._admin.store, self._board, self._name, self._terms)

    async def advance(self, to: Stage | str | None = None, *, reason: str = "", force: bool = False) -> Saved[Flag]:
        """
        Go on to the next stage, if everything is proved that it needs.

        The first time this makes the migration's flag and its gray list.

        Args:
            to: The stage that is meant, to be sure; it has to be the next.
            reason: For the audit.
            force: Go on although something is not proved. Needs a reason.

        Raises:
            StageRefusedError: something is missing, or that stage is not the next; nothing was changed.
            StoreError: the store did not do it.
        """
        found = await self.status()
        target = found.next
        if target is None or (to is not None and to != target):
            raise self._refusal(found.stage, to, target, "next")
        if not found.enabled:
            remedy = f"switch it on first: grayflow on {self._name}"
            raise StageRefusedError(f"the flag of migration {self._name!r} is off; {remedy}", migration=self._name)
        if force and not reason.strip():
            raise ConfigurationError("to go on although something is not proved needs a reason, for the audit")
        if found.unmet and not force:
            text = f"migration {self._name!r} stays at {found.stage.value!r}, because {target.value!r} needs more:"
            raise StageRefusedError(text, migration=self._name, unmet=found.unmet)
        return await self._move(found.stage, target, "advance", reason)

    async def retreat(self, to: Stage | str | None = None, *, reason: str = "", force: bool = False) -> Saved[Flag]:
        """
        Go back to the stage before.

        From `live` and `rampdown` that takes reads back to the old store, and nothing is asked. In the profile `split`
        rows that are only in the new store are still served from there; `Migration.backcopy` copies them.

        Args:
            to: The stage that is meant, to be sure; it has to be the one before.
            reason: For the audit.
            force: Go back to `off` although processes may still be at `shadow`.

        Raises:
            StageRefusedError: nothing leads back from `complete` and `off`, or that stage is not the one before.
            StoreError: the store did not do it.
        """
        found = await self.status()
        target = found.previous
        if target is None or (to is not None and to != target):
            raise self._refusal(found.stage, to, target, "one before")
        if target is Stage.OFF and found.behind and not force:
            text = (
                f"migration {self._name!r} stays at {found.stage.value!r}: what is written at 'off' is not in the new"
            )
            told = f"{found.behind} of {found.processes} processes may still read the new store; wait for them"
            raise StageRefusedError(f"{text} store, and", migration=self._name, unmet=(told,))
        return await self._move(found.stage, target, "retreat", reason)

    async def wait_converged(self, timeout: float = 30.0) -> Seen:  # noqa: ASYNC109
        """
        Wait until every process that reports goes by the present stage, and at least one reports.

        Args:
            timeout: Seconds; 0 looks once.

        Returns:
            How far it came: being late is no error, see `Seen.complete` and `Seen.processes`.
        """
        timeout = seconds("timeout", timeout, least=0.0, endless=True)
        past = await read_past(self._admin.store, self._name)
        with anyio.move_on_after(timeout):
            while not (await read_fleet(self._board)).processes:
                await self._clock.sleep(_LOOK_S)
        return await self._admin.wait_until_seen(past.revision, timeout=timeout)

    async def _move(self, stage: Stage, target: Stage, action: str, reason: str) -> Saved[Flag]:
        def moved(flag: Flag) -> Flag:
            if flag.otherwise != stage.value:
                raise StageRefusedError(
                    f"somebody else has moved migration {self._name!r} to {flag.otherwise!r} meanwhile; look again",
                    migration=self._name,
                )
            return structs.replace(flag, otherwise=target.value)

        if stage is Stage.OFF and (await self._admin.store.get("flag", self._name))[0] is None:
            saved = await self._begin(target, reason)
        else:
            saved = await self._admin.update(self._name, moved, reason=reason, action=action)
        await Ledger(self._board, self._name).note_stage(saved.position.revision)
        return saved

    async def _begin(self, target: Stage, reason: str) -> Saved[Flag]:
        try:
            if (await self._admin.store.get("flag", gray_key(self._name)))[0] is None:
                await self._admin.create(gray_flag(self._name), reason=reason)
            return await self._admin.create(stage_flag(self._name, target), reason=reason)
        except ConflictError as error:
            text = f"somebody else has begun migration {self._name!r} meanwhile; look again"
            raise StageRefusedError(text, migration=self._name) from error

    def _refusal(self, stage: Stage, to: Stage | str | None, target: Stage | None, word: str) -> StageRefusedError:
        if target is None:
            end = "nothing leads back from there" if stage is Stage.COMPLETE else "that is the first stage"
            what = "that is the last stage" if word == "next" else end
        else:
            what = f"the {word} is {target.value!r}, not {str(to)!r}"
        return StageRefusedError(f"migration {self._name!r} stays at {stage.value!r}: {what}", migration=self._name)
