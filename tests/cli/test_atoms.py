"""`grayflow atoms`, over runs that services left."""

import re
import signal
import socket
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import pytest

from grayflow.release import Atom, Atoms, FileJournal, Step
from tests.cli.kit import PATIENCE_S, PROGRAM, Cli
from tests.cli.test_hostile import EVIL, UNSAFE
from tests.release.atom.world import QUICK


async def nothing(call: Any) -> None:
    """Change nothing."""


async def broken(call: Any) -> None:
    """Fail, whether it is a step or its undo."""
    raise OSError("disk is gone")


def deploy() -> Atom:
    link = Step("link", do=broken, undo=broken, undo_retry=QUICK)
    return Atom("deploy", version=3, steps=[Step("stop", do=nothing, undo=nothing), link])


@pytest.fixture(params=["store", "files"])
def place(request: pytest.FixtureRequest, cli: Cli, tmp_path: Path) -> tuple[Any, list[str]]:
    """Return where runs are recorded, and how a command is told."""
    cli("init")
    if request.param == "store":
        return cli.url, []
    (tmp_path / "journal").mkdir()
    return FileJournal(tmp_path / "journal"), ["--journal", str(tmp_path / "journal")]


def leave(journal: Any, **options: Any) -> None:
    """Leave a run that succeeded, and one of which two steps could not be undone."""

    async def run() -> None:
        async with Atoms(journal, actor="ben", **options) as atoms:
            await atoms.run(Atom("well", version=1, steps=[Step("x", do=nothing, undo=nothing)]), run_id="good")
            await atoms.run(deploy(), run_id="deploy-17", raise_=False)

    anyio.run(run)


def at_work(journal: Any, then: Callable[[], Awaitable[object]]) -> None:
    """Run an atom, and do something in the middle of its only step."""

    async def middle(call: Any) -> None:
        await then()

    async def run() -> None:
        async with Atoms(journal, actor="ben") as atoms:
            step = Step("x", do=middle, undo=nothing)
            await atoms.run(Atom("long", version=1, steps=[step]), run_id="long-1", raise_=False)

    anyio.run(run)


def test_without_runs_it_says_so(cli: Cli, place: tuple[Any, list[str]]):
    assert cli("atoms", *place[1]).out == "no run is recorded\n"


def test_runs_are_listed_with_what_is_left_and_why(cli: Cli, place: tuple[Any, list[str]]):
    leave(place[0])

    for arguments in (["atoms", *place[1]], ["atoms", "list", *place[1]]):
        text = cli(*arguments, COLUMNS="200").out
        assert "succeeded" in text
        assert "rollback_failed" in text
        assert "link, stop" in text
        assert "disk is gone" in text
        assert text.endswith("1 run to decide about\n")
    assert "good" not in cli("atoms", "list", "--parked", *place[1], COLUMNS="200").out


def test_runs_are_listed_as_json(cli: Cli, place: tuple[Any, list[str]]):
    leave(place[0])

    found = {one["run_id"]: one for one in cli.json("atoms", "list", *place[1])}

    assert (found["deploy-17"]["state"], found["deploy-17"]["remaining"]) == ("rollback_failed", ["link", "stop"])
    assert (found["good"]["state"], found["good"]["remaining"], found["good"]["actor"]) == ("succeeded", [], "ben")


def test_a_run_that_goes_on_is_shown_with_the_process_that_is_at_work_on_it(cli: Cli, place: tuple[Any, list[str]]):
    shown = []

    async def look() -> None:
        arguments = ("atoms", *place[1])
        shown.append((await anyio.to_thread.run_sync(lambda: cli(*arguments, COLUMNS="200"))).out)
        shown.append(await anyio.to_thread.run_sync(lambda: cli.json(*arguments)))

    at_work(place[0], look)

    assert re.search(rf"^running +long-1 .* is being done by {socket.gethostname()}:\d+$", shown[0], re.MULTILINE)
    assert shown[0].endswith("nothing waits for a decision\n")
    assert (shown[1][0]["state"], shown[1][0]["owner"].split(":")[0]) == ("running", socket.gethostname())


def test_a_run_is_cancelled_wherever_it_is_at_work(cli: Cli, place: tuple[Any, list[str]]):
    told = []

    async def cancel() -> None:
        arguments = ("atoms", "cancel", "long-1", "-r", "wrong branch", *place[1])
        told.append(await anyio.to_thread.run_sync(lambda: cli(*arguments)))

    at_work(place[0], cancel)

    assert "run long-1 of atom long: is cancelled" in told[0].out
    (found,) = cli.json("atoms", *place[1])
    assert (found["state"], found["error"]["message"]) == ("rolled_back", "by ann: wrong branch")


def test_lines_fit_a_terminal_of_80_columns(cli: Cli, place: tuple[Any, list[str]]):
    leave(place[0])

    assert max(map(len, cli("atoms", *place[1]).out.splitlines())) <= 80


def test_a_run_that_cannot_be_read_is_told_and_hides_no_other(cli: Cli, tmp_path: Path):
    leave(FileJournal(tmp_path / "journal"))
    (tmp_path / "journal" / "bad run").mkdir()
    (tmp_path / "journal" / "bad run" / "00000001.json").write_text("{")

    told = cli("atoms", "--journal", str(tmp_path / "journal"), code=1, COLUMNS="200")

    assert "run 'bad run' cannot be read" in told.err
    assert "deploy-17" in told.out


def test_a_step_is_skipped_and_the_run_resumed_for_whoever_has_the_code(cli: Cli, place: tuple[Any, list[str]]):
    leave(place[0])

    assert "left to undo: stop" in cli("atoms", "skip", "deploy-17", "link", "-r", "by hand", *place[1]).out
    assert "will be undone further" in cli("atoms", "resume", "deploy-17", *place[1]).out
    assert cli.json("atoms", "list", *place[1])[-1]["state"] == "waiting"

    async def recover() -> None:
        async with Atoms(place[0], [deploy()], recover_every=None) as atoms:
            (result,) = await atoms.recover()
            assert result.outcome == "rolled_back"
            assert result.step("link").actor == "ann"

    anyio.run(recover)


def test_when_the_last_step_is_skipped_the_run_is_over(cli: Cli, place: tuple[Any, list[str]]):
    leave(place[0])
    cli("atoms", "skip", "deploy-17", "link", "-r", "by hand", *place[1])

    assert "that was all" in cli("atoms", "skip", "deploy-17", "stop", "-r", "by hand", *place[1]).out
    assert cli("atoms", "--parked", *place[1]).out == "nothing waits for a decision\n"


def test_what_was_changed_is_printed_as_json(cli: Cli, place: tuple[Any, list[str]]):
    leave(place[0])

    skipped = cli.json("atoms", "skip", "deploy-17", "link", "-r", "by hand", *place[1])
    resumed = cli.json("atoms", "resume", "deploy-17", *place[1])
    cancelled = cli.json("atoms", "cancel", "deploy-17", "-r", "enough", *place[1])

    assert (skipped["state"], skipped["remaining"]) == ("rollback_failed", ["stop"])
    assert (resumed["state"], resumed["resumed_by"]) == ("waiting", "ann")
    assert (cancelled["state"], cancelled["cancel"]["reason"]) == ("waiting", "enough")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["resume", "nobody"], 4, "there is no run 'nobody'"),
        (["resume", "nobody"], 4, "`grayflow atoms` lists those there are"),
        (["cancel", "deploy-71"], 4, "Did you mean 'deploy-17'?"),
        (["resume", "good"], 4, "run 'good' is succeeded"),
        (["cancel", "good"], 4, "has ended"),
        (["skip", "deploy-17", "x", "-r", "y"], 4, "these are: link, stop"),
        (["skip", "deploy-17", "link"], 2, "say why the step need not be undone: --reason"),
        (["skip", "deploy-17", "link", "-r", " "], 2, "--reason"),
        (["skip", "deploy-17", "-r", "y"], 2, "Missing argument"),
        (["resume"], 2, "Missing argument"),
        (["nonsense"], 2, "No such command"),
        (["--json", "resume", "deploy-17"], 2, "--json has to stand behind 'resume'"),
        (["resume", "x" * 1001], 2, "1,000 bytes"),
    ],
)
def test_what_cannot_be_done_is_refused(
    cli: Cli, place: tuple[Any, list[str]], arguments: list[str], code: int, words: str
):
    leave(place[0])
    before = cli.json("atoms", *place[1])

    assert words in cli("atoms", *arguments, *place[1], code=code, COLUMNS="2000").err
    assert [one["steps"] for one in cli.json("atoms", *place[1])] == [one["steps"] for one in before]


@pytest.mark.parametrize("verb", [[], ["resume", "r"], ["skip", "r", "s", "-r", "why"], ["cancel", "r"]])
def test_a_slip_in_the_place_makes_nothing_there(cli: Cli, verb: list[str]):
    folder = str(cli.folder / "jurnal")

    assert "does not exist" in cli("atoms", *verb, "--journal", folder, code=2, COLUMNS="400").err
    assert "no store is named" in cli("atoms", *verb, code=2, GRAYFLOW_URL="").err
    assert "127.0.0.1:1" in cli("atoms", *verb, "--url", "redis://127.0.0.1:1/0", code=3).err
    if not verb:
        assert "grayflow init" in cli("atoms", code=3).err
        assert list(cli.folder.iterdir()) == []


def test_nothing_that_a_run_was_given_steers_the_terminal_of_whoever_looks(cli: Cli):
    async def refuse(call: Any) -> None:
        raise OSError(EVIL)

    async def run() -> None:
        async with Atoms(cli.url, actor=EVIL) as atoms:
            step = Step("s", do=refuse, undo=refuse, undo_retry=QUICK)
            await atoms.run(Atom("a", version=1, steps=[step]), run_id=f"r{EVIL}", raise_=False)

    cli("init")
    anyio.run(run)

    for arguments in ([], ["resume", f"r{EVIL}"], ["cancel", f"r{EVIL}"], ["skip", f"r{EVIL}", "s", "-r", EVIL]):
        told = cli("atoms", *arguments, code=4 if "skip" in arguments else 0)
        assert UNSAFE.search(told.out + told.err) is None, arguments


def test_runs_of_a_server_are_seen_and_decided_about(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    namespace = f"t-{uuid4().hex[:12]}"
    monkeypatch.setenv("GRAYFLOW_NAMESPACE", namespace)
    cli = Cli(redis_url, tmp_path)
    cli("init")
    leave(redis_url, namespace=namespace)

    assert "1 run to decide about" in cli("atoms").out
    for step in ("link", "stop"):
        cli("atoms", "skip", "deploy-17", step, "-r", "by hand")

    assert [one["state"] for one in cli.json("atoms")] == ["succeeded", "rolled_back"]


def test_ctrl_c_while_a_server_does_not_answer_ends_it_without_a_traceback(environment: dict[str, str]):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        command = [*PROGRAM, "atoms", "resume", "r", "--url", url]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            silent.settimeout(PATIENCE_S)
            connection, _ = silent.accept()
            with connection:
                process.send_signal(signal.SIGINT)
                assert process.wait(PATIENCE_S) == 130
            assert process.communicate() == (b"", b"")
