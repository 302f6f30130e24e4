"""Running commands: in this process for most tests, as real processes where it is about processes."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from typer.testing import CliRunner

from grayflow.cli.app import build

PROGRAM = [sys.executable, "-c", "from grayflow.cli import main; main()"]
PATIENCE_S = 20


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


def until(condition: Callable[[], object]) -> None:
    """Wait until another process has come so far."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline


def run(environment: dict[str, str], *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments],
        env=environment,
        input=text if text is not None else "",
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


class Watching:
    """A running `grayflow watch` and the lines that it has printed."""

    def __init__(self, environment: dict[str, str], *arguments: str):
        self.process = subprocess.Popen(
            [*PROGRAM, "watch", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines: dict[str, Queue[str]] = {"out": Queue(), "err": Queue()}
        for name, stream in (("out", self.process.stdout), ("err", self.process.stderr)):
            threading.Thread(target=self._read, args=(stream, self._lines[name]), daemon=True).start()

    def _read(self, stream, lines: Queue[str]) -> None:
        for line in stream:
            lines.put(line.rstrip("\n"))

    def line(self, name: str = "out") -> str:
        return self._lines[name].get(timeout=PATIENCE_S)

    def rest(self, name: str = "err") -> str:
        found = []
        while True:
            try:
                found.append(self._lines[name].get(timeout=0.2))
            except Empty:
                return "\n".join(found)

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE_S)
