"""Hypothesis strategies for what documents are made of: conditions, splits, and what they go by."""

from collections.abc import Sequence
from typing import Any

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
from grayflow.testing.pools import EXTENSIONS, FLAG_KEYS, INSTANTS, SALTS, SEGMENT_KEYS, TOPICS, Topic

__all__ = ["bys", "conditions", "splits"]

_VARIANT_NAMES = ("on", "off", "a", "b", "yes", "no such variant")


def _paths() -> st.SearchStrategy[Path]:
    usual = st.sampled_from([name for topic in TOPICS for name in topic.names])
    steps: list[str | int] = ["address", "tags", "a.b", 0, 1]
    return usual | st.lists(st.sampled_from(steps), min_size=1, max_size=3).map(_as_path)


def _as_path(steps: list[str | int]) -> Path:
    return tuple(steps)


def bys() -> st.SearchStrategy[By | None]:
    """Return what to bucket or look up: names, paths, the first of several; often the usual."""
    usual: st.SearchStrategy[By | None] = st.sampled_from([None, None, None, "session_id", "plan"])
    firsts = st.lists(_paths(), min_size=1, max_size=3).map(lambda paths: First(first=tuple(paths)))
    return usual | _paths() | firsts


def _bounds(size: int) -> st.SearchStrategy[int]:
    return st.sampled_from([0, 1, size // 2, size - 1, size]) | st.integers(0, size)


def _hashes() -> st.SearchStrategy[tuple[str | None, int]]:
    """Return a hash and the slots that it counts in; an unknown one degrades its flag."""
    return st.sampled_from([(None, SLOTS)] * 4 + [("digits", EXTENSIONS.hashes["digits"].size), ("unknown", 100)])


@st.composite
def _buckets(draw: st.DrawFn) -> Bucket:
    name, size = draw(_hashes())
    pairs = st.tuples(_bounds(size), _bounds(size)).map(lambda pair: (min(pair), max(pair)))
    return Bucket(
        ranges=tuple(draw(st.lists(pairs, max_size=3))),
        by=draw(bys()),
        salt=draw(st.sampled_from(SALTS)),
        hash=name,
        absent=draw(st.booleans()),
    )


@st.composite
def splits(draw: st.DrawFn, names: Sequence[str]) -> Split:  # noqa: D417 - `draw` is Hypothesis's own
    """
    Return weights that add up, or ranges; foreign and unknown hashes included.

    Args:
        names: The variants to share among.
    """
    name, size = draw(_hashes())
    chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=4))
    shared: dict[str, Any]
    if draw(st.booleans()):
        cuts = [0, *sorted(draw(_bounds(size)) for _ in chosen[1:]), size]
        shared = {"weights": tuple((one, cuts[i + 1] - cuts[i]) for i, one in enumerate(chosen))}
    else:
        pairs = [sorted((draw(_bounds(size)), draw(_bounds(size)))) for _ in chosen]
        shared = {"ranges": tuple((one, low, high) for one, (low, high) in zip(chosen, pairs, strict=True))}
    return Split(
        **shared,
        by=draw(bys()),
        salt=draw(st.sampled_from(SALTS)),
        hash=name,
        absent=draw(st.none() | st.sampled_from(names)),
    )


def _durings() -> st.SearchStrategy[During]:
    times = st.sampled_from(["00:00", "09:30", "17:00:30", "22:00", "23:59:59"])
    days = st.lists(st.sampled_from(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]), unique=True).map(tuple)
    limits = st.none() | st.sampled_from(INSTANTS)
    return st.builds(During, days=st.none() | days, start=times, end=times, from_=limits, until=limits)


def _attributes() -> st.SearchStrategy[Attribute]:
    return st.sampled_from(TOPICS).flatmap(_attribute_of) | st.sampled_from(TOPICS).flatmap(_odd_attribute_of)


def _attribute_of(topic: Topic) -> st.SearchStrategy[Attribute]:
    return _tests(st.sampled_from(topic.names), st.sampled_from(topic.operators), st.sampled_from(topic.values))


def _odd_attribute_of(topic: Topic) -> st.SearchStrategy[Attribute]:
    """Return tests whose attribute, operator and values need not suit each other."""
    operators = sorted({name for each in TOPICS for name in each.operators})
    values = st.sampled_from([value for each in TOPICS for value in each.values]) | st.text(max_size=5) | st.integers()
    return _tests(_paths(), st.sampled_from(operators), values.filter(_fits_json) | st.sampled_from(topic.values))


def _fits_json(value: Any) -> bool:
    return not isinstance(value, int) or -(2**63) <= value < 2**64


def _tests(
    names: st.SearchStrategy[Path], operators: st.SearchStrategy[str], values: st.SearchStrategy[Any]
) -> st.SearchStrategy[Attribute]:
    rarely = st.sampled_from([False, False, False, True])
    return st.builds(
        Attribute,
        name=names,
        op=operators,
        values=st.lists(values.filter(_fits_json), max_size=3).map(tuple),
        negate=rarely,
        absent=rarely,
        unreadable=rarely,
        fold=rarely,
        coerce=st.sampled_from([None, None, "text", "number"]),
        lenient=st.sampled_from(["no", "partial", "any"]),
        epoch=st.sampled_from([None, None, "s", "ms"]),
    )


def conditions(
    flag_keys: Sequence[str] = FLAG_KEYS, segment_keys: Sequence[str] = SEGMENT_KEYS
) -> st.SearchStrategy[Condition]:
    """Return conditions of every type, nested; they refer to these flags and segments and to missing ones."""
    variants = st.none() | st.lists(st.sampled_from(_VARIANT_NAMES), max_size=3).map(tuple)
    leaves = st.one_of(
        _attributes(),
        _attributes(),
        _buckets(),
        _durings(),
        st.builds(SegmentIs, key=st.sampled_from([*segment_keys, *segment_keys, "missing"])),
        st.builds(FlagIs, key=st.sampled_from([*flag_keys, *flag_keys, "missing"]), variants=variants),
        st.builds(FlagIs, key=st.sampled_from([*flag_keys, "missing"]), off=st.just(True)),
    )
    return st.recursive(leaves, _nested, max_leaves=5)


def _nested(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    several = st.lists(inner, max_size=3).map(tuple)
    return st.builds(All, of=several) | st.builds(AnyOf, of=several) | st.builds(Not, of=inner)
