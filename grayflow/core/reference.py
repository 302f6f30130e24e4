"""
The evaluation rules as a plain interpreter: the executable specification.

Written to be read from top to bottom and to be obviously right; `compiler.py` is fast, and a property test holds the
two equal for any flag and any context. It also answers where a compiled function could not be made, and it keeps the
trail that `grayflow explain` prints.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from grayflow.core import bucketing
from grayflow.core.calendar import as_datetime, during_test, from_datetime
from grayflow.core.context import Context, read, read_id
from grayflow.core.decision import Decision, Reason
from grayflow.core.extensions import Extensions
from grayflow.core.flag import (
    All,
    AnyOf,
    Attribute,
    Bucket,
    By,
    Condition,
    During,
    Flag,
    FlagIs,
    Not,
    Path,
    Rule,
    Segment,
    SegmentIs,
    Split,
)
from grayflow.core.ids import id_text
from grayflow.core.needs import AttributeNeeded, Instant
from grayflow.core.operators import prepare
from grayflow.core.outcomes import OFF_REASONS, Outcomes
from grayflow.core.picking import split_ranges

__all__ = ["Reference", "Step", "World", "has_bucket", "rule_name"]


class World(Protocol):
    """What an interpreter looks things up in: one snapshot."""

    extensions: Extensions
    fields: frozenset[str]
    """The declared fields of the context type."""
    resolvable: frozenset[str]
    """Attributes that can be fetched where the context lacks them."""

    def flag(self, key: str) -> tuple[Flag, int] | None:
        """Return a flag and its revision, `None` if it is missing or broken."""

    def segment(self, key: str) -> Segment | None:
        """Return a segment, `None` if it is missing or broken."""

    def is_cyclic(self, key: str) -> bool:
        """Tell whether a flag is part of a circle, or reaches one."""


class Step(msgspec.Struct, frozen=True):
    """One look on the way to a decision."""

    path: str
    """Where in the document."""
    passed: bool


class _Scope(msgspec.Struct, frozen=True):
    """What a condition inherits from where it stands."""

    by: By
    salt: str


class Reference:
    """
    One evaluation: one context, one instant, one world.

    Flags and segments that are reached twice are decided once, so that a lattice of requirements costs no more than
    its size.
    """

    def __init__(self, world: World, context: Context, now: Instant, resolved: Mapping[str, Any] | None = None) -> None:
        self._world, self._context, self._now, self._resolved = world, context, now, resolved
        self.trails: dict[str, list[Step]] = {}
        """Flag -> what was looked at, in order."""
        self._trail: list[Step] = []
        self._flags: dict[str, Decision | None] = {}
        self._segments: dict[str, bool] = {}

    def decide(self, key: str) -> Decision | None:
        """Return the decision of a flag, its value `UNSET` for the caller's default; `None` for an unknown flag."""
        if key not in self._flags:
            held = self._world.flag(key)
            outer, self._trail = self._trail, self.trails.setdefault(key, [])
            self._flags[key] = None if held is None else self._decide(*held)
            self._trail = outer
        return self._flags[key]

    def _decide(self, flag: Flag, revision: int) -> Decision:
        outcomes = Outcomes(flag, revision)
        make, off = outcomes.make, flag.off_variant
        if not self._step("enabled", flag.enabled and not flag.archived):
            return make(off, Reason.DISABLED)
        if not self._in_window(flag):
            return make(off, Reason.SCHEDULED)
        if self._world.is_cyclic(flag.key):
            return outcomes.cycle()

        scope = _Scope(by="user_id" if flag.by is None else flag.by, salt=flag.key if flag.salt is None else flag.salt)
        for index, condition in enumerate(flag.requires):
            if not self._step(f"requires[{index}]", self._holds(condition, scope)):
                return make(off, Reason.PREREQUISITE_FAILED)

        unit = self._id(scope.by) if flag.targets else None
        for variant, ids in flag.targets.items():
            if self._step(f"targets.{variant}", unit is not None and unit in map(id_text, ids)):
                return make(variant, Reason.TARGETING_MATCH)

        for index, rule in enumerate(flag.rules):
            served = self._rule(flag, rule, index, scope)
            if served is not None:
                return make(*served, rule_name(rule, index))
        return self._otherwise(flag, scope, outcomes)

    def _in_window(self, flag: Flag) -> bool:
        if flag.effective_at is not None and not self._step(
            "effective_at", self._now >= from_datetime(flag.effective_at)
        ):
            return False
        return flag.expires_at is None or self._step("expires_at", self._now < from_datetime(flag.expires_at))

    def _rule(self, flag: Flag, rule: Rule, index: int, outer: _Scope) -> tuple[str | None, Reason] | None:
        """Return variant and reason if the rule matches, `None` to go on with the next."""
        scope = outer if rule.by is None else _Scope(by=rule.by, salt=outer.salt)
        for inner, condition in enumerate(rule.when):
            if not self._step(f"rules[{index}].when[{inner}]", self._holds(condition, scope)):
                return None
        if rule.percent is not None:
            share = Bucket(ranges=((0, round(rule.percent * 1000)),))
            if not self._step(f"rules[{index}].percent", self._in_bucket(share, scope)):
                return None
        serve = flag.rule_serves(rule)
        if isinstance(serve, Split):
            variant = self._share(serve, scope)
            return (variant, Reason.SPLIT) if self._step(f"rules[{index}].serve", variant is not None) else None
        return serve, Reason.SPLIT if has_bucket(rule) else Reason.TARGETING_MATCH

    def _otherwise(self, flag: Flag, scope: _Scope, outcomes: Outcomes) -> Decision:
        serve = flag.otherwise_serves
        if not isinstance(serve, Split):
            plain = not flag.rules and not flag.targets
            return outcomes.make(serve, Reason.STATIC if plain else Reason.DEFAULT)
        variant = self._share(serve, scope)
        if variant is not None:
            return outcomes.make(variant, Reason.SPLIT)
        if self._unit_slot(serve, scope, bucketing.CHOICE) is None:
            return outcomes.no_id()
        return outcomes.make(None, Reason.DEFAULT)

    # Conditions

    def _holds(self, condition: Condition, scope: _Scope) -> bool:
        match condition:
            case All(of=inner):
                return all(self._holds(one, scope) for one in inner)
            case AnyOf(of=inner):
                return any(self._holds(one, scope) for one in inner)
            case Not(of=one):
                return not self._holds(one, scope)
            case SegmentIs(key=key):
                return self._in_segment(key)
            case FlagIs():
                return self._flag_is(condition)
            case Bucket():
                return self._in_bucket(condition, scope)
            case During():
                return during_test(condition)(self._now)
            case Attribute():
                return self._attribute(condition)

    def _attribute(self, condition: Attribute) -> bool:
        prepared = prepare(condition, self._world.extensions.operators)
        if prepared.test is None:
            return False
        value = as_datetime(self._now) if condition.name == "now" else self._read(condition.name)
        if value is not None:
            answer = prepared.test(value)
        elif prepared.missing is not None:
            answer = prepared.missing
        else:
            return condition.absent
        if answer is None:
            return condition.unreadable
        return answer is not condition.negate

    def _flag_is(self, condition: FlagIs) -> bool:
        decision = self.decide(condition.key)
        if decision is None or decision.reason is Reason.ERROR:
            return False
        if decision.reason in OFF_REASONS:
            return condition.off
        if condition.off:
            return False
        return condition.variants is None or decision.variant in condition.variants

    def _in_segment(self, key: str) -> bool:
        if key not in self._segments:
            segment = self._world.segment(key)
            self._segments[key] = segment is not None and self._member(segment)
        return self._segments[key]

    def _member(self, segment: Segment) -> bool:
        scope = _Scope(
            by="user_id" if segment.by is None else segment.by,
            salt=segment.key if segment.salt is None else segment.salt,
        )
        unit = self._id(scope.by) if segment.include or segment.exclude else None
        if unit is not None and unit in map(id_text, segment.exclude):
            return False
        if unit is not None and unit in map(id_text, segment.include):
            return True
        return segment.when is not None and all(self._holds(condition, scope) for condition in segment.when)

    # Buckets

    def _in_bucket(self, bucket: Bucket, scope: _Scope) -> bool:
        if bucket.hash is not None and bucket.hash not in self._world.extensions.hashes:
            return False
        at = self._unit_slot(bucket, scope, bucketing.EXPOSURE)
        if at is None:
            return bucket.absent
        return any(low <= at < high for low, high in bucket.ranges)

    def _share(self, split: Split, scope: _Scope) -> str | None:
        """Return the variant of a split, `None` for a gap or an absent id without `absent`."""
        at = self._unit_slot(split, scope, bucketing.CHOICE)
        if at is None:
            return split.absent
        for variant, low, high in split_ranges(split):
            if low <= at < high:
                return variant
        return None

    def _unit_slot(self, what: Bucket | Split, scope: _Scope, lane: str) -> int | None:
        unit = self._id(scope.by if what.by is None else what.by)
        if unit is None:
            return None
        salt = scope.salt if what.salt is None else what.salt
        if what.hash is None:
            return bucketing.slot(bucketing.point(unit, bucketing.lane_seed(salt, lane)))
        return self._world.extensions.slot(what.hash, salt, unit)

    # The context

    def _id(self, by: By) -> str | None:
        return read_id(self._context, by, self._world.fields, self._fetch)

    def _read(self, path: Path) -> Any:
        return read(self._context, path, self._world.fields, self._fetch)

    def _fetch(self, name: str) -> Any:
        if name not in self._world.resolvable:
            return None
        if self._resolved is None or name not in self._resolved:
            raise AttributeNeeded(name)
        return self._resolved[name]

    def _step(self, path: str, passed: bool) -> bool:  # noqa: FBT001 - what is stepped over is the point
        self._trail.append(Step(path, passed))
        return passed


def rule_name(rule: Rule, index: int) -> str | int:
    """Return what a decision calls a rule: its name, or its index."""
    return index if rule.name is None else rule.name


def has_bucket(rule: Rule) -> bool:
    """Tell whether chance had a say in a rule that matched: it has a percentage, or a bucket in its conditions."""
    return rule.percent is not None or any(map(_holds_bucket, rule.when))


def _holds_bucket(condition: Condition) -> bool:
    match condition:
        case All(of=inner) | AnyOf(of=inner):
            return any(map(_holds_bucket, inner))
        case Not(of=one):
            return _holds_bucket(one)
    return type(condition) is Bucket
