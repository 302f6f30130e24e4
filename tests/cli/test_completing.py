"""What the shell proposes: commands, options, and the keys that a store holds."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.kit import PATIENCE_S, Cli
from tests.ports import free_port


@pytest.fixture
def store(cli: Cli) -> Cli:
    for key in ("payment_v2", "payment_v3", "wallet"):
        cli.put({"key": key})
    cli("put", "-", "--segment", input='{"key": "pay-staff", "include": ["anna"]}')
    return cli


@pytest.fixture
def program(cli: Cli, tmp_path: Path) -> dict[str, str]:
    """An environment whose PATH leads to a program `grayflow`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    path = folder / "grayflow"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from grayflow.cli import main; main()" "$@"\n')
    path.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GRAYFLOW_")}
    return {**kept, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "GRAYFLOW_URL": cli.url}


def proposed(environment: dict[str, str], *words: str) -> list[str]:
    """Return what bash is told while somebody is at the last of these words."""
    asked = {"COMP_WORDS": " ".join(["grayflow", *words]), "COMP_CWORD": str(len(words))}
    done = subprocess.run(
        ["grayflow"],
        env={**environment, **asked, "_GRAYFLOW_COMPLETE": "complete_bash"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_commands_and_options_are_proposed(program: dict[str, str]):
    assert proposed(program, "exp") == ["explain", "export"]
    assert proposed(program, "off", "--rea") == ["--reason"]
    assert "retry" in proposed(program, "jobs", "")


@pytest.mark.parametrize(
    "words",
    [("off", "pay"), ("show", "pay"), ("percent", "pay"), ("history", "pay"), ("list", "pay"), ("explain", "pay")],
    ids=" ".join,
)
def test_the_keys_of_the_store_are_proposed(store: Cli, program: dict[str, str], words: tuple[str, ...]):
    assert proposed(program, *words) == ["payment_v2", "payment_v3"]


def test_jobs_propose_keys_too(store: Cli, program: dict[str, str]):
    assert proposed(program, "jobs", "retry", "purge", "wal") == ["wallet"]
    assert proposed(program, "jobs", "--flag", "wal") == ["wallet"]


def test_segments_are_proposed_where_segments_are_meant(store: Cli, program: dict[str, str]):
    assert proposed(program, "show", "--segment", "pay") == ["pay-staff"]


def test_a_store_named_in_the_line_is_asked(store: Cli, program: dict[str, str]):
    url = program.pop("GRAYFLOW_URL")

    assert proposed(program, "off", "wal") == []
    assert proposed(program, "--url", url, "off", "wal") == ["wallet"]
    assert proposed(program, "off", "--url", url, "wal") == ["wallet"]
    assert proposed(program, "--url", url, "-n", "elsewhere", "off", "wal") == []


def test_systems_to_come_from_are_proposed(program: dict[str, str]):
    assert proposed(program, "import", "--from", "fl") == ["flagd"]


@pytest.mark.parametrize(
    "url", ["", "sqlite:///nowhere/flags.db", "redis://127.0.0.1:{port}/0", "nonsense", "memory://"]
)
def test_without_a_store_nothing_is_proposed_and_nothing_is_said(program: dict[str, str], url: str, tmp_path: Path):
    assert proposed({**program, "GRAYFLOW_URL": url.format(port=free_port())}, "off", "pay") == []


def test_no_file_is_made_by_asking(cli: Cli, program: dict[str, str], tmp_path: Path):
    assert proposed(program, "off", "pay") == []
    assert not (tmp_path / "flags.db").exists()


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_with_the_script_that_it_is_shown(store: Cli, program: dict[str, str]):
    script = """
        eval "$(grayflow --show-completion)"
        complete -p grayflow
        COMP_WORDS=(grayflow off pay) COMP_CWORD=2
        _grayflow_completion grayflow
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env={**program, "SHELL": "/bin/bash"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )

    assert done.stderr == ""
    assert "_grayflow_completion grayflow" in done.stdout
    assert done.stdout.splitlines()[-2:] == ["payment_v2", "payment_v3"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_each_shell(program: dict[str, str], shell: str):
    done = subprocess.run(
        ["grayflow"],
        env={**program, "_GRAYFLOW_COMPLETE": f"source_{shell}"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )

    assert f"complete_{shell}" in done.stdout
