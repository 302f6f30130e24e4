"""Snapshots: built from anything, changed one document at a time, and never raising."""

import copy
import json
import pickle
from datetime import UTC, datetime
from random import Random
from typing import Any

import msgspec
import orjson
import pytest

from grayflow.core.context import Context, as_context
from grayflow.core.decision import ErrorCode, Reason
from grayflow.core.extensions import Extensions, Hash
from grayflow.core.flag import Flag
from grayflow.core.position import Document
from grayflow.core.snapshot import Snapshot
from grayflow.errors import InvalidFlagError


class ShopContext(Context, frozen=True, kw_only=True):
    store_id: str
    basket: int = 0


def document(**fields: Any) -> Document:
    return Document(7, json.dumps(fields).encode())


ON = {"key": "f", "enabled": True}


@pytest.mark.parametrize(
    "flags",
    [
        [Flag(key="f", enabled=True)],
        [ON],
        {"f": {"enabled": True}},
        {"f": Flag(key="f", enabled=True)},
        [json.dumps(ON)],
        [json.dumps(ON).encode()],
        json.dumps([ON]),
        json.dumps({"f": {"enabled": True}}).encode(),
        json.dumps(ON),
        (one for one in [ON]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_snapshot_is_built_from_any_form(flags: Any) -> None:
    assert Snapshot.build(flags).evaluate("f", default=False).value is True


def test_text_that_is_no_json_is_refused_at_once() -> None:
    with pytest.raises(InvalidFlagError, match="not JSON"):
        Snapshot.build("{")


def test_a_bad_flag_is_isolated_and_named() -> None:
    snapshot = Snapshot.build([ON, {"key": "bad", "rules": [{"percent": 200}]}])

    found = snapshot.evaluate("bad", default="d")

    assert (found.value, found.reason, found.error) == ("d", Reason.ERROR, ErrorCode.PARSE_ERROR)
    assert "rules[0].percent" in found.detail
    assert snapshot.evaluate("f", default=False).value is True
    assert [problem.key for problem in snapshot.problems] == ["bad"]


def test_a_flag_that_stops_decoding_keeps_its_last_good_form() -> None:
    good = Snapshot.build([ON]).apply("flag", "f", document(**ON), None)

    bad = good.apply("flag", "f", Document(8, b'{"key": "f", "enabled": "yes"}'), None)

    assert bad.evaluate("f", default=False).value is True
    assert bad.evaluate("f").revision == 7
    assert [problem.path for problem in bad.problems] == ["enabled"]
    assert bad.apply("flag", "f", document(key="f"), None).problems == ()


def test_a_change_makes_a_new_snapshot_and_leaves_the_old_one_alone() -> None:
    old = Snapshot.build([ON])

    new = old.apply("flag", "f", document(key="f"), None)

    assert old.evaluate("f", default=False).value is True
    assert new.evaluate("f", default=True).value is False
    assert new.apply("flag", "f", None, None).evaluate("f").error is ErrorCode.FLAG_NOT_FOUND


def test_many_changes_keep_every_flag() -> None:
    snapshot = Snapshot.build([{"key": f"f{number}"} for number in range(200)])

    for number in range(0, 400, 2):
        snapshot = snapshot.apply("flag", f"f{number}", document(key=f"f{number}", enabled=True), None)
    for number in range(0, 100, 2):
        snapshot = snapshot.apply("flag", f"f{number}", None, None)

    assert len(snapshot.flags) == len(list(snapshot.flags)) == 250
    assert all(snapshot.evaluate(f"f{n}", default=False).value is (n % 2 == 0) for n in range(100, 200))
    assert "f0" not in snapshot.flags


def test_a_circle_appears_and_goes_with_the_change_that_closes_and_opens_it() -> None:
    needs_b = {"key": "a", "enabled": True, "requires": [{"type": "flag", "key": "b"}]}
    needs_a = {"key": "b", "enabled": True, "requires": [{"type": "flag", "key": "a"}]}
    snapshot = Snapshot.build([needs_b, {"key": "b", "enabled": True}])

    closed = snapshot.apply("flag", "b", document(**needs_a), None)
    opened = closed.apply("flag", "b", document(key="b", enabled=True), None)

    assert snapshot.evaluate("a", default=False).value is True
    assert closed.evaluate("a").error is ErrorCode.CYCLE
    assert {problem.key for problem in closed.problems} == {"a", "b"}
    assert opened.evaluate("a", default=False).value is True


def test_a_lattice_of_requirements_costs_no_more_than_its_size() -> None:
    """Forty layers of two flags that both need both of the layer below: 2**40 ways down."""
    flags: list[dict[str, Any]] = [{"key": f"{side}0", "enabled": True} for side in "lr"]
    for layer in range(1, 41):
        below = [{"type": "flag", "key": f"{side}{layer - 1}"} for side in "lr"]
        flags += [{"key": f"{side}{layer}", "enabled": True, "requires": below} for side in "lr"]

    assert Snapshot.build(flags).evaluate("l40", default=False).value is True


def test_a_typed_context_is_read_by_its_fields() -> None:
    rule = {"when": [{"type": "attribute", "name": "store_id", "op": "in", "values": ["sz-7"]}], "serve": "on"}
    flags = [{"key": "f", "enabled": True, "otherwise": "off", "rules": [rule]}]
    snapshot = Snapshot.build(flags, context_type=ShopContext)

    assert snapshot.evaluate("f", ShopContext(store_id="sz-7"), default=False).value is True
    assert snapshot.evaluate("f", {"store_id": "sz-7"}, default=False).value is True
    assert snapshot.evaluate("f", {}, default=True).value is False
    assert snapshot.evaluate("f", Context(attributes={"store_id": "sz-7"}), default=False).value is True


def test_a_mapping_becomes_fields_and_attributes_as_given() -> None:
    found = as_context({"user_id": 42, "plan": "pro", "attributes": {"a": 1, "plan": "free"}}, ShopContext)

    assert (found.user_id, found.store_id) == (42, None)
    assert found.attributes == {"a": 1, "plan": "pro"}


@pytest.mark.parametrize("context", [5, "u1", object(), [("user_id", "u1")], b"x"])
def test_a_context_that_is_none_gives_the_default_with_the_reason(context: Any) -> None:
    found = Snapshot.build([ON]).evaluate("f", context, default=False)

    assert (found.value, found.error) == (False, ErrorCode.INVALID_CONTEXT)


@pytest.mark.parametrize("key", [None, 5, [], {}, "", "\ud800"])
def test_a_key_that_is_none_gives_the_default(key: Any) -> None:
    assert Snapshot.build([ON]).evaluate(key, default="d").value == "d"


def test_fresh_decisions_are_shared() -> None:
    snapshot = Snapshot.build([ON])

    assert snapshot.evaluate("f", default=False) is snapshot.evaluate("f", {"user_id": "u"}, default=True)


def test_json_values_refuse_mutation_and_encode_everywhere() -> None:
    value = {"a": [1, {"b": None}]}
    flags = [{"key": "f", "kind": "json", "enabled": True, "variants": {"v": value}, "otherwise": "v"}]

    found = Snapshot.build(flags).evaluate("f").value

    for change in (
        lambda: found.update(a=1),
        lambda: found["a"].append(2),
        lambda: found["a"][1].__setitem__("b", 1),
        lambda: found.__delitem__("a"),
    ):
        with pytest.raises(TypeError, match=r"copy\.deepcopy"):
            change()
    assert json.loads(json.dumps(found)) == orjson.loads(orjson.dumps(found)) == value
    assert msgspec.json.decode(msgspec.json.encode(found)) == value
    for plain in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert plain == value
        assert type(plain) is dict
        assert type(plain["a"]) is list


def test_a_foreign_hash_decides_and_its_failures_are_absent_ids() -> None:
    def by_length(salt: str, unit: str) -> int:
        if unit == "raises":
            raise RuntimeError
        return 10 if unit == "leaves" else len(unit)

    flags = [
        {"key": "bucket", "enabled": True, "otherwise": "off",
         "rules": [{"when": [{"type": "bucket", "ranges": [[2, 4]], "hash": "len"}], "serve": "on"}]},
        {"key": "split", "kind": "string", "enabled": True, "variants": {"short": "s", "long": "l"}, "off": "long",
         "otherwise": {"weights": [["short", 3], ["long", 7]], "hash": "len"}},
    ]  # fmt: skip
    snapshot = Snapshot.build(flags, extensions=Extensions(hashes={"len": Hash(10, by_length)}))

    answers = {u: snapshot.evaluate("bucket", {"user_id": u}, default=False).value for u in ("a", "ab", "abcd")}
    assert answers == {"a": False, "ab": True, "abcd": False}
    assert [snapshot.evaluate("split", {"user_id": u}).value for u in ("ab", "abc")] == ["s", "l"]
    assert snapshot.problems == ()
    for unit in ("raises", "leaves"):
        assert snapshot.evaluate("bucket", {"user_id": unit}, default=True).value is False
        assert snapshot.evaluate("split", {"user_id": unit}).error is ErrorCode.TARGETING_KEY_MISSING
    assert {problem.key: problem.path for problem in snapshot.problems} == {
        "bucket": "rules[0].when[0].hash",
        "split": "otherwise.hash",
    }


def test_a_foreign_hash_gets_the_salt_of_a_native_bucket_without_a_lane() -> None:
    salts: list[str] = []

    def spy(salt: str, unit: str) -> int:
        salts.append(salt)
        return 0

    bucket = {"type": "bucket", "ranges": [[0, 1]], "hash": "spy"}
    flags = [
        {"key": "own", "enabled": True, "rules": [{"when": [bucket], "serve": "on"}]},
        {"key": "flag", "enabled": True, "salt": "", "rules": [{"when": [bucket], "serve": "on"}]},
        {"key": "given", "enabled": True, "rules": [{"when": [{**bucket, "salt": "s"}], "serve": "on"}]},
        {"key": "seg", "enabled": True, "salt": "x", "rules": [{"when": [{"type": "segment", "key": "g"}]}]},
        {"key": "salted", "enabled": True, "rules": [{"when": [{"type": "segment", "key": "h"}]}]},
    ]
    segments = [{"key": "g", "when": [bucket]}, {"key": "h", "salt": "z", "when": [bucket]}]
    snapshot = Snapshot.build(flags, segments, extensions=Extensions(hashes={"spy": Hash(1, spy)}))

    for key in ("own", "flag", "given", "seg", "salted"):
        snapshot.evaluate(key, {"user_id": "u"})

    assert salts == ["own", "", "s", "g", "z"]


def test_a_naive_now_is_an_error_in_the_decision() -> None:
    flags = [{**ON, "expires_at": "2027-01-01T00:00:00Z"}]
    snapshot = Snapshot.build(flags)

    assert snapshot.evaluate("f", default=False, now=datetime(2026, 1, 1)).error is ErrorCode.NOW_MISSING  # noqa: DTZ001
    assert snapshot.evaluate("f", default=False, now=datetime(2026, 1, 1, tzinfo=UTC)).value is True


def test_flags_of_one_shape_share_their_code() -> None:
    snapshot = Snapshot.build([{"key": "a", "enabled": True}, {"key": "b", "enabled": True, "off": None}])
    one, other = snapshot.compiled("a"), snapshot.compiled("b")

    assert one is not None
    assert other is not None
    assert one.evaluate.__code__ is other.evaluate.__code__


def looking_up(*rules: dict[str, Any]) -> Snapshot:
    """Return the flag `f`, whose rules look `country` up and serve `on`."""
    when = [{"type": "attribute", "name": "country", "op": "in", **rule} for rule in rules]
    return Snapshot.build([{**ON, "otherwise": "off", "rules": [{"when": [each], "serve": "on"} for each in when]}])


def test_of_many_rules_that_list_a_value_the_first_answers() -> None:
    snapshot = looking_up(*({"values": [f"c{n}", "DE"]} for n in range(5)), {"values": ["DE", "FR"], "absent": True})

    found = [snapshot.evaluate("f", {"country": country}).rule for country in ("DE", "FR", "c3", ["c3", "c1"], None)]

    assert found == [0, 5, 3, 1, 5]


def test_rules_that_read_a_value_differently_are_not_looked_up_together() -> None:
    texts = [{"values": [str(n)], "coerce": "text"} for n in range(4)]
    snapshot = looking_up(*({"values": [n]} for n in range(2, 6)), *texts)

    assert [snapshot.evaluate("f", {"country": country}).rule for country in (3, "3", 3.0, 1)] == [1, 7, 1, 5]
    assert snapshot.evaluate("f", {"country": True}).variant == "off"


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"serve": {"weights": [["on", 100_000]]}}, Reason.SPLIT),
        ({"percent": 100, "serve": "on"}, Reason.SPLIT),
        ({"percent": 0, "serve": "on"}, Reason.DEFAULT),
    ],
)
def test_rules_that_look_up_and_then_share_are_no_look_ups(rule: dict[str, Any], reason: Reason) -> None:
    when = [{"type": "attribute", "name": "country", "op": "in", "values": ["DE"]}]
    snapshot = Snapshot.build([{**ON, "otherwise": "off", "rules": [{"when": when, **rule}] * 5}])

    assert snapshot.evaluate("f", {"user_id": "u", "country": "DE"}).reason is reason


def test_now_is_the_instant_in_however_many_rules() -> None:
    snapshot = looking_up(*({"name": "now", "values": ["x"]} for _ in range(5)))

    assert snapshot.evaluate("f", {"now": "x"}, now=0).variant == "off"


@pytest.mark.parametrize("unit", ["\ud800", "u\udfff", b"u", 1.5, None])
def test_what_no_host_could_hash_is_no_id(unit: Any) -> None:
    shared = {**ON, "otherwise": {"weights": [["on", 100_000]]}, "targets": {"on": ["u"]}}
    snapshot = Snapshot.build([{**shared, "rules": [{"percent": 100, "serve": "on"}]}])

    assert snapshot.evaluate("f", {"user_id": unit}).error is ErrorCode.TARGETING_KEY_MISSING


class UnreadableError(Exception):
    """An error that cannot even be shown."""

    def __str__(self) -> str:
        raise ValueError


class Closed:
    """An object that refuses every question."""

    def get(self, name: str) -> Any:
        raise UnreadableError

    @property
    def tzinfo(self) -> Any:
        raise UnreadableError


@pytest.mark.parametrize(
    ("attributes", "now", "error"),
    [({}, Closed(), ErrorCode.NOW_MISSING), ({}, "2026", ErrorCode.NOW_MISSING), (Closed(), None, ErrorCode.GENERAL)],
)
def test_no_argument_however_hostile_makes_evaluation_raise(attributes: Any, now: Any, error: ErrorCode) -> None:
    rule = {"when": [{"type": "attribute", "name": "plan", "op": "in", "values": ["pro"]}]}
    snapshot = Snapshot.build([{**ON, "rules": [rule]}])

    found = snapshot.evaluate("f", Context(attributes=attributes), default="d", now=now)

    assert (found.value, found.error) == ("d", error)


def chained(kind: str, length: int) -> Snapshot:
    """Return a snapshot of documents that each need the one before; the last is the flag `last`."""
    last = {"key": "last", "enabled": True, "requires": [{"type": kind, "key": f"{kind}{length - 1}"}]}
    if kind == "flag":
        flags: list[dict[str, Any]] = [{"key": "flag0", "enabled": True, "by": "id", "targets": {"off": ["x"]}}]
        for n in range(1, length):
            needs = {"type": "flag", "key": f"flag{n - 1}", "variants": ["on"]}
            flags.append({"key": f"flag{n}", "enabled": True, "requires": [needs]})
        return Snapshot.build([*flags, last])
    segments: list[dict[str, Any]] = [{"key": "segment0", "by": "id", "include": ["y"]}]
    segments += [
        {"key": f"segment{n}", "when": [{"type": "segment", "key": f"segment{n - 1}"}]} for n in range(1, length)
    ]
    return Snapshot.build([last], segments)


@pytest.mark.parametrize("kind", ["flag", "segment"])
@pytest.mark.parametrize("length", [48, 49, 50, 51, 52, 100, 101, 102, 3000])
def test_a_chain_may_be_longer_than_the_stack_of_python(kind: str, length: int) -> None:
    snapshot = chained(kind, length)

    assert snapshot.evaluate("last", {"id": "y"}, default=None).value is True
    assert snapshot.evaluate("last", {"id": "x"}, default=None).value is False


def test_a_change_of_needs_finds_circles_as_a_build_does() -> None:
    """Every change among five documents with random needs: applied one by one, and built afresh."""
    chance = Random(7)
    nodes = [("flag", "a"), ("flag", "b"), ("flag", "c"), ("segment", "a"), ("segment", "b")]
    snapshot = Snapshot.build([])
    held: dict[tuple[str, str], dict[str, Any]] = {}
    for _ in range(600):
        kind, key = chance.choice(nodes)
        needs = [{"type": kind, "key": key} for kind, key in nodes if chance.random() < 0.25]
        held[kind, key] = {"key": key, ("requires" if kind == "flag" else "when"): needs}
        snapshot = snapshot.apply(kind, key, document(**held[kind, key]), None)
        fresh = Snapshot.build(*([doc for (of, _), doc in held.items() if of == kind] for kind in ("flag", "segment")))

        assert snapshot.undecided == fresh.undecided
