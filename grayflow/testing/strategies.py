"""
Hypothesis strategies for documents and contexts: `@given(flag_set=flag_sets(), context=contexts(), now=instants())`.

Documents are valid: they decode and can be written, apart from what grayflow tolerates on reading (unknown
operators, bad patterns, missing references). Evaluate them with `EXTENSIONS`, whose hash and operators they use.
"""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, NamedTuple

from hypothesis import strategies as st
from msgspec import UNSET

from grayflow.core.calendar import from_datetime
from grayflow.core.flag import SLOTS, Flag, Rule, Segment, ServeOnFailure
from grayflow.core.ids import id_text
from grayflow.testing.conditions import Refs, conditions, draw_by, draw_conditions, draw_split, one_of
from grayflow.testing.pools import EXTENSIONS, FLAG_KEYS, IDS, INSTANTS, SALTS, SEGMENT_KEYS
from grayflow.testing.subjects import contexts, hostile_contexts

__all__ = [
    "EXTENSIONS",
    "FlagSet",
    "conditions",
    "contexts",
    "flag_sets",
    "flags",
    "hostile_contexts",
    "instants",
    "segments",
]


class FlagSet(NamedTuple):
    """Flags and segments that refer to each other."""

    flags: tuple[Flag, ...]
    segments: tuple[Segment, ...]


def instants() -> st.SearchStrategy[int]:
    """Return instants of evaluation, nanoseconds since the epoch; most lie on or beside a bound that documents use."""
    near = st.builds(
        lambda when, beside: from_datetime(when) + beside,
        st.sampled_from(INSTANTS),
        st.sampled_from([0, 0, -1, 1, 3_600_000_000_000]),
    )
    return near | st.integers(-(10**18), 4 * 10**18)


def flags(
    key: str | None = None, flag_keys: Sequence[str] = FLAG_KEYS, segment_keys: Sequence[str] = SEGMENT_KEYS
) -> st.SearchStrategy[Flag]:
    """
    Return valid flags of every kind, most of them enabled.

    Args:
        key: Their key, otherwise one of a few.
        flag_keys: Flags that conditions may refer to, besides a missing one.
        segment_keys: Segments that conditions may refer to, besides a missing one.
    """
    return _composed_flags(key, Refs(tuple(flag_keys), tuple(segment_keys)))


def segments(
    key: str | None = None, flag_keys: Sequence[str] = FLAG_KEYS, segment_keys: Sequence[str] = SEGMENT_KEYS
) -> st.SearchStrategy[Segment]:
    """Return valid segments; arguments as for `flags`."""
    return _composed_segments(key, Refs(tuple(flag_keys), tuple(segment_keys)))


def flag_sets(max_flags: int = len(FLAG_KEYS), max_segments: int = len(SEGMENT_KEYS)) -> st.SearchStrategy[FlagSet]:
    """
    Return a few flags and segments that refer to each other and to missing ones; about one in twenty has a circle.

    Args:
        max_flags: At most this many, at least one; up to 4.
        max_segments: At most this many; up to 3.
    """
    return _composed_sets(max_flags, max_segments)


_VARIANTS: dict[str, tuple[dict[str, Any], ...]] = {
    "boolean": ({"on": True, "off": False}, {"on": True, "off": False, "held": False}, {"yes": True, "no": False}),
    "string": ({"on": "new", "off": "", "a": "ä", "b": "b"}, {"a": "A"}),
    "integer": ({"on": 1, "off": 0, "big": 2**63 - 1}, {"a": -1, "b": 7}),
    "float": ({"on": 1.5, "off": 0.0, "whole": 2}, {"a": -1e300, "b": 7}),
    "json": ({"on": {"list": [1, {"x": None}], "t": True}, "off": None, "a": [], "b": "text"}, {"a": {"": 0}}),
}
_SHAPES = st.sampled_from(
    [("boolean", _VARIANTS["boolean"][0])] + [(kind, each) for kind in _VARIANTS for each in _VARIANTS[kind]]
)
_ON = st.sampled_from([True, True, True, True, False])
_SALTS = st.sampled_from(SALTS)
_EDGES = st.sampled_from([None, *INSTANTS])
_IDS = st.sampled_from(IDS) | st.text(max_size=4) | st.integers(-(2**63), 2**63 - 1)
_PERCENTS = st.sampled_from([50.0, 0.0, 0.001, 99.999, 100.0]) | st.integers(0, SLOTS).map(lambda slots: slots / 1000)
_SERVED = st.sampled_from(["variant", "variant", "unset", "null", "split"])
_DATES = st.dates(date(2026, 1, 1), date(2028, 1, 1))


def _draw_serve(draw: st.DrawFn, names: tuple[str, ...]) -> Any:
    match draw(_SERVED):
        case "variant":
            return draw(one_of(*names))
        case "split":
            return draw_split(draw, names)
        case "null":
            return None
        case _:
            return UNSET


def _draw_rule(draw: st.DrawFn, names: tuple[str, ...], refs: Refs) -> Rule:
    return Rule(
        name=draw(one_of(None, "staff", "canary", "0")),
        when=draw_conditions(draw, refs, 2),
        percent=draw(_PERCENTS) if draw(one_of(False, False, True)) else None,
        by=draw_by(draw),
        serve=_draw_serve(draw, names),
    )


def _draw_targets(draw: st.DrawFn, names: tuple[str, ...]) -> dict[str, tuple[str | int, ...]]:
    ids = draw(_UNIQUE_IDS)
    owned: dict[str, list[str | int]] = {}
    for unit in ids:
        owned.setdefault(draw(one_of(*names)), []).append(unit)
    return {name: tuple(units) for name, units in owned.items()} or {names[0]: ()}


_UNIQUE_IDS = st.lists(_IDS, max_size=5, unique_by=id_text)

_METADATA = st.dictionaries(st.text(min_size=1, max_size=3), st.sampled_from([True, 1, 0.5, "x"]), max_size=2)
_CARE = st.fixed_dictionaries(
    {
        "owner": st.sampled_from([None, "payments"]),
        "description": st.none() | st.text(max_size=5),
        "tags": st.sampled_from([(), ("gray", "ops")]),
        "lifetime": st.sampled_from([None, "release", "experiment", "operational", "permission", "forever"]),
        "remove_by": st.none() | _DATES,
        "off_checklist": st.sampled_from([(), ("callback address removed",)]),
    }
)

# Fields that most flags do without. Each is drawn only for those that have it.
_Part = Callable[[st.DrawFn, tuple[str, ...], Refs], Any]
_PARTS: dict[str, _Part] = {
    "targets": lambda draw, names, _: _draw_targets(draw, names),
    "requires": lambda draw, _, refs: draw_conditions(draw, refs, 2),
    "effective_at": lambda draw, *_: draw(_EDGES),
    "expires_at": lambda draw, *_: draw(_EDGES),
    "by": lambda draw, *_: draw_by(draw),
    "salt": lambda draw, *_: draw(_SALTS),
    "on_failure": lambda draw, names, _: draw(
        one_of("last_known", "caller_default", *(ServeOnFailure(variant=name) for name in names))
    ),
    "metadata": lambda draw, *_: draw(_METADATA),
    "archived": lambda draw, *_: draw(one_of(True, False)),
    "care": lambda draw, *_: draw(_CARE),
}
_CHOSEN = st.lists(
    st.sampled_from([*_PARTS, "targets", "requires", "effective_at", "expires_at"]), max_size=4, unique=True
)


def _draw_flag(draw: st.DrawFn, key: str | None, refs: Refs) -> Flag:
    kind, variants = draw(_SHAPES)
    names = tuple(variants)
    parts = {part: _PARTS[part](draw, names, refs) for part in draw(_CHOSEN)}
    parts.update(parts.pop("care", {}))
    return Flag(
        key=draw(one_of(*FLAG_KEYS)) if key is None else key,
        kind=kind,
        enabled=draw(_ON),
        variants=variants,
        off=draw(one_of(UNSET, UNSET, None, *names)),
        otherwise=_draw_serve(draw, names),
        rules=tuple(_draw_rule(draw, names, refs) for _ in range(draw(one_of(1, 2, 3, 0)))),
        **parts,
    )


def _draw_segment(draw: st.DrawFn, key: str | None, refs: Refs) -> Segment:
    return Segment(
        key=draw(one_of(*SEGMENT_KEYS)) if key is None else key,
        when=draw_conditions(draw, refs, 2) if draw(one_of(True, True, False)) else None,
        include=tuple(draw(_UNIQUE_IDS)),
        exclude=tuple(draw(_UNIQUE_IDS)) if draw(one_of(False, False, True)) else (),
        by=draw_by(draw),
        salt=draw(_SALTS),
    )


def _draw_set(draw: st.DrawFn, max_flags: int, max_segments: int) -> FlagSet:
    circles = draw(one_of(*range(10))) > 6
    keys = [("flag", key) for key in FLAG_KEYS[: draw(one_of(*range(1, max_flags + 1)))]]
    keys += [("segment", key) for key in SEGMENT_KEYS[: draw(one_of(*range(max_segments + 1)))]]
    order = draw(st.permutations(keys))
    found: dict[str, list[Any]] = {"flag": [], "segment": []}
    for index, (kind, key) in enumerate(order):
        known = sorted(order if circles else order[:index])
        refs = Refs(*(tuple(name for what, name in known if what == sort) for sort in ("flag", "segment")))
        found[kind].append((_draw_flag if kind == "flag" else _draw_segment)(draw, key, refs))
    return FlagSet(tuple(found["flag"]), tuple(found["segment"]))


_composed_flags = st.composite(_draw_flag)
_composed_segments = st.composite(_draw_segment)
_composed_sets = st.composite(_draw_set)
