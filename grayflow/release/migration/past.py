"""What the history of a migration's flags says: when its stage began, when it left `off`, since when all are gray."""

from collections.abc import Callable, Sequence

import msgspec

from grayflow.core.codec import decode_flag
from grayflow.core.flag import Flag
from grayflow.errors import ConfigurationError, InvalidFlagError
from grayflow.release.migration.compass import gray_key
from grayflow.release.migration.rules import Stage
from grayflow.release.switch.choice import reachable
from grayflow.store.port import Change, Store

__all__ = ["Past", "everybody", "read_past"]

_FAR = 500


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """Where a migration is, and since when; instants are nanoseconds since the epoch, by the writers' clocks."""

    stage: Stage = Stage.OFF
    """What the flag names, switched on or not."""
    enabled: bool = True
    revision: int = 0
    """With which the stage began; 0: there is no flag."""
    document: int = 0
    """With which the flag was changed last."""
    at: int = 0
    """When the stage began."""
    steady: int = 0
    """Since when it is obeyed as it is now: when it began, or the flag was switched on or off last."""
    began: int = 0
    """The revision with which the migration left `off`, 0 while it is there."""
    actor: str = ""
    reason: str = ""
    gray_since: int | None = None
    """Since when everybody is on the gray list; `None`: not everybody is."""
    gray_revision: int = 0
    """With which that began."""


async def read_past(store: Store, name: str) -> Past:
    """
    Read the history of both flags.

    Raises:
        ConfigurationError: the flag of that name is no migration's.
        StoreError: it cannot be read.
    """
    changes = await store.history(name, limit=_FAR)
    newest = _flag(changes[0]) if changes else None
    if newest is None:
        return Past()
    _check(newest)
    stage = _stage(newest)
    first = _oldest(changes, lambda flag: flag is not None and _stage(flag) is stage)
    steady = _oldest(
        changes, lambda flag: flag is not None and _stage(flag) is stage and flag.enabled is newest.enabled
    )
    left = _oldest(changes, lambda flag: flag is not None and _stage(flag) is not Stage.OFF)
    gray = await store.history(gray_key(name), limit=_FAR)
    now = max((change.at for change in gray), default=0)
    wide = _oldest(gray, lambda flag: everybody(flag, now)) if gray else None
    return Past(
        stage=stage,
        enabled=newest.enabled,
        revision=0 if first is None else first.position.revision,
        document=changes[0].position.revision,
        at=0 if first is None else first.at,
        steady=0 if steady is None else steady.at,
        began=0 if left is None else left.position.revision,
        actor="" if first is None else first.actor,
        reason="" if first is None else first.reason,
        gray_since=None if wide is None else wide.at,
        gray_revision=0 if wide is None else wide.position.revision,
    )


def everybody(flag: Flag | None, at: int) -> bool:
    """Tell whether a gray list holds everybody."""
    return flag is not None and reachable(flag, at, "off") == {"on"}


def _check(flag: Flag) -> None:
    if not set(Stage) <= set(flag.variants):
        served = ", ".join(map(repr, flag.variants))
        raise ConfigurationError(
            f"flag {flag.key!r} is no migration's: it serves {served}, and no stages. A migration has a flag of its "
            "own, which its first advance makes; give another name"
        )


def _oldest(changes: Sequence[Change], holds: Callable[[Flag | None], bool]) -> Change | None:
    """Return the oldest change from which on something held until today."""
    found: Change | None = None
    for change in changes:
        if not holds(_flag(change)):
            break
        found = change
    return found


def _stage(flag: Flag) -> Stage:
    named = flag.otherwise
    return Stage(named) if isinstance(named, str) and named in set(Stage) else Stage.OFF


def _flag(change: Change) -> Flag | None:
    if change.document is None:
        return None
    try:
        return decode_flag(change.document, change.key)
    except InvalidFlagError:
        return None
