"""What differs between two versions, and what does not."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from grayflow.admin.diff import Difference, diff, path_text, plain
from grayflow.core.codec import encode
from grayflow.core.flag import Flag
from grayflow.testing.builders import flag
from grayflow.testing.strategies import flags, segments

DOCUMENTS = flags(key="x") | segments(key="x")


def told(before: Any, after: Any) -> list[tuple[str, Any, Any]]:
    return [(one.place, one.before, one.after) for one in diff(before, after)]


def at(value: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


def same(one: Any, other: Any) -> bool:
    return msgspec.json.encode(one, order="sorted") == msgspec.json.encode(other, order="sorted")


@given(DOCUMENTS)
def test_a_document_does_not_differ_from_itself(one):
    assert diff(one, one) == ()
    assert diff(encode(one), one, "flag" if isinstance(one, Flag) else "segment") == ()


@given(flags(key="x"), flags(key="x"))
def test_two_documents_differ_exactly_if_their_bytes_do(one: Flag, other: Flag):
    assert (diff(one, other) == ()) == (encode(one) == encode(other))


@given(flags(key="x"), flags(key="x"))
def test_every_difference_is_true(one: Flag, other: Flag):
    before, after = plain(one), plain(other)
    for found in diff(one, other):
        if found.after is UNSET:
            assert same(at(before, found.path), found.before)
        else:
            assert same(at(after, found.path), found.after)


@given(st.lists(st.integers(0, 5), max_size=6), st.lists(st.integers(0, 5), max_size=6))
def test_ids_that_came_and_went_are_told_and_no_others(old: list[int], new: list[int]):
    found = diff(flag("x", targets={"on": set(old)}), flag("x", targets={"on": set(new)}))
    came = {one.after for one in found if one.after is not UNSET and len(one.path) == 3}
    went = {one.before for one in found if one.before is not UNSET and len(one.path) == 3}

    if old and new:
        assert (came, went) == (set(new) - set(old), set(old) - set(new))


def test_a_rule_put_in_front_is_the_only_difference():
    rule, staff = {"name": "canary", "percent": 10}, {"name": "staff"}

    assert told(flag("x", rules=[rule]), flag("x", rules=[staff, rule])) == [("rules[0]", UNSET, staff)]
    assert told(flag("x", rules=[staff, rule]), flag("x", rules=[rule])) == [("rules[0]", staff, UNSET)]


def test_a_change_inside_a_rule_is_told_by_its_place():
    before, after = (flag("x", rules=[{"name": "staff"}, {"percent": percent}]) for percent in (10, 50))

    assert told(before, after) == [("rules[1].percent", 10, 50)]


def test_of_a_long_list_only_the_new_id_shows():
    ids = [f"u-{number}" for number in range(5_000)]

    assert told(flag("x", targets={"on": ids}), flag("x", targets={"on": [*ids, "new"]})) == [
        ("targets.on[5000]", UNSET, "new")
    ]


def test_true_is_not_one():
    one = flag("x", kind="json", variants={"a": True, "b": 1})
    other = flag("x", kind="json", variants={"a": 1, "b": 1.0})

    assert [place for place, *_ in told(one, other)] == ["variants.a", "variants.b"]


def test_creation_and_deletion_show_every_field():
    created = diff(None, flag("x", enabled=True))

    assert Difference(("enabled",), after=True) in created
    assert all(one.before is UNSET for one in created)
    assert [one.path for one in diff(flag("x", enabled=True), None)] == [one.path for one in created]
    assert diff(None, None) == ()


def test_documents_that_cannot_be_read_are_compared_as_they_are():
    assert told(b'{"key":"x","new":1}', b'{"key":"x","new":2}') == [("new", 1, 2)]
    assert told(b"nonsense", b"other") == [("", "nonsense", "other")]


@pytest.mark.parametrize(
    ("path", "text"),
    [((), ""), (("rules", 2, "percent"), "rules[2].percent"), (("targets", "on"), "targets.on"), ((0, "a"), "[0].a")],
)
def test_paths_read_as_in_messages(path: tuple, text: str):
    assert path_text(path) == text
