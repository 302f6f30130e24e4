"""Moving out to flagd: what is written, what reads it back, and what is told."""

import json
from typing import Any

import pytest

from grayflow.admin.moving import Exported, to_flagd
from grayflow.core.codec import decode_flag, decode_segment, to_bytes
from grayflow.core.snapshot import Snapshot
from tests.admin.moving.kit import NOW, World
from tests.admin.moving.test_spec import SPECS

EU: dict[str, Any] = {"type": "attribute", "name": "country", "op": "in", "values": ["DE", "FR"]}
CONTEXTS: list[dict[str, Any]] = [
    {"targetingKey": f"u{number}", "country": country, "age": age, "appVersion": version}
    for number, (country, age, version) in enumerate(
        (country, age, version)
        for country in ("DE", "FR", "US")
        for age in (17, 18, 40)
        for version in ("1.9.9", "2.0.0", "2.3.0-rc.1", "3.0.0")
    )
] + [{"targetingKey": "anna"}, {}]


def exported(*documents: dict[str, Any], segments: list[dict[str, Any]] = []) -> Exported:  # noqa: B006 - not changed
    flags = [decode_flag(to_bytes({"enabled": True, **one}), one["key"]) for one in documents]
    return to_flagd(flags, [decode_segment(to_bytes(one), one["key"]) for one in segments])


def rule(*when: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"key": "f", "otherwise": "off", "rules": [{"when": list(when), "serve": "on", **fields}]}


def told(found: Exported, weight: str) -> list[str]:
    return [str(remark) for remark in found.remarks if remark.weight == weight]


def answers(document: Any, key: str = "f") -> list[Any]:
    """Return what the definitions answer when they are read again."""
    back = World("flagd", json.loads(json.dumps(document)))
    return [back.value(key, context) for context in CONTEXTS]


def expected(*documents: dict[str, Any], segments: list[dict[str, Any]] = [], key: str = "f") -> list[Any]:  # noqa: B006
    snapshot = Snapshot.build([{"enabled": True, **one} for one in documents], segments)
    found = []
    for context in CONTEXTS:
        mine = {"user_id" if name == "targetingKey" else name: value for name, value in context.items()}
        found.append(snapshot.evaluate(key, mine, default=None, now=NOW).value)
    return found


# What is written


def test_a_plain_flag_is_a_definition_that_names_its_default():
    found = exported({"key": "f", "description": "new payment code", "owner": "pay", "metadata": {"ticket": "PAY-7"}})

    assert found.document == {
        "$schema": "https://flagd.dev/schema/v0/flags.json",
        "flags": {
            "f": {
                "state": "ENABLED",
                "variants": {"on": True, "off": False},
                "defaultVariant": "on",
                "metadata": {"description": "new payment code", "owner": "pay", "ticket": "PAY-7"},
            }
        },
    }
    assert found.faithful
    assert json.loads(found.text()) == found.document


def test_a_flag_that_is_off_is_enabled_there_and_serves_its_off_variant():
    found = exported({"key": "f", "enabled": False})

    assert (found.document["flags"]["f"]["state"], found.document["flags"]["f"]["defaultVariant"]) == ("ENABLED", "off")
    assert "serves no variant while a flag is disabled" in told(found, "note")[0]


def test_a_flag_that_is_off_and_has_no_off_variant_is_disabled_there():
    found = exported(
        {"key": "f", "enabled": False, "kind": "string", "variants": {"a": "A"}, "off": None, "otherwise": "a"}
    )

    assert found.document["flags"]["f"]["state"] == "DISABLED"


def test_an_archived_flag_stays_behind():
    assert exported({"key": "f", "archived": True, "enabled": False}).document["flags"] == {}


def test_a_percentage_keeps_its_size_and_says_that_others_are_in_it():
    found = exported({"key": "f", "otherwise": "off", "rules": [{"percent": 10, "serve": "on"}]})

    assert '["in", 10000], ["(none)", 90000]' in json.dumps(found.document)
    assert "shares are as large as they were, with other users in them" in told(found, "changed")[0]
    assert not found.faithful


# What reads it back decides alike

ALIKE: dict[str, dict[str, Any]] = {
    "in": rule(EU),
    "not in": rule({**EU, "negate": True}),
    "several": rule(EU, {"type": "attribute", "name": "age", "op": "ge", "values": [18]}),
    "any": rule({"type": "any", "of": [EU, {"type": "attribute", "name": "age", "op": "lt", "values": [18]}]}),
    "not": rule({"type": "not", "of": EU}),
    "exists": rule({"type": "attribute", "name": "country", "op": "exists"}),
    "starts": rule({"type": "attribute", "name": "country", "op": "starts_with", "values": ["D"]}),
    "version": rule({"type": "attribute", "name": "appVersion", "op": "semver_ge", "values": ["2.0.0"]}),
    "caret": rule({"type": "attribute", "name": "appVersion", "op": "semver_caret", "values": ["2.0.0"]}),
    "tilde": rule({"type": "attribute", "name": "appVersion", "op": "semver_tilde", "values": ["2.0.0"]}),
    "targets": {"key": "f", "otherwise": "off", "targets": {"on": ["anna", "u3"]}},
    "window to come": {"key": "f", "effective_at": "2999-01-01T00:00:00Z"},
    "window over": {"key": "f", "expires_at": "2000-01-01T00:00:00Z"},
}


@pytest.mark.parametrize("name", ALIKE)
def test_what_is_written_decides_as_the_flag_does_when_it_is_read_again(name: str):
    assert answers(exported(ALIKE[name]).document) == expected(ALIKE[name])


def test_segments_are_shared_evaluators():
    segment = {"key": "eu", "when": [EU], "include": ["anna"], "exclude": ["u0"]}
    flag = rule({"type": "segment", "key": "eu"})

    found = exported(flag, segments=[segment])

    assert list(found.document["$evaluators"]) == ["segment eu"]
    assert answers(found.document) == expected(flag, segments=[segment])


def test_other_flags_are_shared_evaluators():
    wallet = {"key": "wallet", "otherwise": "off", "rules": [{"when": [EU], "serve": "on"}]}
    flag = {"key": "f", "requires": [{"type": "flag", "key": "wallet", "variants": ["on"]}]}

    found = exported(flag, wallet)

    assert "flag wallet" in found.document["$evaluators"]
    assert answers(found.document) == expected(flag, wallet)


FROM_FLAGD = SPECS["flagd"]
EXACT = [
    key
    for key, one in FROM_FLAGD["export"]["flags"].items()
    if "fractional" in json.dumps(one) and key not in {"nested-share", "share-of-germans"}
]


@pytest.mark.parametrize("key", EXACT)
def test_what_came_from_flagd_goes_back_with_every_user_in_the_same_share(key: str):
    moved = World("flagd", FROM_FLAGD["export"]).moved
    found = to_flagd([flag for flag in moved.flags if flag.key == key], moved.segments)

    back = World("flagd", found.document)

    assert [back.value(key, context) for context in FROM_FLAGD["contexts"]] == FROM_FLAGD["answers"][key]
    assert not [one for one in told(found, "changed") if "one hash" in one]


# What is told


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"on_failure": "last_known"}, "on_failure"),
        ({"tags": ["gray"]}, "tags"),
        ({"off_checklist": ["callback removed"]}, "off_checklist"),
        ({"lifetime": "release"}, "lifetime"),
        ({"remove_by": "2027-04-01"}, "remove_by"),
    ],
)
def test_what_flagd_has_no_place_for_is_noted(fields: dict[str, Any], word: str):
    assert told(exported({"key": "f", **fields}), "note") == [
        f"flag 'f', {word}: flagd has no place for it; it stays behind"
    ]


@pytest.mark.parametrize(
    "condition",
    [
        {"type": "attribute", "name": "ip", "op": "cidr", "values": ["10.0.0.0/8"]},
        {"type": "attribute", "name": "email", "op": "matches", "values": ["@x"]},
        {"type": "attribute", "name": "country", "op": "in", "values": ["de"], "fold": True},
        {"type": "attribute", "name": ["a.b"], "op": "exists"},
    ],
)
def test_a_rule_that_flagd_cannot_say_is_left_out_and_told(condition: dict[str, Any]):
    found = exported(rule(condition))

    assert "the rule was left out" in told(found, "left out")[0]
    assert not found.faithful
    assert answers(found.document) == [False] * len(CONTEXTS)


def test_a_requirement_that_flagd_cannot_say_keeps_the_flag_behind():
    found = exported(
        {"key": "f", "requires": [{"type": "attribute", "name": "ip", "op": "cidr", "values": ["10.0.0.0/8"]}]},
        {"key": "g"},
    )

    assert list(found.document["flags"]) == ["g"]
    assert "`cidr`" in told(found, "refused")[0]


def test_a_variant_that_flagd_may_refuse_is_told():
    found = exported({"key": "f", "kind": "json", "variants": {"a": [1]}, "otherwise": "a", "off": "a"})

    assert "variants.a" in told(found, "changed")[0]
