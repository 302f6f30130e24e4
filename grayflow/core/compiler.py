"""
Flag -> one Python function.

The function is written as source text that holds only generated names and declared field names of the context type;
every value of a flag is bound as a constant, never written into the text. Flags of the same shape therefore share one
code object. `reference.py` says what it must answer; a property test holds the two equal.

A compiled function takes the context, the instant, and the links: how it reaches other flags, segments and fetched
attributes. A flag that needs neither instant nor links is called without them.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from grayflow.core.calendar import from_datetime
from grayflow.core.context import Context
from grayflow.core.decision import Decision, Reason
from grayflow.core.flag import Bucket, Flag, Kind, Rule, Segment, Split
from grayflow.core.ids import id_text
from grayflow.core.needs import Instant
from grayflow.core.outcomes import Outcomes
from grayflow.core.picking import ForeignSlot, picker
from grayflow.core.reference import has_bucket, rule_name
from grayflow.core.writing import Scope, Settings, Writer

__all__ = ["Compiled", "CompiledSegment", "compile_flag", "compile_segment"]


class Compiled(msgspec.Struct, frozen=True, gc=False):
    """A flag as a function."""

    evaluate: Callable[[Context, Instant, Any], Decision]
    kind: Kind
    timed: bool
    """It may look at the instant."""
    linked: bool
    """It needs `Links`."""


class CompiledSegment(msgspec.Struct, frozen=True, gc=False):
    """A segment as a function; see `Compiled`."""

    test: Callable[[Context, Instant, Any], bool]
    nested: bool
    """It reaches other flags or segments, so that deciding it twice may cost a lot."""


def compile_flag(flag: Flag, revision: int, settings: Settings, *, cyclic: bool = False) -> Compiled:
    """
    Write and build the function of a flag that has decoded.

    Args:
        flag: A checked document.
        revision: Its revision, for the decisions.
        settings: Of the snapshot.
        cyclic: It is part of a circle of requirements, or reaches one: it answers so, unless it is off anyway.
    """
    writer = _FlagWriter(settings, flag, Outcomes(flag, revision))
    writer.write(cyclic=cyclic)
    return Compiled(writer.build(), flag.kind, writer.timed, writer.linked)


def compile_segment(segment: Segment, settings: Settings) -> CompiledSegment:
    """Write and build the function of a segment that has decoded; see `compile_flag`."""
    writer = _SegmentWriter(settings, segment)
    writer.write()
    return CompiledSegment(writer.build(), writer.nested)


class _FlagWriter(Writer):
    """Writes the order of evaluation."""

    def __init__(self, settings: Settings, flag: Flag, outcomes: Outcomes) -> None:
        super().__init__(settings)
        self._flag, self._outcomes = flag, outcomes
        self._scope = Scope("user_id" if flag.by is None else flag.by, flag.key if flag.salt is None else flag.salt)

    def write(self, *, cyclic: bool) -> None:
        flag, make = self._flag, self._outcomes.make
        off = flag.off_variant
        if not flag.enabled or flag.archived:
            return self.answer(make(off, Reason.DISABLED))
        self.window(make(off, Reason.SCHEDULED))
        if cyclic:
            return self.answer(self._outcomes.cycle())
        for condition in flag.requires:
            failed = self.constant(make(off, Reason.PREREQUISITE_FAILED))
            self.line(f"if not {self.condition(condition, self._scope)}: return {failed}")
        if flag.targets:
            self.targets()
        for index, rule in enumerate(flag.rules):
            self.rule(rule, index)
        return self.otherwise()

    def answer(self, decision: Decision) -> None:
        self.line(f"return {self.constant(decision)}")

    def window(self, scheduled: Decision) -> None:
        for when, test in ((self._flag.effective_at, "<"), (self._flag.expires_at, ">=")):
            if when is not None:
                self.timed = True
                instant = self.constant(from_datetime(when))
                self.line(f"if t {test} {instant}: return {self.constant(scheduled)}")

    def targets(self) -> None:
        decisions = {
            id_text(unit): decision
            for variant, ids in self._flag.targets.items()
            for decision in (self._outcomes.make(variant, Reason.TARGETING_MATCH),)
            for unit in ids
        }
        found, table = self.temporary(), self.constant(decisions)
        # An absent id is None, which is no id in the table.
        self.line(f"{found} = {table}.get({self.unit(self._scope.by)})")
        self.line(f"if {found} is not None: return {found}")

    def rule(self, rule: Rule, index: int) -> None:
        scope = self._scope if rule.by is None else Scope(rule.by, self._scope.salt)
        tests = self.every(rule.when, scope)
        if rule.percent is not None:
            tests.append(self.bucket(Bucket(ranges=((0, round(rule.percent * 1000)),)), scope))
        condition = " and ".join(tests) or "True"
        name, serve = rule_name(rule, index), self._flag.rule_serves(rule)
        if isinstance(serve, Split):
            found = self.temporary()
            self.line(f"if {condition}:")
            self.line(f" {found} = {self.split(serve, scope, name)}")
            self.line(f" if {found} is not None: return {found}")
            return
        reason = Reason.SPLIT if has_bucket(rule) else Reason.TARGETING_MATCH
        self.line(f"if {condition}: return {self.constant(self._outcomes.make(serve, reason, name))}")

    def split(self, split: Split, scope: Scope, name: str | int | None) -> str:
        make = self._outcomes.make
        unit = self.unit(scope.by if split.by is None else split.by)
        salt = scope.salt if split.salt is None else split.salt
        absent = None if split.absent is None else make(split.absent, Reason.SPLIT, name)
        pick = picker(split, salt, lambda variant: make(variant, Reason.SPLIT, name), absent, self._settings.slot)
        return f"{self.constant(pick)}({unit})"

    def otherwise(self) -> None:
        flag, make = self._flag, self._outcomes.make
        serve = flag.otherwise_serves
        if not isinstance(serve, Split):
            plain = not flag.rules and not flag.targets
            return self.answer(make(serve, Reason.STATIC if plain else Reason.DEFAULT))
        by = self._scope.by if serve.by is None else serve.by
        found = self.temporary()
        self.line(f"{found} = {self.split(serve, self._scope, None)}")
        self.line(f"if {found} is not None: return {found}")
        if serve.absent is None:
            known = self.constant(_has_slot(serve, self._scope.salt, self._settings.slot))
            self.line(f"if not {known}({self.unit(by)}): return {self.constant(self._outcomes.no_id())}")
        return self.answer(make(None, Reason.DEFAULT))


class _SegmentWriter(Writer):
    """Writes who is in: `exclude` beats `include` beats `when`."""

    def __init__(self, settings: Settings, segment: Segment) -> None:
        super().__init__(settings)
        self._segment = segment

    def write(self) -> None:
        segment = self._segment
        scope = Scope(
            "user_id" if segment.by is None else segment.by, segment.key if segment.salt is None else segment.salt
        )
        if segment.include or segment.exclude:
            members = dict.fromkeys(map(id_text, segment.include), True) | dict.fromkeys(
                map(id_text, segment.exclude), False
            )
            found, table = self.temporary(), self.constant(members)
            self.line(f"{found} = {table}.get({self.unit(scope.by)})")
            self.line(f"if {found} is not None: return {found}")
        if segment.when is None:
            self.line("return False")
        else:
            self.line(f"return {' and '.join(self.every(segment.when, scope)) or 'True'}")


def _has_slot(split: Split, outer_salt: str, slot: ForeignSlot) -> Callable[[str | None], bool]:
    name, salt = split.hash, outer_salt if split.salt is None else split.salt
    if name is None:
        return lambda unit: unit is not None
    return lambda unit: unit is not None and slot(name, salt, unit) is not None
