"""
What clients and admins are given by their callers, checked at once and in the same words.

What was given is shown with care: the `repr` of a foreign object may raise, or hold a password.
"""

import math
from datetime import timedelta
from inspect import iscoroutinefunction
from typing import Any

from grayflow.clock import Clock, SystemClock
from grayflow.core.context import Context
from grayflow.core.extensions import Extensions
from grayflow.core.values import shown
from grayflow.errors import ConfigurationError
from grayflow.store.port import Store
from grayflow.store.urls import open_store

__all__ = [
    "Duration",
    "checked_clock",
    "checked_context_type",
    "checked_extensions",
    "opened_store",
    "refuse_async",
    "refused",
    "seconds",
    "share",
    "whole",
]

Duration = float | timedelta
"""Seconds, or a `timedelta`."""


def refused(name: str, given: Any, remedy: str) -> ConfigurationError:
    """
    Return the error for an option.

    Args:
        name: Of the option.
        given: What cannot be used.
        remedy: What to give instead, as an order.
    """
    return ConfigurationError(f"{name} is {_named(given)}; {remedy}")


def refuse_async(name: str, given: Any) -> None:
    """
    Pass if a function gives its result at once: one that is async would never run, without anybody noticing.

    Args:
        name: Of the option.
        given: A function, or an object that can be called.

    Raises:
        ConfigurationError: it is async.
    """
    called = getattr(type(given), "__call__", None)  # noqa: B004 - not whether, but what it is
    if iscoroutinefunction(given) or iscoroutinefunction(called):
        raise ConfigurationError(
            f"{name} is async; give a function that is not async: it is called where nothing can be awaited"
        )


def _named(given: Any) -> str:
    if isinstance(given, type):
        return f"the class {given.__name__}"
    return repr(given) if given is None or isinstance(given, bool) else shown(given)


def opened_store(given: Any, namespace: Any, *, client_name: str, clock: Clock) -> Store:
    """
    Return the store that was given or that a URL names; no I/O.

    Raises:
        ConfigurationError: it is neither, the URL is wrong, or the namespace is not the store's.
    """
    if isinstance(given, str):
        namespace = "default" if namespace is None else namespace
        return open_store(given, namespace=namespace, client_name=client_name, clock=clock)
    if not isinstance(given, Store):
        raise refused("store", given, "give a URL as text, such as 'redis://localhost:6379/0', or a Store")
    if namespace not in (None, given.namespace):
        raise refused("namespace", namespace, f"the store was made for {given.namespace!r}: leave the namespace out")
    return given


def checked_clock(given: Any) -> Clock:
    """
    Return the clock, the machine's for `None`.

    Raises:
        ConfigurationError: it is none.
    """
    if given is None:
        return SystemClock()
    methods = (getattr(given, name, None) for name in ("now", "monotonic", "sleep"))
    if isinstance(given, type) or not all(map(callable, methods)):
        raise refused("clock", given, "give an object with the methods now, monotonic and sleep, or leave it out")
    clock: Clock = given
    return clock


def checked_context_type(given: Any) -> type[Context]:
    """
    Return the class of contexts.

    Raises:
        ConfigurationError: it is no such class.
    """
    if isinstance(given, type) and issubclass(given, Context):
        return given
    raise refused("context_type", given, "give a subclass of grayflow.Context, the class itself")


def checked_extensions(given: Any) -> Extensions:
    """
    Return the extensions, none for `None`.

    Raises:
        ConfigurationError: they are none, or one is an async function.
    """
    if given is None:
        return Extensions()
    if not isinstance(given, Extensions):
        raise refused("extensions", given, "give grayflow.Extensions(hashes={...}, operators={...})")
    for name, hash_ in given.hashes.items():
        refuse_async(f"the function of hash {name!r}", hash_.fn)
    for name, operator in given.operators.items():
        refuse_async(f"operator {name!r}", operator)
    return given


def seconds(name: str, given: Any, *, least: float = 0.001, endless: bool = False) -> float:
    """
    Return a duration in seconds.

    Args:
        name: Of the option, for the message.
        given: Seconds or a `timedelta`.
        least: The smallest that makes sense.
        endless: Whether it may be infinite.

    Raises:
        ConfigurationError: it is no duration, or out of bounds.
    """
    found = given.total_seconds() if isinstance(given, timedelta) else given
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise refused(name, given, "give seconds or a datetime.timedelta")
    try:
        found = float(found)
    except OverflowError:  # an integer of hundreds of digits
        raise refused(name, given, "give seconds that a float can hold") from None
    if math.isnan(found) or found < least or (found == math.inf and not endless):
        raise ConfigurationError(f"{name} is {found!r} s; give at least {least:g} s{'' if endless else ', and finite'}")
    return found


def whole(name: str, given: Any, *, least: int = 1, most: int | None = None) -> int:
    """
    Return a number of things.

    Args:
        name: Of the option, for the message.
        given: The number.
        least: The smallest that makes sense.
        most: The largest; `None`: there is none.

    Raises:
        ConfigurationError: it is no whole number, or out of bounds.
    """
    if isinstance(given, int) and not isinstance(given, bool) and least <= given and (most is None or given <= most):
        return given
    raise refused(name, given, f"give a whole number from {least}{'' if most is None else f' to {most:,}'}")


def share(name: str, given: Any) -> float:
    """
    Return a part of a whole.

    Raises:
        ConfigurationError: it is no number above 0 and up to 1.
    """
    if isinstance(given, int | float) and not isinstance(given, bool) and 0 < given <= 1:
        return given
    raise refused(name, given, "give a share above 0 and up to 1")
