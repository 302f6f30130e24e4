"""Who must not stop for long is told how much there is to compile, and can have it over with beforehand."""

import json
from typing import Any

import pytest

from grayflow.core.position import Document
from grayflow.core.preparing import in_steps, pending
from grayflow.core.snapshot import Snapshot
from tests.core.counting import calls


def look_up(number: int) -> dict[str, Any]:
    return {"type": "attribute", "name": f"a{number}", "op": "in", "values": ["x"]}


def rule(*conditions: dict[str, Any]) -> dict[str, Any]:
    return {"when": list(conditions), "serve": "on"}


def flag(key: str = "f", **fields: Any) -> dict[str, Any]:
    return {"key": key, "enabled": True, "otherwise": "off", **fields}


def segment(key: str) -> dict[str, str]:
    return {"type": "segment", "key": key}


PATTERNS = {"type": "attribute", "name": "email", "op": "matches", "values": ["a+", "b+"]}
NESTED = {"type": "any", "of": [look_up(1), {"type": "not", "of": {"type": "all", "of": [look_up(2), look_up(3)]}}]}


@pytest.mark.parametrize(
    ("fields", "weight"),
    [
        ({}, 0),
        ({"rules": [rule(look_up(1), look_up(2)), rule(look_up(3))]}, 3),
        ({"requires": [NESTED], "rules": [rule({"type": "during"})]}, 4),
        ({"rules": [rule(PATTERNS)]}, 21),
    ],
    ids=["nothing", "rules", "nested", "patterns"],
)
def test_a_flag_is_as_much_as_it_holds(fields: dict[str, Any], weight: int) -> None:
    assert pending(Snapshot.build([flag(**fields)]), "f") == weight


def test_a_flag_is_as_much_as_all_that_it_reaches() -> None:
    other = flag("other", rules=[rule(look_up(1), segment("s"))])
    first = flag(rules=[rule({"type": "flag", "key": "other"}, segment("s"), segment("missing"))])
    members = {"key": "s", "when": [look_up(1), look_up(2)]}
    snapshot = Snapshot.build([first, other], [members])

    assert pending(snapshot, "f") == 3 + 2 + 2


def test_flags_in_a_circle_are_counted_once() -> None:
    circle = [flag(one, requires=[{"type": "flag", "key": other}]) for one, other in ("fg", "gf")]

    assert pending(Snapshot.build(circle), "f") == 2


@pytest.mark.parametrize("key", ["missing", "broken"])
def test_what_cannot_be_compiled_is_nothing(key: str) -> None:
    assert pending(Snapshot.build({"broken": {"key": "broken", "rules": 7}}), key) == 0


def test_what_was_decided_once_is_nothing() -> None:
    snapshot = Snapshot.build([flag(rules=[rule(look_up(1))])])

    snapshot.evaluate("f")

    assert pending(snapshot, "f") == 0


def test_after_a_change_only_what_changed_counts() -> None:
    snapshot = Snapshot.build([flag(rules=[rule(look_up(1), segment("s"))])], [{"key": "s", "when": [look_up(2)]}])
    snapshot.evaluate("f", {"a1": "x"})
    newer = Document(2, json.dumps({"key": "s", "when": [look_up(3), look_up(4), look_up(5)]}).encode())

    assert pending(snapshot.apply("segment", "s", newer, None), "f") == 3
    assert pending(snapshot.apply("segment", "other", None, None), "f") == 0


def test_after_all_steps_all_that_is_reached_is_compiled() -> None:
    first = flag(requires=[{"type": "flag", "key": "other"}], rules=[rule(segment("s"))])
    snapshot = Snapshot.build([first, flag("other")], [{"key": "s", "when": [look_up(1)]}])

    assert len(list(in_steps(snapshot, "f"))) == 3

    assert pending(snapshot, "f") == pending(snapshot, "other") == 0
    assert snapshot.segments["s"].is_compiled


def test_steps_are_short() -> None:
    snapshot = Snapshot.build([flag(rules=[rule(*map(look_up, range(400)))])])
    snapshot.compiled("f")
    again = Snapshot.build([flag(rules=[rule(*map(look_up, range(400, 800)))])])
    at_once = calls(lambda: again.compiled("f"))["call"]
    steps = in_steps(Snapshot.build([flag(rules=[rule(*map(look_up, range(800, 1200)))])]), "f")

    taken = [calls(lambda: next(steps))["call"] for _ in range(10)]

    assert max(taken) < at_once / 5


def test_a_flag_that_is_not_there_takes_no_work() -> None:
    snapshot = Snapshot.build([])

    list(in_steps(snapshot, "missing"))

    assert snapshot.compiled("missing") is None
