"""
Flag -> one Python function.

The function is written as source text that holds only generated names and declared field names of the context type;
every value of a flag is bound as a constant, never written into the text. Flags of the same shape therefore share one
code object. `reference.py` says what it must answer; a property test holds the two equal.

A compiled function takes the context, the instant, and the links: how it reaches other flags, segments and fetched
attributes. A flag that needs neither instant nor links is called without them.
"""

from collections.abc import Callable
from functools import lru_cache
from keyword import iskeyword
from typing import Any, Protocol

import msgspec
from mmh3 import hash as murmur3

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
    First,
    Flag,
    FlagIs,
    Kind,
    Not,
    Path,
    Rule,
    Segment,
    SegmentIs,
    Split,
)
from grayflow.core.ids import id_text
from grayflow.core.needs import Instant
from grayflow.core.operators import Prepared, Test, prepare
from grayflow.core.outcomes import OFF_REASONS, Outcomes
from grayflow.core.picking import ForeignSlot, picker
from grayflow.core.reference import has_bucket, rule_name

__all__ = ["Compiled", "CompiledSegment", "Links", "Settings", "compile_flag", "compile_segment"]


class Links(Protocol):
    """How a compiled function reaches beyond its own document."""

    def flag(self, key: str, context: Context, now: Instant) -> Decision | None:
        """Return the decision of another flag, its value not finished; `None` if it is missing or broken."""

    def segment(self, key: str, context: Context, now: Instant) -> bool:
        """Tell whether the context is in a segment."""

    def fetch(self, name: str) -> Any:
        """Return a fetched attribute, or raise `AttributeNeeded`."""


class Settings(msgspec.Struct, frozen=True):
    """What all documents of a snapshot are compiled with."""

    extensions: Extensions
    fields: frozenset[str]
    resolvable: frozenset[str]
    failed_hashes: set[str] = msgspec.field(default_factory=set)
    """Foreign hashes that had no slot for an id: all that evaluation ever leaves behind. Their flags are degraded."""

    def slot(self, name: str, salt: str, unit: str) -> int | None:
        """Return the slot of an id under a foreign hash; see `Extensions.slot`."""
        at = self.extensions.slot(name, salt, unit)
        if at is None and name in self.extensions.hashes:
            self.failed_hashes.add(name)
        return at


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


@lru_cache(maxsize=4096)
def _maker(source: str) -> Callable[..., Any]:
    """Return the function that binds constants to the code; one per shape of flag, however many flags have it."""
    namespace: dict[str, Any] = {}
    exec(compile(source, "<grayflow flag>", "exec"), {"__builtins__": {}}, namespace)  # noqa: S102 - see the module's docstring
    maker: Callable[..., Any] = namespace["make"]
    return maker


class _Scope(msgspec.Struct, frozen=True):
    """What a condition inherits from where it stands."""

    by: By
    salt: str


class _Writer:
    """Writes conditions; its two children write what stands around them."""

    def __init__(self, settings: Settings) -> None:
        self.timed = self.linked = self.nested = False
        self._settings = settings
        self._lines: list[str] = []
        self._constants: list[Any] = []
        self._temporaries = 0

    def build(self) -> Callable[[Context, Instant, Any], Any]:
        """Return the function written so far."""
        names = ", ".join(f"k{index}" for index in range(len(self._constants)))
        body = "\n".join(f"  {line}" for line in self._lines)
        source = f"def make({names}):\n def function(c, t, w):\n{body}\n return function"
        built: Callable[[Context, Instant, Any], Any] = _maker(source)(*self._constants)
        return built

    def line(self, text: str) -> None:
        self._lines.append(text)

    def constant(self, value: Any) -> str:
        self._constants.append(value)
        return f"k{len(self._constants) - 1}"

    def temporary(self) -> str:
        self._temporaries += 1
        return f"v{self._temporaries}"

    # Conditions, as expressions

    def every(self, conditions: tuple[Condition, ...], scope: _Scope) -> list[str]:
        return [self.condition(condition, scope) for condition in conditions]

    def condition(self, condition: Condition, scope: _Scope) -> str:
        match condition:
            case All(of=inner):
                return f"({' and '.join(self.every(inner, scope)) or 'True'})"
            case AnyOf(of=inner):
                return f"({' or '.join(self.every(inner, scope)) or 'False'})"
            case Not(of=one):
                return f"(not {self.condition(one, scope)})"
            case SegmentIs(key=key):
                self.linked = self.timed = self.nested = True
                return f"w.segment({self.constant(key)}, c, t)"
            case FlagIs():
                self.linked = self.timed = self.nested = True
                return f"{self.constant(_flag_test(condition))}(w.flag({self.constant(condition.key)}, c, t))"
            case Bucket():
                return self.bucket(condition, scope)
            case During():
                self.timed = True
                return f"{self.constant(during_test(condition))}(t)"
            case Attribute():
                return self.attribute(condition)

    def attribute(self, condition: Attribute) -> str:
        prepared = prepare(condition, self._settings.extensions.operators)
        if prepared.test is None:
            return "False"
        answer = self.constant(_answer(prepared, prepared.test, condition))
        if condition.name == "now":
            self.timed = True
            return f"{answer}({self.constant(as_datetime)}(t))"
        value = self.read(condition.name)
        if prepared.strings is None:
            return f"{answer}({value})"
        found, test = self.temporary(), "not in" if condition.negate else "in"
        known = self.constant(prepared.strings)
        return (
            f"({found} {test} {known} if ({found} := {value}).__class__ is {self.constant(str)} else {answer}({found}))"
        )

    def bucket(self, bucket: Bucket, scope: _Scope) -> str:
        if bucket.hash is not None and bucket.hash not in self._settings.extensions.hashes:
            return "False"
        unit, value = self.temporary(), self.unit(scope.by if bucket.by is None else bucket.by)
        salt = scope.salt if bucket.salt is None else bucket.salt
        if bucket.hash is None:
            inside = self.native_bucket(bucket.ranges, salt, unit)
            return f"({inside} if ({unit} := {value}) is not None else {bucket.absent})"
        test = self.constant(_foreign_bucket(bucket, salt, self._settings.slot))
        return f"({test}({unit}) if ({unit} := {value}) is not None else {bucket.absent})"

    def native_bucket(self, ranges: tuple[tuple[int, int], ...], salt: str, unit: str) -> str:
        seed = self.constant(bucketing.lane_seed(salt, bucketing.EXPOSURE))
        point = f"{self.constant(murmur3)}({unit}, {seed}, False)"
        bounds = [tuple(map(bucketing.threshold, pair)) for pair in ranges]
        if len(bounds) == 1:
            low, high = bounds[0]
            return (
                f"{self.constant(low)} <= {point} < {self.constant(high)}"
                if low
                else f"{point} < {self.constant(high)}"
            )
        return f"{self.constant(_in_any(bounds))}({point})"

    # What is read from the context, as expressions

    def read(self, path: Path) -> str:
        if self.plain(path):
            return f"c.{path}"
        if isinstance(path, str) and "." not in path and not self.fetched(path):
            return f"c.attributes.get({self.constant(path)})"
        return f"{self.constant(self.reader(read, path))}(c, w)"

    def unit(self, by: By) -> str:
        if isinstance(by, First) or self.fetched(by):
            return f"{self.constant(self.reader(read_id, by))}(c, w)"
        found, value = self.temporary(), self.read(by)
        text = self.constant(id_text)
        return (
            f"({found} if ({found} := {value}).__class__ is {self.constant(str)} and {found}.isascii() "
            f"else {text}({found}))"
        )

    def plain(self, path: Path) -> bool:
        """Tell whether the path is a declared field, which alone may stand in the source."""
        return (
            isinstance(path, str)
            and path in self._settings.fields
            and path.isidentifier()
            and not iskeyword(path)
            and path not in self._settings.resolvable
        )

    def fetched(self, by: By) -> bool:
        """Tell whether reading may come to an attribute that somebody can fetch."""
        if not self._settings.resolvable:
            return False
        paths = by.first if isinstance(by, First) else (by,)
        names = {name for path in paths for name in ((path, path.split(".")[0]) if isinstance(path, str) else path[:1])}
        return not names.isdisjoint(self._settings.resolvable)

    def reader(self, read_it: Callable[..., Any], path: By) -> Callable[[Context, Any], Any]:
        fields, resolvable = self._settings.fields, self._settings.resolvable
        if not self.fetched(path):
            return lambda context, _: read_it(context, path, fields)
        self.linked = True

        def fetching(context: Context, links: Links) -> Any:
            return read_it(context, path, fields, lambda name: links.fetch(name) if name in resolvable else None)

        return fetching


class _FlagWriter(_Writer):
    """Writes the order of evaluation."""

    def __init__(self, settings: Settings, flag: Flag, outcomes: Outcomes) -> None:
        super().__init__(settings)
        self._flag, self._outcomes = flag, outcomes
        self._scope = _Scope("user_id" if flag.by is None else flag.by, flag.key if flag.salt is None else flag.salt)

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
        scope = self._scope if rule.by is None else _Scope(rule.by, self._scope.salt)
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

    def split(self, split: Split, scope: _Scope, name: str | int | None) -> str:
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


class _SegmentWriter(_Writer):
    """Writes who is in: `exclude` beats `include` beats `when`."""

    def __init__(self, settings: Settings, segment: Segment) -> None:
        super().__init__(settings)
        self._segment = segment

    def write(self) -> None:
        segment = self._segment
        scope = _Scope(
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


# Constants that are functions


def _answer(prepared: Prepared, test: Test, condition: Attribute) -> Callable[[Any], bool]:
    """Fold the three outcomes of an attribute condition into one function of the value."""
    negate, unreadable = condition.negate, condition.unreadable
    absent = condition.absent if prepared.missing is None else prepared.missing is not negate

    def answer(value: Any) -> bool:
        if value is None:
            return absent
        found = test(value)
        return unreadable if found is None else found is not negate

    return answer


def _flag_test(condition: FlagIs) -> Callable[[Decision | None], bool]:
    """Return what a `flag` condition makes of the other flag's decision."""
    off = condition.off
    variants = None if condition.variants is None else frozenset(condition.variants)

    def test(decision: Decision | None) -> bool:
        if decision is None or decision.reason is Reason.ERROR:
            return False
        if decision.reason in OFF_REASONS:
            return off
        return not off and (variants is None or decision.variant in variants)

    return test


def _in_any(bounds: list[tuple[int, ...]]) -> Callable[[int], bool]:
    return lambda point: any(low <= point < high for low, high in bounds)


def _foreign_bucket(bucket: Bucket, salt: str, slot: ForeignSlot) -> Callable[[str], bool]:
    name, ranges, absent = str(bucket.hash), bucket.ranges, bucket.absent

    def test(unit: str) -> bool:
        at = slot(name, salt, unit)
        return absent if at is None else any(low <= at < high for low, high in ranges)

    return test


def _has_slot(split: Split, outer_salt: str, slot: ForeignSlot) -> Callable[[str | None], bool]:
    name, salt = split.hash, outer_salt if split.salt is None else split.salt
    if name is None:
        return lambda unit: unit is not None
    return lambda unit: unit is not None and slot(name, salt, unit) is not None
