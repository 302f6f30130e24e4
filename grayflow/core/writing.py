"""
Conditions as Python expressions: what the compiler writes inside the functions that it makes.

The text holds only generated names, those in `_KNOWN`, and declared field names of the context type; every value is
bound as a constant, in the form of a default argument: they are the quickest to read and the smallest to keep.
"""

from bisect import bisect_right
from collections.abc import Callable
from functools import lru_cache
from keyword import iskeyword
from types import CodeType, FunctionType
from typing import Any, Protocol

import msgspec
from mmh3 import hash as murmur3

from grayflow.core import bucketing
from grayflow.core.calendar import as_datetime, during_test
from grayflow.core.comparison import comparison
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
from grayflow.core.joining import Part, every, inverse, some
from grayflow.core.needs import Instant
from grayflow.core.outcomes import OFF_REASONS
from grayflow.core.picking import ForeignSlot
from grayflow.core.prepared import Quick

__all__ = ["Links", "Scope", "Settings", "Writer", "types_are"]


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


_KNOWN: dict[str, Any] = {
    "__builtins__": {},
    "type": type,
    "str": str,
    "int": int,
    "id_text": id_text,
    "murmur3": murmur3,
    "bisect_right": bisect_right,
    "as_datetime": as_datetime,
}
"""What compiled functions may name."""


@lru_cache(maxsize=4096)
def _code(source: str) -> CodeType:
    """Return the code of a function; one per shape of flag, however many flags have it."""
    namespace: dict[str, Any] = {}
    exec(compile(source, "<grayflow flag>", "exec"), namespace)  # noqa: S102 - see the module's docstring
    code: CodeType = namespace["function"].__code__
    return code


@lru_cache(maxsize=256)
def _parameters(count: int) -> str:
    """Return the parameters of so many constants."""
    return "".join(f", k{index}" for index in range(count))


class Scope(msgspec.Struct, frozen=True):
    """What a condition inherits from where it stands."""

    by: By
    salt: str


class Writer:
    """
    Writes conditions; `compiler.py` writes what stands around them.

    Args:
        settings: Of the snapshot.
        apart: Each condition becomes a function of its own; see `joining.py`.
    """

    def __init__(self, settings: Settings, *, apart: bool = False) -> None:
        self.timed = self.linked = self.nested = False
        self._settings, self._apart = settings, apart
        self._lines: list[str] = []
        self._constants: list[Any] = []
        self._temporaries = 0

    def build(self) -> Callable[[Context, Instant, Any], Any]:
        """Return the function written so far."""
        body = "\n ".join(self._lines)
        code = _code(f"def function(c, t, w{_parameters(len(self._constants))}):\n {body}\n")
        return FunctionType(code, _KNOWN, "flag", tuple(self._constants))

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
        """Return expressions that are all true where all of the conditions hold."""
        if self._apart and len(conditions) > 1:
            conditions = (All(of=conditions),)
        return [self.condition(condition, scope) for condition in conditions]

    def condition(self, condition: Condition, scope: Scope) -> str:
        """Return the expression that is true where the condition holds."""
        if self._apart:
            return f"{self.constant(self.part(condition, scope))}(c, t, w)"
        return self.inline(condition, scope)

    def inline(self, condition: Condition, scope: Scope) -> str:
        """Return the expression of a condition that is written with all that is in it."""
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

    def part(self, condition: Condition, scope: Scope) -> Part:
        """Return the condition as a function of its own."""
        match condition:
            case All(of=inner):
                return every(tuple(self.part(one, scope) for one in inner))
            case AnyOf(of=inner):
                return some(tuple(self.part(one, scope) for one in inner))
            case Not(of=one):
                return inverse(self.part(one, scope))
        writer = Writer(self._settings)
        writer.line(f"return {writer.condition(condition, scope)}")
        return self.take(writer)

    def take(self, part: "Writer") -> Callable[[Context, Instant, Any], Any]:
        """Return the function of another writer, which this one's function will call."""
        self.timed |= part.timed
        self.linked |= part.linked
        self.nested |= part.nested
        return part.build()

    def attribute(self, condition: Attribute) -> str:
        """Return the expression of a comparison; most of those with text and whole numbers take no call."""
        asked = comparison(condition, self._settings.extensions.operators)
        if asked.answer is None:
            return "False"
        answer = self.constant(asked.answer)
        if condition.name == "now":
            self.timed = True
            return f"{answer}(as_datetime(t))"
        value = self.read(condition.name)
        if asked.quick is None:
            return f"{answer}({value})"
        found = self.temporary()
        holds = ("not " if condition.negate else "") + self.quickly(asked.quick, found)
        return f"({holds} if {types_are(asked.quick, f'{found} := {value}', found)} else {answer}({found}))"

    def quickly(self, quick: Quick, found: str) -> str:
        """Return the comparison of a value of one of the quick types."""
        wanted = self.constant(quick.wanted)
        return f"{wanted}({found})" if quick.sign == "call" else f"{found} {quick.sign} {wanted}"

    def bucket(self, bucket: Bucket, scope: Scope) -> str:
        """Return the expression that is true for ids in the bucket."""
        if bucket.hash is not None and bucket.hash not in self._settings.extensions.hashes:
            return "False"
        unit = self.temporary()
        known = self.known(unit, scope.by if bucket.by is None else bucket.by)
        salt = scope.salt if bucket.salt is None else bucket.salt
        if bucket.hash is None:
            inside = self.native_bucket(bucket.ranges, salt, unit)
        else:
            inside = f"{self.constant(_foreign_bucket(bucket, salt, self._settings.slot))}({unit})"
        return f"({inside} if {known} else True)" if bucket.absent else f"({known} and {inside})"

    def native_bucket(self, ranges: tuple[tuple[int, int], ...], salt: str, unit: str) -> str:
        """Return the comparison of a point with the bounds of our own hash."""
        seed = self.constant(bucketing.lane_seed(salt, bucketing.EXPOSURE))
        point = f"murmur3({unit}, {seed}, False)"
        bounds = [tuple(map(bucketing.threshold, pair)) for pair in ranges]
        if len(bounds) == 1:
            low, high = bounds[0]
            below = f"{point} < {self.constant(high)}"
            return f"{self.constant(low)} <= {below}" if low else below
        return f"{self.constant(_in_any(bounds))}({point})"

    # What is read from the context, as expressions

    def read(self, path: Path) -> str:
        """Return the expression of an attribute."""
        if self.plain(path):
            return f"c.{path}"
        if isinstance(path, str) and "." not in path and not self.fetched(path):
            return f"c.attributes.get({self.constant(path)})"
        return f"{self.constant(self.reader(read, path))}(c, w)"

    def known(self, unit: str, by: By, *, hashed: bool = True) -> str:
        """
        Return the expression that is true if there is an id, whose text form `unit` is then.

        One that is not to be hashed may hold what cannot be encoded: no table has such a name in it.
        """
        if isinstance(by, First) or self.fetched(by):
            return f"({unit} := {self.constant(self.reader(read_id, by))}(c, w)) is not None"
        usual = f"type({unit} := {self.read(by)}) is str" + (f" and {unit}.isascii()" if hashed else "")
        return f"({usual} or ({unit} := id_text({unit})) is not None)"

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


def types_are(quick: Quick, given: str, again: str) -> str:
    """Return the test for the types that are quick: `given` is the expression first, `again` where it is repeated."""
    first, *others = quick.types
    return " or ".join((f"type({given}) is {first}", *(f"type({again}) is {one}" for one in others)))


# Constants that are functions


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
