"""What services are given for flags of other systems: their hashes and operators, and contexts in our words."""

import pytest

from grayflow import ConfigurationError, Extensions, Hash, Snapshot, foreign_context, foreign_extensions


def test_a_flag_that_keeps_another_system_s_buckets_decides_with_its_extensions():
    flag = {
        "key": "f",
        "enabled": True,
        "otherwise": "off",
        "rules": [{"when": [{"type": "bucket", "ranges": [[0, 50]], "salt": "g", "hash": "unleash:rollout"}]}],
    }
    snapshot = Snapshot.build([flag], extensions=foreign_extensions("unleash"))

    found = {snapshot.evaluate("f", {"user_id": f"u{number}"}, default=None).value for number in range(20)}

    assert found == {True, False}
    assert not snapshot.problems
    assert Snapshot.build([flag]).problems


def test_all_systems_come_together_if_none_is_named():
    names = set(foreign_extensions().hashes)

    assert names == {"unleash:rollout", "launchdarkly", "growthbook:1", "growthbook:2"}
    assert "growthbook:condition" in foreign_extensions().operators
    assert set(foreign_extensions("launchdarkly").hashes) == {"launchdarkly"}


def test_families_of_all_systems_are_kept_when_several_are_put_together():
    several = foreign_extensions("flagd", "unleash")

    assert several.hashes["flagd2:prefix/7"].size == 7
    assert several.hashes["unleash:variants/3"].size == 3


def test_a_service_s_own_hashes_and_operators_join_and_win():
    own = Extensions(hashes={"launchdarkly": Hash(7, lambda _salt, _unit: 3)}, operators={"geo": lambda _a, _b: True})

    found = foreign_extensions("launchdarkly", also=own)

    assert found.hashes["launchdarkly"].size == 7
    assert found.operators.keys() == {"geo"}


def test_an_unknown_system_is_refused_by_name():
    with pytest.raises(ConfigurationError, match="no system 'flipt'; unleash, launchdarkly, growthbook, flagd are"):
        foreign_extensions("flipt")
    with pytest.raises(ConfigurationError, match="no system 'flipt'"):
        foreign_context("flipt", {})


def test_an_unleash_context_brings_its_properties_along():
    given = {"userId": "u", "sessionId": "s", "remoteAddress": "10.0.0.1", "environment": "prod"}

    found = foreign_context("unleash", {**given, "properties": {"country": "DE", "user_id": "other", "userId": "no"}})

    assert found == {
        "user_id": "u",
        "session_id": "s",
        "ip": "10.0.0.1",
        "environment": "prod",
        "country": "DE",
        "user_id_": "other",
    }


def test_a_launchdarkly_user_is_the_context_and_other_kinds_are_objects_in_it():
    user = {"key": "u", "country": "DE", "user_id": 5}
    org = {"key": "acme", "plan": "pro"}

    assert foreign_context("launchdarkly", {"kind": "user", **user}) == {
        "user_id": "u",
        "country": "DE",
        "user_id_": 5,
    }
    assert foreign_context("launchdarkly", {"kind": "org", **org, "_meta": {}}) == {"org": org}
    assert foreign_context("launchdarkly", {"kind": "multi", "user": user, "org": org}) == {
        "user_id": "u",
        "country": "DE",
        "user_id_": 5,
        "org": org,
    }


def test_other_contexts_keep_their_names_but_for_the_id():
    assert foreign_context("growthbook", {"id": "u", "company": "x"}) == {"user_id": "u", "company": "x"}
    assert foreign_context("flagd", {"targetingKey": "u", "tier": "a"}) == {"user_id": "u", "tier": "a"}
