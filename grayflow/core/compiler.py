"""
Flag -> one Python function.

The function is written as source text that holds only generated names and declared field names of the context type;
every value of a flag is bound as a constant, never written into the text. Flags of the same shape therefore share one
code object. `reference.py` says what it must answer; a property test holds the two equal.

A row of rules that look the same attribute up (`country in DE`, then `country in FR` ...) becomes one table. A document
with very many conditions becomes many functions, see `joining.py`.

A compiled function takes the context, the instant, and the links: how it reaches other flags, segments and fetched
attributes. A flag that needs neither instant nor links is called without them.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from grayflow.core import bucketing
from grayflow.core.calendar import from_datetime
from grayflow.core.context import Context
from grayflow.core.decision import Decision, Reason
from grayflow.core.flag import Bucket, Flag, Kind, Rule, Segment, Split
from grayflow.core.ids import id_texts
from grayflow.core.joining import size
from grayflow.core.needs import Instant
from grayflow.core.outcomes import Outcomes
from grayflow.core.picking import foreign_picker, laid_out
from grayflow.core.reference import has_bucket, rule_name
from grayflow.core.rows import Row, look_ups, rows
from grayflow.core.writing import Scope, Settings, Writer, types_are

_LARGE = 100
"""Rules and conditions: a document with more becomes many functions."""

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
    found = rows(flag.rules, settings.extensions.operators) if flag.enabled else ()
    large = size(flag.requires) + sum(1 if len(row) > 1 else 1 + size(row[0][1].when) for row in found) > _LARGE
    writer = _FlagWriter(settings, flag, Outcomes(flag, revision), found, apart=large)
    writer.write(cyclic=cyclic)
    return Compiled(writer.build(), flag.kind, writer.timed, writer.linked)


def compile_segment(segment: Segment, settings: Settings) -> CompiledSegment:
    """Write and build the function of a segment that has decoded; see `compile_flag`."""
    writer = _SegmentWriter(settings, segment, apart=size(segment.when or ()) > _LARGE)
    writer.write()
    return CompiledSegment(writer.build(), writer.nested)


class _FlagWriter(Writer):
    """Writes the order of evaluation."""

    def __init__(
        self, settings: Settings, flag: Flag, outcomes: Outcomes, rows: tuple[Row, ...], *, apart: bool
    ) -> None:
        super().__init__(settings, apart=apart)
        self._flag, self._outcomes, self._rows = flag, outcomes, rows
        self._scope = Scope("user_id" if flag.by is None else flag.by, flag.key if flag.salt is None else flag.salt)

    def write(self, *, cyclic: bool) -> None:
        flag, make = self._flag, self._outcomes.make
        off = flag.off_variant
        if not flag.enabled or flag.archived:
            return self.answer(make(off, Reason.DISABLED))
        self.window(off)
        if cyclic:
            return self.answer(self._outcomes.cycle())
        if flag.requires:
            failed = self.constant(make(off, Reason.PREREQUISITE_FAILED))
            self.line(f"if not ({' and '.join(self.every(flag.requires, self._scope))}): return {failed}")
        if flag.targets:
            self.targets()
        self.rules()
        return self.otherwise()

    def answer(self, decision: Decision) -> None:
        self.line(f"return {self.constant(decision)}")

    def window(self, off: str | None) -> None:
        for when, test in ((self._flag.effective_at, "<"), (self._flag.expires_at, ">=")):
            if when is not None:
                self.timed = True
                instant, scheduled = self.constant(from_datetime(when)), self._outcomes.make(off, Reason.SCHEDULED)
                self.line(f"if t {test} {instant}: return {self.constant(scheduled)}")

    def targets(self) -> None:
        decisions: dict[str | None, Decision] = {}
        for variant, ids in self._flag.targets.items():
            decisions |= dict.fromkeys(id_texts(ids), self._outcomes.make(variant, Reason.TARGETING_MATCH))
        unit, table = self.temporary(), self.constant(decisions)
        self.line(f"if {self.known(unit, self._scope.by, hashed=False)} and {unit} in {table}: return {table}[{unit}]")

    def serve(self, expression: str, indent: str = "") -> None:
        """Answer with a decision unless it is `None`."""
        found = self.temporary()
        self.line(f"{indent}{found} = {expression}")
        self.line(f"{indent}if {found} is not None: return {found}")

    def rules(self) -> None:
        if not self._apart:
            for row in self._rows:
                self.row(row)
        elif self._rows:
            part = self.temporary()
            self.line(f"for {part} in {self.constant(tuple(map(self.row_apart, self._rows)))}:")
            self.serve(f"{part}(c, t, w)", indent=" ")

    def row(self, row: Row) -> None:
        if len(row) > 1:
            return self.table(row)
        index, rule = row[0]
        return self.rule(rule, index)

    def row_apart(self, row: Row) -> Callable[[Context, Instant, Any], Decision | None]:
        """Return a row as a function of its own, which answers `None` to go on with the next."""
        writer = _FlagWriter(self._settings, self._flag, self._outcomes, (row,), apart=True)
        writer.row(row)
        return self.take(writer)

    def table(self, row: Row) -> None:
        """Write a row of rules that look up one attribute; of those that list a value, the first serves it."""
        looked_up = look_ups(row, self._settings.extensions.operators)
        answers = [
            (one.comparison.answer, self.decision(rule, index))
            for one, (index, rule) in zip(looked_up, row, strict=True)
        ]
        table = {
            value: decision
            for one, (_, decision) in zip(reversed(looked_up), reversed(answers), strict=True)
            for value in one.quick.wanted
        }
        found, answer, decision = self.temporary(), self.temporary(), self.temporary()
        known = self.constant(table)
        self.line(f"{found} = {self.read(looked_up[0].path)}")
        self.line(f"if {types_are(looked_up[0].quick, found, found)}:")
        self.line(f" if {found} in {known}: return {known}[{found}]")
        # What is no text and no number is asked rule by rule; a missing value too, if there is a rule for it.
        self.line("else:" if any(one.absent for one in looked_up) else f"elif {found} is not None:")
        self.line(f" for {answer}, {decision} in {self.constant(tuple(answers))}:")
        self.line(f"  if {answer}({found}): return {decision}")

    def rule(self, rule: Rule, index: int) -> None:
        scope = self._scope if rule.by is None else Scope(rule.by, self._scope.salt)
        tests = self.every(rule.when, scope)
        if rule.percent is not None:
            tests.append(self.bucket(Bucket(ranges=((0, round(rule.percent * 1000)),)), scope))
        condition = " and ".join(tests) or "True"
        if type(rule.serve) is Split:
            absent = rule.serve.absent
            nobody = None if absent is None else self._outcomes.make(absent, Reason.SPLIT, rule_name(rule, index))
            self.line(f"if {condition}:")
            self.split(rule.serve, scope, rule_name(rule, index), nobody, indent=" ")
        else:
            self.line(f"if {condition}: return {self.constant(self.decision(rule, index))}")

    def decision(self, rule: Rule, index: int) -> Decision:
        """Return what a rule answers that serves one variant, or leaves the answer to the caller."""
        serve = self._flag.rule_serves(rule)
        variant = None if isinstance(serve, Split) else serve
        reason = Reason.SPLIT if has_bucket(rule) else Reason.TARGETING_MATCH
        return self._outcomes.make(variant, reason, rule_name(rule, index))

    def split(
        self, split: Split, scope: Scope, name: str | int | None, nobody: Decision | None, indent: str = ""
    ) -> None:
        """Answer with what an id gets, and whoever has none with `nobody`; those in a gap go on."""

        def make(variant: str) -> Decision:
            return self._outcomes.make(variant, Reason.SPLIT, name)

        salt = scope.salt if split.salt is None else split.salt
        unit = self.temporary()
        self.line(f"{indent}if {self.known(unit, scope.by if split.by is None else split.by)}:")
        if split.hash is not None:
            picker = foreign_picker(split, salt, make, nobody, self._settings.slot)
            self.serve(f"{self.constant(picker)}({unit})", f"{indent} ")
        else:
            starts, picks = map(self.constant, laid_out(split, make))
            seed = self.constant(bucketing.lane_seed(salt, bucketing.CHOICE))
            picked = f"{picks}[bisect_right({starts}, murmur3({unit}, {seed}, False))]"
            if split.ranges is None:  # weights leave no gap
                self.line(f"{indent} return {picked}")
            else:
                self.serve(picked, f"{indent} ")
        if nobody is not None:
            self.line(f"{indent}else: return {self.constant(nobody)}")

    def otherwise(self) -> None:
        flag, make = self._flag, self._outcomes.make
        serve = flag.otherwise_serves
        if not isinstance(serve, Split):
            plain = not flag.rules and not flag.targets
            return self.answer(make(serve, Reason.STATIC if plain else Reason.DEFAULT))
        nobody = self._outcomes.no_id() if serve.absent is None else make(serve.absent, Reason.SPLIT)
        self.split(serve, self._scope, None, nobody)
        return self.answer(make(None, Reason.DEFAULT))


class _SegmentWriter(Writer):
    """Writes who is in: `exclude` beats `include` beats `when`."""

    def __init__(self, settings: Settings, segment: Segment, *, apart: bool) -> None:
        super().__init__(settings, apart=apart)
        self._segment = segment

    def write(self) -> None:
        segment = self._segment
        scope = Scope(
            "user_id" if segment.by is None else segment.by, segment.key if segment.salt is None else segment.salt
        )
        if segment.include or segment.exclude:
            members = dict.fromkeys(id_texts(segment.include), True)
            members.update(dict.fromkeys(id_texts(segment.exclude), False))
            unit, table = self.temporary(), self.constant(members)
            self.line(f"if {self.known(unit, scope.by, hashed=False)} and {unit} in {table}: return {table}[{unit}]")
        if segment.when is None:
            self.line("return False")
        else:
            self.line(f"return {' and '.join(self.every(segment.when, scope)) or 'True'}")
