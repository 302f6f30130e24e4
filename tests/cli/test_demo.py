"""The demo, played for real: it ends by itself, its figures were measured, and nothing of it is left."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from grayflow.cli.demo.figures import Act, Figures, Tick, summary

PATIENCE_S = 60
DEMO = [sys.executable, "-c", "from grayflow.cli import main; main()", "demo"]


def played(*arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*DEMO, *arguments], cwd=cwd, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


@pytest.mark.timeout(90)
@pytest.mark.parametrize("where", ["file", "redis"])
def test_it_plays_to_the_end_and_states_what_it_measured(where: str, tmp_path: Path, redis_url: str) -> None:
    done = played("--plain", *(["--redis", redis_url] if where == "redis" else []), cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    for said in ("promoted to 100 %", "the store is gone", "the store is back", "switched off"):
        assert said in done.stdout
    assert "decisions that failed: 0" in done.stdout
    served = re.search(r"decisions served: ([\d,]+) by 4 processes", done.stdout)
    assert served is not None
    assert int(served[1].replace(",", "")) > 1000
    assert not list(tmp_path.iterdir())


def test_a_server_that_is_not_there_is_said_in_a_sentence(tmp_path: Path) -> None:
    done = played("--redis", "redis://127.0.0.1:1/0", cwd=tmp_path)

    assert (done.returncode, done.stdout) == (3, "")
    assert "Connection refused" in done.stderr
    assert "Traceback" not in done.stderr


def test_control_c_ends_it_with_all_its_workers(tmp_path: Path) -> None:
    with subprocess.Popen([*DEMO, "--plain"], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while "workers are up" not in process.stdout.readline():
            assert process.poll() is None
        workers = children(process.pid)
        assert len(workers) == 4

        process.send_signal(signal.SIGINT)

        assert process.wait(PATIENCE_S) == 130
    deadline = time.monotonic() + PATIENCE_S
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline


def children(parent: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def test_the_summary_is_made_of_what_was_reported() -> None:
    tick = Tick(worker=0, requests=100, on=50, stale=10, failed=0, state="fresh", revision=3, nanoseconds=500.0)
    acts = (Act("promoted", (1.0, 3.0)), Act("switched off", (2.0, 4.0)))

    lines = dict(summary(Figures(workers=1, acts=acts, ticks=(tick, tick), noticed_ms=1500.0, recovered_ms=80.0)))

    assert lines["decisions served"] == "200 by 1 processes"
    assert lines["from a write to every process"] == "median 2.5 ms, slowest 4.0 ms"
    assert lines["served from memory meanwhile"] == "20 decisions, as before"
    assert lines["switched off: nobody on the new"] == "after 4.0 ms"
