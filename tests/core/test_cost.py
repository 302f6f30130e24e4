"""
What loads and decisions cost, counted instead of timed: calls of functions, bytes, objects that the collector looks at.

The bounds leave room for other versions of Python; they are there for the day on which something costs twice as much.
"""

import gc
import json
import tracemalloc
from collections import Counter
from typing import Any

import pytest

from grayflow.core.codec import decode_flag, encode
from grayflow.core.context import Context
from grayflow.core.snapshot import Snapshot
from tests.core.counting import calls

FLAGS = 1_000
CONTEXT = Context(user_id="user-42", country="DE", attributes={"plan": "pro", "age": 34})


def looks_up(name: str, *values: Any) -> dict[str, Any]:
    return {"type": "attribute", "name": name, "op": "in", "values": list(values)}


def usual(number: int) -> bytes:
    """Return a document of about 300 bytes, as stores hold it."""
    rules = [
        {"name": "staff", "when": [looks_up("country", "DE", "FR")], "serve": "on"},
        {"percent": number % 100, "serve": "on"},
    ]
    care = {"owner": f"team-{number % 17}", "description": "What this flag is for, in a sentence.", "tags": ["gray"]}
    document = {"key": f"flag-{number}", "enabled": True, "otherwise": "off", "rules": rules, **care}
    return encode(decode_flag(json.dumps(document).encode()))


DOCUMENTS = [usual(number) for number in range(FLAGS)]


def decided(snapshot: Snapshot, key: str = "f") -> Counter[str]:
    """Count the calls of one decision, when the flag is compiled."""
    compiled = snapshot.compiled(key)
    assert compiled is not None
    return calls(lambda: compiled.evaluate(CONTEXT, 0, None))  # type: ignore[arg-type, return-value]


def flag(**fields: Any) -> Snapshot:
    return Snapshot.build([{"key": "f", "enabled": True, "otherwise": "off", **fields}])


CONDITIONS = [
    looks_up("country", "DE", "FR"),
    looks_up("plan", "pro"),
    {"type": "attribute", "name": "age", "op": "ge", "values": [18]},
    {"type": "attribute", "name": "country", "op": "starts_with", "values": ["D"]},
    {"type": "attribute", "name": "country", "op": "in", "values": ["FR"], "negate": True},
]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"rules": [{"percent": 50, "serve": "on"}]},
        {"rules": [{"when": CONDITIONS, "percent": 50, "serve": "on"}]},
        {"rules": [{"when": [{"type": "any", "of": CONDITIONS}], "serve": "on"}]},
        {"targets": {"on": ["user-42"]}},
        {"rules": [{"when": [looks_up("country", f"c{n}")], "serve": "on"} for n in range(20)]},
        {"otherwise": {"weights": [["on", 50_000], ["off", 50_000]]}},
    ],
    ids=["plain", "percent", "all", "any", "targets", "row", "split"],
)
def test_a_decision_is_one_function_of_python(fields: dict[str, Any]) -> None:
    # The other one is the lambda of this test.
    assert decided(flag(**fields))["call"] == 2


@pytest.mark.parametrize("length", [4, 400])
def test_the_length_of_lists_and_rows_costs_nothing(length: int) -> None:
    row = [{"when": [looks_up("country", f"c{n}")], "serve": "on"} for n in range(length)]
    found = decided(flag(targets={"on": [f"u{n}" for n in range(length)]}, rules=row))

    # Beside the decision, which looks up without a call, there are the lambda of this test and the end of the counting.
    assert (found["call"], found["c_call"]) == (2, 1)


def test_a_decision_leaves_nothing_behind() -> None:
    compiled = Snapshot.build(DOCUMENTS).compiled("flag-7")
    assert compiled is not None
    evaluate: Any = compiled.evaluate
    evaluate(CONTEXT, 0, None)

    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(1_000):
        evaluate(CONTEXT, 0, None)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()

    assert grown < 1_000


def test_a_document_is_decoded_and_checked_in_few_calls() -> None:
    found = calls(lambda: Snapshot.build(DOCUMENTS))

    assert found["call"] / FLAGS < 45


def test_the_first_evaluation_of_a_known_shape_takes_few_calls_and_compiles_nothing() -> None:
    snapshot = Snapshot.build(DOCUMENTS)
    snapshot.compiled("flag-99")
    snapshot.compiled("flag-0")

    found = calls(lambda: [snapshot.compiled(f"flag-{number}") for number in range(1, 99)])

    assert found["compile"] == 0
    assert found["call"] / 98 < 150


def test_a_large_flag_is_compiled_from_few_sources() -> None:
    leaves = [[looks_up(f"attribute-{n}", n), {"type": "not", "of": looks_up("country", f"c{n}")}] for n in range(300)]
    large = flag(rules=[{"when": [{"type": "any", "of": of}, of[1]], "serve": "on"} for of in leaves])

    found = calls(lambda: large.compiled("f"))

    assert found["compile"] < 10


def test_flags_weigh_little_and_are_none_of_the_collectors_business() -> None:
    first = Snapshot.build(DOCUMENTS[:2])
    first.compiled("flag-0")
    gc.collect()
    tracked = len(gc.get_objects())
    tracemalloc.start()

    snapshot = Snapshot.build(DOCUMENTS)
    loaded = tracemalloc.get_traced_memory()[0]
    gc.collect()
    tracked_loaded = len(gc.get_objects()) - tracked
    for key in snapshot.flags:
        snapshot.compiled(key)
    compiled = tracemalloc.get_traced_memory()[0] - loaded
    gc.collect()
    tracked_compiled = len(gc.get_objects()) - tracked
    tracemalloc.stop()

    assert loaded / FLAGS < 1.7 * 1024
    assert compiled / FLAGS < 0.8 * 1024
    assert tracked_loaded < FLAGS / 10
    assert tracked_compiled < 3 * FLAGS
