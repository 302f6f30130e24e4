"""Removing a whole namespace from a server: for what was made to be thrown away, such as that of the demo."""

from grayflow.clock import SystemClock
from grayflow.store.address import RedisAddress
from grayflow.store.port import check_namespace
from grayflow.store.redis.keys import Keys
from grayflow.store.redis.session import Session

__all__ = ["remove_namespace"]

_AT_ONCE = 1_000


async def remove_namespace(url: str, namespace: str) -> int:
    """
    Remove every key of a namespace, flags, history and what running services wrote; return how many there were.

    It looks through all keys of the database. Processes that still write there make new ones. After a cancellation
    some keys are gone and some are not; doing it again removes the rest.

    Args:
        url: The server.
        namespace: What to remove.

    Raises:
        StoreUnavailableError, StoreAccessError: the server did not do it all.
    """
    keys, removed, cursor = Keys(check_namespace(namespace)), 0, 0
    session = Session(RedisAddress.from_url(url), key=keys.meta, client_name="grayflow-remove", clock=SystemClock())
    try:
        while True:
            ((cursor, found),) = await session.read(("SCAN", cursor, "MATCH", f"{keys.prefix}*", "COUNT", _AT_ONCE))
            if found:
                removed += (await session.read(("UNLINK", *found)))[0]
            if not cursor:
                return removed
    finally:
        await session.aclose()
