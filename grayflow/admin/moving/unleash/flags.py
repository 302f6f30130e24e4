"""
Unleash's features as flags.

A feature is on or off, and names a variant if it has any: so it becomes a boolean flag whose variants are all true
but one. What variants hand out (their payloads) becomes a second flag beside it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from grayflow.admin.moving.naming import Variants, free_name, legal_keys, short
from grayflow.admin.moving.remarks import Ledger
from grayflow.admin.moving.unleash.model import Dependency, Feature, Payload, Strategy, Variant
from grayflow.admin.moving.unleash.strategies import Strategies
from grayflow.admin.moving.wording import NEVER, attribute, in_order
from grayflow.core.codec import from_json
from grayflow.core.flag import AnyOf, Condition, Flag, FlagIs, Rule
from grayflow.core.values import as_number

__all__ = ["Features"]

Kept = tuple[str, bytes]
"""What makes a variant: its name and its payload."""

_FOR_ALL = Strategy(name="default")
"""What a feature without strategies has."""


class _Shape(msgspec.Struct, frozen=True):
    """What the variants of a flag are called."""

    on: str
    """On, and no variant."""
    off: str
    named: Mapping[Kept, str]
    payloads: Mapping[str, Payload]

    @classmethod
    def of(cls, feature: Feature) -> "_Shape":
        """Name the variants of a feature and of its strategies."""
        several = [feature.variants or (), *(one.variants or () for one in feature.strategies or ())]
        named: dict[Kept, str] = {}
        payloads: dict[str, Payload] = {}
        for variant in (one for variants in several for one in variants):
            if _kept(variant) not in named:
                name = named[_kept(variant)] = free_name(variant.name[:190] or "(no name)", named.values())
                if variant.payload is not None:
                    payloads[name] = variant.payload
        on = next(name for name in ("on", "enabled", "on (no variant)") if name not in named.values())
        off = next(name for name in ("off", "disabled", "off (no variant)") if name not in named.values())
        return cls(on, off, named, payloads)


def _kept(variant: Variant) -> Kept:
    return variant.name, msgspec.json.encode(variant.payload)


class Features:
    """
    Translates features.

    Args:
        features: All that can be read, by name.
        strategies: Translates strategies.
        ledger: For remarks.
    """

    def __init__(self, features: Mapping[str, Feature], strategies: Strategies, ledger: Ledger) -> None:
        self._features, self._strategies, self._ledger = features, strategies, ledger
        self.keys = legal_keys(features)
        self._shapes = {name: _Shape.of(feature) for name, feature in features.items()}

    def documents(self) -> Iterator[Flag]:
        """Yield the flags."""
        taken = set(self.keys.values())
        for name, feature in self._features.items():
            self._ledger.about("flag", name)
            self._twins(self._shapes[name])
            key, shape = self.keys[name], self._shapes[name]
            yield self._flag(feature, key, shape)
            if shape.payloads:
                beside = free_name(f"{key[:190]}.payload", taken, "-{}")
                taken.add(beside)
                yield self._payloads(feature, key, beside, shape)

    def _flag(self, feature: Feature, key: str, shape: _Shape) -> Flag:
        rules, otherwise = in_order(list(self._rules(feature, shape)), shape.off)
        if key != feature.name:
            self._ledger.changed("name", "a key may not hold all of these characters", f"the key is {key!r}")
        if feature.strategies and not feature.active:
            self._ledger.note("strategies", "all of them are disabled", "the flag is on for everybody, as in Unleash")
        return Flag(
            key=key,
            enabled=bool(feature.enabled) and not feature.archived,
            archived=bool(feature.archived),
            variants={shape.on: True, **dict.fromkeys(shape.named.values(), True), shape.off: False},
            off=shape.off,
            otherwise=otherwise,
            requires=tuple(
                self._requirement(one, f"dependencies[{place}]") for place, one in enumerate(feature.dependencies or ())
            ),
            rules=rules,
            description=feature.description or None,
            tags=_tags(feature),
            lifetime=feature.type,
            metadata={"project": feature.project} if feature.project and feature.project != "default" else {},
        )

    def _twins(self, shape: _Shape) -> None:
        """Tell of variants that have one name and several payloads."""
        for (wanted, _), name in shape.named.items():
            if name != wanted:
                why = f"another variant is called {wanted!r} and carries something else"
                self._ledger.changed("variants", why, f"it is called {name!r}")

    # Rules

    def _rules(self, feature: Feature, shape: _Shape) -> Iterator[Rule]:
        for place, strategy in feature.active or [(0, _FOR_ALL)]:
            path = f"strategies[{place}]"
            when = self._strategies.conditions(strategy, feature.name, path)
            name = short(strategy.title or strategy.name)
            for more, serve in self._serves(feature, strategy, shape, path):
                yield Rule(name=name, when=(*when, *more), serve=serve)

    def _serves(
        self, feature: Feature, strategy: Strategy, shape: _Shape, path: str
    ) -> Iterator[tuple[tuple[Condition, ...], Any]]:
        """Yield what a matching strategy serves, each with what must hold besides."""
        given = strategy.parameters or {}
        variants, group, place = strategy.variants, str(given.get("groupId", feature.name)), f"{path}.variants"
        stickiness = None if given.get("stickiness") is None else str(given["stickiness"])
        if not variants:
            variants, group, place = feature.variants or [], feature.name, "variants"
            stickiness = variants[0].stickiness if variants else None
            for variant in variants:
                yield from self._overrides(variant, shape)
        if variants:
            names = {at: shape.named[_kept(variant)] for at, variant in enumerate(variants)}
            by = self._strategies.by(stickiness, place)
            serve = self._strategies.split(variants, group, by, names)
            if serve is not None:
                yield (), serve
        yield (), shape.on

    def _overrides(self, variant: Variant, shape: _Shape) -> Iterator[tuple[tuple[Condition, ...], str]]:
        for override in variant.overrides or ():
            path = self._strategies.path(override.context_name)
            values = map(str, override.values or ())
            yield (attribute(path, "in", *values, coerce="text"),), shape.named[_kept(variant)]

    # Parents

    def _requirement(self, dependency: Dependency, path: str) -> Condition:
        parent = self._features.get(dependency.feature)
        if parent is None:
            why = f"the export does not hold the parent {dependency.feature!r}"
            self._ledger.changed(path, why, "the flag is off, as in Unleash, until there is such a flag")
            return FlagIs(key=legal_keys([dependency.feature])[dependency.feature])
        if parent.dependencies:
            why = f"the parent {dependency.feature!r} has a parent itself, which Unleash does not allow"
            self._ledger.note(path, why, "the flag is off, as in Unleash")
            return NEVER
        key, shape = self.keys[dependency.feature], self._shapes[dependency.feature]
        if dependency.enabled is False:
            return AnyOf(of=(FlagIs(key=key, off=True), FlagIs(key=key, variants=(shape.off,))))
        return FlagIs(key=key, variants=self._wanted(dependency, shape))

    def _wanted(self, dependency: Dependency, shape: _Shape) -> tuple[str, ...]:
        """Return with which variants a parent is as it must be; one that is on without a variant always is."""
        wanted = [name for (named, _), name in shape.named.items() if named in (dependency.variants or (named,))]
        return (shape.on, *wanted)

    # Payloads

    def _payloads(self, feature: Feature, key: str, beside: str, shape: _Shape) -> Flag:
        self._ledger.note(
            "variants",
            "variants carry payloads, and the flag itself says on or off",
            f"the flag {beside!r} serves the payload of the variant that {key!r} serves",
        )
        kinds = {payload.type for payload in shape.payloads.values()}
        values = Variants()
        for name, payload in shape.payloads.items():
            values.add(self._value(payload, name), name)
        return Flag(
            key=beside,
            kind="json" if "json" in kinds else values.kind,
            enabled=True,
            variants=values.values,
            off=None,
            otherwise=None,
            rules=tuple(
                Rule(name=name, when=(FlagIs(key=key, variants=(name,)),), serve=name) for name in values.values
            ),
            description=f"What the variants of {feature.name} carry",
            tags=_tags(feature),
            lifetime=feature.type,
        )

    def _value(self, payload: Payload, name: str) -> Any:
        written = payload.value
        if payload.type == "number" and (found := as_number(written)) is not None:
            return found
        if payload.type == "json" and isinstance(written, str):
            try:
                return from_json(written)
            except ValueError:
                pass
        if payload.type in {"number", "json"}:
            self._ledger.changed("variants", f"the payload of {name!r} is no {payload.type}", "it is kept as text")
        return written if isinstance(written, str) else str(written)


def _tags(feature: Feature) -> tuple[str, ...]:
    tags = [(tag.get("type") or "simple", str(tag.get("value"))) for tag in feature.tags or ()]
    told = [value if kind == "simple" else f"{kind}:{value}" for kind, value in tags]
    return (*told, *(["stale"] if feature.stale else []))
