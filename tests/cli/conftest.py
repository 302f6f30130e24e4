"""Fixtures of the command line's tests: each has a file of its own for a store."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.kit import PATIENCE_S, Cli, Watching


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    for name in ("GRAYFLOW_NAMESPACE", "GRAYFLOW_EXTENSIONS", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return Cli(f"sqlite:///{tmp_path}/flags.db", tmp_path)


@pytest.fixture
def lived(cli: Cli) -> Cli:
    """Revisions 1 to 4 of `payment_v2`: put, 10 %, off, back."""
    cli.put({"key": "payment_v2", "owner": "pay", "tags": ["gray"]})
    cli("percent", "payment_v2", "10", "-r", "canary")
    cli("off", "payment_v2", "-r", "errors")
    cli("rollback", "payment_v2", "-r", "fixed")
    return cli


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GRAYFLOW_")}
    return {
        **kept,
        "GRAYFLOW_URL": f"sqlite:///{tmp_path}/flags.db",
        "GRAYFLOW_ACTOR": "ann",
        "COLUMNS": "80",
        "TERM": "xterm-256color",
    }


@pytest.fixture
def watching(environment: dict[str, str]) -> Iterator[list[Watching]]:
    started: list[Watching] = []
    yield started
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait(PATIENCE_S)
        for stream in (one.process.stdout, one.process.stderr):
            stream.close()
