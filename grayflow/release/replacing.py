"""One function and the one that it replaces: a switch without an interface."""

import inspect
from collections.abc import Awaitable, Callable
from functools import update_wrapper
from typing import Any, ParamSpec, TypeVar

import msgspec

from grayflow.client.asking import AnyContext, Asking
from grayflow.core.flag import Key
from grayflow.errors import ConfigurationError
from grayflow.release.switch.interface import Kind, function_kind
from grayflow.release.switch.signatures import refusals
from grayflow.store.given import refused

__all__ = ["gray"]

P = ParamSpec("P")
R = TypeVar("R")

ContextMade = AnyContext | Awaitable[AnyContext]


def gray(
    flags: Asking, flag: str, *, old: Callable[P, R], context: Callable[P, ContextMade] | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """
    Let a flag decide with each call whether a function or the one that it replaces is called.

        async def pay_v1(order: Order) -> Receipt: ...

        @gray(flags, "payment_v2", old=pay_v1)
        async def pay(order: Order) -> Receipt: ...

    While the flag is off, unknown or undecided, `pay` calls `pay_v1`. An async function awaits attributes that have
    to be fetched; any other one, a generator too, is decided from memory when it is called. In a scope the flag is
    pinned, so a unit of work always calls the same one.

    Args:
        flags: Decides, started or not.
        flag: A boolean flag.
        old: The function that is replaced; of the same kind, and the new one takes every call that it takes.
        context: Returns the context to decide for, from the arguments of the call; else it is the scope's. May be async
            if the functions are.

    Raises:
        ConfigurationError: an argument cannot be used, one function is awaited and the other is not, `context` is and
            they are not, or the new one does not take the same calls.
    """
    if not isinstance(flags, Asking):
        raise refused("flags", flags, "give a grayflow.Client")
    try:
        msgspec.convert(flag, Key)
    except msgspec.ValidationError:
        raise refused("flag", flag, "give a flag's key: 1 to 200 of A-Z a-z 0-9 . _ : / -") from None
    if not callable(old):
        raise refused("old", old, "give the function that is replaced")
    if context is not None and not callable(context):
        raise refused("context", context, "give a function that takes the call's arguments and returns a context")

    def decorate(new: Callable[P, R]) -> Callable[P, R]:
        _check(old, new)
        decided = _awaiting if function_kind(old) is Kind.ASYNC else _at_once
        if decided is _at_once and inspect.iscoroutinefunction(context):
            raise refused("context", context, "give one that is not async, as the functions are not")
        return update_wrapper(decided(flags, flag, old, new, context), new)

    return decorate


def _awaiting(flags: Asking, flag: str, old: Any, new: Any, context: Any) -> Any:
    async def call(*args: Any, **kwargs: Any) -> Any:
        subject = None
        if context is not None:
            made = context(*args, **kwargs)
            subject = await made if inspect.isawaitable(made) else made
        function = new if await flags.is_enabled(flag, subject) else old
        return await function(*args, **kwargs)

    return call


def _at_once(flags: Asking, flag: str, old: Any, new: Any, context: Any) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        subject = None if context is None else context(*args, **kwargs)
        return (new if flags.peek(flag, subject) else old)(*args, **kwargs)

    return call


def _check(old: Any, new: Any) -> None:
    names = [getattr(each, "__qualname__", repr(each)) for each in (new, old)]
    kinds = [str(function_kind(each) or Kind.SYNC) for each in (new, old)]
    if kinds[0] != kinds[1]:
        raise ConfigurationError(f"{names[0]} cannot replace {names[1]}: {kinds[0]} for {kinds[1]}")
    try:
        found = refusals(inspect.signature(old), inspect.signature(new))
    except (TypeError, ValueError):  # built in, without a signature that could be looked at
        return
    if found:
        raise ConfigurationError(f"{names[0]} cannot replace {names[1]}: it {'; it '.join(found)}")
