"""Whose export a text is, by its shape: for a hint, so in doubt nobody's."""

from typing import Any

from grayflow.admin.formats import TextFormat
from grayflow.admin.moving.source import listed, read_source
from grayflow.core.foreign import System
from grayflow.errors import ConfigurationError

__all__ = ["recognised"]


def recognised(text: bytes | str, format_: TextFormat | None) -> System | None:
    """Return whose export this seems to be, `None` if it is not another system's or cannot be told."""
    try:
        source = read_source(text, format_)
    except ConfigurationError:
        return None
    features = source.get("features")
    if any("strategies" in one or "name" in one for one in _objects(features)):
        return "unleash"
    if isinstance(features, dict) and any("defaultValue" in one for one in _values(features)):
        return "growthbook"
    inner = source["data"] if isinstance(source.get("data"), dict) else source
    flags = [*_values(inner.get("flags")), *_objects(inner.get("flags"))]
    if any("variations" in one for one in (inner, *flags, *_objects(inner.get("items")))):
        return "launchdarkly"
    return "flagd" if any("defaultVariant" in one or "state" in one for one in flags) else None


def _values(given: Any) -> list[dict[str, Any]]:
    return _objects(list(given.values())) if isinstance(given, dict) else []


def _objects(given: Any) -> list[dict[str, Any]]:
    return [one for one in listed(given) if isinstance(one, dict)]
