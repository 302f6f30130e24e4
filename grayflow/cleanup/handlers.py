"""
The handlers that a process registered: what they follow, where they run, in which order.

Registering is possible in any order, before and after the start, from any thread. What one handler says of another
is checked when all are there: at the start.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any, Literal

import msgspec

from grayflow.cleanup.event import SwitchEvent
from grayflow.cleanup.retry import Retry
from grayflow.core.flag import Key
from grayflow.errors import ConfigurationError
from grayflow.store.given import refused, seconds
from grayflow.store.jobs import Registration, Switch

__all__ = ["Handler", "HandlerFunction", "Handlers", "OnStart", "Scope", "make_handler"]

HandlerFunction = Callable[[Any], Any]
"""Gets the `SwitchOff` or `SwitchOn`; async, or synchronous and then run in a thread."""

Scope = Literal["process", "fleet"]
OnStart = Literal["skip", "run"]


class Handler(msgspec.Struct, frozen=True, kw_only=True):
    """One function and when it is to run; see `Client.on_switch_off`."""

    name: str
    function: HandlerFunction
    switch: Switch
    flags: tuple[str, ...]
    variant: str | None
    scope: Scope
    after: tuple[str, ...]
    timeout_s: float
    drain_s: float
    retry: Retry
    on_start: OnStart

    @property
    def registration(self) -> Registration:
        """What other processes are told of it."""
        return Registration(
            handler=self.name,
            flags=self.flags,
            switch=self.switch,
            variant=self.variant,
            after=self.after,
            limit=self.retry.attempts,
        )

    def meets(self, other: "Handler") -> bool:
        """Tell whether there can be a switch that both follow."""
        same = self.variant is None or other.variant is None or self.variant == other.variant
        return same and self.switch == other.switch and not set(self.flags).isdisjoint(other.flags)


class Handlers:
    """All handlers of one client."""

    def __init__(self) -> None:
        self._all: dict[str, Handler] = {}
        self._started = False
        self.added: Callable[[Handler], None] = _nobody
        """Told of each new one."""

    def __iter__(self) -> Iterator[Handler]:
        return iter(tuple(self._all.values()))

    def __len__(self) -> int:
        return len(self._all)

    def get(self, name: str) -> Handler | None:
        """Return the handler of that name."""
        return self._all.get(name)

    def of(self, scope: Scope) -> tuple[Handler, ...]:
        """Return the handlers of a scope, in the order in which they were registered."""
        return tuple(handler for handler in self if handler.scope == scope)

    def fleet_names(self) -> tuple[str, ...]:
        """Return what this process can run for the fleet."""
        return tuple(handler.name for handler in self.of("fleet"))

    def add(self, handler: Handler, *, named: bool) -> None:
        """
        Take in a handler.

        Args:
            handler: A new one.
            named: Whether its name was chosen by somebody; else a number is added where it is taken.

        Raises:
            ConfigurationError: its name is taken; after the start also if it does not fit with the others.
        """
        if handler.name in self._all:
            if named:
                raise ConfigurationError(
                    f"there is a handler {handler.name!r} already; each needs a name of its own, which must stay the "
                    "same from release to release"
                )
            handler = msgspec.structs.replace(handler, name=self._numbered(handler.name))
        if self._started:
            _check_order({**self._all, handler.name: handler})
        self._all[handler.name] = handler
        self.added(handler)

    def check(self) -> None:
        """
        Pass if all handlers fit together.

        Raises:
            ConfigurationError: `after` names a handler that does not exist or that can never come first; or a circle.
        """
        _check_order(self._all)

    def start(self) -> None:
        """Pass as `check` does; what is added from now on has to fit at once."""
        self.check()
        self._started = True

    def _numbered(self, name: str) -> str:
        number = 2
        while f"{name} {number}" in self._all:
            number += 1
        return f"{name} {number}"


def _nobody(_: Handler) -> None:
    return


def make_handler(function: Any, keys: Any, *, switch: Switch, name: str | None, **given: Any) -> Handler:
    """
    Check what was given to a decorator.

    Args:
        function: The handler.
        keys: One flag's key, or several.
        switch: What it follows.
        name: Chosen by the caller, or `None`.
        given: `variant`, `scope`, `after`, `timeout`, `drain`, `retry`, `on_start`.

    Raises:
        ConfigurationError: something cannot be used; the text names it and what is allowed.
    """
    scope: Scope = _one_of("scope", given["scope"], "process", "fleet")
    if scope == "fleet" and name is None:
        raise ConfigurationError(
            "a handler with scope='fleet' needs name='...': the fleet remembers by it what is done, so it has to be "
            "the same in every process and every release"
        )
    if not isinstance(given["retry"], Retry):
        raise refused("retry", given["retry"], "give grayflow.Retry(attempts=..., base=..., cap=...)")
    _check_function(function, switch)
    return Handler(
        name=_default_name(function) if name is None else _name(name),
        function=function,
        switch=switch,
        flags=_flags(keys),
        variant=_variant(given["variant"]),
        scope=scope,
        after=_names(given["after"]),
        timeout_s=seconds("timeout", given["timeout"]),
        drain_s=seconds("drain", given["drain"], least=0.0),
        retry=given["retry"],
        on_start=_one_of("on_start", given["on_start"], "skip", "run"),
    )


def _one_of(what: str, given: Any, *allowed: Any) -> Any:
    if not isinstance(given, str) or given not in allowed:
        raise refused(what, given, f"give {' or '.join(map(repr, allowed))}")
    return given


def _name(given: Any) -> str:
    if not isinstance(given, str) or not re.fullmatch(r"[A-Za-z0-9._:/-]{1,100}", given):
        raise refused("name", given, "use 1 to 100 of A-Z a-z 0-9 . _ : / -")
    return given


def _default_name(function: Any) -> str:
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return f"{getattr(function, '__module__', '?')}.{name}"


def _names(given: Any) -> tuple[str, ...]:
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise refused("after", given, "give a list of names of handlers")
    return tuple(map(_name, given))


def _flags(given: Any) -> tuple[str, ...]:
    keys = (given,) if isinstance(given, str) or not isinstance(given, Iterable) else tuple(given)
    if not keys:
        raise refused("key", given, "name the flag, or several")
    for key in keys:
        try:
            msgspec.convert(key, Key)
        except msgspec.ValidationError:
            raise refused("key", key, "give a flag's key: 1 to 200 of A-Z a-z 0-9 . _ : / -") from None
    return tuple(dict.fromkeys(keys))


def _variant(given: Any) -> str | None:
    if given is None or (isinstance(given, str) and 1 <= len(given) <= 200):
        return given
    raise refused("variant", given, "give the name of a variant, or leave it out for all")


def _check_function(function: Any, switch: Switch) -> None:
    event = "SwitchOff" if switch == "off" else "SwitchOn"
    if not callable(function) or isinstance(function, type):
        raise refused(f"the on_switch_{switch} handler", function, f"give a function that takes the {event}")
    try:
        inspect.signature(function).bind(_ANY_EVENT)
    except TypeError as error:
        text = f"on_switch_{switch} handler {_default_name(function)} cannot be called with the {event} alone: {error}"
        raise ConfigurationError(text) from None
    except ValueError:  # built in, without a signature that could be looked at
        return


_ANY_EVENT = SwitchEvent(namespace="", flag="", variant="", generation=0, handler="", attempt=1)


def _check_order(handlers: dict[str, Handler]) -> None:
    for handler in handlers.values():
        for name in handler.after:
            _check_first(handler, name, handlers.get(name))
    try:
        TopologicalSorter({one.name: one.after for one in handlers.values()}).prepare()
    except CycleError as error:
        circle = " after ".join(map(repr, reversed(error.args[1])))
        raise ConfigurationError(f"handlers wait for each other: {circle}; take one `after` away") from None


def _check_first(handler: Handler, name: str, first: Handler | None) -> None:
    if first is None:
        raise ConfigurationError(
            f"handler {handler.name!r} is to run after {name!r}, and there is no handler of that name"
        )
    if first.scope != handler.scope:
        raise ConfigurationError(
            f"handler {handler.name!r} has scope={handler.scope!r} and is to run after {name!r} with "
            f"scope={first.scope!r}; only handlers of one scope can be put in order"
        )
    if not handler.meets(first):
        raise ConfigurationError(
            f"handler {handler.name!r} is to run after {name!r}, but no switch of a flag concerns both"
        )
