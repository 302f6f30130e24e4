"""Moving in from flagd: its flag definitions, what becomes what, and the report."""

from typing import Any

import pytest

from grayflow import ConfigurationError
from tests.admin.moving.kit import World

ON_OFF = {"on": True, "off": False}


def definition(targeting: Any = None, **fields: Any) -> dict[str, Any]:
    made = {"state": "ENABLED", "variants": ON_OFF, "defaultVariant": "off", **fields}
    return made if targeting is None else {**made, "targeting": targeting}


def world(targeting: Any = None, *, evaluators: Any = None, fractional: Any = 3, **fields: Any) -> World:
    export = {"flags": {"f": definition(targeting, **fields)}, "$evaluators": evaluators or {}}
    return World("flagd", export, fractional=fractional)


def if_(test: Any, then: Any = "on") -> dict[str, Any]:
    return {"if": [test, then]}


# The definitions


def test_flags_may_be_a_list_with_keys():
    found = World("flagd", {"flags": [{"key": "f", **definition(defaultVariant="on")}]})

    assert found.value("f") is True


def test_what_is_no_definition_is_refused():
    with pytest.raises(ConfigurationError, match="no object `flags`"):
        World("flagd", {"features": {}})


def test_a_flag_that_flagd_would_not_read_is_refused_and_the_others_are_taken():
    found = World("flagd", {"flags": {"bad": definition(state="MAYBE"), "good": definition()}})

    assert sorted(found.documents["flags"]) == ["good"]
    assert any("MAYBE" in told for told in found.told("refused"))
    assert not found.moved.complete


def test_a_key_that_is_none_here_gets_another_and_that_is_told():
    found = World("flagd", {"flags": {"neue kasse": definition()}})

    (key,) = found.documents["flags"]
    assert key != "neue kasse"
    assert f"the key is {key!r}" in found.told("changed")[0]


# What becomes what


def test_a_plain_flag_is_a_flag_that_serves_its_default():
    assert world(defaultVariant="on", metadata={"team": "shop"}).flag("f") == {
        "key": "f",
        "enabled": True,
        "variants": ON_OFF,
        "off": None,
        "otherwise": "on",
        "metadata": {"team": "shop"},
    }


def test_a_disabled_flag_leaves_the_answer_to_the_caller():
    found = world(state="DISABLED", defaultVariant="on")

    assert found.ask("f", default="mine").value == "mine"


def test_metadata_of_the_file_are_those_of_each_flag_and_the_flags_own_win():
    flags = {"f": definition(metadata={"owner": "f"}), "g": definition()}
    found = World("flagd", {"flags": flags, "metadata": {"owner": "file", "team": "shop"}})

    assert found.flag("f")["metadata"] == {"owner": "f", "team": "shop"}
    assert found.flag("g")["metadata"] == {"owner": "file", "team": "shop"}


def test_metadata_that_are_no_plain_values_are_left_out_and_told():
    found = world(metadata={"links": ["a"], "team": "shop"})

    assert found.flag("f")["metadata"] == {"team": "shop"}
    assert "metadata.links" in found.told("left out")[0]


def test_branches_are_rules_in_their_order():
    found = world({"if": [{"===": [{"var": "country"}, "DE"]}, "on", {"in": [{"var": "email"}, ["a@x", "b@x"]]}, "on"]})

    assert found.flag("f")["rules"] == [
        {"when": [{"type": "attribute", "name": "country", "op": "equals", "values": ["DE"]}], "serve": "on"},
        {"when": [{"type": "attribute", "name": "email", "op": "equals", "values": ["a@x", "b@x"]}], "serve": "on"},
    ]
    assert not found.moved.needs_extensions
    assert found.moved.faithful


def test_a_share_is_a_split_of_the_same_weights_under_the_hash_of_flagd():
    found = world({"fractional": [["on", 25], ["off", 75]]})

    split = found.flag("f")["otherwise"]
    assert split["weights"] == [["on", 25], ["off", 75]]
    assert split["hash"] == "flagd3:pair/100"
    assert (split["by"], split["salt"]) == ("user_id", "f")
    assert found.moved.needs_extensions


@pytest.mark.parametrize(("way", "name"), [(1, "flagd1:prefix/2"), (2, "flagd2:prefix/2"), (3, "flagd3:pair/2")])
def test_which_way_ids_are_hashed_is_asked_and_told(way: int, name: str):
    found = world({"fractional": [["on"], ["off"]]}, fractional=way)

    assert found.flag("f")["otherwise"]["hash"] == name
    assert any(f"the way that flagd numbers {way}" in told for told in found.told("note"))


def test_without_a_share_nothing_is_said_of_hashes():
    assert world(if_({"var": "staff"})).told("note") == []


def test_the_targeting_key_is_the_user_id():
    found = world(if_({"===": [{"var": "targetingKey"}, "anna"]}))

    assert [found.value("f", {"targetingKey": one}) for one in ("anna", "ben")] == [True, False]


def test_shared_evaluators_are_written_out_where_they_are_named():
    found = world(if_({"$ref": "staff"}), evaluators={"staff": {"ends_with": [{"var": "email"}, "@shop.example"]}})

    assert found.value("f", {"email": "anna@shop.example"}) is True
    assert found.value("f", {"email": "anna@x.org"}) is False


def test_what_our_operators_do_not_say_is_left_to_the_operator_of_flagd():
    found = world(if_({"===": [{"%": [{"var": "age"}, 2]}, 0]}))

    (condition,) = found.flag("f")["rules"][0]["when"]
    assert condition["op"] == "flagd:logic"
    assert [found.value("f", {"age": age}) for age in (17, 18)] == [False, True]


@pytest.mark.parametrize(
    ("value", "kind"), [({"a": "x"}, "string"), ({"a": 1}, "integer"), ({"a": 1.5}, "float"), ({"a": {"k": 1}}, "json")]
)
def test_the_kind_is_that_of_the_variants(value: dict[str, Any], kind: str):
    assert world(variants=value, defaultVariant="a").flag("f")["kind"] == kind


# What cannot be carried over


def test_a_default_that_is_no_variant_is_told():
    found = world(defaultVariant="purple")

    assert found.ask("f", default="mine").value == "mine"
    assert found.told("changed") == [
        "flag 'f', defaultVariant: there is no variant 'purple'; the caller's default is the answer, as in flagd"
    ]
    assert not found.moved.faithful


def test_a_reference_that_leads_nowhere_is_told():
    found = world(if_({"$ref": "nobody"}))

    assert any("nobody" in told for told in found.told("left out"))
    assert found.ask("f", default="mine").value == "mine"


def test_a_condition_on_two_attributes_counts_as_false_and_is_told():
    found = world(if_({"===": [{"var": "country"}, {"var": "region"}]}))

    assert found.told("left out") == [
        "flag 'f', targeting.if[0]: it sets country and region in relation; it counts as false"
    ]
    assert found.value("f", {"country": "DE", "region": "DE"}) is False


def test_weights_that_the_context_computes_are_told():
    found = world({"fractional": [["on", {"var": "weight"}], ["off", 1]]})

    assert "its weights are computed from the context" in found.told("left out")[0]
    assert not found.moved.faithful
    assert found.moved.complete


def test_attributes_may_be_renamed():
    export = {"flags": {"f": definition(if_({"===": [{"var": "land"}, "DE"]}))}}
    found = World("flagd", export, attributes={"land": "country"})

    assert found.flag("f")["rules"][0]["when"][0]["name"] == "country"
