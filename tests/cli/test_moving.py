"""`import --from` and `export --to`: what is written, what is told, and what the options refuse."""

import json
from typing import Any

import pytest

from tests.cli.kit import Cli, Run

ON_OFF = {"on": True, "off": False}


def flagd(**flags: Any) -> str:
    made = {key: {"state": "ENABLED", "variants": ON_OFF, "defaultVariant": "off", **one} for key, one in flags.items()}
    return json.dumps({"flags": made})


PLAIN = {"targeting": {"if": [{"===": [{"var": "country"}, "DE"]}, "on"]}}
SHARED = {"targeting": {"fractional": [["on", 25], ["off", 75]]}}
BENT = {"defaultVariant": "purple"}
BAD = {"state": "MAYBE"}


def import_(cli: Cli, text: str, *options: str, code: int = 0) -> Run:
    return cli("import", "-", "--from", "flagd", *options, input=text, code=code)


def keys(cli: Cli) -> list[str]:
    """Return which flags the store has; none if nobody ever wrote it."""
    return sorted(json.loads(cli("export", "-").out)["flags"])


@pytest.fixture
def store(cli: Cli) -> Cli:
    cli.put({"key": "mine"})
    return cli


# What is written


def test_flags_of_another_system_are_written(store: Cli):
    told = import_(store, flagd(f=PLAIN))

    assert told.out == "1 created\n"
    assert keys(store) == ["f", "mine"]
    assert "DE" in store("show", "f", "--json").out


def test_a_second_import_changes_nothing(store: Cli):
    import_(store, flagd(f=PLAIN, g=SHARED))

    assert import_(store, flagd(f=PLAIN, g=SHARED)).out == "2 unchanged\n"


def test_what_services_need_for_them_is_said(store: Cli):
    told = import_(store, flagd(f=SHARED))

    assert 'Client(..., extensions=foreign_extensions("flagd"))' in " ".join(told.err.split())
    assert "foreign_extensions" not in import_(store, flagd(g=PLAIN)).err


def test_a_dry_run_tells_the_same_and_writes_nothing(store: Cli):
    told = import_(store, flagd(f=PLAIN, g=BENT), "--dry-run")

    assert told.out == "would be: 2 created\n"
    assert "there is no variant 'purple'" in " ".join(told.err.split())
    assert keys(store) == ["mine"]


def test_strict_writes_nothing_unless_all_of_it_is_carried_over(store: Cli):
    told = import_(store, flagd(f=PLAIN, g=BENT), "--strict", code=1)

    assert "nothing was written, as not all of it can be carried over (--strict)" in " ".join(told.err.split())
    assert told.out == "would be: 2 created\n"
    assert keys(store) == ["mine"]


def test_strict_writes_what_is_carried_over_whole(store: Cli):
    import_(store, flagd(f=PLAIN), "--strict")

    assert keys(store) == ["f", "mine"]


def test_without_strict_what_is_bent_is_written_and_told(store: Cli):
    told = import_(store, flagd(g=BENT))

    assert "there is no variant 'purple'; the caller's default is the answer" in " ".join(told.err.split())
    assert keys(store) == ["g", "mine"]


def test_a_flag_that_is_refused_leaves_the_others_and_the_exit_says_so(store: Cli):
    told = import_(store, flagd(f=PLAIN, g=BAD), code=1)

    assert "MAYBE" in told.err
    assert keys(store) == ["f", "mine"]


def test_replace_deletes_what_the_export_does_not_hold(store: Cli):
    assert import_(store, flagd(f=PLAIN), "--replace").out == "1 created, 1 deleted\n"
    assert keys(store) == ["f"]


def test_replace_writes_nothing_if_a_flag_is_refused(store: Cli):
    told = import_(store, flagd(f=PLAIN, g=BAD), "--replace", code=1)

    assert "with --replace, the flags that were not imported would be deleted" in " ".join(told.err.split())
    assert keys(store) == ["mine"]


def test_attributes_may_be_renamed(store: Cli):
    text = flagd(f={"targeting": {"if": [{"===": [{"var": "land"}, "DE"]}, "on"]}})

    import_(store, text, "--attribute", "land=country")

    assert '"country"' in store("show", "f", "--json").out


def test_the_way_in_which_flagd_hashes_is_an_option(store: Cli):
    import_(store, flagd(f=SHARED), "--fractional", "1")

    assert "flagd1:prefix/100" in store("export", "-").out


def test_the_report_is_json_too(store: Cli):
    told = json.loads(import_(store, flagd(f=PLAIN, g=BENT), "--json").out)

    (remark,) = told["remarks"]
    assert (remark["weight"], remark["key"], remark["path"]) == ("changed", "g", "defaultVariant")
    assert "purple" in remark["what"]


def test_an_environment_is_chosen_where_an_export_has_several(store: Cli):
    features = [
        {
            "name": "f",
            "environments": [
                {"name": name, "enabled": enabled, "strategies": []}
                for name, enabled in (("production", True), ("test", False))
            ],
        }
    ]
    text = json.dumps({"version": 1, "features": features})
    for environment, enabled in (("production", True), ("test", False)):
        store("import", "-", "--from", "unleash", "--environment", environment, input=text)
        assert json.loads(store("export", "-").out)["flags"]["f"].get("enabled", False) is enabled


# What is refused


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--from", "flipt"], "there is no system 'flipt'; unleash, launchdarkly, growthbook, flagd are known"),
        (["--environment", "x"], "--environment, --attribute and --fractional belong to --from SYSTEM"),
        (["--attribute", "a=b"], "belong to --from SYSTEM"),
        (["--fractional", "2"], "belong to --from SYSTEM"),
        (["--from", "flagd", "--fractional", "4"], "flagd has hashed in the ways 1, 2 and 3, not 4"),
        (["--from", "flagd", "--attribute", "land"], "'land' renames nothing; write THEIRS=YOURS"),
        (["--from", "flagd", "--attribute", "=x"], "'=x' renames nothing"),
    ],
)
def test_options_that_make_no_sense_are_refused(store: Cli, options: list[str], said: str):
    told = store("import", "-", *options, input=flagd(f=PLAIN), code=2)

    assert said in " ".join(told.err.split())
    assert keys(store) == ["mine"]


@pytest.mark.parametrize("text", ["{}", "[]", "5", "not json", '{"flags": 5}'])
def test_what_is_no_export_is_refused_in_words(store: Cli, text: str):
    told = import_(store, text, code=2)

    assert told.err.strip()
    assert keys(store) == ["mine"]


@pytest.mark.parametrize(
    ("export", "system"),
    [
        ({"version": 1, "features": [{"name": "f", "enabled": True, "strategies": []}]}, "unleash"),
        ({"features": {"f": {"defaultValue": True, "rules": []}}}, "growthbook"),
        ({"flags": {"f": {"key": "f", "variations": [True, False], "fallthrough": {"variation": 0}}}}, "launchdarkly"),
        ({"items": [{"key": "f", "variations": [{"value": True}], "environments": {}}]}, "launchdarkly"),
        (json.loads(flagd(f=PLAIN)), "flagd"),
    ],
)
def test_without_from_an_export_of_another_system_is_recognised(store: Cli, export: dict[str, Any], system: str):
    told = store("import", "-", input=json.dumps(export), code=1)

    assert f"import it with --from {system}" in " ".join(told.err.split())
    assert keys(store) == ["mine"]


@pytest.mark.parametrize("text", ["[]", "not json", '{"flags": {"f": {"kind": "x"}}}', '{"features": {"kind": "x"}}'])
def test_what_is_wrong_in_documents_of_ones_own_is_no_export_of_another_system(store: Cli, text: str):
    assert "--from" not in store("import", "-", input=text, code=0 if text == "[]" else 1).err


# Moving out


def test_flags_are_written_for_flagd(store: Cli):
    text = store("export", "-", "--to", "flagd").out

    assert json.loads(text)["flags"]["mine"]["defaultVariant"] == "off"
    assert import_(store, text, "--dry-run", "--strict").out


def test_strict_writes_no_definitions_unless_all_is_carried_over(store: Cli):
    store("percent", "mine", "10", "-r", "canary")

    told = store("export", "-", "--to", "flagd", "--strict", code=1)

    assert told.out == ""
    assert "--strict" in told.err
    assert "with other users in them" in " ".join(store("export", "-", "--to", "flagd").err.split())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--to", "unleash"], "flags can be written for flagd, not for 'unleash'"),
        (["--to", "flagd", "--format", "yaml"], "definitions for flagd are JSON; leave --format out"),
    ],
)
def test_a_target_that_makes_no_sense_is_refused(store: Cli, options: list[str], said: str):
    assert said in " ".join(store("export", "-", *options, code=2).err.split())
