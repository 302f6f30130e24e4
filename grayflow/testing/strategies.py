"""
Hypothesis strategies for documents and contexts: `@given(flag_set=flag_sets(), context=contexts(), now=instants())`.

Documents are valid: they decode and can be written, apart from what grayflow tolerates on reading (unknown
operators, bad patterns, missing references). Evaluate them with `EXTENSIONS`, whose hash and operators they use.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

from hypothesis import strategies as st
from msgspec import UNSET

from grayflow.core.calendar import from_datetime
from grayflow.core.flag import SLOTS, Condition, Flag, Rule, Segment, ServeOnFailure
from grayflow.core.ids import id_text
from grayflow.testing.conditions import bys, conditions, splits
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


_VARIANTS: dict[str, tuple[dict[str, Any], ...]] = {
    "boolean": ({"on": True, "off": False}, {"on": True, "off": False, "held": False}, {"yes": True, "no": False}),
    "string": ({"on": "new", "off": "", "a": "ä", "b": "b"}, {"a": "A"}),
    "integer": ({"on": 1, "off": 0, "big": 2**63 - 1}, {"a": -1, "b": 7}),
    "float": ({"on": 1.5, "off": 0.0, "whole": 2}, {"a": -1e300, "b": 7}),
    "json": ({"on": {"list": [1, {"x": None}], "t": True}, "off": None, "a": [], "b": "text"}, {"a": {"": 0}}),
}


def instants() -> st.SearchStrategy[int]:
    """Return instants of evaluation, nanoseconds since the epoch; most lie on or beside a bound that documents use."""
    near = st.builds(
        lambda when, beside: from_datetime(when) + beside,
        st.sampled_from(INSTANTS),
        st.sampled_from([0, 0, -1, 1, 3_600_000_000_000]),
    )
    return near | st.integers(-(10**18), 4 * 10**18)


def _rules(names: Sequence[str], when: st.SearchStrategy[Condition]) -> st.SearchStrategy[Rule]:
    return st.builds(
        Rule,
        name=st.none() | st.sampled_from(["staff", "canary", "0"]),
        when=st.lists(when, max_size=2).map(tuple),
        percent=st.none() | st.none() | st.sampled_from([0.0, 0.001, 50.0, 99.999, 100.0]) | _percents(),
        by=bys(),
        serve=st.sampled_from([UNSET, None]) | st.sampled_from(names) | splits(names),
    )


def _percents() -> st.SearchStrategy[float]:
    return st.integers(0, SLOTS).map(lambda slots: slots / 1000)


def _ids() -> st.SearchStrategy[str | int]:
    return st.sampled_from(IDS) | st.text(max_size=4) | st.integers(-(2**63), 2**63 - 1)


@st.composite
def _targets(draw: st.DrawFn, names: Sequence[str]) -> dict[str, tuple[str | int, ...]]:
    ids = draw(st.lists(_ids(), max_size=6, unique_by=id_text))
    if not ids and draw(st.booleans()):
        return {}
    owned: dict[str, list[str | int]] = {}
    for unit in ids:
        owned.setdefault(draw(st.sampled_from(names)), []).append(unit)
    return {name: tuple(units) for name, units in owned.items()} or {names[0]: ()}


@st.composite
def flags(  # noqa: D417 - `draw` is Hypothesis's own
    draw: st.DrawFn,
    key: str | None = None,
    flag_keys: Sequence[str] = FLAG_KEYS,
    segment_keys: Sequence[str] = SEGMENT_KEYS,
) -> Flag:
    """
    Return valid flags of every kind, most of them enabled.

    Args:
        key: Their key, otherwise one of a few.
        flag_keys: Flags that conditions may refer to, besides a missing one.
        segment_keys: Segments that conditions may refer to, besides a missing one.
    """
    kind = draw(st.sampled_from(["boolean", "boolean", "string", "integer", "float", "json"]))
    variants = draw(st.sampled_from(_VARIANTS[kind]))
    names = tuple(variants)
    when = conditions(flag_keys, segment_keys)
    some = st.sampled_from([UNSET, UNSET, None]) | st.sampled_from(names)
    edges = st.none() | st.none() | st.sampled_from(INSTANTS)
    return Flag(
        key=draw(st.sampled_from(FLAG_KEYS)) if key is None else key,
        kind=kind,  # type: ignore[arg-type]
        enabled=draw(st.sampled_from([True, True, True, True, False])),
        archived=draw(st.sampled_from([False] * 9 + [True])),
        variants=variants,
        off=draw(some),
        otherwise=draw(some | splits(names)),
        requires=tuple(draw(st.lists(when, max_size=draw(st.sampled_from([0, 0, 2]))))),
        targets=draw(_targets(names)),
        rules=tuple(draw(st.lists(_rules(names, when), max_size=3))),
        by=draw(bys()),
        salt=draw(st.sampled_from(SALTS)),
        effective_at=draw(edges),
        expires_at=draw(edges),
        on_failure=draw(_policies(names)),
        metadata=draw(
            st.dictionaries(st.text(min_size=1, max_size=3), st.sampled_from([True, 1, 0.5, "x"]), max_size=2)
        ),
        **draw(_housekeeping()),
    )


def _policies(names: Sequence[str]) -> st.SearchStrategy[Any]:
    words = st.sampled_from([None, "caller_default", "last_known"])
    return words | st.builds(ServeOnFailure, variant=st.sampled_from(names))


def _housekeeping() -> st.SearchStrategy[dict[str, Any]]:
    """Return fields that people read and evaluation does not."""
    days = st.integers(-400, 400).map(lambda days: date(2027, 1, 1) + timedelta(days=days))
    full: dict[str, st.SearchStrategy[Any]] = {
        "owner": st.sampled_from([None, "payments"]),
        "description": st.none() | st.text(max_size=5),
        "tags": st.lists(st.sampled_from(["gray", "ops"]), max_size=2).map(tuple),
        "lifetime": st.sampled_from([None, "release", "experiment", "operational", "permission", "forever"]),
        "remove_by": st.none() | days,
        "off_checklist": st.sampled_from([(), ("callback address removed",)]),
    }
    return st.just({}) | st.fixed_dictionaries(full)


@st.composite
def segments(
    draw: st.DrawFn,
    key: str | None = None,
    flag_keys: Sequence[str] = FLAG_KEYS,
    segment_keys: Sequence[str] = SEGMENT_KEYS,
) -> Segment:
    """Return valid segments; arguments as for `flags`."""
    when = st.lists(conditions(flag_keys, segment_keys), max_size=2).map(tuple)
    return Segment(
        key=draw(st.sampled_from(SEGMENT_KEYS)) if key is None else key,
        when=draw(st.none() | when),
        include=tuple(draw(st.lists(_ids(), max_size=3))),
        exclude=tuple(draw(st.lists(_ids(), max_size=2))),
        by=draw(bys()),
        salt=draw(st.sampled_from(SALTS)),
    )


@st.composite
def flag_sets(  # noqa: D417 - `draw` is Hypothesis's own
    draw: st.DrawFn, max_flags: int = len(FLAG_KEYS), max_segments: int = len(SEGMENT_KEYS)
) -> FlagSet:
    """
    Return a few flags and segments that refer to each other and to missing ones; about one set in ten has a circle.

    Args:
        max_flags: At most this many, at least one; up to 4.
        max_segments: At most this many; up to 3.
    """
    circles = draw(st.integers(0, 9)) == 9
    keys = [("flag", key) for key in FLAG_KEYS[: draw(st.integers(1, max_flags))]]
    keys += [("segment", key) for key in SEGMENT_KEYS[: draw(st.integers(0, max_segments))]]
    order = draw(st.permutations(keys))
    found: dict[str, list[Any]] = {"flag": [], "segment": []}
    for index, (kind, key) in enumerate(order):
        known = order if circles else order[:index]
        flag_keys = [name for what, name in known if what == "flag"]
        segment_keys = [name for what, name in known if what == "segment"]
        make = flags if kind == "flag" else segments
        found[kind].append(draw(make(key, flag_keys, segment_keys)))
    return FlagSet(tuple(found["flag"]), tuple(found["segment"]))
