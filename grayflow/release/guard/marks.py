"""
What may be done again on the other side after it failed on one.

A call that timed out may have been done all the same. Reading twice is harmless, and so is writing what was written
already; charging a card is not. So nothing is repeated unless somebody says that it may be.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeVar

from grayflow.errors import ConfigurationError
from grayflow.release.switch.interface import Interface
from grayflow.store.given import refused

__all__ = ["Fallback", "idempotent", "only_reading", "repeatable", "safe"]

F = TypeVar("F", bound=Callable[..., Any])

Fallback = Literal["if_safe", "never", "always"]
"""When the old implementation answers for the new one that failed."""

_MARK = "__grayflow_operation__"


def safe(function: F) -> F:
    """Mark a method of an interface as one that only reads: if one side fails, the other may be asked."""
    return _marked(function, "safe")


def idempotent(function: F) -> F:
    """Mark a method of an interface as one that may be done twice: if one side fails, the other may do it."""
    return _marked(function, "idempotent")


def _marked(function: F, word: str) -> F:
    if not inspect.isroutine(function):  # a class would take the mark, and none of its methods have it
        raise refused(f"what @{word} decorates", function, "give a method of the interface")
    setattr(function, _MARK, word)
    return function


def repeatable(
    interface: Interface, fallback: Fallback, safe_names: Iterable[str], idempotent_names: Iterable[str]
) -> Mapping[str, bool]:
    """
    Return for each member whether the old implementation may do what the new one failed at.

    Args:
        interface: Whose functions may be marked.
        fallback: The rule.
        safe_names: Members that only read, beside those that are marked.
        idempotent_names: Members that may be done twice, likewise.

    Raises:
        ConfigurationError: a name is no member, or there is no such rule.
    """
    if fallback not in ("if_safe", "never", "always"):
        raise refused("fallback", fallback, "give 'if_safe', 'never' or 'always'")
    named = {*_names("safe", safe_names), *_names("idempotent", idempotent_names)}
    if unknown := named - set(interface.members):
        raise ConfigurationError(
            f"{interface.name} has no member {min(unknown)!r}; it has {', '.join(map(repr, interface.members))}"
        )
    return {
        name: fallback == "always" or (fallback == "if_safe" and (name in named or hasattr(member.function, _MARK)))
        for name, member in interface.members.items()
    }


def only_reading(interface: Interface, safe_names: Iterable[str]) -> frozenset[str]:
    """
    Return the members that only read: what is done beside another call must not change anything, not even again.

    Args:
        interface: Whose functions may be marked.
        safe_names: Members that only read, beside those that are marked.

    Raises:
        ConfigurationError: a name is no member.
    """
    named = _names("safe", safe_names)
    repeatable(interface, "never", named, ())
    marked = {name for name, member in interface.members.items() if getattr(member.function, _MARK, "") == "safe"}
    return frozenset({*named, *marked})


def _names(what: str, given: Iterable[str]) -> tuple[str, ...]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise refused(what, given, "give a list of names of members")
    return tuple(given)
