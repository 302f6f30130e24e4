"""Moving in from LaunchDarkly: forms of flag data, what becomes what, and the report."""

from typing import Any

import pytest

from grayflow import ConfigurationError
from tests.admin.moving.kit import World


def switch(key: str = "f", **fields: Any) -> dict[str, Any]:
    usual = {"on": True, "salt": "s", "variations": [True, False], "offVariation": 1, "fallthrough": {"variation": 1}}
    return {"key": key, "version": 1, **usual, **fields}


def clause(attribute: str, op: str, *values: Any, **fields: Any) -> dict[str, Any]:
    return {"attribute": attribute, "op": op, "values": list(values), **fields}


def rule(*clauses: Any, **fields: Any) -> dict[str, Any]:
    return {"clauses": list(clauses), "variation": 0, **fields}


def world(*flags: Any, segments: Any = (), **options: Any) -> World:
    data = {"flags": {one["key"]: one for one in flags}, "segments": {one["key"]: one for one in segments}}
    return World("launchdarkly", data, **options)


# Forms


def test_what_clients_are_sent_is_read_inside_data_too():
    found = World("launchdarkly", {"path": "/", "data": {"flags": {"f": switch()}, "segments": {}}})

    assert found.value("f", {"key": "u"}) is False


def test_fixed_values_become_flags_that_serve_them():
    found = World("launchdarkly", {"flagValues": {"colour": "blue", "on": True, "limits": {"a": 1}}})

    assert [found.value(key) for key in ("colour", "on", "limits")] == ["blue", True, {"a": 1}]


def test_flags_may_come_in_a_list_and_stones_of_deleted_ones_are_passed_over():
    found = World("launchdarkly", {"flags": [switch("a"), {"key": "b", "version": 2, "deleted": True}]})

    assert list(found.documents["flags"]) == ["a"]
    assert not found.moved.remarks


REST = {
    "key": "f",
    "name": "New payment",
    "kind": "boolean",
    "description": "asked for by finance",
    "temporary": True,
    "tags": ["pay"],
    "variations": [{"_id": "1", "value": True, "name": "new"}, {"_id": "2", "value": False, "name": "old"}],
    "environments": {
        "production": {
            "on": True,
            "salt": "s",
            "targets": [{"values": ["u1"], "variation": 0}],
            "offVariation": 1,
            "rules": [rule(clause("country", "in", "DE"), description="Germany")],
            "fallthrough": {"variation": 1},
        },
        "test": {"on": False, "salt": "t", "offVariation": 1, "fallthrough": {"variation": 0}},
    },
}


def test_flags_of_the_rest_api_are_read_for_one_environment():
    found = World("launchdarkly", {"items": [REST]}, environment="production")

    flag = found.flag("f")
    assert flag["variants"] == {"new": True, "old": False}
    assert flag["targets"] == {"new": ["u1"]}
    assert flag["rules"][0]["name"] == "Germany"
    assert (flag["description"], flag["tags"], flag["lifetime"]) == ("asked for by finance", ["pay"], "temporary")
    assert found.told("note") == ["file: the export has other environments too: test; production was taken"]
    assert World("launchdarkly", REST, environment="test").flag("f").get("enabled", False) is False


def test_the_environment_must_be_chosen_and_be_there():
    with pytest.raises(ConfigurationError, match="several environments; choose one: production, test"):
        World("launchdarkly", {"items": [REST]})


def test_what_is_no_flag_data_is_refused():
    with pytest.raises(ConfigurationError, match="no flag data of LaunchDarkly"):
        World("launchdarkly", {"features": []})


# What becomes what


def test_a_share_is_written_as_it_was():
    shares = {"rollout": {"variations": [{"variation": 0, "weight": 30000}, {"variation": 1, "weight": 70000}]}}

    assert world(switch(fallthrough=shares)).flag("f")["otherwise"] == {
        "weights": [["on", 30000], ["off", 70000]],
        "by": "user_id",
        "salt": "f.s",
        "hash": "launchdarkly",
        "absent": "on",
    }


def test_lists_of_users_become_the_gray_list_and_the_first_of_two_wins():
    targets = [{"values": ["u1", "u2"], "variation": 0}, {"values": ["u2", "u3"], "variation": 1}]

    found = world(switch(targets=targets))

    assert found.flag("f")["targets"] == {"off": ["u3"], "on": ["u1", "u2"]}
    assert "rules" not in found.flag("f")


def test_a_long_list_of_another_kind_becomes_a_segment():
    keys = [f"org-{number}" for number in range(9_000)]

    found = world(switch(contextTargets=[{"contextKind": "org", "values": keys, "variation": 0}]))

    assert list(found.documents["segments"]) == ["f.targets.0"]
    assert found.value("f", {"kind": "org", "key": "org-8999"}) is True
    assert found.value("f", {"kind": "org", "key": "org-9999"}) is False
    assert found.told("note")[0].startswith("flag 'f', contextTargets: 9000 keys of the kind 'org' are too many")


def test_prerequisites_are_requirements():
    needs = [{"key": "base", "variation": 0}]

    found = world(switch("base"), switch(prerequisites=needs, fallthrough={"variation": 0}))

    assert found.flag("f")["requires"] == [{"type": "flag", "key": "base", "variants": ["on"]}]


def test_whole_numbers_are_keys_as_well():
    found = world(switch(rules=[rule(clause("key", "in", "42"))]))

    assert found.value("f", {"kind": "user", "key": 42}) is True


def test_an_object_in_the_way_is_asked_for_only_where_a_list_would_be_stepped_into():
    plain = world(switch(rules=[rule(clause("/address/city", "in", "Graz", contextKind="user"))]))
    number = world(switch(rules=[rule(clause("/parts/0", "in", "x", contextKind="user"))]))

    assert len(plain.flag("f")["rules"][0]["when"]) == 1
    assert number.value("f", {"key": "u", "parts": ["x"]}) is False
    assert number.value("f", {"key": "u", "parts": {"0": "x"}}) is True


def test_escaped_references_and_names_with_dots_are_found():
    found = world(
        switch("slash", rules=[rule(clause("/a~1b~0c", "in", 1, contextKind="user"))]),
        switch("dot", rules=[rule(clause("a.b", "in", 1))]),
        switch("now", rules=[rule(clause("now", "in", 1))]),
    )

    assert found.value("slash", {"key": "u", "a/b~c": 1}) is True
    assert found.value("dot", {"key": "u", "a.b": 1}) is True
    assert found.value("dot", {"key": "u", "a": {"b": 1}}) is False
    assert found.value("now", {"key": "u", "now": 1}) is True


def test_variations_of_one_value_keep_names_of_their_own():
    found = world(switch(variations=[5, 5, None, "x" * 300, ""], fallthrough={"variation": 2}))

    assert list(found.flag("f")["variants"]) == ["5", "5 (2)", "v2", "v4", "x" * 194]
    assert found.flag("f")["kind"] == "json"


def test_a_member_of_a_segment_that_is_excluded_too_stays_in():
    segment = {"key": "s", "included": ["u1"], "excluded": ["u1", "u2"], "rules": [{"clauses": []}]}
    found = world(switch(rules=[rule(clause("", "segmentMatch", "s"))]), segments=[segment])

    assert [found.value("f", {"key": key}) for key in ("u1", "u2", "u3")] == [True, False, True]
    assert found.documents["segments"]["s"]["exclude"] == ["u2"]


def test_a_list_of_another_kind_takes_in_whom_the_user_list_keeps_out():
    segment = {
        "key": "s",
        "included": ["u3"],
        "excluded": ["u1"],
        "includedContexts": [{"contextKind": "org", "values": ["acme"]}],
        "rules": [],
    }
    found = world(switch(rules=[rule(clause("", "segmentMatch", "s"))]), segments=[segment])

    def both(user: str, org: str) -> dict[str, Any]:
        return {"kind": "multi", "user": {"key": user}, "org": {"key": org}}

    assert found.value("f", both("u1", "acme")) is True
    assert found.value("f", both("u1", "other")) is False
    assert found.value("f", both("u3", "other")) is True


# The report


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"rules": [rule(clause("x", "bogus", 1))]}, "left out"),
        ({"rules": [rule(clause("x", "matches", "(a+)+$"))]}, "left out"),
        ({"rules": [rule(clause("kind", "startsWith", "o"))]}, "left out"),
        ({"rules": [rule(clause("/a//b", "in", 1, contextKind="user"))]}, "left out"),
        ({"rules": [rule(clause("", "segmentMatch", "gone"))]}, "changed"),
        ({"rules": [rule(variation=7)]}, "changed"),
        ({"fallthrough": {}}, "changed"),
        ({"offVariation": 9}, "changed"),
        ({"prerequisites": [{"key": "gone", "variation": 0}]}, "changed"),
        ({"rules": [rule(clause("x", "lessThan", "a", 1))]}, "note"),
        ({"rules": [rule(clause("x", "matches", "("))]}, "note"),
        ({"rules": [rule(clause("user_id", "in", 1))]}, "note"),
        ({"migration": {"checkRatio": 2}}, "note"),
        ({"trackEvents": True, "debugEventsUntilDate": 1, "clientSideAvailability": {"usingMobileKey": True}}, ""),
    ],
)
def test_what_is_not_carried_over_as_it_was_is_told(fields: dict[str, Any], told: str):
    found = world(switch(**fields))

    assert [len(found.told(weight)) for weight in ("refused", "left out", "changed", "note")] == [
        int(weight == told) for weight in ("refused", "left out", "changed", "note")
    ]


def test_experiments_keep_their_assignments_and_report_nothing():
    rollout = {"variations": [{"variation": 0, "weight": 100000}], "kind": "experiment", "seed": 7, "bucketBy": "x"}

    found = world(switch(fallthrough={"rollout": rollout}))

    assert (found.flag("f")["otherwise"]["salt"], found.flag("f")["otherwise"]["by"]) == ("7", "user_id")
    assert "nothing is reported" in found.told("note")[0]


def test_the_members_of_a_big_segment_are_told_to_be_missing():
    segment = {"key": "s", "unbounded": True, "generation": 2, "rules": []}

    found = world(switch(rules=[rule(clause("", "segmentMatch", "s"))]), segments=[segment])

    assert found.value("f", {"key": "u"}) is False
    assert found.told("left out")[0].startswith("segment 's', unbounded: the members of a big segment are kept")


def test_flags_and_segments_that_cannot_be_read_cost_themselves_only():
    segment = {"key": "s", "included": "u1"}

    found = world(switch("good"), {"key": "bad", "rules": [{"clauses": [{"values": [1]}]}]}, segments=[segment])

    assert list(found.documents["flags"]) == ["good"]
    assert found.told("refused") == [
        "segment 's': Expected `array | null`, got `str` - at `$.included`; the segment was not imported",
        "flag 'bad': Object missing required field `op` - at `$.rules[0].clauses[0]`; the flag was not imported",
    ]


def test_the_user_s_attributes_can_have_the_service_s_own_names():
    found = world(
        switch(rules=[rule(clause("key", "in", "u"), clause("plan", "in", "x"))]), attributes={"key": "account"}
    )

    assert [one["name"] for one in found.flag("f")["rules"][0]["when"]] == ["account", "plan"]
    assert found.flag("f")["by"] == "account"
