"""`grayflow fleet` and `off --wait`, with real processes that serve flags."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.cli.kit import PATIENCE_S, Cli

SERVING = """
import sys
import anyio
from grayflow import Client

async def main():
    async with Client(sys.argv[1], namespace=sys.argv[2], name=sys.argv[3]) as flags:
        with flags.scope():
            print("ready", flush=True)
            if sys.argv[4] == "hold":
                await anyio.to_thread.run_sync(sys.stdin.readline)
        await anyio.sleep_forever()

anyio.run(main)
"""

Serve = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def serve(cli: Cli) -> Iterator[Serve]:
    started: list[subprocess.Popen[str]] = []

    def start(name: str, how: str = "go") -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SERVING, cli.url, os.environ["GRAYFLOW_NAMESPACE"], name, how]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait(PATIENCE_S)
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            stream.close()


@pytest.fixture(params=["sqlite", "redis"])
def cli(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("GRAYFLOW_NAMESPACE", uuid4().hex)
    url = f"sqlite:///{tmp_path}/flags.db" if request.param == "sqlite" else request.getfixturevalue("redis_url")
    made = Cli(url, tmp_path)
    made("init")
    made.put({"key": "payment_v2", "enabled": True})
    return made


def fleet(cli: Cli, *, of: int) -> list[dict[str, object]]:
    """Return what `fleet --json` lists, when it lists that many."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = json.loads(cli("fleet", "--json").out)["processes"]
        if len(found) == of:
            return found
        assert time.monotonic() < deadline, f"{found} instead of {of}"


def test_nobody_reports_at_first(cli: Cli):
    assert cli("fleet").out == "no process reports\n"
    assert "nobody was waited for" in cli("off", "payment_v2", "--wait").err


def test_processes_that_serve_flags_are_listed(cli: Cli, serve: Serve):
    web, worker = serve("web"), serve("worker")
    found = fleet(cli, of=2)

    assert [one["name"] for one in found] == ["web", "worker"]
    assert {one["pid"] for one in found} == {web.pid, worker.pid}
    assert {one["state"] for one in found} == {"fresh"}
    text = cli("fleet").out
    assert "all of 2 processes decide by revision 1" in text


def test_off_waits_until_every_process_has_seen_it(cli: Cli, serve: Serve):
    serve("web")
    serve("worker")
    fleet(cli, of=2)
    done = cli("off", "payment_v2", "--wait", "--reason", "errors")

    assert "seen by 2 of 2 processes after" in done.err
    assert [one["behind"] for one in fleet(cli, of=2)] == [False, False]


def test_off_names_the_process_whose_scope_holds_the_old_flags(cli: Cli, serve: Serve):
    serve("web")
    held = serve("importer", "hold")
    fleet(cli, of=2)
    done = cli("off", "payment_v2", "--wait", "--wait-timeout", "1", code=1)

    assert "seen by 1 of 2 processes" in done.err
    assert f"not seen by importer ({os.uname().nodename}, pid {held.pid})" in " ".join(done.err.split())
    assert "1 of 2 processes may still decide by flags before revision 2" in cli("fleet").out

    assert held.stdin is not None
    held.stdin.write("go on\n")
    held.stdin.flush()
    assert "seen by 2 of 2" in cli("off", "payment_v2", "--wait").err


def test_a_process_that_ends_in_peace_is_gone_at_once(cli: Cli, serve: Serve):
    ended = serve("ended")
    serve("other")
    fleet(cli, of=2)
    ended.send_signal(signal.SIGINT)
    ended.wait(PATIENCE_S)

    assert [one["name"] for one in json.loads(cli("fleet", "--json").out)["processes"]] == ["other"]
