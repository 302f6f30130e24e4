"""Moving in from Unleash: forms of export, what becomes what, and the report."""

from typing import Any

import pytest

from grayflow import ConfigurationError
from tests.admin.moving.kit import World


def feature(name: str, *strategies: Any, **fields: Any) -> dict[str, Any]:
    return {"name": name, "enabled": True, "strategies": list(strategies), **fields}


def strategy(name: str = "default", parameters: Any = None, **fields: Any) -> dict[str, Any]:
    return {"name": name, "parameters": parameters or {}, **fields}


def rollout(percent: int, stickiness: str = "default") -> dict[str, Any]:
    return strategy("flexibleRollout", {"rollout": str(percent), "stickiness": stickiness, "groupId": "g"})


def world(*features: Any, **export: Any) -> World:
    return World("unleash", {"version": 2, "features": list(features), **export})


IN_DE = {"contextName": "country", "operator": "IN", "values": ["DE"]}

# Forms


def test_the_export_of_an_environment_is_put_together_from_its_parts():
    found = World(
        "unleash",
        {
            "features": [{"name": "f", "type": "release", "project": "pay", "description": "new payment"}],
            "featureStrategies": [
                {"id": "2", "featureName": "f", "name": "default", "sortOrder": 2, "constraints": [], "segments": []},
                {
                    "id": "1",
                    "featureName": "f",
                    "name": "default",
                    "sortOrder": 1,
                    "constraints": [IN_DE],
                    "title": "DE",
                },
                {"id": "3", "featureName": "f", "name": "default", "sortOrder": 0, "disabled": True},
            ],
            "featureEnvironments": [{"featureName": "f", "name": "f", "environment": "production", "enabled": True}],
            "featureTags": [
                {"featureName": "f", "tagType": "simple", "tagValue": "gray"},
                {"featureName": "f", "tagType": "team", "tagValue": "pay"},
            ],
            "dependencies": [{"feature": "f", "dependencies": [{"feature": "parent", "enabled": True}]}],
            "segments": [],
            "contextFields": [],
            "tagTypes": [],
        },
    )

    flag = found.flag("f")
    assert [rule["name"] for rule in flag["rules"]] == ["DE"]
    assert flag["otherwise"] == "on"
    assert flag["requires"] == [{"type": "flag", "key": "parent"}]
    assert flag["tags"] == ["gray", "team:pay"]
    assert (flag["lifetime"], flag["description"], flag["metadata"]) == ("release", "new payment", {"project": "pay"})


STATE = {
    "version": 4,
    "features": [{"name": "f", "variants": [{"name": "red", "weight": 1000}]}, {"name": "g"}],
    "featureStrategies": [
        {"id": "1", "featureName": "f", "environment": "prod", "strategyName": "default", "parameters": {}},
        {
            "id": "2",
            "featureName": "f",
            "environment": "dev",
            "strategyName": "userWithId",
            "parameters": {"userIds": "u"},
        },
    ],
    "featureEnvironments": [
        {"featureName": "f", "environment": "prod", "enabled": True},
        {"featureName": "f", "environment": "dev", "enabled": True},
        {"featureName": "g", "environment": "dev", "enabled": True},
    ],
    "segments": [{"id": 5, "name": "Inside people", "constraints": [IN_DE]}],
    "featureStrategySegments": [{"featureStrategyId": "1", "segmentId": 5}],
}


def test_the_old_export_of_everything_is_read_for_one_environment():
    found = World("unleash", STATE, environment="prod")

    assert found.flag("f")["rules"][0]["when"] == [{"type": "segment", "key": "Inside_people"}]
    assert found.documents["segments"]["Inside_people"]["description"] == "Inside people"
    assert found.ask("f", {"properties": {"country": "DE"}}).variant == "red"
    assert found.flag("g").get("enabled", False) is False
    assert found.told("note")[0] == "file: the export has other environments too: dev; prod was taken"


def test_several_environments_must_be_chosen_from():
    with pytest.raises(ConfigurationError, match="several environments; choose one: prod, dev"):
        World("unleash", STATE)
    with pytest.raises(ConfigurationError, match="no environment 'test'; it has prod, dev"):
        World("unleash", STATE, environment="test")


def test_features_of_the_admin_api_are_read_with_their_environments():
    states = [
        {"name": "dev", "enabled": False, "strategies": []},
        {"name": "prod", "enabled": True, "strategies": [strategy(constraints=[IN_DE])]},
    ]

    found = World("unleash", {"name": "f", "environments": states, "variants": []}, environment="prod")

    assert found.value("f", {"properties": {"country": "DE"}}) is True
    assert found.value("f", {"properties": {"country": "FR"}}) is False


def test_the_events_of_the_delta_are_applied_in_their_order():
    events = [
        {"type": "hydration", "features": [feature("a"), feature("b")], "segments": [{"id": 1, "name": "s"}]},
        {"type": "feature-updated", "feature": feature("c", strategy(segments=[1]))},
        {"type": "segment-updated", "segment": {"id": 1, "name": "s", "constraints": [IN_DE]}},
        {"type": "feature-removed", "featureName": "b"},
        {"type": "something-new"},
    ]

    found = World("unleash", {"events": events})

    assert sorted(found.documents["flags"]) == ["a", "c"]
    assert found.value("c", {"properties": {"country": "DE"}}) is True


def test_what_is_no_export_is_refused_with_where_to_get_one():
    with pytest.raises(ConfigurationError, match=r"no list `features`. Take it from /api/client/features"):
        World("unleash", {"flags": {}})


def test_a_client_export_takes_no_environment_and_says_so():
    found = World("unleash", {"features": [feature("f")]}, environment="prod")

    assert found.told("note") == ["file: the export is of one environment and does not name it; all of it was taken"]


# What becomes what


def test_a_feature_for_everybody_is_the_smallest_flag():
    assert world(feature("f", strategy())).flag("f") == {
        "key": "f",
        "enabled": True,
        "variants": {"on": True, "off": False},
        "off": "off",
        "otherwise": "on",
    }


def test_a_share_keeps_its_buckets_by_unleash_s_hash():
    assert world(feature("f", rollout(25, "userId"))).flag("f")["rules"] == [
        {
            "name": "flexibleRollout",
            "when": [{"type": "bucket", "ranges": [[0, 25]], "by": "user_id", "salt": "g", "hash": "unleash:rollout"}],
            "serve": "on",
        }
    ]


def test_values_of_any_type_count_as_the_text_that_they_are():
    found = world(
        feature("listed", strategy("userWithId", {"userIds": "7,8"})),
        feature("bool", strategy(constraints=[{"contextName": "beta", "operator": "IN", "values": ["true"]}])),
    )

    assert found.value("listed", {"userId": 7}) is True
    assert found.value("bool", {"properties": {"beta": True}}) is True


def test_an_archived_feature_stays_archived():
    assert world(feature("f", strategy(), archived=True)).flag("f")["archived"] is True


def test_variants_called_on_and_off_leave_these_names_to_them():
    variants = [{"name": "on", "weight": 500}, {"name": "off", "weight": 500}]

    found = world(feature("f", strategy(), variants=variants))

    assert found.flag("f")["variants"] == {"enabled": True, "on": True, "off": True, "disabled": False}
    assert {found.ask("f", {"userId": f"u{one}"}).variant for one in range(30)} == {"on", "off"}


def test_without_any_weight_the_feature_is_on_and_names_no_variant():
    found = world(feature("f", strategy(), variants=[{"name": "a", "weight": 0}]))

    assert found.ask("f").variant == "on"


def test_a_payload_that_is_not_what_it_says_is_kept_as_text():
    variants = [
        {"name": "a", "weight": 1, "payload": {"type": "json", "value": "{"}},
        {"name": "b", "weight": 1, "payload": {"type": "json", "value": "[1]"}},
    ]

    found = world(feature("f", strategy(), variants=variants))

    assert found.flag("f.payload")["variants"] == {"a": "{", "b": [1]}
    assert found.flag("f.payload")["kind"] == "json"
    assert found.told("changed") == ["flag 'f', variants: the payload of 'a' is no json; it is kept as text"]


def test_two_payloads_under_one_name_are_kept_apart_and_told():
    def with_payload(value: str) -> dict[str, Any]:
        return {"name": "v", "weight": 1, "payload": {"type": "string", "value": value}}

    found = world(
        feature(
            "f",
            strategy(constraints=[IN_DE], variants=[with_payload("x")]),
            strategy(variants=[with_payload("y")]),
        )
    )

    assert found.value("f.payload", {"properties": {"country": "DE"}}) == "x"
    assert found.value("f.payload") == "y"
    assert found.ask("f").variant == "v (2)"
    assert found.told("changed") == [
        "flag 'f', variants: another variant is called 'v' and carries something else; it is called 'v (2)'"
    ]


def test_the_key_of_a_payload_flag_takes_no_other_feature_s():
    variants = [{"name": "a", "weight": 1, "payload": {"type": "string", "value": "x"}}]

    found = world(feature("f", strategy(), variants=variants), feature("f.payload", strategy()))

    assert sorted(found.documents["flags"]) == ["f", "f.payload", "f.payload-2"]


def test_a_parent_s_variants_count_only_where_it_names_one():
    parent = feature(
        "parent",
        strategy(constraints=[IN_DE], variants=[{"name": "a", "weight": 1}]),
        strategy(),
    )
    child = feature("child", strategy(), dependencies=[{"feature": "parent", "variants": ["b"]}])

    found = world(parent, child)

    assert found.value("child") is True
    assert found.value("child", {"properties": {"country": "DE"}}) is False


# The report


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (strategy("flexibleRollout", {"rollout": "50", "stickiness": "random"}), "changed"),
        (strategy("gradualRolloutRandom", {"percentage": "50"}), "changed"),
        (strategy("applicationHostname", {"hostNames": "a,b"}), "changed"),
        (strategy("ourOwn"), "left out"),
        (strategy("userWithId"), "left out"),
        (strategy("flexibleRollout"), "left out"),
        (strategy("remoteAddress", {"IPs": "10.0.0.1, nonsense"}), "left out"),
        (strategy(segments=[404]), "left out"),
        (strategy(constraints=[{"contextName": "x", "operator": "BOGUS", "inverted": True}]), "left out"),
        (
            strategy(constraints=[{"contextName": "x", "operator": "NUM_EQ", "value": "x", "inverted": True}]),
            "left out",
        ),
        (strategy(constraints=[{"contextName": "x", "operator": "REGEX", "value": "(a+)+$"}]), "left out"),
        (rollout(50), "note"),
        (strategy(constraints=[{"contextName": "ip", "operator": "IN", "values": ["x"]}]), "note"),
    ],
)
def test_what_is_not_carried_over_as_it_was_is_told(given: Any, told: str):
    found = world(feature("f", given))

    assert len(found.told(told)) == 1
    assert found.told(told)[0].startswith("flag 'f'")
    assert found.moved.faithful is (told == "note")
    if told == "left out" and "nonsense" not in str(given):
        assert found.value("f", {"userId": "u", "properties": {"x": "y"}}) is False


def test_a_share_that_drew_lots_goes_by_the_id():
    found = world(feature("f", strategy("gradualRolloutRandom", {"percentage": "50"})))

    answers = [found.value("f", {"userId": f"u{one}"}) for one in range(400)]

    assert 150 < sum(answers) < 250
    assert answers == [found.value("f", {"userId": f"u{one}"}) for one in range(400)]


def test_a_host_name_is_an_attribute_of_the_context():
    found = world(feature("f", strategy("applicationHostname", {"hostNames": "a, Web-1"})))

    assert found.value("f", {"properties": {"hostname": "web-1"}}) is True


def test_an_attribute_that_has_a_meaning_of_its_own_here_gives_way():
    found = world(feature("f", strategy(constraints=[{"contextName": "ip", "operator": "IN", "values": ["x"]}])))

    assert found.value("f", {"remoteAddress": "x"}) is False
    assert found.value("f", {"properties": {"ip": "x"}}) is True


def test_all_strategies_disabled_is_told():
    found = world(feature("f", strategy(constraints=[IN_DE], disabled=True)))

    assert found.value("f") is True
    assert "all of them are disabled" in found.told("note")[0]


def test_a_key_that_grayflow_does_not_allow_is_changed_everywhere():
    child = feature("child", strategy(), dependencies=[{"feature": "größe ~1"}])

    found = world(feature("größe ~1", strategy()), child, feature("gr__e__1", strategy()))

    assert sorted(found.documents["flags"]) == ["child", "gr__e__1", "gr__e__1-2"]
    assert found.value("child") is True
    assert found.told("changed") == [
        "flag 'größe ~1', name: a key may not hold all of these characters; the key is 'gr__e__1-2'"
    ]


def test_a_feature_that_cannot_be_read_costs_itself_only():
    found = world(feature("good", strategy()), {"name": "bad", "strategies": "x"})

    assert list(found.documents["flags"]) == ["good"]
    assert found.told("refused") == [
        "flag 'bad': Expected `array | null`, got `str` - at `$.strategies`; the flag was not imported"
    ]
    assert not found.moved.complete


def test_fields_that_nobody_knows_are_told_unless_they_are_empty():
    found = world(feature("f", strategy(), createdAt="2024", brandNew={"x": 1}, alsoNew=[]))

    assert found.told("left out") == ["flag 'f', brandNew: nobody here knows what this field means; it was passed over"]


def test_a_document_that_is_too_large_is_refused_by_itself():
    big = {"contextName": "country", "operator": "IN", "values": [f"value-{one}" for one in range(9_000)]}

    found = world(feature("big", strategy(constraints=[big])), feature("f", strategy()))

    assert list(found.documents["flags"]) == ["f"]
    assert "bytes beside the id lists; at most 65536 are allowed" in found.told("refused")[0]


def test_names_of_attributes_can_be_the_service_s_own():
    export = {"features": [feature("f", strategy(constraints=[IN_DE]), rollout(100, "userId"))]}

    found = World("unleash", export, attributes={"country": "address.country", "userId": "account"})

    rules = found.flag("f")["rules"]
    assert rules[0]["when"][0]["name"] == "address.country"
    assert rules[1]["when"][0]["by"] == "account"
