"""Documents that are refused: each with flag, path, what was found and what is allowed."""

import json
from typing import Any

import pytest

from grayflow.core.codec import check, decode_flag, decode_segment, encode
from grayflow.core.extensions import Extensions, Hash
from grayflow.errors import ConfigurationError, InvalidFlagError


def flag(**fields: Any) -> bytes:
    return json.dumps({"key": "f", **fields}).encode()


def string_flag(**fields: Any) -> bytes:
    return flag(kind="string", **{"variants": {"a": "A", "b": "B"}, **fields})


IN_DE = {"type": "attribute", "name": "country", "op": "in", "values": ["DE"]}


def nested(depth: int) -> dict[str, Any]:
    condition: dict[str, Any] = IN_DE
    for _ in range(depth):
        condition = {"type": "not", "of": condition}
    return condition


REFUSED = [
    (flag(kye=1), "", "kye"),
    (b'{"key": "f", "enabled": 1}', "enabled", "bool"),
    (b'{"key": "f f"}', "key", "A-Z a-z 0-9 . _ : / -, found 'f f'"),
    (b'{"key": ""}', "key", "found ''"),
    (b'{"key": "f"', "", "truncated"),
    (b'{"key": "\xff"}', "", "UTF-8"),
    (b"[]", "", "object"),
    (flag(kind="number"), "kind", "'number' is none of 'boolean', 'string', 'integer', 'float', 'json'"),
    (flag(requires=[{"type": "flg"}]), "requires[0].type", "'flg' is none of 'all', 'any'"),
    (flag(on_failure="open"), "on_failure", "'open' is none of 'caller_default', 'last_known'"),
    (flag(variants={"on": 1}), "variants.on", "1 is no boolean value"),
    (flag(kind="string"), "variants", "needs variants of its own"),
    (flag(kind="integer", variants={"v": 1.0}), "variants.v", "1.0 is no integer value"),
    (flag(kind="integer", variants={"v": True}), "variants.v", "True is no integer value"),
    (flag(kind="float", variants={"v": True}), "variants.v", "True is no float value"),
    (flag(kind="string", variants={"v": None}), "variants.v", "None is no string value"),
    (flag(off="of"), "off", "there is no variant 'of'; the variants are 'on', 'off'"),
    (string_flag(otherwise="c"), "otherwise", "'c'"),
    (string_flag(rules=[{"serve": "c"}]), "rules[0].serve", "'c'"),
    (string_flag(on_failure={"variant": "c"}), "on_failure.variant", "'c'"),
    (string_flag(on_failure="open"), "on_failure", "open"),
    (string_flag(otherwise={"weights": [["a", 50000], ["b", 40000]]}), "otherwise.weights", "add up to 90000"),
    (string_flag(otherwise={"weights": [["a", 100000]], "ranges": []}), "otherwise", "either"),
    (string_flag(otherwise={}), "otherwise", "either"),
    (string_flag(otherwise={"weights": [["c", 100000]]}), "otherwise", "'c'"),
    (string_flag(otherwise={"weights": [["a", 100000]], "absent": "c"}), "otherwise", "'c'"),
    (string_flag(otherwise={"weights": [["a", -1], ["b", 100001]]}), "otherwise.weights[0][1]", ">= 0"),
    (string_flag(otherwise={"ranges": [["a", 0, 100001]]}), "otherwise.ranges[0]", "100001"),
    (string_flag(otherwise={"ranges": [["a", 5, 4]]}), "otherwise.ranges[0]", "before its start"),
    (flag(rules=[{"percent": 120}]), "rules[0].percent", "<= 100.0, found 120"),
    (flag(rules=[{"percent": 0.0001}]), "rules[0].percent", "three decimals"),
    (flag(rules=[{"when": [{"type": "bucket", "ranges": [[2, 1]]}]}]), "rules[0].when[0].ranges[0]", "before"),
    (flag(requires=[{"type": "flag", "key": "g", "off": True, "variants": []}]), "requires[0]", "not both"),
    (flag(requires=[{"type": "maybe"}]), "requires[0].type", "maybe"),
    (flag(targets={"on": ["u"], "off": ["u"]}), "targets.off", "'u' is listed under 'on' too"),
    (flag(targets={"on": [7], "off": ["7"]}), "targets.off", "'7'"),
    (flag(targets={"maybe": ["u"]}), "targets.maybe", "'maybe'"),
    (flag(targets={"on": [1.5]}), "targets", "float"),
    (flag(effective_at="2027-01-01T00:00:00"), "effective_at", "timezone"),
    (flag(by=[]), "by", "length >= 1"),
    (flag(by={"first": []}), "by.first", "length >= 1"),
    (flag(rules=[{"when": [nested(20), nested(40)]}]), "", "nested deeper than 32"),
    (b'{"key":"f","variants":{"on":' + b"9" * 5_000 + b"}}", "variants", "out of range"),
    (b'{"key":"f","enabled":5,"variants":{"on":1e999}}', "enabled", "Expected `bool`"),
    (flag(description="x" * 70_000), "", "beside the id lists; at most 65536"),
    (flag(targets={"on": ["x" * 100] * 12_000}), "", "at most 1048576"),
]


@pytest.mark.parametrize(("data", "path", "message"), REFUSED, ids=lambda value: str(value)[:60])
def test_a_bad_flag_is_refused_with_place_and_reason(data: bytes, path: str, message: str) -> None:
    with pytest.raises(InvalidFlagError) as caught:
        decode_flag(data, "f")

    problem = caught.value.problems[0]
    assert problem.key == "f"
    assert problem.path.startswith(path)
    assert message in problem.message
    assert "'f'" in str(caught.value)


def test_long_id_lists_do_not_count_as_document() -> None:
    found = decode_flag(flag(targets={"on": [f"user-{number}" for number in range(20_000)]}))

    assert len(found.targets["on"]) == 20_000


def test_a_document_stored_under_another_name_is_refused() -> None:
    with pytest.raises(InvalidFlagError, match="stored as 'g'"):
        decode_flag(flag(), "g")


def test_numbers_that_python_holds_equal_to_the_usual_variants_are_variants_of_their_own() -> None:
    assert decode_flag(flag(kind="integer", variants={"on": 1, "off": 0})).variants == {"on": 1, "off": 0}


def test_flags_with_the_usual_variants_share_them() -> None:
    left_out, written = decode_flag(flag()), decode_flag(flag(variants={"off": False, "on": True}))

    assert written.variants is left_out.variants
    assert decode_flag(encode(written)) == written
    assert decode_flag(flag(kind="json", variants={"on": True, "off": False})).variants is not left_out.variants


def test_every_problem_comes_with_the_path_of_its_condition() -> None:
    both = {"type": "flag", "key": "g", "off": True, "variants": []}
    turned = {"type": "bucket", "ranges": [[0, 1], [2, 1]]}
    data = flag(
        requires=[both, {"type": "not", "of": both}], rules=[{"when": [{"type": "any", "of": [IN_DE, turned]}]}]
    )

    with pytest.raises(InvalidFlagError) as caught:
        decode_flag(data)

    paths = [problem.path for problem in caught.value.problems]
    assert paths == ["requires[0]", "requires[1].of", "rules[0].when[0].of[1].ranges[1]"]


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (b'{"key": "s", "include": [1.5]}', "include[0]"),
        (b'{"key": "s", "when": [{"type": "segment"}]}', "when[0]"),
        (b'{"key": "s", "by": []}', "by"),
    ],
)
def test_a_bad_segment_is_refused_with_its_place(data: bytes, path: str) -> None:
    with pytest.raises(InvalidFlagError) as caught:
        decode_segment(data)

    assert caught.value.problems[0].path == path
    assert caught.value.problems[0].kind == "segment"


@pytest.mark.parametrize(
    ("condition", "path"),
    [
        ({"type": "attribute", "name": "a", "op": "near", "values": ["x"]}, "op"),
        ({"type": "attribute", "name": "a", "op": "matches", "values": ["("]}, "values[0]"),
        ({"type": "attribute", "name": "a", "op": "cidr", "values": ["10.0.0.0/8", "10.0.0.0/99"]}, "values[1]"),
        ({"type": "bucket", "ranges": [[0, 1]], "hash": "md5"}, "hash"),
    ],
)
def test_what_only_blunts_a_condition_decodes_and_is_refused_on_write(condition: dict[str, Any], path: str) -> None:
    found = decode_flag(flag(rules=[{"when": [condition]}]))

    with pytest.raises(InvalidFlagError) as caught:
        check(found, Extensions())
    assert caught.value.problems[0].path == f"rules[0].when[0].{path}"


def test_weights_under_a_foreign_hash_add_up_to_its_size() -> None:
    found = decode_flag(string_flag(otherwise={"weights": [["a", 4], ["b", 6]], "hash": "tenths"}))

    check(found, Extensions(hashes={"tenths": Hash(10, lambda salt, unit: 0)}))
    with pytest.raises(InvalidFlagError, match=r"add up to 10; the hash 'tenths' has 11"):
        check(found, Extensions(hashes={"tenths": Hash(11, lambda salt, unit: 0)}))


def test_extensions_that_could_never_work_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="'h' has size 0"):
        Extensions(hashes={"h": Hash(0, lambda salt, unit: 0)})
    with pytest.raises(ConfigurationError, match="'in' is built in"):
        Extensions(operators={"in": lambda value, values: True})


def test_canonical_bytes_keep_the_order_that_means_something() -> None:
    document = string_flag(otherwise={"weights": [["b", 40000], ["a", 60000]]}, metadata={"z": 1, "a": 2})

    encoded = encode(decode_flag(document))

    assert encoded.index(b'["b",40000]') < encoded.index(b'["a",60000]')
    assert encoded.index(b'"a":2') < encoded.index(b'"z":1')
    assert encode(decode_flag(encoded)) == encoded
