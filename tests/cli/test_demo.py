"""The demo, played for real: it ends by itself, its figures were measured, and nothing of it is left."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from grayflow.cli.demo.figures import Act, Cleaned, Figures, Tick, summary
from grayflow.cli.demo.fleet import Fleet
from grayflow.cli.demo.view import EVENTS, LiveView
from tests.servers import RedisServer

PATIENCE_S = 120
DEMO = [sys.executable, "-c", "from grayflow.cli import main; main()", "demo"]


def played(*arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*DEMO, *arguments], cwd=cwd, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def played_to_the_end(*arguments: str, cwd: Path) -> str:
    done = played("--plain", *arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr
    for said in ("promoted to 100 %", "the store is gone", "the store is back", "switched off"):
        assert said in done.stdout
    assert "decisions that failed: 0" in done.stdout
    served = re.search(r"decisions served: ([\d,]+) by 4 processes", done.stdout)
    assert served is not None
    assert int(served[1].replace(",", "")) > 1000
    assert re.search(r"cleaned up in each process: [\d,]+ entries of 4 workers after", done.stdout)
    removed = re.findall(r"cleaned up once in the fleet: (\d+) shared files by worker \d after", done.stdout)
    assert removed == ["4"]
    return done.stdout


@pytest.mark.timeout(180)
def test_it_plays_to_the_end_on_a_file_of_its_own_and_states_what_it_measured(tmp_path: Path) -> None:
    told = played_to_the_end(cwd=tmp_path)

    assert not list(tmp_path.iterdir())
    assert "removed again" not in told


@pytest.mark.timeout(180)
def test_it_plays_to_the_end_on_a_server_and_leaves_nothing_there(tmp_path: Path) -> None:
    with RedisServer() as server:
        server.ask("HSET", "{gf:grayflow-demo}:flags", "payment_v2", "mine")
        told = played_to_the_end("--redis", server.url, cwd=tmp_path)

        assert server.ask("KEYS", "*") == [b"{gf:grayflow-demo}:flags"]
    (namespace,) = set(re.findall(r"namespace (\S+)", told))
    assert re.fullmatch(r"grayflow-demo-[0-9a-f]{8}", namespace)
    assert "nothing of the demo is left on the server" in told


def interrupted(url: str, cwd: Path) -> str:
    """Play on a server until the flag is there, then press Ctrl-C; return what was printed after that."""
    with subprocess.Popen([*DEMO, "--plain", "--redis", url], cwd=cwd, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while "created" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)

        told = process.stdout.read()
        assert process.wait(PATIENCE_S) == 130
    return told


def test_control_c_leaves_nothing_on_a_server_either(tmp_path: Path) -> None:
    with RedisServer() as server:
        told = interrupted(server.url, tmp_path)

        assert "nothing of the demo is left on the server" in told
        assert server.ask("KEYS", "*") == []


def test_what_could_not_be_removed_is_said_with_the_way_to_do_it(tmp_path: Path) -> None:
    with RedisServer() as server:
        server.ask("ACL", "SETUSER", "me", "on", ">pw", "~*", "&*", "+@all", "-scan")
        told = interrupted(f"redis://me:pw@127.0.0.1:{server.port}/0", tmp_path)

    assert "was not removed: redis://me:***@127.0.0.1" in told
    assert re.search(r"redis-cli --scan --pattern '\{gf:grayflow-demo-[0-9a-f]{8}\}:\*' \| xargs", told)


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


def test_the_summary_tells_of_the_cleanup_when_there_was_one() -> None:
    off = Act("switched off", (2.0, 4.0), start_ns=1_000_000)
    cleaned = (
        *(Cleaned(worker, "process", 1000, at=4_000_000 + worker * 1_000_000) for worker in range(2)),
        Cleaned(1, "fleet", 2, at=301_000_000),
    )
    figures = Figures(workers=2, acts=(off,), ticks=(), noticed_ms=None, recovered_ms=None)

    assert not any("cleaned" in what for what, _ in summary(figures))
    lines = dict(summary(msgspec.structs.replace(figures, cleaned=cleaned)))
    assert lines["cleaned up in each process"] == "2,000 entries of 2 workers after 4 ms"
    assert lines["cleaned up once in the fleet"] == "2 shared files by worker 1 after 300 ms"


def test_the_cleanup_is_over_when_each_worker_and_one_for_all_have_run_their_handlers() -> None:
    fleet = Fleet(2)
    fleet.take(Cleaned(0, "process", 1, at=1))
    fleet.take(Cleaned(0, "fleet", 1, at=1))
    assert not fleet.is_clean()
    fleet.take(Cleaned(1, "process", 1, at=1))
    assert fleet.is_clean()


def test_the_live_view_fits_a_terminal_of_80_columns_and_24_lines() -> None:
    console = Console(width=80, height=24, record=True, force_terminal=True)
    view, fleet = LiveView(console), Fleet(4)
    for worker in range(4):
        fleet.take(Tick(worker, 12_345, 12_345, 0, 0, "expired", 10, 500.0))
    for _ in range(EVENTS):
        view.say("cleaned up once in the fleet", "worker 3 removed 4 shared files")
    with console.capture() as captured, view.showing(fleet):
        pass

    drawn = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in captured.get().splitlines()]
    assert max(map(len, drawn)) <= 80
    assert sum("4 shared files  " in line for line in drawn) == EVENTS
    assert len([line for line in drawn if line.strip()]) <= 24
