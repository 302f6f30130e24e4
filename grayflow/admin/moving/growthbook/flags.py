"""GrowthBook's features as flags."""

from collections.abc import Iterator, Mapping
from typing import Any

from grayflow.admin.moving.growthbook.buckets import Buckets
from grayflow.admin.moving.growthbook.conditions import Conditions
from grayflow.admin.moving.growthbook.model import RULE_ASIDE, Feature, Parent, Rule
from grayflow.admin.moving.naming import Variants, legal_keys, short
from grayflow.admin.moving.paths import Attributes
from grayflow.admin.moving.remarks import Ledger
from grayflow.admin.moving.source import unknown_fields
from grayflow.admin.moving.wording import ALWAYS, NEVER, flat, in_order, opposite
from grayflow.core import flag as model
from grayflow.core.flag import Condition, Flag, FlagIs
from grayflow.core.foreign import mongo

__all__ = ["Features", "tell_unknown"]


class Features:
    """
    Translates features.

    Args:
        features: All that can be read, by key.
        attributes: Where attributes are found.
        conditions: Translates conditions.
        ledger: For remarks.
    """

    def __init__(
        self, features: Mapping[str, Feature], attributes: Attributes, conditions: Conditions, ledger: Ledger
    ) -> None:
        self._features, self._conditions, self._ledger = features, conditions, ledger
        self._buckets = Buckets(attributes)
        self._keys = legal_keys(features)
        self._variants = {key: _variants(feature) for key, feature in features.items()}

    def documents(self) -> Iterator[Flag]:
        """Yield the flags."""
        for key, feature in self._features.items():
            self._ledger.about("flag", key)
            variants = self._variants[key]
            kept, otherwise = in_order(
                list(self._rules(key, feature, variants)), _name(variants, feature.default_value)
            )
            if key != self._keys[key]:
                what = "a key may not hold all of these characters"
                self._ledger.changed("key", what, f"the key is {self._keys[key]!r}")
            yield Flag(
                key=self._keys[key],
                kind=variants.kind,
                enabled=True,
                variants=variants.values,
                off=_name(variants, feature.default_value),
                otherwise=otherwise,
                rules=kept,
            )

    def _rules(self, key: str, feature: Feature, variants: Variants) -> Iterator[model.Rule]:
        for place, rule in enumerate(feature.rules or ()):
            path, name = f"rules[{place}]", short(rule.id or rule.key)
            when: tuple[Condition, ...] = ()
            for at, parent in enumerate(rule.parent_conditions or ()):
                right = self._parent(parent, f"{path}.parentConditions[{at}]")
                if parent.gate:
                    yield model.Rule(name="prerequisite", when=flat([*when, opposite(right)]), serve=None)
                when = flat([*when, right])
            if rule.condition:
                when = flat([*when, self._conditions.condition(rule.condition, f"{path}.condition")])
            when = flat([*when, *map(self._buckets.filtered, rule.filters or ())])
            if rule.force is not None:
                share = self._buckets.rollout(rule, key)
                yield model.Rule(
                    name=name, when=when if share is None else flat([*when, share]), serve=_name(variants, rule.force)
                )
            elif rule.values:
                yield from self._experiment(rule, key, variants, when, path)
            else:
                self._ledger.note(
                    path, "the rule has neither a value nor two variations", "it was left out, as in GrowthBook"
                )

    def _experiment(
        self, rule: Rule, key: str, variants: Variants, when: tuple[Condition, ...], path: str
    ) -> Iterator[model.Rule]:
        if rule.contextual_bandit_ref:
            what = "a bandit shifts its weights while it runs, and has others for each of its contexts"
            self._ledger.changed(path, what, "the weights of the rule stay as they are")
        names = [_name(variants, value) for value in rule.values]
        split, empty = self._buckets.experiment(rule, names, key)
        inside = flat([*when, self._buckets.is_id(rule.hash_attribute or "id"), *self._buckets.namespace(rule)])
        name = short(rule.id or rule.key)
        if empty is not None:
            yield model.Rule(name=name, when=flat([*inside, empty]), serve=None)
        if split is not None:
            yield model.Rule(name=name, when=inside, serve=split)

    def _parent(self, parent: Parent, path: str) -> Condition:
        """Return the condition that a parent's value is as it must be."""
        if parent.condition is None:
            return ALWAYS
        wanted = self._conditions.inlined(parent.condition)
        unset = self._fits(wanted, None, path)
        if parent.id not in self._features:
            what = f"the payload does not hold the feature {parent.id!r}"
            self._ledger.changed(path, what, f"the prerequisite {'holds' if unset else 'fails'}, as in GrowthBook")
            return ALWAYS if unset else NEVER
        values = self._variants[parent.id].values
        good = [name for name, value in values.items() if self._fits(wanted, value, path)]
        key = self._keys[parent.id]
        if not unset:
            return FlagIs(key=key, variants=tuple(good)) if good else NEVER
        bad = tuple(name for name in values if name not in good)
        return opposite(FlagIs(key=key, variants=bad)) if bad else ALWAYS

    def _fits(self, wanted: Mapping[str, Any], value: Any, path: str) -> bool:
        try:
            return mongo.evaluate(wanted, {"value": value}) is True
        except (TypeError, ValueError, AttributeError, RecursionError) as error:
            self._ledger.left_out(path, f"it cannot be evaluated: {error}", "the prerequisite fails, as in GrowthBook")
            return False


def _variants(feature: Feature) -> Variants:
    """Name all values that a feature can have; null is none, it stands for the caller's default."""
    found = Variants()
    several = [[feature.default_value], *([rule.force, *rule.values] for rule in feature.rules or ())]
    for value in (one for values in several for one in values):
        if value is not None:
            found.name_of(value)
    return found


def _name(variants: Variants, value: Any) -> str | None:
    return None if value is None else variants.name_of(value)


def tell_unknown(key: str, raw: Any, ledger: Ledger) -> None:
    """Tell of fields in rules that are not known."""
    ledger.about("flag", key)
    for place, rule in enumerate(raw if isinstance(raw, list) else ()):
        for field in unknown_fields(Rule, rule, RULE_ASIDE):
            ledger.left_out(f"rules[{place}].{field}", "nobody here knows what this field means", "it was passed over")
