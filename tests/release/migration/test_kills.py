"""
Killed before and after every call of a store and every write to the board: whoever comes next makes up for it.

Nothing is sampled: the points of a run are counted first, and then a process dies at each of them.
"""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from msgspec import structs

from tests.release.kills import Zygote
from tests.release.migration.kills import Task

pytestmark = pytest.mark.timeout(300)

FAR = pytest.mark.faults
"""The rest of the table; `nox -s faults` goes through all of it."""

CASES = [
    pytest.param("dualwrite", "split"),
    pytest.param("rampdown", "mirrored"),
    *[
        pytest.param(stage, profile, marks=FAR)
        for stage in ("dualwrite", "live", "rampdown")
        for profile in ("split", "mirrored")
        if (stage, profile) not in {("dualwrite", "split"), ("rampdown", "mirrored")}
    ],
]


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote(Task) as started:
        yield started


class Trial:
    """
    One kind of run, killed at each of its points in turn.

    Args:
        zygote: Makes the processes.
        folder: Of this test.
        task: What is run.
    """

    def __init__(self, zygote: Zygote, folder: Path, task: Task) -> None:
        self._zygote, self._folder, self._task = zygote, folder, task
        if task.new == "sqlite":
            self._template = structs.replace(task, folder=str(folder / "template"), what="init")
            (folder / "template").mkdir()
            assert zygote.run(self._template)[0] == 0

    def points(self) -> list[str]:
        """Run it to its end, settle, and return the points that it came to."""
        task = self._fresh()
        status, points = self._zygote.run(task)
        assert status == 0
        self._settle(task)
        return points

    def kill_everywhere(self, *then: Task) -> int:
        """Kill it at each point, let others come after it, settle and check; return how many points there are."""
        points = self.points()
        for number, name in enumerate(points, 1):
            task = structs.replace(self._fresh(), kill_at=number)
            assert self._zygote.run(task)[0] == -signal.SIGKILL
            for after in then:
                later = structs.replace(task, what=after.what, hours=1, kill_at=0)
                assert self._zygote.run(later)[0] == 0, f"killed at point {number}, {name}"
            self._settle(task, f"killed at point {number}, {name}")
            shutil.rmtree(task.folder)
        return len(points)

    def _settle(self, task: Task, told: str = "") -> None:
        stage = task.stage if task.stage != "off" else "dualwrite"
        later = structs.replace(task, what="settle", stage=stage, hours=2, kill_at=0)
        assert self._zygote.run(later)[0] == 0, told

    def _fresh(self) -> Task:
        folder = self._folder / uuid4().hex
        task = structs.replace(self._task, folder=str(folder), prefix=f"t-{uuid4().hex[:12]}")
        if task.new == "sqlite":
            shutil.copytree(self._folder / "template", folder)
        else:
            folder.mkdir()
            assert self._zygote.run(structs.replace(task, what="init"))[0] == 0
        return task


@pytest.mark.parametrize(("stage", "profile"), CASES)
def test_killed_anywhere_in_writes(zygote: Zygote, quick_path: Path, stage: str, profile: str) -> None:
    task = Task(folder="", stage=stage, profile=profile)

    assert Trial(zygote, quick_path, task).kill_everywhere() > 30


@pytest.mark.faults
@pytest.mark.parametrize("mirror", ["copy", "replay"])
def test_killed_anywhere_in_writes_that_are_tried_again(zygote: Zygote, quick_path: Path, mirror: str) -> None:
    task = Task(folder="", profile="mirrored", mirror=mirror)

    assert Trial(zygote, quick_path, task).kill_everywhere(Task(folder="", what="write")) > 30


@pytest.mark.parametrize("profile", ["split", pytest.param("mirrored", marks=FAR)])
def test_killed_anywhere_in_the_backfill(zygote: Zygote, quick_path: Path, profile: str) -> None:
    task = Task(folder="", what="backfill", profile=profile)

    trial = Trial(zygote, quick_path, task)

    assert trial.kill_everywhere(Task(folder="", what="backfill"), Task(folder="", what="write")) > 10


@pytest.mark.faults
@pytest.mark.parametrize("profile", ["split", "mirrored"])
def test_killed_anywhere_in_writes_to_redis(zygote: Zygote, quick_path: Path, redis_url: str, profile: str) -> None:
    """From a table of SQLite to rows in Redis."""
    task = Task(folder="", new=redis_url, profile=profile, stage="live")

    assert Trial(zygote, quick_path, task).kill_everywhere() > 30
