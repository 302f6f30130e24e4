"""How commands are called, what goes wrong with that, and what the process says then."""

import re
import subprocess
import sys

import pytest
from typer.main import get_command

import grayflow.cli
from grayflow.cli.app import build
from tests.cli.kit import Cli

COMMANDS = [
    "init put on off percent target list show history diff rollback explain watch lint stale export import doctor demo",
    "archive delete acl fleet stats jobs atoms migration scan codegen",
]
NAMES = " ".join(COMMANDS).split()


@pytest.mark.parametrize("name", NAMES)
def test_every_command_explains_itself_in_80_columns(cli: Cli, name: str):
    text = cli(name, "--help").out

    assert f"Usage: grayflow {name}" in text
    assert max(map(len, text.splitlines())) <= 80
    assert "Exit codes" in text


@pytest.mark.parametrize("name", ["", *NAMES])
def test_every_help_says_the_same_things_in_the_same_way(cli: Cli, name: str):
    text = cli(*name.split(), "--help").out

    assert re.search(r"<\w+", text) is None, "a flag takes no value, and an argument's name says what it is"
    assert "env var" not in text
    assert "[[" not in text
    flat = " ".join(text.replace("│", " ").split())
    options = flat.partition("─ Options ─")[2].partition("╰")[0]
    for variable in re.findall(r"GRAYFLOW_[A-Z]+", options):
        assert f"(env: {variable})" in options


def test_there_are_these_commands_and_no_others():
    assert sorted(get_command(build()).commands) == sorted(NAMES)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"demo"}))
def test_every_command_takes_the_store_behind_its_name(name: str):
    options = {option for parameter in get_command(build()).commands[name].params for option in parameter.opts}

    assert {"--url", "--namespace"} <= options


@pytest.mark.parametrize(
    "name", ["list", "show", "history", "diff", "explain", "watch", "stats", "stale", "lint", "doctor"]
)
def test_every_reading_command_speaks_json(name: str):
    assert "--json" in {option for parameter in get_command(build()).commands[name].params for option in parameter.opts}


def test_the_help_names_environment_and_exit_codes(cli: Cli):
    text = cli("--help").out

    for words in ("GRAYFLOW_URL", "GRAYFLOW_NAMESPACE", "GRAYFLOW_ACTOR", "Exit codes: 0 done", "130 Ctrl-C"):
        assert words in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_version_is_printed(cli: Cli):
    assert cli("--version").out.startswith("grayflow 0.")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["on"], "Missing argument"),
        (["onn", "x"], "No such command"),
        (["on", "x", "--nope"], "No such option"),
        (["percent", "x", "much"], "'much' is no percentage"),
        (["history", "--limit", "0"], "--limit"),
        (["explain", "x", "--context", "{user}"], "not JSON"),
        (["explain", "x", "--context", "[1]"], "JSON object"),
        (["explain", "x", "--now", "yesterday"], "no instant"),
        (["explain", "x", "--now", "2027-01-01T00:00:00"], "time zone"),
        (["put", "missing.json"], "cannot read 'missing.json'"),
        (["import", "missing.json"], "cannot read"),
        (["export", "--format", "xml"], "no format 'xml'"),
        (["target", "x", "on"], "no ids are given"),
        (["lint", "--context", "nowhere"], "MODULE:NAME"),
        (["lint", "--context", "no_such_module:X"], "cannot import"),
        (["lint", "--context", "json:dumps"], "no subclass of grayflow.Context"),
        (["lint", "--extensions", "json:dumps"], "no grayflow.Extensions"),
        (["export", "flags.csv"], "'.csv' names no format. Let it end in .json, .jsonl, .ndjson, .yaml, .yml, or say"),
        (["explain", "x", "--at", "999"], "there is no revision 999; the newest is 1"),
        (["explain", "x", "--at", "-1"], "there is no revision -1"),
        (["acl", "--role", "king"], "there is no role 'king'; reader, worker and writer are known"),
        (["acl", "--password-from", "pw"], "say which role this one is for"),
        (["acl", "-n", "no spaces"], "'no spaces' cannot name a namespace"),
    ],
)
def test_wrong_usage_is_explained_and_exits_with_2(cli: Cli, arguments: list[str], words: str):
    cli.put({"key": "x"})

    assert words in " ".join(cli(*arguments, code=2).err.replace("│", "").split())


@pytest.mark.parametrize("arguments", [["list"], ["on", "x"], ["doctor"], ["init"], ["watch"]])
def test_without_a_store_nothing_is_guessed(cli: Cli, arguments: list[str]):
    told = cli(*arguments, code=2, GRAYFLOW_URL="").err

    assert "no store is named" in told
    assert "GRAYFLOW_URL" in told
    assert list(cli.folder.iterdir()) == []


@pytest.mark.parametrize("arguments", [["list"], ["on", "x"], ["doctor"], ["init"], ["put", "-"], ["watch"]])
@pytest.mark.parametrize("url", ["memory://", "MEMORY://", " memory:"])
def test_a_store_that_is_private_to_its_process_is_refused_with_the_reason(cli: Cli, arguments: list[str], url: str):
    told = cli(*arguments, "--url", url, code=2, input='{"key": "x"}').err

    assert "private to the process that opens it" in told
    assert "sqlite:///flags.db" in told
    assert "grayflow init" not in told


@pytest.mark.parametrize("name", ["flags.csv", "flags.txt", "flags.json.bak"])
def test_an_export_of_an_unknown_ending_writes_nothing(cli: Cli, name: str):
    cli.put({"key": "x"})
    cli("export", str(cli.folder / name), code=2)

    assert not (cli.folder / name).exists()
    cli("export", str(cli.folder / name), "--format", "jsonl")
    assert (cli.folder / name).read_text().startswith('{"flag":{"key":"x",')
    cli("export", str(cli.folder / "flags"))
    assert (cli.folder / "flags").read_text().startswith("{")


def test_a_file_alone_can_be_linted_without_a_store(cli: Cli):
    name = cli.file("flags.json", '{"key": "x"}')

    assert cli("lint", name, GRAYFLOW_URL="").out == ""


def test_a_bad_url_says_what_is_wrong_and_keeps_its_secrets(cli: Cli):
    told = cli("list", "--url", "redsi://me:hunter2@host", code=2).err

    assert "did you mean 'redis'" in told
    assert "hunter2" not in told


def test_the_store_can_be_named_before_and_behind_the_command(cli: Cli):
    other = f"sqlite:///{cli.folder}/other.db"
    cli("put", "-", "--url", other, "--namespace", "shop", input='{"key": "here"}')

    for arguments in (
        ["--url", other, "--namespace", "shop", "list"],
        ["list", "--url", other, "-n", "shop"],
        ["--url", "sqlite:///no.db", "list", "--url", other, "--namespace", "shop"],
        ["--namespace", "shop", "list", "--url", other],
    ):
        assert "here" in cli(*arguments, GRAYFLOW_URL="sqlite:///never.db").out
    assert "here" in cli("list", GRAYFLOW_URL=other, GRAYFLOW_NAMESPACE="shop").out


def test_reading_makes_no_file(cli: Cli):
    for arguments in (["list"], ["show", "x"], ["doctor"], ["export"], ["history"], ["put", "-", "--dry-run"]):
        assert (
            "grayflow init"
            in cli(*arguments, code=3, input='{"key": "x"}').err + cli(*arguments, code=3, input='{"key": "x"}').out
        )
    assert list(cli.folder.iterdir()) == []


def test_an_unreachable_server_is_one_sentence_and_exit_code_3(cli: Cli):
    for arguments in (["list"], ["off", "x"], ["watch"], ["init"]):
        told = cli(*arguments, "--url", "redis://127.0.0.1:1/0", code=3).err

        assert told.startswith("error: ")
        assert "127.0.0.1:1" in told


def test_the_actor_is_the_login_name_where_nobody_else_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LOGNAME", "bob")
    cli("put", "-", input='{"key": "x"}', GRAYFLOW_ACTOR="")

    assert cli.json("history")[0]["actor"] == "bob"


def test_without_the_extra_the_pip_line_is_printed():
    code = "import sys; sys.modules['typer'] = None; from grayflow.cli import main; main(['list'])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert ran.returncode == 2
    assert ran.stderr == "grayflow: the command line needs extra packages. Run: pip install 'grayflow[cli]'\n"


def test_the_entry_point_is_light():
    code = "import sys, grayflow.cli; print(sorted({'typer', 'rich', 'redis', 'anyio'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "[]"


def test_commands_load_no_driver_that_they_do_not_need():
    code = "import sys; from grayflow.cli.app import build; build(); print({'redis', 'sqlite3'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "set()"


def test_ctrl_c_before_a_command_runs_is_no_traceback(monkeypatch: pytest.MonkeyPatch):
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("grayflow.cli.app.build", interrupted)
    with pytest.raises(SystemExit) as caught:
        grayflow.cli.main(["list"])

    assert caught.value.code == 130
