"""What a parallel run goes by: every option checked at once and in one place."""

import inspect
from collections.abc import Callable, Iterable
from operator import eq
from typing import Any

import msgspec

from grayflow.core.flag import Key
from grayflow.release.counters.counters import Counters
from grayflow.release.guard.outcome import Errors, checked_errors
from grayflow.store.given import refused, seconds, whole

__all__ = ["Hooks", "Plan", "same_type"]


def same_type(control: BaseException, candidate: BaseException) -> bool:
    """Tell whether two errors are of one class; the default of `compare_errors`."""
    return type(control) is type(candidate)


class Hooks(msgspec.Struct, frozen=True, kw_only=True):
    """The functions of the application; see `ParallelRun` for what each is."""

    enabled: Callable[..., Any] | None = None
    snapshot: Callable[[Any], Any] | None = None
    normalise: Callable[[Any], Any] | None = None
    compare: Callable[[Any, Any], Any] = eq
    compare_errors: Callable[[Any, Any], Any] = same_type
    ignore: tuple[Callable[[Any, Any], Any], ...] = ()
    clean: Callable[[Any], Any] | None = None
    clean_error: Callable[[Any], Any] | None = None
    about: Callable[..., Any] | None = None
    publish: Callable[[Any], Any] | None = None

    @classmethod
    def checked(cls, *, ignore: Any, **given: Any) -> "Hooks":
        """
        Build from what a caller of `ParallelRun` gave.

        Raises:
            ConfigurationError: something is no function, or is async where nobody can wait for it.
        """
        for name, hook in given.items():
            if not (callable(hook) or (hook is None and not name.startswith("compare"))):
                raise refused(name, hook, "give a function")
        for name in ("enabled", "snapshot"):
            if inspect.iscoroutinefunction(given[name]):
                raise refused(name, given[name], "give a function that is not async: the caller would wait for it")
        if callable(ignore) or isinstance(ignore, str) or not isinstance(ignore, Iterable):
            raise refused("ignore", ignore, "give a list of functions of two values")
        predicates = tuple(ignore)
        for predicate in predicates:
            if not callable(predicate):
                raise refused("one of ignore", predicate, "give a function of two values")
        return cls(ignore=predicates, **given)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The options; durations in seconds."""

    name: str
    flag: str | None
    """`None`: all calls are sampled."""
    hooks: Hooks
    ignore_errors: Errors
    mode: str
    timeout_s: float
    max_in_flight: int
    max_unpublished: int
    publish_all: bool
    raises: bool
    """Whether differences are raised."""
    random: Callable[[], float]
    counters: Counters | None

    @classmethod
    def checked(cls, hooks: Hooks, **given: Any) -> "Plan":
        """
        Build from what a caller of `ParallelRun` gave.

        Raises:
            ConfigurationError: an option cannot be used; the text names it and what is allowed.
        """
        name, mode, counters = given["name"], given["mode"], given["counters"]
        if not (isinstance(name, str) and 0 < len(name) <= 200):
            raise refused("name", name, "give a text of 1 to 200 characters")
        if mode not in ("detached", "concurrent", "sequential"):
            raise refused("mode", mode, "give 'detached', 'concurrent' or 'sequential'")
        if counters is not None and not isinstance(counters, Counters):
            raise refused("counters", counters, "give grayflow.release.Counters(...), or leave it out")
        flag = None if given["flag"] is None else _key(given["flag"])
        if counters is not None and flag is None:
            raise refused("flag", None, "give a flag's key: counters count by what a flag said")
        raises = _yes_or_no("raise_on_mismatch", given["raise_on_mismatch"])
        return cls(
            name=name,
            flag=flag,
            hooks=hooks,
            ignore_errors=checked_errors("ignore_errors", given["ignore_errors"]),
            mode="concurrent" if raises else mode,
            timeout_s=seconds("timeout", given["timeout"]),
            max_in_flight=whole("max_in_flight", given["max_in_flight"], most=1_000_000),
            max_unpublished=whole("max_unpublished", given["max_unpublished"], most=1_000_000),
            publish_all=_yes_or_no("publish_all", given["publish_all"]),
            raises=raises,
            random=given["random"],
            counters=counters,
        )


def _key(given: Any) -> str:
    try:
        found: str = msgspec.convert(given, Key)
    except msgspec.ValidationError:
        raise refused("flag", given, "give a flag's key: 1 to 200 of A-Z a-z 0-9 . _ : / -") from None
    return found


def _yes_or_no(name: str, given: Any) -> bool:
    if isinstance(given, bool):
        return given
    raise refused(name, given, "give True or False")
