"""
A guarded async iterator: a call like any other up to its first item.

What comes later cannot be taken back, so an error there is the caller's; it is held against the new implementation
all the same. No timeout: how long an item may take is for the reader to say.
"""

from collections.abc import AsyncGenerator
from typing import Any

from grayflow.release.guard.attempt import Attempt, Attempts, Call
from grayflow.release.guard.outcome import Outcome
from grayflow.release.switch.instance import Use

__all__ = ["guarded_items"]

_END: Any = object()


async def guarded_items(attempts: Attempts, use: Use[Any], call: Call) -> AsyncGenerator[Any, Any]:
    """
    Yield the items of the new implementation, or of the old one if the new fails before the first.

    Args:
        attempts: Makes guarded calls.
        use: Of the new implementation; ended by whoever has the iterator.
        call: Returns an async iterator.
    """
    source = _Source(attempts, use, call)
    try:
        attempt = attempts.begin()
        if attempt is None:
            item = await source.first_of_old()
        else:
            with attempt:
                item = await _first(source, attempt, call)
        while item is not _END:
            sent = yield item
            item = await source.next(sent, attempt)
    finally:
        await source.close()


async def _first(source: "_Source", attempt: Attempt, call: Call) -> Any:
    try:
        item = await source.first_of_new()
    except Exception as error:
        attempt.raised(error)
        if attempt.outcome is not Outcome.FAILURE or not call.repeatable:
            raise
        failure = error
    else:
        attempt.answered()
        return item
    attempt.turn_to_old(failure)
    try:
        item = await source.first_of_old()
    except Exception as error:
        attempt.old_raised(error)
        raise
    attempt.old_answered()
    return item


class _Source:
    """Where the items come from: at first nowhere, then from one side."""

    def __init__(self, attempts: Attempts, use: Use[Any], call: Call) -> None:
        self._attempts, self._new, self._call = attempts, use, call
        self._old: Use[Any] | None = None
        self._items: Any = None

    async def first_of_new(self) -> Any:
        self._items = aiter(self._call.of(self._new))
        return await anext(self._items, _END)

    async def first_of_old(self) -> Any:
        await self._close_items()
        self._new.leave()
        self._old = self._attempts.old.enter() or await self._attempts.old.enter_slowly()
        self._items = aiter(self._call.of(self._old))
        return await anext(self._items, _END)

    async def next(self, sent: Any, attempt: Attempt | None) -> Any:
        try:
            return await (anext(self._items, _END) if sent is None else self._items.asend(sent))
        except StopAsyncIteration:
            return _END
        except Exception as error:
            if attempt is not None and self._old is None:
                self._attempts.raised_later(attempt, error)
            raise

    async def close(self) -> None:
        try:
            await self._close_items()
        finally:
            if self._old is not None:
                self._old.leave()

    async def _close_items(self) -> None:
        items, self._items = self._items, None
        if hasattr(items, "aclose"):
            await items.aclose()
