"""
Calls that go on after they returned: iterators and blocks keep their implementation open until they end.

Whoever drops one halfway ends it too: what is left of it is closed first, as Python would have closed it, and the
implementation afterwards.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import TracebackType
from typing import Any

from grayflow.release.switch.instance import Use

__all__ = ["AsyncBlock", "Block", "Items", "Leave", "Stream", "Use"]

Leave = Callable[[Use[Any], Any], None]
"""Called for an iterator that was dropped: closes it, and ends its use."""


class Stream(AsyncGenerator[Any, Any]):
    """
    An async iterator of an implementation.

    Args:
        begin: Returns the use and the iterator; awaited with the first step.
        leave: Closes one that is dropped halfway.
        begun: What `begin` would return, if it is there already: whoever has the stream has chosen.
    """

    def __init__(
        self,
        begin: Callable[[], Awaitable[tuple[Use[Any], Any]]],
        leave: Leave,
        begun: tuple[Use[Any], Any] | None = None,
    ) -> None:
        self._begin, self._leave = begin, leave
        self._use: Use[Any] | None = None
        self._inner: Any = None
        if begun is not None:
            self._use, self._inner = begun
        self._over = False

    async def asend(self, value: Any) -> Any:
        """Go on; see `AsyncGenerator.asend`."""
        if self._over:
            raise StopAsyncIteration
        if self._use is None:
            self._use, self._inner = await self._begin()
        # A plain iterator has `__anext__` only.
        step = self._inner.__anext__() if value is None else self._inner.asend(value)
        return await self._step(step)

    async def athrow(self, *error: Any) -> Any:
        """Raise something inside; see `AsyncGenerator.athrow`."""
        if self._over or self._use is None:
            self._end()
            raise error[0]
        return await self._step(self._inner.athrow(*error))

    async def aclose(self) -> None:
        """End it."""
        if self._over or self._use is None:
            self._end()
            return
        try:
            if hasattr(self._inner, "aclose"):
                await self._inner.aclose()
        finally:
            self._end()

    async def _step(self, step: Awaitable[Any]) -> Any:
        try:
            return await step
        except BaseException as error:
            # A generator is over once anything left it, a cancellation too; another iterator may go on.
            if isinstance(error, StopAsyncIteration) or getattr(self._inner, "ag_frame", self) is None:
                self._end()
            raise

    def _end(self) -> None:
        self._over = True
        if self._use is not None:
            self._use.leave()

    def __del__(self) -> None:
        if not self._over and self._use is not None:
            self._leave(self._use, self._inner)


class Items(Generator[Any, Any, Any]):
    """
    An iterator of an implementation.

    Args:
        use: Of the implementation.
        inner: Its iterator.
    """

    def __init__(self, use: Use[Any], inner: Any) -> None:
        self._use, self._inner = use, inner

    def send(self, value: Any) -> Any:
        """Go on; see `Generator.send`."""
        return self._step(lambda: next(self._inner) if value is None else self._inner.send(value))

    def throw(self, *error: Any) -> Any:
        """Raise something inside; see `Generator.throw`."""
        return self._step(lambda: self._inner.throw(*error))

    def close(self) -> None:
        """End it."""
        try:
            if hasattr(self._inner, "close"):
                self._inner.close()
        finally:
            self._use.leave()

    def _step(self, step: Callable[[], Any]) -> Any:
        try:
            return step()
        except BaseException as error:
            if isinstance(error, StopIteration) or getattr(self._inner, "gi_frame", self) is None:
                self._use.leave()
            raise

    def __del__(self) -> None:
        self._use.leave()


class AsyncBlock(AbstractAsyncContextManager[Any]):
    """
    An async context manager of an implementation.

    Args:
        begin: Returns the use and the block; awaited on entering.
    """

    def __init__(self, begin: Callable[[], Awaitable[tuple[Use[Any], Any]]]) -> None:
        self._begin = begin
        self._entered: list[tuple[Use[Any], Any]] = []

    async def __aenter__(self) -> Any:
        use, inner = await self._begin()
        entered = False
        try:
            found = await inner.__aenter__()
            entered = True
        finally:
            if not entered:
                use.leave()
        self._entered.append((use, inner))
        return found

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        use, inner = self._entered.pop()
        try:
            found: bool | None = await inner.__aexit__(kind, error, trace)
            return found
        finally:
            use.leave()


class Block(AbstractContextManager[Any]):
    """
    A context manager of an implementation.

    Args:
        begin: Returns the use and the block.
    """

    def __init__(self, begin: Callable[[], tuple[Use[Any], Any]]) -> None:
        self._begin = begin
        self._entered: list[tuple[Use[Any], Any]] = []

    def __enter__(self) -> Any:
        use, inner = self._begin()
        entered = False
        try:
            found = inner.__enter__()
            entered = True
        finally:
            if not entered:
                use.leave()
        self._entered.append((use, inner))
        return found

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        use, inner = self._entered.pop()
        try:
            found: bool | None = inner.__exit__(kind, error, trace)
            return found
        finally:
            use.leave()
