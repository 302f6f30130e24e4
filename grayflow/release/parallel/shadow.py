"""
The mark that candidates run under, and what refuses to change anything under it.

A candidate that writes would do so a second time, or to the wrong place. No harness can see that from outside; what
writes has to ask. The mark is a context variable, so it goes along into tasks and threads that a candidate starts.
"""

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any, TypeVar

from grayflow.errors import ShadowWriteError
from grayflow.store.given import refused

__all__ = ["SHADOW", "in_shadow", "refuse_in_shadow", "writes"]

F = TypeVar("F", bound=Callable[..., Any])

SHADOW: ContextVar[str | None] = ContextVar("grayflow shadow", default=None)
"""The parallel run that this place of the program is a candidate of."""


def in_shadow() -> bool:
    """Tell whether what runs here runs only to be compared."""
    return SHADOW.get() is not None


def refuse_in_shadow(what: str) -> None:
    """
    Pass, unless what runs here runs only to be compared.

    Args:
        what: What would change something, for the message.

    Raises:
        ShadowWriteError: it does.
    """
    run = SHADOW.get()
    if run is not None:
        raise ShadowWriteError(what, run=run)


def writes(function: F) -> F:
    """
    Mark a function or method that changes something: called by a candidate of a parallel run, it refuses.

        class RedisCache:
            @writes
            async def set(self, key: str, value: bytes) -> None: ...

    For all kinds of functions. Everywhere else it costs one look at a context variable.

    Raises:
        ConfigurationError: it decorates something that is no function.
        ShadowWriteError: on a call by a candidate; nothing was done.
    """
    if not inspect.isroutine(function):
        raise refused("what @writes decorates", function, "give a function or a method")
    what = getattr(function, "__qualname__", repr(function))

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        refuse_in_shadow(what)
        return function(*args, **kwargs)

    @wraps(function)
    async def call_async(*args: Any, **kwargs: Any) -> Any:
        refuse_in_shadow(what)
        return await function(*args, **kwargs)

    made: Any = call_async if inspect.iscoroutinefunction(function) else call
    return made  # type: ignore[no-any-return]
