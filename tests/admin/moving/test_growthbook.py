"""Moving in from GrowthBook: the payload, what becomes what, and the report."""

from typing import Any

import pytest

from grayflow import ConfigurationError
from tests.admin.moving.kit import World


def world(*rules: Any, default: Any = False, groups: Any = None, **features: Any) -> World:
    every = {"f": {"defaultValue": default, "rules": list(rules)}, **features}
    return World("growthbook", {"features": every, "savedGroups": groups or {}})


def force(condition: Any = None, value: Any = True, **fields: Any) -> dict[str, Any]:
    return {"force": value, **({"condition": condition} if condition is not None else {}), **fields}


# The payload


def test_features_may_stand_by_themselves():
    assert World("growthbook", {"f": {"defaultValue": "x"}}).value("f") == "x"


def test_an_encrypted_payload_is_refused_with_what_to_do():
    with pytest.raises(ConfigurationError, match="Take one from an SDK connection without encryption"):
        World("growthbook", {"features": {}, "encryptedFeatures": "abc.def"})


def test_what_is_no_payload_is_refused():
    with pytest.raises(ConfigurationError, match="no object `features`"):
        World("growthbook", {"flags": {}})


# What becomes what


def test_a_feature_without_rules_is_a_flag_that_serves_its_default():
    assert world(default="x").flag("f") == {
        "key": "f",
        "kind": "string",
        "enabled": True,
        "variants": {"x": "x"},
        "off": "x",
        "otherwise": "x",
    }


def test_coverage_is_a_bucket_of_its_own_slots():
    found = world(force(coverage=0.25, hashVersion=2, seed="s", id="fr_1"))

    assert found.flag("f")["rules"] == [
        {
            "name": "fr_1",
            "when": [
                {"type": "attribute", "name": "user_id", "op": "in", "values": ["", 0], "negate": True},
                {"type": "bucket", "ranges": [[0, 2500]], "by": "user_id", "salt": "s", "hash": "growthbook:2"},
            ],
            "serve": "on",
        }
    ]


def test_an_experiment_over_everybody_is_a_split_by_weights():
    found = world({"variations": ["a", "b"], "weights": [0.3, 0.7], "key": "exp"}, default="c")

    assert found.flag("f")["rules"][0]["serve"] == {
        "weights": [["a", 300], ["b", 700]],
        "by": "user_id",
        "salt": "exp",
        "hash": "growthbook:1",
    }


def test_a_variation_without_a_value_leaves_the_answer_to_the_caller():
    found = world({"variations": [None, "b"], "hashVersion": 2}, default="c")

    answers = {found.value("f", {"id": f"u{number}"}) for number in range(60)}

    assert answers == {None, "b"}


def test_numbers_and_booleans_keep_their_types():
    assert world(force(value=2), default=1).flag("f")["kind"] == "integer"
    assert world(force(value=2.5), default=1).flag("f")["kind"] == "float"
    assert world(force(value="2"), default=1).flag("f")["kind"] == "json"
    assert world(force(), default=True).flag("f")["variants"] == {"on": True}


def test_plain_conditions_are_said_by_our_own_operators():
    condition = {"country": {"$in": ["DE"]}, "age": {"$gte": 18}, "beta": True, "mail": {"$exists": True}}

    found = world(force(condition))

    assert found.flag("f")["rules"][0]["when"] == [
        {"type": "attribute", "name": "country", "op": "in", "values": ["DE"]},
        {"type": "attribute", "name": "age", "op": "is", "values": ["number"]},
        {"type": "attribute", "name": "age", "op": "ge", "values": [18]},
        {"type": "attribute", "name": "beta", "op": "equals", "values": [True]},
        {"type": "attribute", "name": "mail", "op": "exists"},
    ]


def test_saved_groups_become_segments_that_several_flags_share():
    condition = {"$savedGroup": {"id": "adults"}, "country": {"$inGroup": "lands"}}
    groups = {"lands": ["DE"], "adults": {"type": "condition", "condition": {"age": {"$gte": 18}}}}

    found = world(force(condition), groups=groups, g={"defaultValue": 1, "rules": [force(condition, 2)]})

    assert sorted(found.documents["segments"]) == ["adults", "lands"]
    assert found.flag("f")["rules"][0]["when"] == [
        {"type": "segment", "key": "adults"},
        {"type": "segment", "key": "lands"},
    ]
    assert found.value("g", {"age": 20, "country": "DE"}) == 2


def test_a_group_that_is_asked_about_two_attributes_is_two_segments():
    found = world(force({"a": {"$inGroup": "ids"}}), force({"b": {"$inGroup": "ids"}}), groups={"ids": ["x"]})

    assert sorted(found.documents["segments"]) == ["ids", "ids.b"]
    assert found.value("f", {"b": "x"}) is True


def test_a_long_group_is_an_id_list():
    found = world(force({"id": {"$inGroup": "many"}}), groups={"many": [f"user-{one}" for one in range(9_000)]})

    assert len(found.documents["segments"]["many"]["include"]) == 9_000
    assert found.value("f", {"id": "user-8999"}) is True
    assert found.value("f", {"id": "user-9999"}) is False
    assert "too many for a condition" in found.told("note")[0]


def test_groups_within_operators_of_theirs_are_written_out():
    found = world(force({"tags": {"$elemMatch": {"$inGroup": "g"}}}), groups={"g": ["x"]})

    assert found.flag("f")["rules"][0]["when"][0]["values"] == [{"$elemMatch": {"$in": ["x"]}}]
    assert found.value("f", {"tags": ["x"]}) is True


def test_a_group_that_is_defined_by_itself_holds_nobody():
    itself = {"type": "condition", "condition": {"$not": {"$savedGroup": {"id": "g"}}}}

    found = world(force({"$savedGroup": {"id": "g"}}), groups={"g": itself})

    assert found.value("f") is True


def test_the_length_of_a_list_is_an_attribute():
    found = world(force({"tags.length": {"$gt": 1}}))

    assert [found.value("f", {"tags": tags}) for tags in (["a"], ["a", "b"], {"length": 3})] == [False, True, True]


def test_a_gate_is_passed_only_by_those_who_came_that_far():
    rules = [
        {
            "parentConditions": [
                {"id": "german", "condition": {"value": True}},
                {"id": "adult", "condition": {"value": True}, "gate": True},
            ],
            "force": True,
        }
    ]
    german = {"defaultValue": False, "rules": [force({"country": "DE"})]}
    adult = {"defaultValue": False, "rules": [force({"age": {"$gte": 18}})]}

    found = World(
        "growthbook", {"features": {"f": {"defaultValue": False, "rules": rules}, "german": german, "adult": adult}}
    )

    asked = [{"country": "DE", "age": 20}, {"country": "DE", "age": 3}, {"country": "FR", "age": 3}]
    assert [found.value("f", one) for one in asked] == [True, None, False]


# The report


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (force({"x": {"$bogus": 1}}), "left out"),
        (force({"x": {"$elemMatch": {"$bogus": 1}}}), "left out"),
        (force({"x": {"$regex": "(a+)+$"}}), "left out"),
        (force({"x": {"$not": {"$regex": "(a+)+$"}}}), "left out"),
        (force({"x": {"$elemMatch": {"$regex": "(a+)+$"}}}), "left out"),
        (force({"$or": 5}), "left out"),
        (force(brandNew=5), "left out"),
        (force(parentConditions=[{"id": "gone", "condition": {"value": True}}]), "changed"),
        ({"variations": ["a"]}, "note"),
        (force({"user_id": 5}), "note"),
        (force({"x": {"$regex": "("}}), ""),
    ],
)
def test_what_is_not_carried_over_as_it_was_is_told(rule: dict[str, Any], told: str):
    found = world(rule)

    weights = ("refused", "left out", "changed", "note")
    assert [len(found.told(weight)) for weight in weights] == [int(weight == told) for weight in weights]
    if told == "left out" and "brandNew" not in rule:
        assert [found.value("f", {"x": x}) for x in ("a", ["a"], None)] == [False, False, False]


def test_bandits_keep_the_weights_that_they_have():
    found = world({"contextualVariations": ["a", "b"], "contextualBanditRef": "b1", "weights": [0.1, 0.9]}, default="a")

    assert found.flag("f")["rules"][0]["serve"]["weights"] == [["a", 100], ["b", 900]]
    assert "the weights of the rule stay as they are" in found.told("changed")[0]


def test_experiments_without_a_feature_are_told_to_stay_behind():
    found = World("growthbook", {"features": {}, "experiments": [{"key": "e"}, {"key": "g"}]})

    assert found.told("left out") == [
        "file, experiments: 2 experiments change pages in browsers, without a feature; they were left out"
    ]


def test_sticky_buckets_are_told_once_for_all():
    rule = {"variations": ["a", "b"]}

    found = world(rule, rule, g={"defaultValue": 1, "rules": [rule]})

    assert len([one for one in found.told("note") if "sticky bucket" in one]) == 1


def test_a_feature_that_cannot_be_read_costs_itself_only():
    found = world(bad={"defaultValue": 1, "rules": [{"force": 1, "coverage": "much"}]})

    assert list(found.documents["flags"]) == ["f"]
    assert found.told("refused")[0].startswith("flag 'bad': Expected `float | null`")


def test_a_key_that_grayflow_does_not_allow_is_changed_for_those_who_need_it_too():
    rules = [force(parentConditions=[{"id": "a|b", "condition": {"value": 1}}])]

    found = World(
        "growthbook", {"features": {"a|b": {"defaultValue": 1}, "f": {"defaultValue": False, "rules": rules}}}
    )

    assert found.value("f") is True
    assert found.told("changed") == ["flag 'a|b', key: a key may not hold all of these characters; the key is 'a_b'"]
