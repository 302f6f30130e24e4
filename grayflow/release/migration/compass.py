"""
What one process knows of the stage: read from the flags in its memory, and proved where a write relies on it.

The stage is the variant that the migration's flag serves, the gray list a flag of its own beside it, so both have
history, actor and reason, and are changed and rolled back like every flag.
"""

from typing import Any

import msgspec

from grayflow.client.client import Client
from grayflow.core.decision import Decision
from grayflow.core.flag import Flag
from grayflow.release.migration.errors import StaleStageError
from grayflow.release.migration.rules import Stage

__all__ = ["ROUTE", "Compass", "Standing", "gray_flag", "gray_key", "stage_flag", "stage_of"]

ROUTE = "route"
"""The attribute by which the gray list knows a row."""


class Standing(msgspec.Struct, frozen=True):
    """The stage, and the revision of the flag that says so; 0 if there is no flag."""

    stage: Stage
    revision: int = 0


def gray_key(name: str) -> str:
    """Return the key of the flag that is a migration's gray list."""
    return f"{name}.gray"


def stage_flag(name: str, stage: Stage) -> Flag:
    """Return the flag of a migration: it serves the stage to everybody."""
    return Flag(
        key=name,
        kind="string",
        enabled=True,
        variants={each.value: each.value for each in Stage},
        off=None,
        otherwise=stage.value,
        on_failure="last_known",
        description="The stage of a migration. Move it with: grayflow migration advance | retreat",
        tags=("migration",),
        lifetime="release",
    )


def gray_flag(name: str) -> Flag:
    """Return the gray list of a migration: on for the routes that the new store answers for at the stage `live`."""
    return Flag(
        key=gray_key(name),
        by=ROUTE,
        otherwise="off",
        on_failure="last_known",
        description=f"The gray list of the migration {name}, by its route key",
        tags=("migration",),
        lifetime="release",
    )


def stage_of(flag: Flag | None) -> Stage | None:
    """Return the stage that a document stands for, as it is obeyed; `None` if it stands for none."""
    if flag is None:
        return Stage.OFF
    if not isinstance(flag.otherwise, str) or flag.otherwise not in set(Stage):
        return None
    stage = Stage(flag.otherwise)
    return stage if flag.enabled else stage.switched_off


class Compass:
    """
    Reads one migration's flags.

    Args:
        flags: The client that has them.
        name: Of the migration.
        max_stale_s: For how long a write believes in what was not proved.
    """

    def __init__(self, flags: Client, name: str, max_stale_s: float) -> None:
        self._flags, self._name, self._gray, self._max_stale_s = flags, name, gray_key(name), max_stale_s

    def standing(self) -> Standing:
        """
        Return the stage, however old that knowledge is: reads go on by it.

        Raises:
            StaleStageError: no flags have arrived yet, or the flag names no stage.
        """
        return self._read(self._flags.peek_decision(self._name, {}, default=None))

    async def proven(self) -> Standing:
        """
        Return the stage for a write.

        Raises:
            StaleStageError: it may have changed, and the store cannot be asked. At `off` and `complete` writes are let
                through, so that a migration that has not begun, or is over, costs nothing.
        """
        found = self.standing()
        if found.stage in {Stage.OFF, Stage.COMPLETE} or self._age_s() <= self._max_stale_s:
            return found
        decision = await self._flags.evaluate(self._name, {}, default=None, freshness="confirmed")
        if decision.stale:
            raise StaleStageError(
                f"nothing was written: for {self._age_s():.0f} s nobody could tell whether migration {self._name!r} is "
                f"still at {found.stage.value!r} ({decision.detail or 'the store does not answer'}). Reads go on; "
                "repeat the write when the store is back",
                migration=self._name,
            )
        return self._read(decision)

    def gray(self, route: str | None) -> bool:
        """Tell whether a route is on the gray list."""
        return route is not None and self._flags.peek(self._gray, {ROUTE: route})

    def _read(self, decision: Decision) -> Standing:
        said: Any = decision.variant if decision.variant is not None else decision.value
        if isinstance(said, str) and said in set(Stage):
            return Standing(Stage(said), decision.revision or 0)
        snapshot = self._flags.snapshot
        if snapshot is None:
            raise self._unknown(
                "no flags have arrived yet. With Client(last_good=FILE) a process knows them from its last run"
            )
        flag, revision = snapshot.flag(self._name) or (None, 0)
        stage = stage_of(flag)
        if stage is None:
            raise self._unknown(f"its flag serves none of {', '.join(Stage)}")
        return Standing(stage, revision)

    def _age_s(self) -> float:
        age = self._flags.readiness.age_s
        return float("inf") if age is None else age

    def _unknown(self, why: str) -> StaleStageError:
        return StaleStageError(f"nobody knows the stage of migration {self._name!r}: {why}", migration=self._name)
