"""Moving in from GrowthBook."""

from typing import Any

from grayflow.admin.moving.growthbook.conditions import Conditions
from grayflow.admin.moving.growthbook.flags import Features, tell_unknown
from grayflow.admin.moving.growthbook.groups import SavedGroups
from grayflow.admin.moving.growthbook.model import ASIDE, Feature
from grayflow.admin.moving.paths import Attributes
from grayflow.admin.moving.remarks import Ledger
from grayflow.admin.moving.source import Options, told_apart
from grayflow.core.flag import Flag, Segment
from grayflow.errors import ConfigurationError

__all__ = ["translate"]


def translate(
    source: dict[str, Any], attributes: Attributes, options: Options, ledger: Ledger
) -> tuple[list[Flag], list[Segment]]:
    """
    Return an SDK payload of GrowthBook as flags and segments; see `grayflow.admin.moving.translate`.

    Raises:
        ConfigurationError: it is none, or is encrypted.
    """
    features = _features(source)
    if options.environment is not None:
        ledger.note("", "the payload is of one environment and does not name it", "all of it was taken")
    readable = dict(told_apart(Feature, features, ledger, ASIDE))
    for one in features:
        tell_unknown(one["key"], one.get("rules"), ledger)
    _tell(source, readable, ledger)
    saved = source.get("savedGroups")
    groups = SavedGroups(saved if isinstance(saved, dict) else {}, attributes, ledger)
    translated = Features(readable, attributes, Conditions(attributes, groups, ledger), ledger)
    return list(translated.documents()), groups.segments


def _features(source: dict[str, Any]) -> list[dict[str, Any]]:
    features = source.get("features")
    if not features and any(source.get(name) for name in ("encryptedFeatures", "encryptedSavedGroups")):
        raise ConfigurationError(
            "the payload is encrypted. Take one from an SDK connection without encryption, or decrypt it first"
        )
    if features is None and source and all(isinstance(one, dict) and "defaultValue" in one for one in source.values()):
        features = source
    if not isinstance(features, dict):
        raise ConfigurationError(
            "this is no payload of GrowthBook: it has no object `features`. Take it from /api/features/<client key>"
        )
    return [{**one, "key": key} for key, one in features.items() if isinstance(one, dict)]


def _tell(source: dict[str, Any], features: dict[str, Feature], ledger: Ledger) -> None:
    ledger.about("file")
    if source.get("experiments"):
        what = f"{len(source['experiments'])} experiments change pages in browsers, without a feature"
        ledger.left_out("experiments", what, "they were left out")
    if any(rule.values for feature in features.values() for rule in feature.rules or ()):
        what = "a sticky bucket service, if your application has one, holds users to variations that they once had"
        ledger.note("", what, "everybody gets the variation that the hash says")
