"""What each command does and prints."""

import json
from typing import Any

import msgspec
import pytest

from grayflow.release.migration.compass import stage_flag
from grayflow.release.migration.rules import Stage
from tests.cli.kit import Cli

# Switch


def test_a_flag_is_switched_by_hand(lived: Cli):
    lived("on", "payment_v2")
    lived("target", "payment_v2", "on", "u-1", "u-2", "-r", "testers")
    document = lived.json("show", "payment_v2")["document"]

    assert document["enabled"]
    assert document["targets"] == {"on": ["u-1", "u-2"]}
    assert [rule["percent"] for rule in document["rules"]] == [10]
    lived("target", "payment_v2", "on", "u-1", "--remove")
    lived("target", "payment_v2", "-", "u-2", "--remove")
    assert "targets" not in lived.json("show", "payment_v2")["document"]


def test_a_write_says_what_it_did(cli: Cli):
    assert cli("put", "-", input='{"key": "x"}').out == "flag 'x' is created, revision 1\n"
    assert cli("put", "-", input='{"key": "x", "owner": "o"}').out == "flag 'x' is saved, revision 2\n"
    assert cli("percent", "x", "12.5%").out == "flag 'x' is at 12.5 %, revision 3\n"
    assert cli("percent", "x", "12.5").out == "flag 'x' is so already (revision 3); nothing was written\n"
    assert cli("off", "x").out == "flag 'x' is off, revision 4\n"
    assert cli("on", "x").out == "flag 'x' is on, revision 5\n"
    assert cli("target", "x", "on", "u").out == "flag 'x' lists 1 id under 'on', revision 6\n"
    assert cli("archive", "x").out == "flag 'x' is archived, revision 7\n"
    assert cli("delete", "x", "--yes").out == "flag 'x' is deleted, revision 8\n"


def test_a_write_speaks_json(cli: Cli):
    cli.put({"key": "x", "otherwise": "off"})
    told = cli.json("on", "x")

    assert (told["kind"], told["key"], told["changed"], told["revision"]) == ("flag", "x", True, 2)
    assert told["token"].split(":")[1] == "2"
    assert "nothing but `off`" in told["warnings"][0]["message"]


def test_warnings_go_to_stderr(cli: Cli):
    cli.put({"key": "x", "expires_at": "2020-01-01T00:00:00Z"})

    assert "warning: flag 'x', expires_at: it expired" in cli("on", "x").err


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (["on", "x"], "+ enabled: true"),
        (["percent", "x", "10"], '+ otherwise: "off"'),
        (["target", "x", "on", "u-1"], '+ targets: {"on":["u-1"]}'),
        (["archive", "x"], "+ archived: true"),
        (["off", "x"], "nothing would change"),
        (["rollback", "x"], '- owner: "pay"'),
    ],
)
def test_a_dry_run_shows_the_difference_and_writes_nothing(cli: Cli, arguments: list[str], place: str):
    cli.put({"key": "x"}, {"key": "x", "owner": "pay"})

    assert place in cli(*arguments, "--dry-run").out
    assert cli.json("show", "x")["revision"] == 2


@pytest.mark.parametrize(
    "arguments",
    [["on", "x"], ["percent", "x", "10"], ["target", "x", "on", "u-1"], ["archive", "x"], ["rollback", "x"]],
)
def test_a_dry_run_speaks_json(cli: Cli, arguments: list[str]):
    cli.put({"key": "x"}, {"key": "x", "owner": "pay"})
    told = cli.json(*arguments, "--dry-run")

    assert told["dry_run"] is True
    assert {"path"} < told["differences"][0].keys()
    assert told["preview"] is None
    assert cli.json("show", "x")["revision"] == 2


def test_a_preview_speaks_json(cli: Cli):
    cli.put({"key": "x"})
    contexts = cli.file("contexts.jsonl", '{"user_id": "a"}\n{"user_id": "b"}\n')

    assert cli.json("on", "x", "--preview", contexts)["preview"] == {
        "contexts": 2,
        "moved": [{"flag": "x", "before": "off", "after": "on", "count": 2}],
    }


def test_a_rollback_to_before_the_beginning_is_wrong_usage(lived: Cli):
    for nowhere in ("0", "-1"):
        for arguments in ([], ["--dry-run"]):
            told = lived("rollback", "payment_v2", "--to", nowhere, *arguments, code=2).err

            assert f"there is no revision {nowhere} to go back to, the first is 1" in told
            assert "grayflow delete payment_v2" in told


def test_a_preview_counts_who_would_move(cli: Cli):
    cli.put({"key": "x"})
    contexts = cli.file("contexts.jsonl", "\n".join(json.dumps({"user_id": f"u-{n}"}) for n in range(50)))
    told = cli("on", "x", "--preview", contexts).out

    assert "+ enabled: true" in told
    assert "50 of 50" in told
    assert cli.json("show", "x")["revision"] == 1
    assert "nobody would be served anything else" in cli("off", "x", "--preview", contexts).out


def test_ids_can_come_from_a_file(cli: Cli):
    cli.put({"key": "x"})
    cli("target", "x", "on", "--from", cli.file("ids.txt", "u-1\n\n u-2 \n"))

    assert cli.json("show", "x")["document"]["targets"] == {"on": ["u-1", "u-2"]}


def test_an_ambiguous_percentage_lists_the_rules(cli: Cli):
    cli.put({"key": "x", "rules": [{"name": "a", "percent": 1}, {"name": "b", "percent": 2}]})
    told = cli("percent", "x", "5", code=4).err

    assert "rule 0 'a': 1 % of everybody is served 'on'" in told
    assert "rule 1 'b': 2 % of everybody is served 'on'" in told
    cli("percent", "x", "5", "--rule", "b")
    cli("percent", "x", "6", "--rule", "0")
    assert [rule["percent"] for rule in cli.json("show", "x")["document"]["rules"]] == [6, 5]


def test_an_unknown_flag_is_suggested(lived: Cli):
    for arguments in (["on"], ["off"], ["show"], ["history"], ["diff"], ["explain"], ["rollback"], ["delete", "--yes"]):
        assert "Did you mean 'payment_v2'?" in lived(*arguments, "paymnt_v2", code=1).err


# The checklist


def test_without_a_terminal_the_switch_is_not_held_up_and_the_checklist_noted(cli: Cli):
    cli.put({"key": "x", "enabled": True, "off_checklist": ["address removed"]})
    told = cli("off", "x", "-r", "errors")

    assert "checklist was not asked: address removed" in told.err
    assert cli.json("history", "x")[0]["reason"] == "errors\n[?] address removed"


def test_a_delete_without_a_terminal_wants_yes(cli: Cli):
    cli.put({"key": "x"})

    assert "say --yes" in cli("delete", "x", code=2).err
    cli("delete", "x", "--yes")
    assert cli.json("list") == []


# Documents


def test_a_document_is_refused_with_its_place(cli: Cli):
    told = cli("put", "-", input='{"key": "x", "rules": [{"serve": "onn"}]}', code=4).err

    assert told.startswith("error: flag 'x', rules[0].serve: there is no variant 'onn'")


def test_put_expects_the_revision_that_was_edited(cli: Cli):
    cli("put", "-", "--expected", "0", input='{"key": "x"}')
    assert "you meant to create it" in cli("put", "-", "--expected", "0", input='{"key": "x"}', code=4).err
    cli("put", "-", "--expected", "1", input='{"key": "x", "owner": "a"}')
    assert "you edited revision 1" in cli("put", "-", "--expected", "1", input='{"key": "x", "owner": "b"}', code=4).err


def test_put_takes_one_document(cli: Cli):
    assert "holds 2 documents; `grayflow import`" in cli("put", "-", input='[{"key":"a"},{"key":"b"}]', code=2).err


def test_put_reads_yaml_and_segments(cli: Cli):
    cli("put", cli.file("x.yaml", "key: x\nvariants: {on: true, off: false}\nenabled: true\n"))
    cli("put", "-", "--segment", input='{"key": "staff", "include": ["u-1"]}')
    cli("put", "-", input='{"segment": {"key": "beta"}}')

    assert cli.json("show", "x")["document"]["enabled"] is True
    assert [one["key"] for one in cli.json("list", "--segments")] == ["beta", "staff"]
    assert cli.json("show", "staff", "--segment")["document"] == {"key": "staff", "include": ["u-1"]}


def test_a_dry_put_shows_what_would_come(cli: Cli):
    cli.put({"key": "x"})
    told = cli("put", "-", "--dry-run", input='{"key": "y", "owner": "pay"}').out

    assert '+ owner: "pay"' in told
    assert [one["key"] for one in cli.json("list")] == ["x"]


def test_foreign_hashes_are_known_where_they_are_named(cli: Cli, monkeypatch: pytest.MonkeyPatch):
    (cli.folder / "shop_flags.py").write_text(
        "from grayflow.core.extensions import Extensions, Hash\n"
        "known = Extensions(hashes={'sha1': Hash(100, lambda salt, unit: 7)})\n"
    )
    monkeypatch.chdir(cli.folder)
    bucket = {"type": "bucket", "ranges": [[0, 10]], "hash": "sha1"}
    document = json.dumps({"key": "x", "enabled": True, "otherwise": "off", "rules": [{"when": [bucket]}]})

    assert "no hash 'sha1'" in cli("put", "-", input=document, code=4).err
    cli("put", "-", "--extensions", "shop_flags:known", input=document)
    cli("off", "x")
    cli("on", "x")
    assert cli.json("explain", "x", "-c", '{"user_id": "u"}', GRAYFLOW_EXTENSIONS="shop_flags:known")["decision"][
        "value"
    ]
    assert "no hash 'sha1'" in cli("doctor", code=1).out
    cli("doctor", "--extensions", "shop_flags:known")


def test_an_export_is_imported(lived: Cli):
    for name in ("all.json", "all.jsonl", "all.yaml"):
        path = str(lived.folder / name)
        lived("export", path)
        other = f"sqlite:///{lived.folder}/{name}.db"
        assert lived("import", path, "--url", other).out == "1 created\n"
        assert lived("import", path, "--url", other).out == "1 unchanged\n"
        assert lived("export", "--url", other).out == lived("export").out


def test_an_import_reports_every_bad_document(cli: Cli):
    text = '{"key": "good"}\n{"key": "bad", "rules": 3}\nnonsense\n{"key": "worse", "off": "x"}\n'
    name = cli.file("flags.jsonl", text)
    told = cli("import", name, code=1)

    assert told.out == "1 created, 3 bad\n"
    for place in ("line 2: flag 'bad', rules", "line 3: not JSON", "line 4: flag 'worse', off"):
        assert place in told.err
    report = cli.json("import", name, code=1)
    assert (report["ok"], report["unchanged"]) == (False, [{"kind": "flag", "key": "good"}])
    assert [one["place"] for one in report["problems"]] == ["line 3", "line 2", "line 4"]


def test_an_import_can_be_tried_and_can_replace(lived: Cli):
    text = '[{"key": "new"}]'

    dry = lived("import", "-", "--dry-run", "--replace", input=text).out
    assert dry == "would be: 1 created, 1 deleted\n"
    assert lived("import", "-", "--replace", input=text).out == "1 created, 1 deleted\n"
    assert [one["key"] for one in lived.json("list")] == ["new"]


def test_init_says_what_it_did(cli: Cli):
    first = cli("init").out
    assert "is ready: epoch" in first
    assert "was ready before" in cli("init").out
    before = cli.json("init")
    after = cli.json("init", "--replaces", "abc", "--replaces", "def")
    assert (before["changed"], after["changed"]) == (False, True)
    assert before["token"].split(":")[0] != after["token"].split(":")[0]


# Look


def test_flags_are_listed_in_80_columns(lived: Cli):
    lived.put({"key": "a" * 60, "tags": ["x" * 30], "owner": "somebody", "rules": [{"name": "r" * 60, "percent": 1}]})
    told = lived("list").out

    assert max(map(len, told.splitlines())) <= 80
    assert told.splitlines()[0].split() == ["KEY", "STATE", "SERVES", "REV", "OWNER", "TAGS"]


def test_long_owners_and_tags_leave_room_for_keys(cli: Cli):
    cli.put({"key": "payment_v2", "owner": "o" * 60, "tags": [f"tag-{number}" for number in range(20)]})
    told = cli("list").out

    assert max(map(len, told.splitlines())) <= 80
    assert told.splitlines()[1].split()[:2] == ["payment_v2", "off"]


def test_listings_are_filtered(cli: Cli):
    cli.put(
        {"key": "a", "tags": ["gray", "pay"]},
        {"key": "b", "enabled": True, "tags": ["gray"]},
        {"key": "c", "archived": True, "tags": ["gray"]},
        {"key": "pay/x", "enabled": True},
    )

    def keys(*arguments: str) -> list[str]:
        return [one["key"] for one in cli.json("list", *arguments)]

    assert keys() == ["a", "b", "pay/x"]
    assert keys("--archived") == ["a", "b", "c", "pay/x"]
    assert keys("--enabled") == ["b", "pay/x"]
    assert keys("--disabled") == ["a"]
    assert keys("--tag", "gray") == ["a", "b"]
    assert keys("--tag", "gray", "--tag", "pay") == ["a"]
    assert keys("pay/*") == ["pay/x"]
    assert "no such flags" in cli("list", "nothing*").err


def test_segments_are_listed(cli: Cli):
    cli.put({"segment": {"key": "staff", "include": ["u-1"], "exclude": ["u-2"], "when": [{"type": "all", "of": []}]}})
    cli.put({"segment": {"key": "beta", "owner": "pay", "tags": ["gray"]}})

    assert "1 condition, 1 included, 1 excluded" in cli("list", "--segments").out
    assert cli("list", "--segments", "--tag", "gray").out.splitlines()[1].split() == [
        *("beta", "0", "included,", "0", "excluded", "2", "pay", "gray")
    ]
    assert "no such segments" in cli("list", "zzz", "--segments").err
    cli("rollback", "beta", "--segment", "--dry-run", code=4)
    cli("delete", "beta", "--segment", "--yes")
    assert [one["key"] for one in cli.json("list", "--segments")] == ["staff"]


def test_an_export_that_cannot_be_written_is_said(cli: Cli):
    cli.put({"key": "x"})

    assert "cannot write" in cli("export", "/nowhere/flags.json", code=2).err


def test_an_import_says_what_it_warns_of_and_when_there_was_nothing_to_do(cli: Cli):
    text = '[{"key": "x", "requires": [{"type": "flag", "key": "gone"}]}]'

    assert "'gone', which does not exist" in cli("import", "-", input=text).err
    assert cli("import", "-", input="[]").out == "nothing to do\n"


def test_contexts_of_a_preview_are_a_list_or_lines(cli: Cli):
    cli.put({"key": "x"})
    as_list = cli.file("list.json", '[{"user_id": "a"}, {"user_id": "b"}]')

    assert "2 of 2" in cli("on", "x", "--preview", as_list).out
    told = cli("on", "x", "--preview", cli.file("bad.jsonl", '{"user_id": "a"}\n3\n'), code=2).err
    assert "no list of contexts" in told


def test_the_state_of_a_flag_is_one_word(cli: Cli):
    cli.put(
        {"key": "a"},
        {"key": "b", "enabled": True},
        {"key": "c", "archived": True},
        {"key": "d", "enabled": True, "expires_at": "2020-01-01T00:00:00Z"},
        {"key": "e", "enabled": True, "effective_at": "2999-01-01T00:00:00Z"},
    )

    assert [one["state"] for one in cli.json("list", "--archived")] == ["off", "on", "archived", "expired", "scheduled"]


RICH: dict[str, Any] = {
    "key": "rich",
    "requires": [{"type": "flag", "key": "wallet", "variants": ["on"]}],
    "targets": {"on": [f"u-{n}" for n in range(30)]},
    "rules": [
        {"name": "staff", "when": [{"type": "segment", "key": "staff"}]},
        {
            "when": [
                {"type": "any", "of": [{"type": "attribute", "name": "country", "op": "in", "values": ["DE", "FR"]}]},
                {"type": "not", "of": {"type": "bucket", "ranges": [[0, 10]]}},
                {"type": "during", "days": ["mon"], "start": "08:00", "end": "17:00"},
            ],
            "percent": 12.5,
            "serve": {"weights": [["on", 40_000], ["off", 60_000]]},
        },
    ],
    "metadata": {"ticket": "PAY-7"},
    "on_failure": "last_known",
}


def test_a_flag_is_shown_in_words(cli: Cli):
    cli.put(RICH)
    told = cli("show", "rich").out

    for words in (
        "rich  off  revision 1",
        "flag 'wallet' serves on",
        "u-7, … 22 more",
        "0 'staff': whoever meets 1 condition is served 'on'",
        "in segment 'staff'",
        "12.5 % of whoever meets 3 conditions is served a split (40 % 'on', 60 % 'off')",
        'any of (country in "DE", "FR")',
        "not (in slots 0..10)",
        "during mon 08:00-17:00 UTC",
        'ticket = "PAY-7"',
    ):
        assert words in told, words


def test_a_past_revision_is_shown(lived: Cli):
    assert lived.json("show", "payment_v2", "--at", "1")["document"]["enabled"] is False
    assert lived.json("show", "payment_v2", "--at", "2")["document"]["enabled"] is True
    assert "the newest is 4" in lived("show", "payment_v2", "--at", "9", code=2).err
    assert "there is no flag" in lived("show", "payment_v2", "--at", "0", code=1).err


def test_history_tells_who_what_when_and_why(lived: Cli):
    told = lived("history", "payment_v2").out

    assert told.splitlines()[0].split() == ["REV", "WHEN", "(UTC)", "ACTOR", "ACTION", "REASON"]
    assert told.splitlines()[3].split()[3:] == ["ann", "set_percent", "canary"]
    shapes = lived.json("history", "--limit", "2")
    assert [(one["revision"], one["action"], one["reason"]) for one in shapes] == [
        (4, "rollback", "to revision 2: fixed"),
        (3, "switch_off", "errors"),
    ]
    assert (shapes[1]["before"]["enabled"], shapes[1]["after"]["enabled"]) == (True, False)
    assert [one["revision"] for one in lived.json("history", "--before", "3")] == [2, 1]
    assert "nothing is kept from before revision 1" in lived("history", "--before", "1").err


def test_differences_are_told_by_place(lived: Cli):
    assert lived("diff", "payment_v2").out == "- enabled: false\n+ enabled: true\n"
    assert lived.json("diff", "payment_v2", "1", "2") == [
        {"path": "enabled", "before": False, "after": True},
        {"path": "otherwise", "after": "off"},
        {"path": "rules", "after": [{"percent": 10.0, "serve": "on"}]},
    ]
    assert "no difference" in lived("diff", "payment_v2", "2", "4").err


def test_differences_of_long_lists_are_counted(cli: Cli):
    cli.put(
        {"key": "x", "targets": {"on": ["u"]}}, {"key": "x", "targets": {"on": ["u", *(f"n-{n}" for n in range(99))]}}
    )

    assert cli("diff", "x").out.strip().endswith(", … 91 more")


def test_an_answer_is_explained(cli: Cli):
    cli.put({"key": "wallet"}, {**RICH, "enabled": True, "requires": []})
    sunday = "2026-11-22T09:00:00Z"
    told = cli("explain", "rich", "-c", '{"user_id": "z", "country": "DE"}', "--now", sunday).out

    assert "rich → on = true\n  reason DEFAULT, revision 2\n" in told
    assert "✗ rules[0].when[0]  rule 'staff': in segment 'staff'" in told
    assert '✓ rules[1].when[0]  any of (country in "DE", "FR")' in told
    assert "✗ rules[1].when[2]  during mon 08:00-17:00 UTC" in told
    assert "✓ targets.on" in cli("explain", "rich", "-c", '{"user_id": "u-3"}').out


def test_an_answer_of_the_past_is_explained(lived: Cli):
    shapes = [lived.json("explain", "payment_v2", "--at", str(revision)) for revision in (1, 2, 3)]

    assert [one["decision"]["reason"] for one in shapes] == ["DISABLED", "DEFAULT", "DISABLED"]
    assert shapes[0]["steps"] == [{"path": "enabled", "passed": False}]


def test_an_explanation_of_an_error_exits_with_1(cli: Cli):
    cli.put({"key": "x", "enabled": True, "otherwise": {"weights": [["on", 50_000], ["off", 50_000]]}})

    assert "targeting_key_missing" in cli("explain", "x", code=1).out
    cli("explain", "x", "-c", '{"user_id": "u"}')


def test_the_context_of_an_explanation_can_be_a_file(cli: Cli):
    cli.put({"key": "x", "enabled": True, "targets": {"off": ["u-1"]}})
    name = cli.file("context.json", '{"user_id": "u-1"}')

    assert cli.json("explain", "x", "-c", f"@{name}")["decision"]["variant"] == "off"


# Care


def test_stale_flags_are_listed_and_exit_with_1(cli: Cli):
    cli.put({"key": "x", "enabled": True, "owner": "pay", "expires_at": "2020-01-01T00:00:00Z"}, {"key": "y"})
    told = cli("stale", code=1).out

    assert told.splitlines()[1].split()[:3] == ["x", "expired", "2020-01-01"]
    assert cli.json("stale", code=1)[0] == {
        "key": "x",
        "why": "expired",
        "since": "2020-01-01T00:00:00Z",
        "detail": "its window is over",
        "owner": "pay",
    }
    cli("delete", "x", "-y")
    assert "no stale flags" in cli("stale").err


def test_settled_flags_are_stale_after_the_days_that_were_given(cli: Cli):
    cli.put({"key": "x", "enabled": True})

    cli("stale")
    assert cli.json("stale", "--days", "0", code=1)[0]["why"] == "settled"


def test_lint_fails_on_errors_and_with_strict_on_warnings(cli: Cli):
    cli.put({"key": "x", "enabled": True, "rules": [{"percent": 10}], "otherwise": "off"})
    assert "warning: flag 'x'" in cli("lint").out
    cli("lint", "--strict", code=1)
    cli.put({"key": "y", "requires": [{"type": "flag", "key": "gone"}]})
    assert "error: flag 'y'" in cli("lint", code=1).out
    assert {one["severity"] for one in cli.json("lint", code=1)} == {"error", "warning"}


def test_lint_reads_files_and_tells_what_cannot_be_read(cli: Cli):
    name = cli.file("flags.json", '{"flags": {"x": {"rules": [{"serve": "onn"}]}, "y": {}}}')

    assert "error: flag 'x', rules[0].serve: there is no variant 'onn'" in cli("lint", name, code=1).out
    assert cli.json("lint", name, code=1)[0]["code"] == "unreadable"


def test_lint_takes_the_stages_of_a_migration_for_what_they_are(cli: Cli):
    cli.put(msgspec.to_builtins(stage_flag("orders", Stage.SHADOW)))
    cli.put({"key": "x", "kind": "string", "variants": {"off": "o", "live": "l"}, "off": "off", "otherwise": "off"})

    assert {(one["key"], one["path"]) for one in cli.json("lint") if one["code"] == "unused-variant"} == {
        ("x", "variants.live")
    }


def test_lint_knows_the_fields_of_a_service(cli: Cli, monkeypatch: pytest.MonkeyPatch):
    (cli.folder / "lint_shop.py").write_text(
        "from grayflow.core.context import Context\n"
        "class ShopContext(Context, frozen=True, kw_only=True):\n    store_code: str | None = None\n"
    )
    monkeypatch.chdir(cli.folder)
    when = [{"type": "attribute", "name": "store_cod", "op": "in", "values": ["a"]}]
    cli.put({"key": "x", "rules": [{"when": when}], "otherwise": "off", "on_failure": "last_known"})

    assert "store_code" not in cli("lint").out
    assert "store_code" in cli("lint", "--context", "lint_shop:ShopContext").out


def test_doctor_finds_a_sound_store_sound(lived: Cli):
    checks = lived.json("doctor")

    assert {one["status"] for one in checks} == {"ok"}
    assert {"connection", "position", "documents", "soundness", "history", "rights"} <= {one["check"] for one in checks}
    assert lived.json("show", "payment_v2")["revision"] == 4


def test_doctor_says_what_to_do_where_nothing_is(cli: Cli):
    assert "grayflow init" in cli("doctor", code=3).out
    assert "127.0.0.1:1" in cli("doctor", "--url", "redis://127.0.0.1:1/0", code=3).out


def test_a_document_that_cannot_be_read_is_shown_everywhere(lived: Cli):
    import anyio

    from grayflow.store.urls import open_store
    from grayflow.testing.contract.kit import edit

    async def damage() -> None:
        async with open_store(lived.url) as store:
            await store.commit(edit("payment_v2", b'{"key":"payment_v2","enabled":true,"new":1}'), expected=4)

    anyio.run(damage)

    assert lived.json("list")[0]["state"] == "broken"
    assert "unknown field `new`" in lived("show", "payment_v2").err
    assert "unknown field `new`" in lived("doctor", code=1).out
    assert "unknown field `new`" in lived("lint", code=1).out
    assert "unknown field `new`" in lived("export").err
    assert "roll it back" in lived("on", "payment_v2", code=4).err
    assert "could not be read" in lived("off", "payment_v2").err
    assert lived.json("list")[0]["state"] == "off"


def test_no_colour_reaches_a_pipe(lived: Cli):
    for arguments in (["list"], ["history"], ["diff", "payment_v2"], ["explain", "payment_v2"], ["doctor"], ["--help"]):
        assert "\x1b[" not in lived(*arguments).out
