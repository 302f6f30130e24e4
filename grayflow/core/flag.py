"""
The flag document: what is stored, sent and edited, as frozen Structs.

This is the wire format. A field that is left out has the meaning given here; an unknown field breaks the
document that holds it and nothing else. Whatever one field can check by itself is checked while msgspec decodes
it; what needs two fields (a variant that must exist, weights that must add up) is checked in `validate.py`.
"""

from datetime import date, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

__all__ = [
    "ON_OFF",
    "All",
    "AnyOf",
    "Attribute",
    "Bucket",
    "By",
    "Condition",
    "During",
    "First",
    "Flag",
    "FlagIs",
    "Kind",
    "Model",
    "Not",
    "Path",
    "Rule",
    "Segment",
    "SegmentIs",
    "ServeOnFailure",
    "Split",
]

SLOTS = 100_000
"""Buckets are counted in thousandths of a per cent. Contract: never changed."""

Kind = Literal["boolean", "string", "integer", "float", "json"]
KEY_PATTERN = r"^[A-Za-z0-9._:/-]{1,200}\Z"
TIME_PATTERN = r"^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?\Z"

Key = Annotated[str, Meta(pattern=KEY_PATTERN)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Id = str | int
Instant = Annotated[datetime, Meta(tz=True)]
TimeOfDay = Annotated[str, Meta(pattern=TIME_PATTERN)]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Slot = Annotated[int, Meta(ge=0)]

Path = str | Annotated[tuple[str | int, ...], Meta(min_length=1)]
"""
Which attribute. Text is a name; where no attribute has that name and it holds dots, it is followed as a path
(`"address.country"`). A list is always a path, one step an element (`["address", "country"]`, `["a.b"]`); a whole
number steps into a list. The text `now` is the instant of evaluation.
"""


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """Options that every part of a document inherits. `gc=False`: documents are trees, a cycle cannot be built."""


class First(Model, frozen=True, kw_only=True):
    """The first of several attributes that holds a usable id."""

    # At most so many, because each condition looks through them all: a document of 64 KiB could stop the loop for long.
    first: Annotated[tuple[Path, ...], Meta(min_length=1, max_length=50)]


By = Path | First
"""What is bucketed or looked up: an attribute, or the first of several. `user_id` where nothing says otherwise."""


class All(Model, tag_field="type", tag="all", frozen=True, kw_only=True):
    """True if every condition is; true if there is none."""

    of: "tuple[Condition, ...]"


class AnyOf(Model, tag_field="type", tag="any", frozen=True, kw_only=True):
    """True if one condition is; false if there is none."""

    of: "tuple[Condition, ...]"


class Not(Model, tag_field="type", tag="not", frozen=True, kw_only=True):
    """Plain logic: true if the condition is false, for whatever reason it is false."""

    of: "Condition"


class SegmentIs(Model, tag_field="type", tag="segment", frozen=True, kw_only=True):
    """True for members of a segment; false if there is no such segment."""

    key: Key


class FlagIs(Model, tag_field="type", tag="flag", frozen=True, kw_only=True):
    """
    True if another flag is on and serves one of `variants` in the same context; with `off`, if it is off.

    A flag is off while it is disabled, outside its window or lacks a requirement. Without `variants` any answer
    of a flag that is on will do. A missing or broken flag is neither on nor off.
    """

    key: Key
    variants: tuple[Name, ...] | None = None
    off: bool = False


class Bucket(Model, tag_field="type", tag="bucket", frozen=True, kw_only=True):
    """True for ids whose slot lies in one of the half-open ranges, counted per 100,000 (or in the hash's size)."""

    ranges: tuple[tuple[Slot, Slot], ...]
    by: By | None = None
    salt: str | None = None
    hash: Name | None = None
    absent: bool = False


class During(Model, tag_field="type", tag="during", frozen=True, kw_only=True):
    """
    True at certain times, all in UTC.

    A window of the day that crosses midnight belongs to the day it starts on; equal ends mean the whole day.
    """

    days: tuple[Day, ...] | None = None
    start: TimeOfDay = "00:00"
    end: TimeOfDay = "00:00"
    from_: Instant | None = msgspec.field(default=None, name="from")
    until: Instant | None = None


class Attribute(Model, tag_field="type", tag="attribute", frozen=True, kw_only=True):
    """
    Compares one attribute of the context with alternatives.

    Three outcomes are kept apart: a comparison, which `negate` inverts; a missing or null attribute, answered by
    `absent`; a value that the operator cannot read, answered by `unreadable`.
    """

    name: Path
    op: Name
    values: tuple[Any, ...] = ()
    negate: bool = False
    absent: bool = False
    unreadable: bool = False
    fold: bool = False
    coerce: Literal["text", "number"] | None = None
    lenient: Literal["no", "partial", "any"] = "no"
    epoch: Literal["s", "ms"] | None = None


Condition = All | AnyOf | Not | SegmentIs | FlagIs | Bucket | During | Attribute


class Split(Model, frozen=True, kw_only=True):
    """
    Shares ids among variants: either `weights`, laid end to end in their order, or explicit half-open `ranges`.

    Weights add up to 100,000 (or the hash's size); a gap between ranges goes on to the next rule. An absent id
    goes on as well, or is served `absent`.
    """

    weights: tuple[tuple[Name, Slot], ...] | None = None
    ranges: tuple[tuple[Name, Slot, Slot], ...] | None = None
    by: By | None = None
    salt: str | None = None
    hash: Name | None = None
    absent: Name | None = None


class Rule(Model, frozen=True, kw_only=True):
    """Serves a variant where all conditions hold and, if given, the id is within `percent`."""

    name: Name | None = None
    when: tuple[Condition, ...] = ()
    percent: Annotated[float, Meta(ge=0, le=100)] | None = None
    """Up to three decimals. A flag's percentages nest: who is in at 10 is in at 20."""
    by: By | None = None
    serve: Name | Split | None | UnsetType = UNSET
    """
    Null: the rule matches and the caller's default is the answer. Left out: `on` if a boolean flag has such a variant,
    else null.
    """


class ServeOnFailure(Model, frozen=True, kw_only=True):
    """The variant to serve while the snapshot is too old to be believed."""

    variant: Name


ON_OFF: dict[str, Any] = {"on": True, "off": False}
"""The variants of flags that give none of their own; one object, as like all of a document nobody changes it."""


class Flag(Model, frozen=True, kw_only=True):
    """
    One gray switch. `{"key": "x"}` is a boolean flag, not enabled, that will serve `on` to everybody once it is.

    Order of evaluation: disabled or outside the window, requirements, targets, rules (first match wins), otherwise.
    """

    key: Key
    kind: Kind = "boolean"
    enabled: bool = False
    archived: bool = False
    """An archived flag is disabled for good and left out of listings; its history stays."""
    variants: dict[Name, Any] = msgspec.field(default_factory=lambda: ON_OFF)
    off: Name | None | UnsetType = UNSET
    """Served while disabled, outside the window or short of a requirement. Null: the caller's default."""
    otherwise: Name | Split | None | UnsetType = UNSET
    """Served where no rule matched. Null: the caller's default."""
    requires: tuple[Condition, ...] = ()
    targets: dict[Name, tuple[Id, ...]] = {}
    """The gray list: variant -> ids that get it whatever the rules say."""
    rules: tuple[Rule, ...] = ()
    by: By | None = None
    salt: str | None = None
    effective_at: Instant | None = None
    expires_at: Instant | None = None
    on_failure: Literal["caller_default", "last_known"] | ServeOnFailure | None = None
    off_checklist: tuple[str, ...] = ()
    metadata: dict[Name, bool | int | float | str] = {}
    owner: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    lifetime: str | None = None
    """What kind of flag it is, in a word: `release`, `experiment`, `operational`, `permission`."""
    remove_by: date | None = None

    @property
    def off_variant(self) -> str | None:
        """The variant served when the flag is off, `None` for the caller's default."""
        return None if isinstance(off := _named(self.off, "off", self), Split) else off

    @property
    def otherwise_serves(self) -> "str | Split | None":
        """What is served where no rule matched, `None` for the caller's default."""
        return _named(self.otherwise, "on", self)

    def rule_serves(self, rule: Rule) -> "str | Split | None":
        """What a matching rule of this flag serves, `None` for the caller's default."""
        return _named(rule.serve, "on", self)


def _named(given: "str | Split | None | UnsetType", default: str, flag: Flag) -> "str | Split | None":
    if not isinstance(given, UnsetType):
        return given
    return default if flag.kind == "boolean" and default in flag.variants else None


class Segment(Model, frozen=True, kw_only=True):
    """
    A named, reusable set of units. `exclude` beats `include` beats `when`; without `when` only `include` is in.

    A segment means the same to every flag: what it does not say itself (`by`, `salt`) is not taken from the flag.
    """

    key: Key
    when: tuple[Condition, ...] | None = None
    include: tuple[Id, ...] = ()
    exclude: tuple[Id, ...] = ()
    by: By | None = None
    salt: str | None = None
    owner: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
