"""
Conditions as Python expressions: what the compiler writes inside the functions that it makes.

The text holds only generated names and declared field names of the context type; every value is bound as a constant.
"""

from collections.abc import Callable
from functools import lru_cache
from keyword import iskeyword
from typing import Any, Protocol

import msgspec
from mmh3 import hash as murmur3

from grayflow.core import bucketing
from grayflow.core.calendar import as_datetime, during_test
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
    FlagIs,
    Not,
    Path,
    SegmentIs,
)
from grayflow.core.ids import id_text
from grayflow.core.needs import Instant
from grayflow.core.operators import Prepared, Test, prepare
from grayflow.core.outcomes import OFF_REASONS
from grayflow.core.picking import ForeignSlot

__all__ = ["Links", "Scope", "Settings", "Writer"]


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


@lru_cache(maxsize=4096)
def _maker(source: str) -> Callable[..., Any]:
    """Return the function that binds constants to the code; one per shape of flag, however many flags have it."""
    namespace: dict[str, Any] = {}
    exec(compile(source, "<grayflow flag>", "exec"), {"__builtins__": {}}, namespace)  # noqa: S102 - see the module's docstring
    maker: Callable[..., Any] = namespace["make"]
    return maker


class Scope(msgspec.Struct, frozen=True):
    """What a condition inherits from where it stands."""

    by: By
    salt: str


class Writer:
    """Writes conditions; `compiler.py` writes what stands around them."""

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
        """Add a line of code."""
        self._lines.append(text)

    def constant(self, value: Any) -> str:
        """Bind a value; return the name that stands for it."""
        self._constants.append(value)
        return f"k{len(self._constants) - 1}"

    def temporary(self) -> str:
        """Return a name that nothing else uses."""
        self._temporaries += 1
        return f"v{self._temporaries}"

    # Conditions, as expressions

    def every(self, conditions: tuple[Condition, ...], scope: Scope) -> list[str]:
        """Return the expressions of several conditions."""
        return [self.condition(condition, scope) for condition in conditions]

    def condition(self, condition: Condition, scope: Scope) -> str:
        """Return the expression that is true where the condition holds."""
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
        """Return the expression of a comparison; texts that are looked for among texts take no call."""
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

    def bucket(self, bucket: Bucket, scope: Scope) -> str:
        """Return the expression that is true for ids in the bucket."""
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
        """Return the comparison of a point with the bounds of our own hash."""
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
        """Return the expression of an attribute."""
        if self.plain(path):
            return f"c.{path}"
        if isinstance(path, str) and "." not in path and not self.fetched(path):
            return f"c.attributes.get({self.constant(path)})"
        return f"{self.constant(self.reader(read, path))}(c, w)"

    def unit(self, by: By) -> str:
        """Return the expression of an id in its text form, `None` if it is absent."""
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
        """Return the function that reads what no short expression can."""
        fields, resolvable = self._settings.fields, self._settings.resolvable
        if not self.fetched(path):
            return lambda context, _: read_it(context, path, fields)
        self.linked = True

        def fetching(context: Context, links: Links) -> Any:
            return read_it(context, path, fields, lambda name: links.fetch(name) if name in resolvable else None)

        return fetching


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
