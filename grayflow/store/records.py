"""
What a record becomes by each verb of a board.

Pure: the record that is there (one that expired is not), what is asked, the instant; and out comes the record that is
there afterwards. The adapters that decide in Python share it, so that there is one place to read; `None` is a refusal.
"""

from collections.abc import Callable

import msgspec

from grayflow.store.board import Lease, Record, check_span

__all__ = ["claimed", "is_over", "later_fence", "may_delete", "put_into", "released", "renewed", "span_ns"]


def is_over(instant: int | None, now: int) -> bool:
    """Whether what ends at `instant` ended; `None` never does."""
    return instant is not None and instant <= now


def span_ns(what: str, span: float) -> int:
    """
    Return a span of seconds in nanoseconds, 1 at least.

    Raises:
        ConfigurationError: it is none that a board can count.
    """
    return max(1, round(check_span(what, span) * 1e9))


def later_fence(last: int, now: int) -> int:
    """
    Return the fence after `last`.

    It follows the time as well, in microseconds, so that it grows even where an older copy of the data, or none, took
    the place of what was there. JSON can hold it exactly.
    """
    return max(last + 1, now // 1000)


def put_into(
    held: Record | None, value: bytes, *, expected: int | None, fence: int | None, expires: int | None
) -> Record | None:
    """See `Board.put`. A repetition gives `held` itself, and there is nothing to write."""
    if not _is_fenced(held, fence):
        return None
    version = _version(held)
    if held is not None and expected == version - 1 and held.value == value:
        return held
    if expected not in (None, version):
        return None
    return Record(value=value, version=version + 1, lease=held.lease if held is not None else None, expires=expires)


def may_delete(held: Record | None, *, expected: int | None, fence: int | None) -> bool:
    """See `Board.delete`."""
    return held is None or (_is_fenced(held, fence) and expected in (None, held.version))


def claimed(
    held: Record | None, lease: Lease, *, expected: int | None, now: int, next_fence: Callable[[], int]
) -> Record | None:
    """
    See `Board.claim`.

    Args:
        held: The record.
        lease: What is asked for; its fence does not count.
        expected: Its version.
        now: The instant.
        next_fence: Gives the fence of a new holder.
    """
    if expected not in (None, _version(held)):
        return None
    before = held.lease if held is not None and held.lease is not None and held.lease.until > now else None
    if before is not None and before.owner != lease.owner:
        return None
    lease = msgspec.structs.replace(lease, fence=before.fence if before is not None else next_fence())
    return msgspec.structs.replace(held if held is not None else Record(value=b"", version=0), lease=lease)


def renewed(held: Record | None, *, fence: int, until: int) -> Record | None:
    """See `Board.renew`."""
    if held is None or held.lease is None or held.lease.fence != fence:
        return None
    return msgspec.structs.replace(held, lease=msgspec.structs.replace(held.lease, until=until))


def released(held: Record | None, *, fence: int) -> Record | None:
    """See `Board.release`. What has version 0 then has to be removed."""
    if held is None or not _is_fenced(held, fence):
        return None
    return msgspec.structs.replace(held, lease=None)


def _version(held: Record | None) -> int:
    return held.version if held is not None else 0


def _is_fenced(held: Record | None, fence: int | None) -> bool:
    return fence is None or (held is not None and held.lease is not None and held.lease.fence == fence)
