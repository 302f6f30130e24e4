"""
Whole hashes, a slice at a time, so that the server answers others in between.

One HGETALL of ten thousand flags takes a server seven milliseconds, and one of larger documents more; nobody else is
answered meanwhile. HSCAN tells in slices what was there all the time. What changed meanwhile it may tell as it was, as
it is, or not at all: whoever needs one instant lays the changes over it that the log has since (`RedisStore.load`).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any

from anyio.lowlevel import checkpoint

from grayflow.store.redis.keys import is_generation, is_revision
from grayflow.store.redis.wire import UnreadableError, read_document, unpack

__all__ = ["SLICE", "Read", "highest", "in_slices", "slices"]

SLICE = 500
"""Fields that one question asks for: half a millisecond of the server's time or less."""

Read = Callable[..., Awaitable[list[Any]]]
"""What `Session.at_leisure` yields."""


async def in_slices(read: Read, key: str) -> dict[bytes, bytes]:
    """Return the fields of a hash; one that changed meanwhile may be missing, or of any age since we began."""
    found: dict[bytes, bytes] = {}
    async for values in slices(read, key):
        found |= values
    return found


async def slices(read: Read, key: str) -> AsyncIterator[Mapping[bytes, bytes]]:
    """Yield the fields of a hash, a slice at a time; other tasks run after each, however soon the next one comes."""
    cursor: int | None = None
    while cursor != 0:
        ((cursor, values),) = await read(("HSCAN", key, cursor or 0, "COUNT", SLICE))
        yield values
        await checkpoint()


def highest(documents: Iterable[bytes], generations: Iterable[bytes]) -> int:
    """Return the highest revision that values of the hashes name; values that cannot be read name none."""
    of_documents = max((read_document(value).revision for value in documents), default=0)
    return max(of_documents, max(map(_highest_of, generations), default=0))


def _highest_of(generations: bytes) -> int:
    try:
        parts = unpack(generations)
    except UnreadableError:
        return 0
    offs = (int(off) // 2 for off in parts[1::3] if is_generation(off))
    armed = (int(revision) for revision in parts[2::3] if is_revision(revision))
    return max((*offs, *armed), default=0)
