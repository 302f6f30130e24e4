"""The command line in this process, on a file of its own."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from grayflow.cli.app import build


class Cli:
    """Runs commands; each run gives exit code and both streams."""

    def __init__(self, url: str, folder: Path):
        self.url, self.folder = url, folder
        self._app, self._runner = build(), CliRunner()

    def __call__(self, *arguments: str, code: int = 0, input: str | None = None, **environment: str) -> "Run":  # noqa: A002
        env = {"GRAYFLOW_URL": self.url, "GRAYFLOW_ACTOR": "ann", "COLUMNS": "80", **environment}
        result = self._runner.invoke(self._app, arguments, input=input, env=env, prog_name="grayflow")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == code, f"exit {result.exit_code}\n{result.stdout}\n{result.stderr}"
        assert "Traceback" not in result.output
        return Run(result.stdout, result.stderr)

    def json(self, *arguments: str, code: int = 0, **environment: str) -> Any:
        return json.loads(self(*arguments, "--json", code=code, **environment).out)

    def put(self, *documents: dict[str, Any]) -> None:
        for document in documents:
            self("put", "-", input=json.dumps(document))

    def file(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return str(path)


class Run:
    """What a command printed."""

    def __init__(self, out: str, err: str):
        self.out, self.err = out, err


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
