"""What the code asks for beside what there is: unknown, unused, expired and overdue flags. Pure."""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Literal

import msgspec

from grayflow.admin.stale import overdue
from grayflow.cli.source.scan import Use
from grayflow.core.flag import Flag

__all__ = ["Finding", "compare"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One flag that needs somebody."""

    problem: Literal["unknown", "unused", "expired", "past remove_by", "archived"]
    key: str
    detail: str
    places: tuple[str, ...] = ()
    """`path:line`, of every use."""


def compare(uses: Collection[Use], flags: Mapping[str, Flag], now: int) -> tuple[Finding, ...]:
    """
    Return what does not fit, unknown flags first.

    Args:
        uses: In all of the code.
        flags: By key, archived ones included.
        now: Nanoseconds since the epoch.
    """
    asked: dict[str, list[str]] = {}
    for use in uses:
        if use.key is not None and (use.kind == "asked" or (use.kind == "moved" and use.key in flags)):
            asked.setdefault(use.key, []).append(f"{use.path}:{use.line}")
    found = [_unknown(key, places, flags) for key, places in sorted(asked.items()) if key not in flags]
    for key, flag in sorted(flags.items()):
        if key in asked:
            found += _outlived(flag, tuple(asked[key]), now)
        elif not flag.archived:
            found.append(Finding(problem="unused", key=key, detail="nothing in this code asks for it"))
    return tuple(found)


def _unknown(key: str, places: list[str], flags: Mapping[str, Flag]) -> Finding:
    near = get_close_matches(key, flags, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return Finding(problem="unknown", key=key, detail=f"there is no such flag{hint}", places=tuple(places))


def _outlived(flag: Flag, places: tuple[str, ...], now: int) -> list[Finding]:
    if flag.archived:
        detail = "it is archived: everybody gets its off variant"
        return [Finding(problem="archived", key=flag.key, detail=detail, places=places)]
    over = overdue(flag, now)
    if over is None or over.why == "settled":
        return []
    since = over.since.isoformat()[:10]
    return [Finding(problem=over.why, key=flag.key, detail=f"{over.detail}, since {since}", places=places)]
