"""The strategies make valid documents, reach everything that a document can say, and often make conditions hold."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from grayflow.core.codec import decode_flag, decode_segment, encode
from grayflow.core.context import Context
from grayflow.core.flag import Flag, FlagIs, SegmentIs
from grayflow.core.operators import BUILT_IN
from grayflow.core.validate import walk_conditions
from grayflow.testing.pools import TOPICS
from grayflow.testing.strategies import FlagSet, contexts, flag_sets, flags, hostile_contexts, instants, segments


@given(flag=flags())
def test_flags_decode_to_themselves(flag: Flag):
    assert decode_flag(encode(flag)) == flag


@given(segment=segments())
def test_segments_decode_to_themselves(segment):
    assert decode_segment(encode(segment)) == segment


@given(found=flag_sets())
def test_keys_are_unique_in_a_flag_set(found: FlagSet):
    assert len({flag.key for flag in found.flags}) == len(found.flags) >= 1
    assert len({segment.key for segment in found.segments}) == len(found.segments)


@given(context=contexts())
def test_ordinary_contexts_are_contexts(context: Any):
    assert isinstance(context, Context | Mapping)


def test_topics_know_every_operator():
    assert {operator for topic in TOPICS for operator in topic.operators} >= BUILT_IN


def _generating(count: int) -> settings:
    return settings(
        max_examples=count,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
    )


def _drawn(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """Return that many examples."""
    found: list[Any] = []

    @_generating(count)
    @given(strategy)
    def draw(example: Any) -> None:
        found.append(example)

    draw()
    return found


_PIECES = (
    *(f'"type":"{name}"' for name in ("all", "any", "not", "segment", "flag", "bucket", "during", "attribute")),
    *(f'"kind":"{name}"' for name in ("string", "integer", "float", "json")),
    *(f'"op":"{name}"' for name in sorted(BUILT_IN)),
    *('"weights":', '"ranges":', '"first":', '"hash":"digits"', '"hash":"unknown"', '"salt":""', '"percent":'),
    *('"negate":true', '"unreadable":true', '"fold":true', '"coerce":"text"', '"lenient":"any"', '"epoch":"ms"'),
    *('"targets":', '"requires":', '"effective_at":', '"expires_at":', '"on_failure":', '"archived":true'),
    *('"from":', '"until":', '"days":', '"off":true', '"key":"missing"', '"name":["address","country"]'),
)


@pytest.fixture(scope="module")
def never_drawn() -> set[str]:
    """Draw flags until every piece is among them: about 400, and 2,000 if one never comes."""
    missing = set(_PIECES)

    def complete(flag: Flag) -> bool:
        text = encode(flag).decode()
        missing.difference_update([piece for piece in missing if piece in text])
        return not missing

    with suppress(NoSuchExample):
        find(flags(), complete, settings=_generating(2_000))
    return missing


@pytest.mark.parametrize("piece", _PIECES)
def test_flags_reach_every_part_of_the_format(never_drawn: set[str], piece: str):
    assert piece not in never_drawn


def _rests_on(found: FlagSet) -> dict[str, set[str]]:
    edges: dict[str, set[str]] = {}
    for document in (*found.flags, *found.segments):
        given = document.requires if isinstance(document, Flag) else document.when or ()
        rules = document.rules if isinstance(document, Flag) else ()
        conditions = [*given, *(condition for rule in rules for condition in rule.when)]
        edges[document.key] = {
            condition.key
            for _, condition in walk_conditions(conditions, "")
            if isinstance(condition, FlagIs | SegmentIs)
        }
    return edges


def _circular(found: FlagSet) -> bool:
    edges = _rests_on(found)
    while free := [key for key, needs in edges.items() if not needs & edges.keys()]:
        for key in free:
            del edges[key]
    return bool(edges)


@pytest.fixture(scope="module")
def some_sets() -> list[FlagSet]:
    return _drawn(flag_sets(), 400)


def test_flag_sets_have_circles_and_mostly_none(some_sets: list[FlagSet]):
    assert 0 < sum(map(_circular, some_sets)) < 100  # some 20


def test_flag_sets_refer_to_each_other(some_sets: list[FlagSet]):
    assert sum(any(needs & _rests_on(found).keys() for needs in _rests_on(found).values()) for found in some_sets) > 40


@given(context=hostile_contexts(), now=instants())
def test_hostile_contexts_can_at_least_be_shown(context: Any, now: int):
    assert repr(type(context))
    assert isinstance(now, int)
