"""
Documents at their limits, made so that one careless step costs the square of their size.

Bounds are of the processor's time, and wide: what is linear takes a few hundredths of a second, what is not took from
seven seconds to an hour.
"""

import json
from time import thread_time
from typing import Any

import pytest

from grayflow.core.codec import MAX_BYTES, check, decode_flag
from grayflow.core.extensions import Extensions
from grayflow.core.lint import lint
from grayflow.core.position import Document
from grayflow.core.snapshot import Builder
from grayflow.errors import InvalidFlagError
from tests.hostile.corpus import NOW

IN = {"type": "attribute", "name": "plan", "op": "in", "values": ["x"]}
CONTEXT = {"user_id": "u-1", "plan": "a" * 600, "tags": ["a" * 100] * 50}
ENOUGH_S = 5.0


def flag(**fields: Any) -> bytes:
    return json.dumps({"key": "f", "enabled": True, **fields}, separators=(",", ":")).encode()


def asking(op: str, values: list[Any], **fields: Any) -> bytes:
    return flag(rules=[{"when": [{**IN, "op": op, "values": values, **fields}]}])


def text(**fields: Any) -> bytes:
    return flag(kind="string", **fields)


VALID = {
    "many rules": flag(rules=[{"when": [IN]}] * 900),
    "many conditions": flag(rules=[{"when": [{"type": "any", "of": [IN] * 1000}]}]),
    "many percentages": flag(rules=[{"percent": number / 1000} for number in range(3500)]),
    "many values": asking("in", [f"x{number}" for number in range(5500)]),
    "many patterns": asking("matches", [f"(a|b)*c{number}" for number in range(3500)]),
    "many networks": asking("cidr", [f"10.0.{number // 250}.{number % 250}/32" for number in range(3300)]),
    "many texts": asking("contains", [f"z{number}" for number in range(5500)], name="tags"),
    "a long version": asking("semver_lt", ["1.2.3-" + "a." * 29_000 + "a"]),
    "many ids": flag(targets={"on": [f"user-{number}" for number in range(80_000)]}),
    "many ranges": flag(rules=[{"when": [{"type": "bucket", "ranges": [[i, i + 1] for i in range(5000)]}]}]),
    "many weights": flag(otherwise={"weights": [["on", 10]] * 5000 + [["on", 50_000]]}),
    "many requirements": flag(requires=[{"type": "flag", "key": f"g{number}"} for number in range(1800)]),
    "many segments": flag(rules=[{"when": [{"type": "segment", "key": f"s{number}"}]} for number in range(1500)]),
    "many names for each id": flag(by={"first": [f"a{i}" for i in range(50)]}, rules=[{"percent": 1}] * 3000),
    "a long path": flag(rules=[{"when": [{**IN, "name": "a." * 29_000}]}]),
    "one name many times": b"{" + b",".join([b'"key":"f"'] * 100_000) + b"}",
    "a megabyte of room": b" " * 1_000_000 + b'{"key":"f"}',
}
BROKEN = {
    "an open string of quotes": b"[]" * 33 + b'"' + b'\\"' * 500_000,
    "an open string of escapes": b"[]" * 33 + b'"' + b"\\" * 1_000_000,
    "many lists": b"[]" * 500_000,
    "a deep list": b"[" * 1_000_000,
    "a deep object": b'{"a":' * 200_000,
    "one long number": b'{"key":"f","variants":{"on":' + b"9" * 1_000_000 + b"}}",
    "one long key": b'{"key":"' + b"a" * 1_000_000 + b'"}',
    "many unknown fields": b'{"key":"f",' + b",".join(b'"u%d":1' % number for number in range(90_000)) + b"}",
    "missing variants in rules": text(variants={f"v{i}": "" for i in range(3000)}, rules=[{"serve": "x"}] * 1900),
    "missing variants in targets": text(
        variants={f"v{i}": "" for i in range(2000)}, targets={f"w{i}": [f"a{i}"] for i in range(50_000)}
    ),
    "missing variants in a split": text(
        variants={f"v{i}": "" for i in range(3000)}, otherwise={"weights": [[f"w{i}", 1] for i in range(1900)]}
    ),
    "ids that stand twice": flag(targets={"on": ["u"] * 150_000, "off": ["u"] * 100_000}),
    "very many names for an id": flag(by={"first": [f"a{number}" for number in range(8000)]}),
}


@pytest.mark.parametrize("name", VALID)
def test_a_valid_document_at_its_limits_is_quickly_read_written_and_decided(name: str) -> None:
    data = VALID[name]
    assert len(data) <= MAX_BYTES
    began = thread_time()

    found = decode_flag(data)
    check(found, Extensions())
    lint([found], [], now=NOW)
    builder = Builder()
    builder.add_flag("f", Document(1, data))
    decision = builder.build(None).evaluate("f", CONTEXT, now=NOW)

    assert decision.error is None
    assert thread_time() - began < ENOUGH_S


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_document_at_its_limits_is_quickly_refused_in_few_words(name: str) -> None:
    began = thread_time()

    with pytest.raises(InvalidFlagError) as caught:
        decode_flag(BROKEN[name][:MAX_BYTES])

    assert thread_time() - began < ENOUGH_S
    assert len(str(caught.value)) < 20_000


def test_of_very_many_problems_the_first_are_told() -> None:
    with pytest.raises(InvalidFlagError) as caught:
        decode_flag(BROKEN["ids that stand twice"])

    assert len(caught.value.problems) == 51
    assert caught.value.problems[-1].message == "and more; these are the first 50"


def test_of_very_many_variants_the_first_are_named() -> None:
    with pytest.raises(InvalidFlagError, match=r"the variants are 'v0', .*, 'v9' and 2990 more"):
        decode_flag(BROKEN["missing variants in rules"])


def test_the_problems_that_blunt_a_flag_are_few_in_memory() -> None:
    builder = Builder()
    builder.add_flag("f", Document(1, asking("cidr", [f"zz{number}" for number in range(7000)])))

    problems = builder.build(None).problems

    assert len(problems) == 51
