"""
Calling what others wrote, so that nothing it does can come out: it returned, or raised, or was late.

A cancellation needs care. One that comes from outside has to be obeyed, but a function may also raise one of itself
(it awaited something that was cancelled), and that would end the task group around it.
"""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import anyio

__all__ = ["Heard", "Late", "Raised", "Returned", "asked", "called"]


class Returned:
    """It returned."""

    __slots__ = ("took_s", "value")

    def __init__(self, value: Any, took_s: float = 0.0) -> None:
        self.value, self.took_s = value, took_s


class Raised:
    """It raised."""

    __slots__ = ("error", "took_s")

    def __init__(self, error: BaseException, took_s: float = 0.0) -> None:
        self.error, self.took_s = error, took_s


class Late:
    """It did not answer in time."""

    __slots__ = ()


Heard = Returned | Raised | Late


async def called(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Call a function, awaited if that is what it wants; everything that it raises is raised."""
    found = function(*args, **kwargs)
    return await found if inspect.isawaitable(found) else found


async def asked(limit_s: float, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Heard:
    """
    Call a function under a time limit.

    A cancellation that comes from outside meanwhile is `Raised` as well; the next await of the task meets it again.

    Raises:
        KeyboardInterrupt: somebody wants the program to end.
    """
    with anyio.CancelScope(deadline=anyio.current_time() + limit_s) as limit:
        try:
            heard: Heard = Returned(await called(function, args, kwargs))
        except asyncio.CancelledError as error:
            if limit.cancel_called:
                raise
            heard = Raised(error)
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 - `sys.exit()` in a candidate must not end the service
            heard = Raised(error)
        # What comes after the time was over is late, also if the function took no notice.
        return Late() if limit.cancel_called else heard
    return Late()
