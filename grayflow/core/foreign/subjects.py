"""
What other systems call the subject of a decision, and what grayflow calls it.

Imported flags read attributes under grayflow's names. There is one rule for both: a few names have a field of
`Context`, all others stay as they are, and one that would be taken for such a field gets a `_` behind it.
"""

from collections.abc import Callable, Mapping
from typing import Any

from grayflow.core.flag import Path
from grayflow.core.foreign.shipped import SYSTEMS, System
from grayflow.errors import ConfigurationError

__all__ = ["FIELDS", "attribute_name", "attribute_path", "foreign_context"]

FIELDS: Mapping[System, Mapping[str, str]] = {
    "unleash": {"userId": "user_id", "sessionId": "session_id", "remoteAddress": "ip"},
    "launchdarkly": {"key": "user_id"},
    "growthbook": {"id": "user_id"},
    "flagd": {"targetingKey": "user_id"},
}
"""System -> its names that have a field of `Context`. LaunchDarkly's are those of the kind `user`."""


def attribute_name(system: System, name: str) -> str:
    """Return what an attribute of another system is called here."""
    fields = FIELDS[system]
    return fields.get(name, f"{name}_" if name in fields.values() else name)


def attribute_path(*steps: str) -> Path:
    """Return a path that means these steps and nothing else: a name with dots and `now` are no plain names."""
    first, *rest = steps
    return steps if rest or "." in first or first == "now" else first


def foreign_context(system: System, given: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return another system's context as a grayflow context.

    Args:
        system: Whose.
        given: Unleash's context with its `properties`; LaunchDarkly's of one or several kinds (those other than
            `user` become objects under their names); GrowthBook's attributes; flagd's evaluation context.

    Raises:
        ConfigurationError: there is no such system.
    """
    if system not in SYSTEMS:
        raise ConfigurationError(f"there is no system {system!r}; {', '.join(SYSTEMS)} are known")
    read = _READERS.get(system)
    return _renamed(system, given) if read is None else read(given)


def _renamed(system: System, given: Mapping[str, Any]) -> dict[str, Any]:
    return {attribute_name(system, name): value for name, value in given.items()}


def _unleash(given: Mapping[str, Any]) -> dict[str, Any]:
    plain = {name: value for name, value in given.items() if name != "properties"}
    return _renamed("unleash", {**(given.get("properties") or {}), **plain})


def _launchdarkly(given: Mapping[str, Any]) -> dict[str, Any]:
    if given.get("kind") != "multi":
        return _of_kind(given.get("kind", "user"), given)
    kinds = ((kind, one) for kind, one in given.items() if kind != "kind")
    return {name: value for kind, one in kinds for name, value in _of_kind(kind, one).items()}


def _of_kind(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    held = {name: value for name, value in given.items() if name not in {"kind", "_meta"}}
    return _renamed("launchdarkly", held) if kind == "user" else {kind: held}


_READERS: Mapping[System, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "unleash": _unleash,
    "launchdarkly": _launchdarkly,
}
