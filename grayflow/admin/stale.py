"""Which flags have outlived their purpose. Pure; the date of the last change is asked for where it matters."""

from datetime import date, datetime
from typing import Literal

import msgspec

from grayflow.core.calendar import as_datetime, from_datetime
from grayflow.core.flag import Flag
from grayflow.core.liveness import live

__all__ = ["Stale", "overdue", "settled", "settled_since"]


class Stale(msgspec.Struct, frozen=True, kw_only=True):
    """A flag that somebody should take out of the code, and why."""

    key: str
    why: Literal["expired", "past remove_by", "settled"]
    detail: str
    since: datetime | date
    owner: str | None = None


def overdue(flag: Flag, now: int) -> Stale | None:
    """Return a flag whose own dates say that it is over."""
    if flag.archived:
        return None
    if flag.expires_at is not None and from_datetime(flag.expires_at) <= now:
        return Stale(key=flag.key, why="expired", detail="its window is over", since=flag.expires_at, owner=flag.owner)
    if flag.remove_by is not None and flag.remove_by < as_datetime(now).date():
        return Stale(
            key=flag.key, why="past remove_by", detail="it was to be removed", since=flag.remove_by, owner=flag.owner
        )
    return None


def settled(flag: Flag, now: int) -> str | None:
    """Return the one variant that everybody is served while the flag is on, `None` if anything is still decided."""
    if not live(flag, now) or flag.requires or flag.expires_at is not None:
        return None
    served = {variant for variant, ids in flag.targets.items() if ids} | _served(flag)
    return served.pop() if len(served) == 1 and not served & {flag.off_variant, None} else None


def _served(flag: Flag) -> set[str | None]:
    """Return what rules and `otherwise` serve, `None` standing for whatever is not one variant for everybody."""
    found: set[str | None] = set()
    for rule in flag.rules:
        serve = flag.rule_serves(rule)
        if rule.percent != 0:
            found.add(serve if isinstance(serve, str) else None)
        if not rule.when and rule.percent in {None, 100.0}:
            return found
    found.add(flag.otherwise_serves if isinstance(flag.otherwise_serves, str) else None)
    return found


def settled_since(flag: Flag, variant: str, changed: int, now: int, *, days: int) -> Stale | None:
    """Return a settled flag whose last change, at `changed` (nanoseconds), is at least so many days ago."""
    if now - changed < days * 86_400_000_000_000:
        return None
    detail = f"everybody has been served {variant!r} for {(now - changed) // 86_400_000_000_000} days"
    return Stale(key=flag.key, why="settled", detail=detail, since=as_datetime(changed), owner=flag.owner)
