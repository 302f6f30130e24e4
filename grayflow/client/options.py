"""How a client behaves: every option with its unit and bounds, checked at once and in one place."""

import re
from collections.abc import Callable, Iterable, Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import msgspec

from grayflow.cleanup.options import CleanupOptions
from grayflow.client.hooks import Hook
from grayflow.client.resolvers import Resolver
from grayflow.clock import Clock
from grayflow.core.context import Context
from grayflow.core.extensions import Extensions
from grayflow.replica.freshness import FRESH_TTLS, Policy
from grayflow.replica.replica import ReplicaOptions
from grayflow.store.given import (
    Duration,
    checked_clock,
    checked_context_type,
    checked_extensions,
    refuse_async,
    refused,
    seconds,
)

__all__ = ["ClientOptions", "Duration", "OnFailure", "seconds"]

OnFailure = Policy | Mapping[str, str]
"""`"caller_default"`, `"last_known"` or `{"variant": NAME}`."""


class ClientOptions(msgspec.Struct, frozen=True, kw_only=True):
    """
    The options of a client, checked. The defaults stand in the signature of `Client`, where one reads them.

    Durations are seconds here; callers may give a `timedelta` instead.
    """

    context_type: type[Context]
    extensions: Extensions
    ttl_s: float
    """Between two checks of the store's position; at most a third of `max_staleness_s`."""
    max_staleness_s: float
    start_timeout_s: float
    require_ready: bool
    on_failure: Policy
    resolvers: Mapping[str, Resolver]
    resolver_timeout_s: float
    last_good: Path | None
    last_good_max_age_s: float
    hooks: tuple[Hook, ...]
    clock: Clock
    name: str
    confirm_timeout_s: float
    random: Callable[[], float]
    cleanup: CleanupOptions

    def replica(self) -> ReplicaOptions:
        """Return how the replica is to follow."""
        return ReplicaOptions(
            ttl_s=self.ttl_s,
            max_staleness_s=self.max_staleness_s,
            last_good=self.last_good,
            last_good_max_age_s=self.last_good_max_age_s,
            context_type=self.context_type,
            extensions=self.extensions,
            resolvable=frozenset(self.resolvers),
        )

    @classmethod
    def checked(cls, **given: Any) -> "ClientOptions":
        """
        Build from what a caller of `Client` gave.

        Raises:
            ConfigurationError: an option cannot be used; the text names it and what is allowed.
        """
        max_staleness_s = seconds("max_staleness", given["max_staleness"], endless=True)
        return cls(
            context_type=checked_context_type(given["context_type"]),
            extensions=checked_extensions(given["extensions"]),
            ttl_s=min(seconds("ttl", given["ttl"], least=0.01), max_staleness_s / FRESH_TTLS),
            max_staleness_s=max_staleness_s,
            start_timeout_s=seconds("start_timeout", given["start_timeout"], least=0.0),
            require_ready=_yes_or_no("require_ready", given["require_ready"]),
            on_failure=_on_failure(given["on_failure"]),
            resolvers=_resolvers(given["resolvers"]),
            resolver_timeout_s=seconds("resolver_timeout", given["resolver_timeout"]),
            last_good=_path(given["last_good"]),
            last_good_max_age_s=seconds("last_good_max_age", given["last_good_max_age"], endless=True),
            hooks=_hooks(given["hooks"]),
            clock=checked_clock(given["clock"]),
            name=_name(given["name"]),
            confirm_timeout_s=seconds("confirm_timeout", given["confirm_timeout"]),
            random=_random(given["random"]),
            cleanup=_cleanup(given["cleanup"]),
        )


def _yes_or_no(name: str, given: Any) -> bool:
    if isinstance(given, bool):
        return given
    raise refused(name, given, "give True or False")


def _on_failure(given: Any) -> Policy:
    try:
        found: Policy = msgspec.convert(given, Policy)
    except msgspec.ValidationError:
        raise refused("on_failure", given, "give 'caller_default', 'last_known' or {'variant': 'off'}") from None
    return found


def _resolvers(given: Any) -> Mapping[str, Resolver]:
    if not isinstance(given, Mapping):
        raise refused("resolvers", given, "give a mapping from attribute names to async functions")
    for name, resolver in given.items():
        if not isinstance(name, str):
            raise refused("a name in resolvers", name, "give the attribute's name as text")
        if not callable(resolver):
            raise refused(f"resolver {name!r}", resolver, "give an async function that takes the context")
    return dict(given)


def _hooks(given: Any) -> tuple[Hook, ...]:
    if not isinstance(given, Iterable) or isinstance(given, str | bytes | Mapping | type):
        raise refused("hooks", given, "give a list of objects with some of the methods before, after and error")
    hooks = tuple(given)
    for hook in hooks:
        methods = {stage: getattr(hook, stage, None) for stage in ("before", "after", "error")}
        if isinstance(hook, type) or not any(map(callable, methods.values())):
            raise refused("a hook", hook, "give an object with some of the methods before, after and error")
        for stage, method in methods.items():
            refuse_async(f"{stage} of a hook", method)
    return hooks


def _path(given: Any) -> Path | None:
    if given is None:
        return None
    # A path of bytes has no place in a text that people read.
    text = fspath(given) if isinstance(given, str | PathLike) else None
    if isinstance(text, str) and text and "\0" not in text:
        # Absolute, so that a service that changes its directory later keeps one file.
        return Path(text).expanduser().absolute()
    raise refused("last_good", given, "give the path of a file")


def _name(given: Any) -> str:
    if given is None:
        return "grayflow"
    if isinstance(given, str) and re.fullmatch(r"[A-Za-z0-9._-]{1,64}", given):
        return given
    raise refused("name", given, "use 1 to 64 of A-Z a-z 0-9 . _ -")


def _random(given: Any) -> Callable[[], float]:
    if not callable(given) or isinstance(given, type):
        raise refused("random", given, "give a function that returns numbers from 0 to 1, such as random.random")
    function: Callable[[], float] = given
    return function


def _cleanup(given: Any) -> CleanupOptions:
    if isinstance(given, CleanupOptions):
        return given
    raise refused("cleanup", given, "give grayflow.CleanupOptions(lease=..., orphan_after=...)")
