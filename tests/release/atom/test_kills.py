"""
Killed at every write to the journal and at every effect, one process for each: afterwards all is done, or nothing.

Nothing is sampled: the points of a run are counted first, and then a process dies at each of them.
"""

import signal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from msgspec import structs

from tests.release.atom.kills import Order, sqlite_file
from tests.release.atom.world import NAMES, World
from tests.release.kills import Zygote

pytestmark = pytest.mark.timeout(300)

POLICIES = ("undo", "continue")


class Trial:
    """
    One kind of run, killed at each of its points in turn.

    Args:
        zygote: Makes the processes.
        folder: Of this test.
        order: What is run.
        place: Returns the journal of one attempt, given its folder.
    """

    def __init__(self, zygote: Zygote, folder: Path, order: Order, place: Any = None) -> None:
        self._zygote, self._folder, self._order = zygote, folder, order
        self._place = place or (lambda home: "files")
        self._number = 0

    def points(self) -> list[str]:
        """Run it to its end, and return the points that it comes to."""
        status, points = self._zygote.run(self._fresh())
        assert status == 0
        return points

    def killed_at(self, number: int) -> Order:
        """Run it in a fresh world and let it die at a point; return the order, to go on with."""
        order = structs.replace(self._fresh(), kill_at=number)
        status, _ = self._zygote.run(order)
        assert status == -signal.SIGKILL
        return order

    def recover(self, order: Order, **more: Any) -> tuple[int, list[str]]:
        """Let another process go on, an hour later."""
        later = structs.replace(
            order, **{"name": "second", "recover": True, "kill_at": 0, "fail": "", "hours": order.hours + 1, **more}
        )
        return self._zygote.run(later)

    def _fresh(self) -> Order:
        self._number += 1
        home = self._folder / str(self._number)
        World(home / "world").begin()
        return structs.replace(
            self._order, folder=str(home), journal=self._place(home), namespace=f"t-{uuid4().hex[:12]}"
        )


def world_of(order: Order) -> str:
    return World(Path(order.folder) / "world").state


def every_point(trial: Trial, allowed: set[str]) -> set[str]:
    """Kill at every point and recover; return the states in which the worlds ended."""
    points, ended = trial.points(), set()
    for number, name in enumerate(points, 1):
        order = trial.killed_at(number)
        status, _ = trial.recover(order)
        state = world_of(order)
        assert status == 0, f"recovery failed after a kill at point {number}, {name}"
        assert state in allowed, f"killed at point {number}, {name}: {state}"
        ended.add(state)
    return ended


FAR = pytest.mark.faults
"""The rest of the table; `nox -s faults` goes through all of it."""

SUCCESSES = [
    pytest.param("undo", True),
    pytest.param("continue", False),
    pytest.param("undo", False, marks=FAR),
    pytest.param("continue", True, marks=FAR),
]
FAILURES = [
    pytest.param("do start", "undo"),
    *[
        pytest.param(f"{what} {name}", policy, marks=FAR)
        for what in ("do", "check", "capture")
        for name in NAMES
        for policy in POLICIES
        if (what, name, policy) != ("do", "start", "undo")
    ],
]


@pytest.mark.parametrize(("policy", "check"), SUCCESSES)
def test_killed_anywhere_in_a_run_that_would_succeed(
    zygote: Zygote, quick_path: Path, policy: str, check: bool
) -> None:
    order = Order(folder="", rules={"on_recover": policy, "check": check})

    assert every_point(Trial(zygote, quick_path, order), {"before", "after"}) == {"before", "after"}


@pytest.mark.parametrize(("fail", "policy"), FAILURES)
def test_killed_anywhere_in_a_run_that_fails_and_is_undone(
    zygote: Zygote, quick_path: Path, fail: str, policy: str
) -> None:
    order = Order(folder="", fail=fail, rules={"on_recover": policy})

    ended = every_point(Trial(zygote, quick_path, order), {"before", "after"})

    assert "before" in ended
    if policy == "undo":
        assert ended == {"before"}


UNDOS = [
    pytest.param(name, policy, marks=[] if (name, policy) == ("link", "halt") else FAR)
    for name in NAMES
    for policy in ("halt", "continue")
]


@pytest.mark.parametrize(("name", "policy"), UNDOS)
def test_killed_anywhere_in_a_run_whose_undo_fails_it_can_be_undone_later(
    zygote: Zygote, quick_path: Path, name: str, policy: str
) -> None:
    rules = {"undo_failure": policy, "step": {"independent": policy == "continue"}}
    trial = Trial(zygote, quick_path, Order(folder="", fail=f"check open, undo {name}", rules=rules))
    points = trial.points()
    assert f"undo {name} fails" in points

    for number, point in enumerate(points, 1):
        order = trial.killed_at(number)
        status, _ = trial.recover(order, resume=True)
        assert (status, world_of(order)) == (0, "before"), f"killed at point {number}, {point}"


def test_killed_anywhere_while_another_process_recovers(zygote: Zygote, quick_path: Path) -> None:
    """The first died between the two writes of `link`; the second dies at each of its points; a third goes on."""
    trial = Trial(zygote, quick_path, Order(folder=""))
    middle = trial.points().index("link a is new") + 1
    order = trial.killed_at(middle)
    status, points = trial.recover(order)
    assert (status, world_of(order)) == (0, "before")

    for number, name in enumerate(points, 1):
        order = trial.killed_at(middle)
        status, _ = trial.recover(order, kill_at=number)
        assert status == -signal.SIGKILL
        status, _ = trial.recover(structs.replace(order, hours=1))
        assert (status, world_of(order)) == (0, "before"), f"killed at point {number}, {name}"


@pytest.mark.parametrize(("fail", "policy"), [("", "undo"), pytest.param("do start", "undo", marks=FAR)])
def test_killed_anywhere_with_the_journal_in_a_sqlite_file(
    zygote: Zygote, quick_path: Path, fail: str, policy: str
) -> None:
    order = Order(folder="", fail=fail, rules={"on_recover": policy})
    trial = Trial(zygote, quick_path, order, place=sqlite_file)

    assert every_point(trial, {"before", "after"}) >= {"before"}


@pytest.mark.faults
@pytest.mark.parametrize("fail", ["", "do start"])
def test_killed_anywhere_with_the_journal_in_redis(zygote: Zygote, quick_path: Path, redis_url: str, fail: str) -> None:
    order = Order(folder="", fail=fail, lease=0.3)  # by the server's clock, which no test can set: it is waited for
    trial = Trial(zygote, quick_path, order, place=lambda home: redis_url)

    assert every_point(trial, {"before", "after"}) >= {"before"}
