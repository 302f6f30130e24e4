"""How does the cost of a decision grow with rules, lists and flags, and that of a load with flags? For the plots."""

import gc
import json
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.harness import Row, Table, per_call
from benchmarks.workloads import CONTEXTS, many_flags
from grayflow.core.snapshot import Snapshot

__all__ = ["run"]

RULES = (1, 2, 5, 10, 20, 50, 100)
LENGTHS = (1, 10, 100, 1_000, 10_000, 100_000)
FLAGS = (10, 100, 1_000, 10_000, 50_000)
LOADS = (100, 1_000, 5_000, 10_000, 20_000, 50_000)


def run() -> list[Table]:
    """Measure each at several sizes; the rows are named by the size alone."""
    return [
        Table("evaluation against rules, the last matches", "ns", tuple(_rules())),
        Table("evaluation against rules of several attributes, the last matches", "ns", tuple(_mixed_rules())),
        Table("evaluation against ids in a list", "ns", tuple(_lists())),
        Table("evaluation against flags", "ns", tuple(_flags())),
        Table("load against flags", "ms", tuple(_loads())),
    ]


def _rules() -> Iterator[Row]:
    for count in RULES:
        rules = [_rule("country", f"X{number}", "off") for number in range(count - 1)]
        yield Row(str(count), _evaluated({"rules": [*rules, _rule("country", "DE", "on")]}, wanted=True))


def _mixed_rules() -> Iterator[Row]:
    names = ("country", "region", "device", "plan")
    for count in RULES:
        rules = [_rule(names[number % 4], f"X{number}", "off") for number in range(count - 1)]
        yield Row(str(count), _evaluated({"rules": [*rules, _rule("country", "DE", "on")]}, wanted=True))


def _lists() -> Iterator[Row]:
    for length in LENGTHS:
        listed = ["user-0", *(f"o{number}" for number in range(length - 1))]
        yield Row(str(length), _evaluated({"targets": {"on": listed}}, wanted=True))


def _flags() -> Iterator[Row]:
    for count in FLAGS:
        yield Row(str(count), _cost(Snapshot.build(many_flags(count)), "flag-7"))


def _loads() -> Iterator[Row]:
    for count in LOADS:
        documents = many_flags(count)
        yield Row(str(count), min(_load_ms(documents) for _ in range(3)))


def _load_ms(documents: list[bytes]) -> float:
    gc.collect()
    start = time.process_time()
    Snapshot.build(documents)
    return (time.process_time() - start) * 1000


def _rule(name: str, value: str, served: str) -> dict[str, Any]:
    return {"when": [{"type": "attribute", "name": name, "op": "in", "values": [value]}], "serve": served}


def _evaluated(flag: dict[str, Any], *, wanted: bool) -> float:
    document = {"key": "f", "enabled": True, "otherwise": "off", **flag}
    snapshot = Snapshot.build([json.dumps(document).encode()])
    assert snapshot.evaluate("f", CONTEXTS[0], default=False).value is wanted
    return _cost(snapshot, "f")


def _cost(snapshot: Snapshot, key: str) -> float:
    evaluate, context = snapshot.evaluate, CONTEXTS[0]
    return per_call(lambda: evaluate(key, context, default=False))
