"""What GrowthBook's SDK payload is made of."""

from typing import Any

from grayflow.admin.moving.source import Model

__all__ = ["ASIDE", "RULE_ASIDE", "Feature", "Filter", "Parent", "Range", "Rule"]

ASIDE = frozenset(("key", "metadata", "project", "projects", "tags", "id", "owner", "valueType"))
"""Fields of a feature that have no say in decisions."""

RULE_ASIDE = frozenset(
    (
        *("tracks", "phase", "name", "metadata", "bucketVersion", "minBucketVersion", "disableStickyBucketing"),
        *("contextualBanditRef", "description", "enabled", "scheduleRules"),
    )
)
"""The same of a rule, sticky buckets and bandits aside, which have remarks of their own."""

Range = tuple[float, float]
"""Shares of one: from, and up to but without."""


class Parent(Model, frozen=True):
    """Another feature, and what its value must be."""

    id: str
    condition: dict[str, Any] | None = None
    gate: bool | None = None


class Filter(Model, frozen=True):
    """Who may be in at all."""

    ranges: tuple[Range, ...]
    seed: str = ""
    hash_version: int = 2
    attribute: str = "id"


class Rule(Model, frozen=True):
    """A value for those it holds for, or an experiment among them."""

    id: str | None = None
    key: str | None = None
    condition: dict[str, Any] | None = None
    parent_conditions: list[Parent] | None = None
    filters: list[Filter] | None = None
    force: Any = None
    coverage: float | None = None
    range: Range | None = None
    hash_attribute: str | None = None
    fallback_attribute: str | None = None
    hash_version: int | None = None
    seed: str | None = None
    variations: list[Any] | None = None
    contextual_variations: list[Any] | None = None
    contextual_bandit_ref: str | None = None
    weights: list[float] | None = None
    ranges: tuple[Range, ...] | None = None
    namespace: tuple[str, float, float] | None = None
    meta: list[dict[str, Any]] | None = None

    @property
    def values(self) -> list[Any]:
        """The variations of its experiment; GrowthBook runs none with less than two."""
        found = self.variations if self.contextual_variations is None else self.contextual_variations
        return found if found is not None and len(found) > 1 else []


class Feature(Model, frozen=True):
    """A flag."""

    default_value: Any = None
    rules: list[Rule] | None = None
