"""Stored text that would steer the terminal of whoever looks at it: no command lets it through."""

import json
import re
from typing import Any

import anyio
import pytest

from grayflow.store.urls import open_store
from grayflow.testing.contract.kit import edit
from tests.cli.kit import Cli

EVIL = "\x1b[2J\x1b]0;owned\x07\r\x9b31m\u202e"
FORGED = "x\nforged"
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]")

DOCUMENT: dict[str, Any] = {
    "key": "x",
    "kind": "string",
    "enabled": True,
    "variants": {f"a{EVIL}{FORGED}": EVIL, "b": "b"},
    "off": "b",
    "otherwise": f"a{EVIL}{FORGED}",
    "targets": {f"a{EVIL}{FORGED}": [EVIL, FORGED, ""]},
    "rules": [
        {
            "name": f"{EVIL}{FORGED}",
            "when": [
                {"type": "attribute", "name": f"{EVIL}{FORGED}", "op": "in", "values": [EVIL]},
                {"type": "flag", "key": "x2", "variants": [f"{EVIL}{FORGED}"]},
                {"type": "segment", "key": "s"},
            ],
            "serve": f"a{EVIL}{FORGED}",
        }
    ],
    "off_checklist": [f"check {EVIL}{FORGED}"],
    "metadata": {f"m{EVIL}{FORGED}": EVIL},
    "owner": f"{EVIL}{FORGED}",
    "description": f"{EVIL}{FORGED}",
    "tags": [f"{EVIL}{FORGED}"],
    "expires_at": "2999-01-01T00:00:00Z",
    "remove_by": "2020-01-01",
}
SEGMENT = {"segment": {"key": "s", "owner": EVIL, "description": EVIL, "tags": [EVIL], "include": [EVIL]}}


@pytest.fixture
def hostile(cli: Cli) -> Cli:
    cli.put({"key": "x2"}, SEGMENT, {"key": "x"})
    cli("put", "-", "-r", f"because {EVIL}", input=json.dumps(DOCUMENT), GRAYFLOW_ACTOR=f"eve{EVIL}")

    async def damage() -> None:
        async with open_store(cli.url) as store:
            data = json.dumps({"key": "broken", f"field{EVIL}": EVIL, "rules": [{"serve": EVIL}]}).encode()
            await store.commit(edit("broken", data), expected=0)

    anyio.run(damage)
    return cli


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["list"], 0),
        (["list", "--segments"], 0),
        (["show", "x"], 0),
        (["show", "s", "--segment"], 0),
        (["show", "broken"], 0),
        (["history"], 0),
        (["history", "x"], 0),
        (["diff", "x"], 0),
        (["explain", "x", "-c", '{"user_id": "u"}'], 0),
        (["explain", "x2"], 0),
        (["lint"], 1),
        (["doctor"], 1),
        (["stale"], 1),
        (["off", "x", "--dry-run"], 0),
        (["rollback", "x", "--dry-run"], 0),
        (["target", "x", "b", f"id{EVIL}", "--dry-run"], 0),
        (["off", "x"], 0),
        (["percent", "x", "5"], 4),
        (["delete", f"x{EVIL}", "-y"], 1),
    ],
)
@pytest.mark.parametrize("width", ["80", "1000"])
def test_no_command_prints_what_steers_a_terminal(hostile: Cli, arguments: list[str], code: int, width: str):
    told = hostile(*arguments, code=code, COLUMNS=width)

    assert UNSAFE.search(told.out) is None
    assert UNSAFE.search(told.err) is None
    assert arguments[0] == "list" or re.search("^ {0,15}forged", told.out, re.MULTILINE) is None


def test_a_preview_prints_no_such_text_either(hostile: Cli):
    contexts = hostile.file("contexts.jsonl", json.dumps({"user_id": EVIL}))

    assert UNSAFE.search(hostile("off", "x", "--preview", contexts).out) is None


def test_in_json_the_text_stays_as_it_is(hostile: Cli):
    assert hostile.json("show", "x")["document"]["owner"] == f"{EVIL}{FORGED}"
    assert hostile.json("history", "x")[0]["reason"] == f"because {EVIL}"


def test_a_second_line_cannot_be_taken_for_a_fact(cli: Cli):
    cli.put({"key": "x", "description": "harmless\n  owner         nobody"})

    assert "\n                  owner         nobody" in cli("show", "x").out


def test_an_id_that_would_not_be_seen_is_shown_in_quotes(cli: Cli):
    cli.put({"key": "x", "targets": {"on": ["", "a b", 7]}})

    assert 'list on       "", "a b", 7' in cli("show", "x").out
