"""
Hypothesis strategies for what documents are made of: conditions, splits, and what they go by.

Written as functions of `draw` over strategies that are built once: composing them anew for each draw took ten times
as long as drawing, and equivalence of reference and compiler is worth thousands of examples.
"""

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

from hypothesis import strategies as st

from grayflow.core.flag import (
    SLOTS,
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
    Split,
)
from grayflow.testing.pools import EXTENSIONS, FLAG_KEYS, INSTANTS, SALTS, SEGMENT_KEYS, TOPICS

__all__ = ["Refs", "conditions", "draw_by", "draw_conditions", "draw_split", "one_of"]


class Refs(NamedTuple):
    """What conditions may refer to, besides things that do not exist."""

    flags: tuple[str, ...] = FLAG_KEYS
    segments: tuple[str, ...] = SEGMENT_KEYS


@lru_cache(maxsize=None, typed=True)  # typed: `(1, 0)` and `(True, False)` are equal keys
def one_of(*choices: Any) -> st.SearchStrategy[Any]:
    """Return one of the choices, which are hashable; the first is the simplest."""
    return st.sampled_from(choices)


def conditions(
    flag_keys: Sequence[str] = FLAG_KEYS, segment_keys: Sequence[str] = SEGMENT_KEYS
) -> st.SearchStrategy[Condition]:
    """Return conditions of every type, nested; they refer to these flags and segments and to missing ones."""
    return _conditions(Refs(tuple(flag_keys), tuple(segment_keys)))


@cache
def _conditions(refs: Refs) -> st.SearchStrategy[Condition]:
    return st.composite(_draw_condition)(refs)


def draw_conditions(draw: st.DrawFn, refs: Refs, most: int) -> tuple[Condition, ...]:
    """Draw up to that many conditions."""
    return tuple(_draw_condition(draw, refs, 1) for _ in range(draw(one_of(*range(most + 1)))))


def _draw_condition(draw: st.DrawFn, refs: Refs, depth: int = 0) -> Condition:
    return draw(_LEAVES if depth > 2 else _ANY)(draw, refs, depth)


def _draw_all(draw: st.DrawFn, refs: Refs, depth: int) -> Condition:
    return All(of=_draw_several(draw, refs, depth))


def _draw_any(draw: st.DrawFn, refs: Refs, depth: int) -> Condition:
    return AnyOf(of=_draw_several(draw, refs, depth))


def _draw_several(draw: st.DrawFn, refs: Refs, depth: int) -> tuple[Condition, ...]:
    return tuple(_draw_condition(draw, refs, depth + 1) for _ in range(draw(one_of(1, 2, 3, 0))))


def _draw_not(draw: st.DrawFn, refs: Refs, depth: int) -> Condition:
    return Not(of=_draw_condition(draw, refs, depth + 1))


def _draw_segment_is(draw: st.DrawFn, refs: Refs, _depth: int) -> Condition:
    return SegmentIs(key=draw(one_of(*refs.segments, *refs.segments, "missing")))


def _draw_flag_is(draw: st.DrawFn, refs: Refs, _depth: int) -> Condition:
    key = draw(one_of(*refs.flags, *refs.flags, "missing"))
    return FlagIs(key=key, **draw(_ANSWERS))


_ANSWERS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        *({}, {"variants": ("on",)}, {"variants": ("off", "on")}, {"variants": ("a",)}, {"variants": ("b", "yes")}),
        *({"variants": ()}, {"variants": ("no such variant",)}, {"off": True}, {"off": True}),
    ]
)


def _draw_bucket(draw: st.DrawFn, _refs: Refs, _depth: int) -> Condition:
    name, size = draw(_HASHES)
    ranges = tuple(_draw_range(draw, size) for _ in range(draw(one_of(1, 2, 3, 0))))
    return Bucket(ranges=ranges, by=draw_by(draw), salt=draw(_SALTS), hash=name, absent=draw(_RARELY))


def _draw_range(draw: st.DrawFn, size: int) -> tuple[int, int]:
    low, high = sorted((draw(_bounds(size)), draw(_bounds(size))))
    return low, high


@cache
def _bounds(size: int) -> st.SearchStrategy[int]:
    return st.sampled_from([0, size, 1, size // 2, size - 1]) | st.integers(0, size)


# A hash and the slots that it counts in; an unknown one degrades its flag.
_HASHES = st.sampled_from([(None, SLOTS)] * 4 + [("digits", EXTENSIONS.hashes["digits"].size), ("unknown", 100)])
_SALTS = st.sampled_from(SALTS)
_RARELY = st.sampled_from([False, False, False, True])


def draw_by(draw: st.DrawFn) -> By | None:
    """Draw what to bucket or look up: most often the usual, else a name, a path or the first of several."""
    by: By | None = draw(_BYS)
    return by


_STEPS: tuple[str | int, ...] = ("address", "tags", "a.b", 0, 1)
_PATHS: st.SearchStrategy[Path] = st.sampled_from([name for topic in TOPICS for name in topic.names]) | st.tuples(
    st.sampled_from(_STEPS), st.sampled_from(_STEPS)
)
_BYS = (
    st.sampled_from([None, None, None, None, "session_id", "plan"])
    | _PATHS
    | st.lists(_PATHS, min_size=1, max_size=3).map(lambda paths: First(first=tuple(paths)))
)


def draw_split(draw: st.DrawFn, names: tuple[str, ...]) -> Split:
    """Draw weights that add up, or ranges; foreign and unknown hashes included."""
    name, size = draw(_HASHES)
    chosen = [draw(one_of(*names)) for _ in range(draw(one_of(2, 1, 3)))]
    shared: dict[str, Any]
    if draw(one_of("weights", "ranges")) == "weights":
        cuts = [0, *sorted(draw(_bounds(size)) for _ in chosen[1:]), size]
        shared = {"weights": tuple((each, cuts[i + 1] - cuts[i]) for i, each in enumerate(chosen))}
    else:
        shared = {"ranges": tuple((each, *_draw_range(draw, size)) for each in chosen)}
    absent = draw(one_of(None, None, *names))
    return Split(**shared, by=draw_by(draw), salt=draw(_SALTS), hash=name, absent=absent)


def _draw_during(draw: st.DrawFn, _refs: Refs, _depth: int) -> Condition:
    return draw(_DURINGS)


_TIMES = st.sampled_from(["00:00", "09:30", "17:00:30", "22:00", "23:59:59"])
_WEEK = [None, ("mon", "tue", "sat"), ("sun",), (), ("mon", "tue", "wed", "thu", "fri", "sat", "sun")]
_LIMITS = st.sampled_from([None, None, *INSTANTS])
_DURINGS = st.builds(During, days=st.sampled_from(_WEEK), start=_TIMES, end=_TIMES, from_=_LIMITS, until=_LIMITS)


def _draw_attribute(draw: st.DrawFn, _refs: Refs, _depth: int) -> Condition:
    # The operator first: drawn after a topic, some came up thirty times as often as others.
    operator = draw(_OPERATORS)
    if draw(one_of(*range(10))) == 9:  # now and then what does not suit each other
        name, values = draw(_PATHS), draw(_VALUES)
    else:
        topic = draw(_suitable(operator))
        name = draw(one_of(*TOPICS[topic].names))
        values = [draw(_values(topic)) for _ in range(draw(one_of(1, 2, 3, 0)))]
    return Attribute(name=name, op=operator, values=tuple(values), **draw(_OPTIONS))


_OPERATORS = st.sampled_from(sorted({name for topic in TOPICS for name in topic.operators}))


@cache
def _suitable(operator: str) -> st.SearchStrategy[int]:
    """Return the indices of the topics that the operator suits."""
    return st.sampled_from([index for index, topic in enumerate(TOPICS) if operator in topic.operators])


def _as_mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(pairs)


_OPTIONS: st.SearchStrategy[dict[str, Any]] = st.lists(
    st.sampled_from(
        [
            *(("negate", True), ("absent", True), ("unreadable", True), ("fold", True), ("coerce", "text")),
            *(("coerce", "number"), ("lenient", "partial"), ("lenient", "any"), ("epoch", "s"), ("epoch", "ms")),
        ]
    ),
    max_size=3,
).map(_as_mapping)


def _fits_json(value: Any) -> bool:
    return not isinstance(value, int) or -(2**63) <= value < 2**64


_VALUES = st.lists(
    st.sampled_from([value for topic in TOPICS for value in topic.values if _fits_json(value)])
    | st.text(max_size=5)
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False),
    max_size=3,
)


@cache
def _values(topic: int) -> st.SearchStrategy[Any]:
    return st.sampled_from([value for value in TOPICS[topic].values if _fits_json(value)])


_Draw = Callable[[st.DrawFn, Refs, int], Condition]
_SIMPLE: list[_Draw] = [_draw_attribute] * 5 + [_draw_segment_is, _draw_bucket, _draw_flag_is, _draw_during]
_LEAVES = st.sampled_from(_SIMPLE)
_ANY = st.sampled_from([*_SIMPLE, _draw_all, _draw_any, _draw_not])
