"""Whether somebody looks after a flag: an owner, a date to remove it by, and dates that have gone by."""

from collections.abc import Iterator

from grayflow.core.calendar import as_datetime, from_datetime
from grayflow.core.findings import Finding, warning
from grayflow.core.flag import Flag

__all__ = ["LIFETIMES", "care"]

LIFETIMES = ("release", "experiment", "operational", "permission")
"""The words for `lifetime`. A release flag is meant to go; the others may stay."""


def care(flag: Flag, now: int | None) -> Iterator[Finding]:
    """Find flags that nobody will miss, or remove."""
    if flag.lifetime is not None and flag.lifetime not in LIFETIMES:
        message = f"{flag.lifetime!r} is none of the usual words: {', '.join(LIFETIMES)}"
        yield warning(flag, "unknown-lifetime", "lifetime", message)
    if flag.lifetime == "release":
        if flag.owner is None:
            yield warning(flag, "no-owner", "owner", "a release flag without an owner is removed by nobody")
        if flag.remove_by is None:
            yield warning(flag, "no-remove-by", "remove_by", "a release flag should say when it is to be gone")
    if now is not None:
        yield from _past(flag, now)


def _past(flag: Flag, now: int) -> Iterator[Finding]:
    if flag.enabled and flag.expires_at is not None and from_datetime(flag.expires_at) <= now:
        message = f"it expired at {flag.expires_at.isoformat()} and has been off since, though it is enabled"
        yield warning(flag, "expired", "expires_at", message)
    if flag.remove_by is not None and flag.remove_by < as_datetime(now).date():
        yield warning(flag, "past-remove-by", "remove_by", f"it was to be removed by {flag.remove_by.isoformat()}")
