"""The real program in real processes: signals, pipes, terminals, and two of them on one store."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import sqlite3
import subprocess
import sys
import termios
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.cli.kit import PATIENCE_S, PROGRAM, Watching, run, until


def test_a_flag_is_made_switched_and_brought_back_by_separate_processes(environment: dict[str, str]):
    assert run(environment, "put", "-", text='{"key": "x"}').returncode == 0
    assert run(environment, "percent", "x", "10", "-r", "canary").stdout == "flag 'x' is at 10 %, revision 2\n"
    assert run(environment, "off", "x", "-r", "errors").returncode == 0
    assert run(environment, "rollback", "x", "--to", "2").returncode == 0
    told = run(environment, "history", "x", "--json")

    assert [one["action"] for one in json.loads(told.stdout)] == ["rollback", "switch_off", "set_percent", "put"]
    assert told.stderr == ""


@pytest.mark.parametrize(("arguments", "form"), [(["--plain"], "plain"), (["--json"], "json"), ([], "words")])
def test_watch_prints_changes_of_other_processes_until_ctrl_c(
    environment: dict[str, str], watching: list[Watching], arguments: list[str], form: str
):
    run(environment, "put", "-", text='{"key": "x"}')
    watch = Watching(environment, *arguments)
    watching.append(watch)
    assert "watching namespace 'default'" in watch.line("err")
    run(environment, "on", "x", "-r", "now\nand \x1b[2J here")
    run(environment, "off", "x")

    first, second = watch.line(), watch.line()
    if form == "json":
        shapes = [json.loads(line) for line in (first, second)]
        assert [(one["revision"], one["action"], one["key"]) for one in shapes] == [
            (2, "switch_on", "x"),
            (3, "switch_off", "x"),
        ]
    elif form == "plain":
        assert first.split("\t")[1:] == ["2", "x", "switch_on", "ann", "now and \\x1b[2J here"]
    else:
        assert "switch_on  ann  now\\nand \\x1b[2J here" in first
    assert watch.interrupt() == 130
    assert watch.rest() == ""


def test_watch_says_when_the_store_became_another(environment: dict[str, str], watching: list[Watching]):
    run(environment, "put", "-", text='{"key": "x"}')
    watch = Watching(environment, "--plain")
    watching.append(watch)
    assert "watching" in watch.line("err")
    run(environment, "init", "--replace")
    assert "the store jumped from" in watch.line("err")
    run(environment, "on", "x")

    assert watch.line().split("\t")[1:4] == ["2", "x", "switch_on"]
    assert watch.interrupt() == 130


def test_watch_ends_at_once_where_there_is_nothing(environment: dict[str, str]):
    told = run(environment, "watch")

    assert told.returncode == 3
    assert told.stderr.startswith("error: no data at")


def test_a_reader_that_closes_the_pipe_gets_no_traceback(environment: dict[str, str]):
    documents = json.dumps([{"key": f"f-{number}", "description": "x" * 200} for number in range(1_000)])
    run(environment, "import", "-", text=documents)
    for command in (["export"], ["list"], ["list", "--json"], ["history", "--limit", "1000"]):
        process = subprocess.Popen(
            [*PROGRAM, *command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        with process:
            process.stdout.readline()
            process.stdout.close()
            told = process.stderr.read()

        assert told == "", command


def test_a_pipe_gets_whole_rows_without_colour(environment: dict[str, str]):
    del environment["COLUMNS"]
    long = "a" * 150
    run(environment, "put", "-", text=json.dumps({"key": long, "owner": "pay"}))
    told = run(environment, "list").stdout

    assert "\x1b" not in told
    assert [line.split()[0] for line in told.splitlines()] == ["KEY", long]


def test_texts_that_the_terminal_cannot_show_are_no_traceback(environment: dict[str, str]):
    latin = {**environment, "PYTHONIOENCODING": "ascii"}
    run(environment, "put", "-", text='{"key": "x", "description": "gr\u00fcn \u2713", "enabled": true}')

    for command in (["show", "x"], ["explain", "x"], ["export"], ["--help"]):
        told = run(latin, *command)
        assert (told.returncode, told.stderr) == (0, ""), command


# Ctrl-C


@pytest.mark.parametrize("arguments", [["put", "-"], ["import", "-"], ["target", "x", "on", "--from", "-"]])
def test_ctrl_c_ends_what_waits_for_its_input(environment: dict[str, str], arguments: list[str]):
    process = subprocess.Popen(
        [*PROGRAM, *arguments], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        process.stdin.write(b"{")
        process.stdin.flush()
        until(lambda: unread(process.stdin.fileno()) == 0)
        press_ctrl_c(process)

        assert process.wait(PATIENCE_S) == 130
        assert process.stderr.read() == b""


def press_ctrl_c(process: subprocess.Popen) -> None:
    """Press Ctrl-C until it ends a process that reads: CPython misses one between its last look at signals and that."""
    for _ in range(4):
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE_S / 4)
            return


def unread(pipe: int) -> int:
    """Return how many bytes nobody has taken out of the pipe."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def test_ctrl_c_in_an_import_says_how_far_it_came_and_how_to_go_on(environment: dict[str, str], tmp_path: Path):
    number = 20_000
    file = tmp_path / "flags.json"
    file.write_text(json.dumps([{"key": f"f-{index}"} for index in range(number)]))
    process = subprocess.Popen([*PROGRAM, "import", str(file)], env=environment, stderr=subprocess.PIPE, text=True)
    with process:
        until(lambda: written(environment) > 5)
        process.send_signal(signal.SIGINT)
        code, told = process.wait(PATIENCE_S), " ".join(process.stderr.read().split())

    assert code == 130
    reached = re.search(rf"interrupted: (\d+) of {number} changes are written, and perhaps one more", told)
    assert reached is not None, told
    assert written(environment) - int(reached[1]) in {0, 1}
    assert "Run it again to go on; what is written is passed over" in told
    again = run(environment, "import", str(file), "--dry-run").stdout
    assert again == f"would be: {number - written(environment)} created, {written(environment)} unchanged\n"


def written(environment: dict[str, str]) -> int:
    with closing(sqlite3.connect(environment["GRAYFLOW_URL"].removeprefix("sqlite:///"))) as file:
        try:
            return file.execute("SELECT count(*) FROM documents").fetchone()[0]
        except sqlite3.OperationalError:  # its tables are still to be made
            return 0


# A terminal


class Terminal:
    """The program on a terminal of its own."""

    def __init__(self, environment: dict[str, str], *arguments: str):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [*PROGRAM, *arguments],
            env=environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            close_fds=True,
        )
        os.close(slave)
        self.seen = ""

    def until(self, words: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while words not in self.seen:
            assert time.monotonic() < deadline, self.seen
            if select.select([self.master], [], [], 0.1)[0]:
                try:
                    self.seen += os.read(self.master, 4096).decode()
                except OSError:  # Linux: the other side is closed
                    assert words in self.seen, self.seen

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def end(self) -> int:
        code = self.process.wait(PATIENCE_S)
        os.close(self.master)
        return code


def reason_of_the_newest(environment: dict[str, str]) -> tuple[str, str]:
    (newest,) = json.loads(run(environment, "history", "--limit", "1", "--json").stdout)
    return newest["action"], newest["reason"]


def with_checklist(environment: dict[str, str]) -> None:
    document = {"key": "x", "enabled": True, "off_checklist": ["address removed", "support told"]}
    run(environment, "put", "-", text=json.dumps(document))


def test_doctor_keeps_its_columns_in_a_narrow_terminal(environment: dict[str, str]):
    run(environment, "put", "-", text=json.dumps({"key": "x"}))
    environment["GRAYFLOW_NAMESPACE"] = "n" * 60
    run(environment, "init")
    terminal = Terminal(environment, "doctor")
    terminal.until("rights")
    terminal.until("may change flags")
    table = terminal.seen.rpartition("\x1b[2K")[2]  # behind the line that told how far it is
    lines = re.sub(r"\x1b\[[0-9;]*m", "", table).split("\r\n")

    assert terminal.end() == 0
    assert max(map(len, lines)) <= 80
    assert {line.split(" ")[0] for line in lines} == {"ok", ""}
    assert any(line.startswith(" " * 14) and "nnn" in line for line in lines)


def test_off_asks_the_checklist_and_keeps_the_answers(environment: dict[str, str]):
    with_checklist(environment)
    terminal = Terminal(environment, "off", "x", "-r", "errors")
    terminal.until("address removed [y/N]")
    terminal.type("y\n")
    terminal.until("support told [y/N]")
    terminal.type("\n")
    terminal.until("is off")

    assert terminal.end() == 0
    assert reason_of_the_newest(environment) == ("switch_off", "errors\n[x] address removed\n[ ] support told")


def test_a_question_cannot_steer_the_terminal(environment: dict[str, str]):
    document = {"key": "x", "enabled": True, "off_checklist": ["\x1b]0;owned\x07"]}
    run(environment, "put", "-", text=json.dumps(document))
    terminal = Terminal(environment, "off", "x")
    terminal.until("\\x1b]0;owned\\x07 [y/N]")
    terminal.type("\n")
    terminal.until("is off")

    assert terminal.end() == 0
    assert "\x07" not in terminal.seen


def test_off_with_yes_asks_nothing(environment: dict[str, str]):
    with_checklist(environment)
    terminal = Terminal(environment, "off", "x", "--yes")
    terminal.until("is off")

    assert terminal.end() == 0
    assert reason_of_the_newest(environment) == ("switch_off", "\n[?] address removed\n[?] support told")


def test_ctrl_c_at_a_question_switches_nothing(environment: dict[str, str]):
    with_checklist(environment)
    terminal = Terminal(environment, "off", "x")
    terminal.until("address removed [y/N]")
    press_ctrl_c(terminal.process)

    assert terminal.end() == 130
    assert "Traceback" not in terminal.seen
    assert reason_of_the_newest(environment)[0] == "put"


def test_a_terminal_gets_colour_and_progress(environment: dict[str, str], tmp_path: Path):
    (tmp_path / "flags.json").write_text(json.dumps([{"key": f"f-{number}", "enabled": True} for number in range(300)]))
    terminal = Terminal(environment, "import", str(tmp_path / "flags.json"))
    terminal.until("300 created")
    assert "importing" in terminal.seen
    assert terminal.end() == 0
    for command, shown, last in (
        (["doctor"], "examining the store", "rights"),
        (["export"], "reading the store", "f-299"),
        (["lint"], "looking at 300 documents", "300 documents:"),
    ):
        terminal = Terminal(environment, *command)
        terminal.until(last)
        terminal.end()
        assert shown in terminal.seen
    terminal = Terminal(environment, "list", "f-1")
    terminal.until("f-1 ")

    assert "\x1b[" in terminal.seen
    assert terminal.end() == 0


def test_a_pipe_sees_nothing_of_what_takes_its_time(environment: dict[str, str], tmp_path: Path):
    (tmp_path / "flags.json").write_text(json.dumps([{"key": f"f-{number}", "enabled": True} for number in range(300)]))
    for command in (["import", str(tmp_path / "flags.json")], ["doctor"], ["export"], ["off", "f-1", "--wait"]):
        done = run({**environment, "FORCE_COLOR": ""}, *command)
        said = [line for line in done.stderr.splitlines() if not line.startswith(("note: ", "warning: "))]
        assert said == []
        assert "\x1b" not in done.stdout + done.stderr
