"""The strategies make valid documents, reach everything that a document can say, and often make conditions hold."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

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


def _drawn(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """Return that many examples, the same ones each time."""
    found: list[Any] = []

    @settings(
        max_examples=count,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(strategy)
    def draw(example: Any) -> None:
        found.append(example)

    draw()
    return found


@pytest.fixture(scope="module")
def documents() -> str:
    return msgspec.json.encode(_drawn(flags(), 4_000)).decode()


@pytest.mark.parametrize(
    "piece",
    [
        *(f'"type":"{name}"' for name in ("all", "any", "not", "segment", "flag", "bucket", "during", "attribute")),
        *(f'"kind":"{name}"' for name in ("string", "integer", "float", "json")),
        *(f'"op":"{name}"' for name in sorted(BUILT_IN)),
        *('"weights":', '"ranges":', '"first":', '"hash":"digits"', '"hash":"unknown"', '"salt":""', '"percent":'),
        *('"negate":true', '"unreadable":true', '"fold":true', '"coerce":"text"', '"lenient":"any"', '"epoch":"ms"'),
        *('"targets":', '"requires":', '"effective_at":', '"expires_at":', '"on_failure":', '"archived":true'),
        *('"from":', '"until":', '"days":', '"off":true', '"key":"missing"', '"name":["address","country"]'),
    ],
)
def test_flags_reach_every_part_of_the_format(documents: str, piece: str):
    assert piece in documents


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


def test_flag_sets_have_circles_and_mostly_none():
    circular = [_circular(found) for found in _drawn(flag_sets(), 400)]

    assert 5 < sum(circular) < 100


def test_flag_sets_refer_to_each_other():
    drawn = _drawn(flag_sets(), 100)

    assert sum(any(needs & _rests_on(found).keys() for needs in _rests_on(found).values()) for found in drawn) > 20


@given(context=hostile_contexts(), now=instants())
def test_hostile_contexts_can_at_least_be_shown(context: Any, now: int):
    assert repr(type(context))
    assert isinstance(now, int)
