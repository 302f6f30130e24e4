"""
What is given for a variant, and what it opens.

A factory is called each time its implementation is opened. It returns an async context manager, whose `async with`
gives the implementation. Code without types may also give one that returns an awaitable or the implementation itself,
or, as tests with mocks do, an implementation in place of a factory, which is open already and stays open.
"""

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, get_args, get_origin, get_type_hints

from grayflow.errors import ConfigurationError
from grayflow.release.switch.interface import Interface

__all__ = ["Factory", "checked_factory"]


class Factory:
    """
    Opens the implementation of one variant.

    Args:
        variant: Its name.
        given: A factory, or an implementation.
        interface: What is asked of it.

    Raises:
        ConfigurationError: it can be seen that what it opens is no implementation, or that it cannot be called.
    """

    def __init__(self, variant: str, given: Any, interface: Interface) -> None:
        self.variant = variant
        self._given, self._interface = given, interface
        self._is_open = not _makes(given) and not (callable(given) and interface.lacks(given))
        if self._is_open:
            self.check(given)
            return
        if (opened := _opened_class(given)) is not None and opened is not interface.declared:
            self._refuse(opened.__qualname__, interface.refusals(opened))
        _check_call(variant, given)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Any]:
        """Open it for the length of the block."""
        if self._is_open:
            yield self._given
            return
        made = self._given()
        if inspect.isawaitable(made) and not hasattr(made, "__aenter__"):
            made = await made
        if hasattr(made, "__aenter__"):
            async with made as implementation:
                yield implementation
        else:
            yield made

    def check(self, implementation: object) -> None:
        """
        Pass if an object that was opened is an implementation.

        Raises:
            ConfigurationError: it is not.
        """
        self._refuse(type(implementation).__qualname__, self._interface.lacks(implementation))

    def _refuse(self, name: str, refusals: tuple[str, ...]) -> None:
        if refusals:
            raise ConfigurationError(
                f"variant {self.variant!r}: {name} does not implement {self._interface.name}: {'; '.join(refusals)}"
            )


def checked_factory(variant: Any, given: Any, interface: Interface) -> Factory:
    """
    Return the factory for what a caller gave.

    Raises:
        ConfigurationError: it cannot be used.
    """
    if not (isinstance(variant, str) and variant):
        raise ConfigurationError(f"{variant!r:.100} names no variant; give the name that the flag serves")
    return Factory(variant, given, interface)


def _check_call(variant: str, given: Any) -> None:
    """Refuse a factory that cannot be called without arguments."""
    function = given.__func__ if inspect.ismethod(given) else given
    try:
        # What other decorators wrap may get its arguments from them; the one of `contextlib` passes on what it gets.
        inner = inspect.unwrap(function, stop=lambda one: not _is_of_contextlib(one))
        signature = inspect.signature(inner, follow_wrapped=False)
    except (TypeError, ValueError):  # built in, without a signature that could be looked at
        return
    try:
        signature.bind(*((given.__self__,) if inspect.ismethod(given) else ()))
    except TypeError as error:
        text = f"the factory of variant {variant!r} is called without arguments, and takes some: {error}"
        raise ConfigurationError(f"{text}; give lambda: factory(...), or functools.partial") from None


def _is_of_contextlib(function: Any) -> bool:
    return getattr(function, "__globals__", {}).get("__name__") == "contextlib"


def _makes(given: Any) -> bool:
    return isinstance(given, type | partial) or inspect.isroutine(given)


def _opened_class(factory: Any) -> type | None:
    """Return the class of what a factory opens, if its annotations or the factory itself tell."""
    if isinstance(factory, partial):
        return _opened_class(factory.func)
    if isinstance(factory, type):
        return _entered_class(factory)
    function = factory if inspect.isroutine(factory) else getattr(type(factory), "__call__", None)  # noqa: B004
    found = _returned(inspect.unwrap(function)) if function is not None else None
    while get_origin(found) is not None and get_args(found):
        found = get_args(found)[0]  # the X of AsyncIterator[X], AbstractAsyncContextManager[X] and so on
    if found is not None and getattr(found, "__name__", "") == "Self":
        owner = getattr(factory, "__self__", None)
        found = owner if isinstance(owner, type) else type(owner)
        return _concrete(found)  # `async with` gave it already
    return _entered_class(found) if isinstance(found, type) else None


def _entered_class(kind: type) -> type | None:
    """Return what `async with` gives for an object of a class, and the class itself if it cannot be entered."""
    enter = getattr(kind, "__aenter__", None)
    if enter is None:
        return _concrete(kind)
    returned = _returned(enter)
    if returned is None or getattr(returned, "__name__", "") == "Self" or returned is kind:
        return _concrete(kind)
    return _concrete(returned) if isinstance(returned, type) else None


def _concrete(kind: Any) -> type | None:
    """Return a class whose objects there can be: a protocol says nothing about what implements it."""
    if not isinstance(kind, type) or getattr(kind, "_is_protocol", False) or inspect.isabstract(kind):
        return None
    return None if kind.__module__ in ("builtins", "typing", "contextlib", "collections.abc") else kind


def _returned(function: Callable[..., Any]) -> Any:
    try:
        return get_type_hints(function).get("return")
    except Exception:  # noqa: BLE001 - a name that exists only for type checkers; it is looked at when it is open
        return None
