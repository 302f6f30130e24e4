"""
One record as a field holds it: `board.lua` writes it, and this reads it.

    VERSION:EXPIRES:FENCE:UNTIL:SIZE:OWNER and the value behind it

Instants are microseconds since the epoch, `SIZE` is that of `OWNER` in bytes. `EXPIRES` is empty if the record stays;
`FENCE`, `UNTIL` and `OWNER` are empty if it has no lease.

Contract: other processes and other releases read it.
"""

import re

from grayflow.store.board import Lease, Record

__all__ = ["read_record"]

_HEADER = re.compile(rb"(\d+):(\d*):(?:(\d+):(\d+)|:):(\d+):", re.ASCII)
_DIGITS = 16
"""The script counts in doubles, exact below 2^53; no number that it wrote is longer."""


def read_record(raw: bytes) -> Record | None:
    """Return the record, `None` if it is none."""
    found = _HEADER.match(raw)
    if found is None or max(map(len, found.groups(b""))) > _DIGITS:
        return None
    version, expires, fence, until, size = (int(text) if text else None for text in found.groups())
    start = found.end() + (size or 0)
    if version is None or start > len(raw):
        return None
    lease = None
    if fence is not None and until is not None:
        try:
            lease = Lease(owner=raw[found.end() : start].decode(), fence=fence, until=until * 1000)
        except UnicodeDecodeError:
            return None
    return Record(value=raw[start:], version=version, lease=lease, expires=None if expires is None else expires * 1000)
