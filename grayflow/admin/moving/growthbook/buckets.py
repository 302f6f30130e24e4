"""GrowthBook's coverage, namespaces, filters and experiments as buckets and splits, to the very slot."""

import math
from collections.abc import Sequence

from grayflow.admin.moving.growthbook.model import Filter, Range, Rule
from grayflow.admin.moving.paths import Attributes
from grayflow.admin.moving.wording import NEVER, attribute, either, every, is_kind
from grayflow.core.flag import Bucket, Condition, Path, Split
from grayflow.core.foreign.growthbook import SIZES, hash_name

__all__ = ["Buckets"]

_SUM = (0.99, 1.01)
"""Weights that add up to something else are taken for equal ones."""


class Buckets:
    """
    Translates shares.

    Args:
        attributes: Where attributes are found.
    """

    def __init__(self, attributes: Attributes) -> None:
        self._attributes = attributes

    def rollout(self, rule: Rule, feature: str) -> Condition | None:
        """Return the condition that an id is within the share of a rule, `None` if it has none."""
        if rule.coverage is None and rule.range is None:
            return None
        if rule.range is None and rule.coverage == 0:
            return NEVER
        shares = [rule.range or (0.0, rule.coverage or 0.0)]
        name, seed, version = rule.hash_attribute or "id", rule.seed or feature, rule.hash_version or 1
        found = self._within(name, shares, seed, version)
        if not rule.fallback_attribute:
            return found
        other = self._within(rule.fallback_attribute, shares, seed, version)
        return either([found, every([self._is_no_id(name), other])])

    def filtered(self, one: Filter) -> Condition:
        """Return the condition that an id passes a filter."""
        return self._within(one.attribute, one.ranges, one.seed, one.hash_version)

    def namespace(self, rule: Rule) -> list[Condition]:
        """Return the condition that an id is in the namespace of an experiment; filters stand for it where given."""
        if rule.namespace is None or rule.filters:
            return []
        name, start, end = rule.namespace
        return [self._within(rule.hash_attribute or "id", [(start, end)], f"__{name}", 1)]

    def is_id(self, name: str) -> Condition:
        """Return the condition that an attribute is an id: there, and neither empty text nor zero."""
        return attribute(self._path(name), "in", "", 0, negate=True)

    def _is_no_id(self, name: str) -> Condition:
        path = self._path(name)
        return either([attribute(path, "in", "", 0, absent=True), is_kind(path, "boolean", "list", "object")])

    def _path(self, name: str) -> Path:
        return self._attributes.path(name)

    def _within(self, name: str, shares: Sequence[Range], seed: str, version: int) -> Condition:
        if version not in SIZES:
            return NEVER
        ranges = tuple(_slots(one, SIZES[version]) for one in shares)
        bucket = Bucket(ranges=ranges, by=self._path(name), salt=seed, hash=hash_name(version))
        return every([self.is_id(name), bucket])

    def experiment(self, rule: Rule, names: Sequence[str | None], feature: str) -> tuple[Split | None, Bucket | None]:
        """
        Return what shares ids among the variations of an experiment.

        Args:
            rule: With at least two variations.
            names: Our names of them, `None` for those whose value is null.
            feature: The key of the feature.

        Returns:
            The split, and the ids whose variation has the value null: a split cannot serve that.
        """
        version = rule.hash_version or 1
        if version not in SIZES:
            return None, None
        shares = rule.ranges or _shares(len(names), 1 if rule.coverage is None else rule.coverage, rule.weights)
        passed = {place for place, one in enumerate(rule.meta or ()) if one.get("passthrough")}
        slots = [
            (name, *_slots(share, SIZES[version]))
            for place, (name, share) in enumerate(zip(names, shares, strict=False))
            if place not in passed
        ]
        salt = rule.seed or rule.key or feature
        by, hash_ = self._path(rule.hash_attribute or "id"), hash_name(version)
        given = tuple((name, low, high) for name, low, high in slots if name is not None)
        empty = tuple((low, high) for name, low, high in slots if name is None and low < high)
        whole = _is_whole(given, SIZES[version])
        split = Split(
            weights=tuple((name, high - low) for name, low, high in given) if whole else None,
            ranges=None if whole else given,
            by=by,
            salt=salt,
            hash=hash_,
        )
        return split if given else None, Bucket(ranges=empty, by=by, salt=salt, hash=hash_) if empty else None


def _slots(share: Range, size: int) -> tuple[int, int]:
    low, high = (_first_slot(edge, size) for edge in share)
    return low, max(low, high)


def _first_slot(edge: float, size: int) -> int:
    """Return the first slot whose fraction is not below an edge, by the division that GrowthBook does."""
    slot = max(math.floor(min(max(edge, 0.0), 1.0) * size) - 2, 0)
    while slot < size and slot / size < edge:
        slot += 1
    return slot


def _shares(count: int, coverage: float, weights: Sequence[float] | None) -> list[Range]:
    """Return the share of each variation, laid out so that more coverage moves nobody."""
    covered = min(max(coverage, 0.0), 1.0)
    usable = weights is not None and len(weights) == count and all(math.isfinite(one) and one >= 0 for one in weights)
    if weights is None or not usable or not _SUM[0] <= sum(weights) <= _SUM[1]:
        weights = [1 / count] * count
    shares, start = [], 0.0
    for weight in weights:
        shares.append((start, start + covered * weight))
        start += weight
    return shares


def _is_whole(slots: Sequence[tuple[str, int, int]], size: int) -> bool:
    """Tell whether slots lie end to end and leave nothing out."""
    starts = [*(low for _, low, _ in slots), size]
    return (
        bool(slots)
        and starts[0] == 0
        and all(high == after for (_, _, high), after in zip(slots, starts[1:], strict=True))
    )
