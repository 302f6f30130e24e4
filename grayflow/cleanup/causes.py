"""
Why a variant was switched: read from the history, because generations are numbers and nothing else.

The history may be short, unreadable or away. That never keeps a handler from running: it is told less then.
"""

import logging
from collections.abc import Mapping

import msgspec

from grayflow.cleanup.event import Cause
from grayflow.cleanup.sites import Site, held_generation
from grayflow.core.calendar import from_datetime
from grayflow.core.checklist import answers_in
from grayflow.core.codec import decode_flag
from grayflow.core.flag import Flag
from grayflow.core.liveness import shape
from grayflow.errors import InvalidFlagError, StoreError
from grayflow.replica.view import View
from grayflow.store.jobs import Switch
from grayflow.store.port import Change, Store

__all__ = ["Facts", "facts_of", "find_facts"]

log = logging.getLogger("grayflow.cleanup")


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one switch; see `SwitchEvent` for the fields."""

    cause: Cause = "unknown"
    actor: str | None = None
    reason: str | None = None
    at: int | None = None
    before: Flag | None = None
    after: Flag | None = None
    checklist: Mapping[str, bool | None] = {}
    edge: int | None = None
    """When the clock switched; `None` if a commit did."""


async def find_facts(store: Store, view: View, site: Site, switch: Switch) -> Facts:
    """Look up what is known of the newest switch of a variant."""
    if switch == "on":
        armed = held_generation(view.generations.get(site.flag, {}), site.variant).armed
        return facts_of(await _change(store, site.flag, armed), switch)
    revision, by_clock = divmod(site.generation, 2)
    if not by_clock:
        return facts_of(await _change(store, site.flag, revision), switch)
    found = None if view.snapshot is None else view.snapshot.flag(site.flag)
    document = None if found is None else found[0]
    if _end(document, site.variant) is None:  # the document was edited since the clock switched
        change = await _change(store, site.flag, revision)
        document = None if change is None else _decoded(change.document, site.flag)
    end = _end(document, site.variant)
    return Facts(cause="expired", at=end, before=document, after=document, edge=end)


def facts_of(change: Change | None, switch: Switch) -> Facts:
    """Return what a change says of the switch that it made; `None`: it is not known any more."""
    if change is None:
        return Facts()
    before = None if change.before is None else _decoded(change.before.data, change.key)
    after = _decoded(change.document, change.key)
    reason, checklist = answers_in(change.reason)
    begins = None if after is None or after.effective_at is None else from_datetime(after.effective_at)
    later = begins is not None and begins > change.at
    cause = _why_off(change, after, later=later) if switch == "off" else _why_on(change, before, after, later=later)
    return Facts(
        cause=cause,
        actor=change.actor,
        reason=reason,
        at=begins if cause == "started" else change.at,
        before=before,
        after=after,
        checklist=checklist,
    )


def _why_off(change: Change, after: Flag | None, *, later: bool) -> Cause:
    if change.action == "trip":
        return "tripped"
    if change.document is None:
        return "deleted"
    if change.action == "rollback":
        return "rolled back"
    if after is None:
        return "unknown"
    if after.archived:
        return "archived"
    if not after.enabled:
        return "disabled"
    if after.expires_at is not None and from_datetime(after.expires_at) <= change.at:
        return "expired"
    return "rescheduled" if later else "zero share"


def _why_on(change: Change, before: Flag | None, after: Flag | None, *, later: bool) -> Cause:
    if after is None:
        return "unknown"
    if later:
        return "started"
    if change.action == "rollback":
        return "rolled back"
    if change.before is None:
        return "created"
    if before is not None and not before.enabled:
        return "enabled"
    return "rescheduled" if before is not None and _shut(before, change.at) else "given a share"


def _shut(flag: Flag, now: int) -> bool:
    """Tell whether a flag was outside of its window."""
    begins, ends = flag.effective_at, flag.expires_at
    return (begins is not None and now < from_datetime(begins)) or (ends is not None and from_datetime(ends) <= now)


async def _change(store: Store, flag: str, revision: int) -> Change | None:
    if revision < 1:
        return None
    try:
        found = await store.history(flag, before=revision + 1, limit=1)
    except StoreError as error:
        log.info("the history of flag %r cannot be read, so handlers are not told who switched it: %s", flag, error)
        return None
    return found[0] if found and found[0].revision == revision else None


def _decoded(data: bytes | None, flag: str) -> Flag | None:
    try:
        return None if data is None else decode_flag(data, flag)
    except InvalidFlagError:
        return None


def _end(document: Flag | None, variant: str) -> int | None:
    window = shape(document).get(variant)
    return None if window is None else window.end
