"""
The forms in which Unleash hands out features, brought to one: that of the client API, for one environment.

These are read: the client API (`/api/client/features`, also its delta of events), the export of one environment
(`/api/admin/features-batch/export`), the older export of everything (`/api/admin/state/export`), and features of the
admin API with all their environments.
"""

from collections.abc import Iterable
from typing import Any

from grayflow.admin.moving.remarks import Ledger
from grayflow.admin.moving.source import chosen_environment, listed
from grayflow.errors import ConfigurationError

__all__ = ["client_form"]

Raw = dict[str, Any]


def client_form(source: Raw, environment: str | None, ledger: Ledger) -> tuple[list[Raw], list[Raw]]:
    """
    Return features and segments as the client API gives them.

    Raises:
        ConfigurationError: there are no features in it, or several environments of which none is named.
    """
    if isinstance(source.get("events"), list):
        return _after(source["events"])
    if "features" not in source and "name" in source:
        source = {"features": [source]}
    if not isinstance(source.get("features"), list):
        raise ConfigurationError(
            "this is no export of Unleash: it has no list `features`. Take it from /api/client/features, or from the "
            "export of an environment"
        )
    features = [one for one in source["features"] if isinstance(one, dict)]
    if "featureStrategies" in source:
        features = _joined(source, features, environment, ledger)
    elif any("environments" in one for one in features):
        features = _in_environment(features, environment, ledger)
    elif environment is not None:
        ledger.note("", "the export is of one environment and does not name it", "all of it was taken")
    return features, [one for one in listed(source.get("segments")) if isinstance(one, dict)]


def _after(events: list[Any]) -> tuple[list[Raw], list[Raw]]:
    """Return what holds after the events of the client API's delta."""
    features: dict[Any, Raw] = {}
    segments: dict[Any, Raw] = {}
    for event in (one for one in events if isinstance(one, dict)):
        match event.get("type"):
            case "hydration":
                features = {one.get("name"): one for one in listed(event.get("features")) if isinstance(one, dict)}
                segments = {one.get("id"): one for one in listed(event.get("segments")) if isinstance(one, dict)}
            case "feature-updated" if isinstance(one := event.get("feature"), dict):
                features[one.get("name")] = one
            case "feature-removed":
                features.pop(event.get("featureName"), None)
            case "segment-updated" if isinstance(one := event.get("segment"), dict):
                segments[one.get("id")] = one
            case "segment-removed":
                segments.pop(event.get("segmentId"), None)
    return list(features.values()), list(segments.values())


def _joined(source: Raw, features: list[Raw], environment: str | None, ledger: Ledger) -> list[Raw]:
    """Put together what the exports hold in separate lists."""
    strategies = _objects(source, "featureStrategies")
    states = _objects(source, "featureEnvironments")
    chosen = chosen_environment([one.get("environment") for one in (*states, *strategies)], environment, ledger)
    segments = _segments_of(source)
    tags = _objects(source, "featureTags")
    parents = {one.get("feature"): one.get("dependencies") for one in _objects(source, "dependencies")}
    joined = []
    for feature in features:
        name = feature.get("name")
        state = next((one for one in _of(states, name) if one.get("environment") in {chosen, None}), {})
        mine = [one for one in _of(strategies, name) if one.get("environment") in {chosen, None}]
        mine.sort(key=lambda one: one.get("sortOrder") or 0)
        joined.append(
            {
                **feature,
                "enabled": state.get("enabled", feature.get("enabled")),
                "variants": state.get("variants") or feature.get("variants"),
                "dependencies": feature.get("dependencies") or parents.get(name),
                "strategies": [_strategy(one, segments) for one in mine],
                "tags": [{"type": one.get("tagType"), "value": one.get("tagValue")} for one in _of(tags, name)],
            }
        )
    return joined


def _objects(source: Raw, name: str) -> list[Raw]:
    return [one for one in listed(source.get(name)) if isinstance(one, dict)]


def _of(parts: Iterable[Raw], feature: Any) -> list[Raw]:
    return [one for one in parts if one.get("featureName") == feature]


def _segments_of(source: Raw) -> dict[Any, list[Any]]:
    """Return strategy id -> the ids of its segments, from the list that the older export has."""
    found: dict[Any, list[Any]] = {}
    for one in _objects(source, "featureStrategySegments"):
        found.setdefault(one.get("featureStrategyId"), []).append(one.get("segmentId"))
    return found


def _strategy(one: Raw, segments: dict[Any, list[Any]]) -> Raw:
    return {
        **one,
        "name": one.get("name") or one.get("strategyName"),
        "segments": one.get("segments") or segments.get(one.get("id"), []),
    }


def _in_environment(features: list[Raw], environment: str | None, ledger: Ledger) -> list[Raw]:
    names = [state.get("name") for one in features for state in _objects(one, "environments")]
    chosen = chosen_environment(names, environment, ledger)
    found = []
    for feature in features:
        state = next((one for one in _objects(feature, "environments") if one.get("name") == chosen), {})
        named = ("enabled", "strategies", "variants")
        found.append({**feature, **{name: state[name] for name in named if name in state}})
    return found
