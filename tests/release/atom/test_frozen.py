"""
A process that is stopped at every point in turn, past its lease, and woken when another has finished the run.

Whatever it was at, it begins nothing more, and the journal has no step twice.
"""

import signal
from collections import Counter
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from msgspec import structs

from grayflow.release.atom.record import Run
from tests.release.atom.kills import Order, sqlite_file
from tests.release.atom.world import World
from tests.release.kills import Zygote

pytestmark = pytest.mark.timeout(300)

MIDDLE = "link a is new"


@pytest.fixture(scope="module")
def middle(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> int:
    """Return the number of the point in the middle of a step."""
    home = tmp_path_factory.mktemp("counted")
    order = begun(Order(folder=str(home)))
    zygote.run(order)
    return Zygote.points(order).index(MIDDLE) + 1


def begun(order: Order) -> Order:
    World(Path(order.folder) / "world").begin()
    return order


def left_by_a_killed_process(zygote: Zygote, order: Order, middle: int) -> Order:
    """Let a process die in the middle of a step."""
    status, _ = zygote.run(structs.replace(begun(order), kill_at=middle))
    assert status == -signal.SIGKILL
    return order


def commits(order: Order) -> Counter[tuple[str, str]]:
    """Count how often each step was recorded to have come to each state, over all processes."""
    found: Counter[tuple[str, str]] = Counter()
    states: dict[str, str] = {}
    versions = [msgspec.json.decode(line)[1] for line in (Path(order.folder) / "accepted").read_text().splitlines()]
    assert versions == sorted(set(versions)), "two processes wrote the same version"
    for version in versions:
        run = msgspec.json.decode((Path(order.folder) / f"version-{version}").read_bytes(), type=Run)
        for step in run.steps:
            if states.get(step.name) != step.state:
                found[step.name, step.state] += 1
            states[step.name] = step.state
    return found


def check(order: Order, frozen: Order, where: str) -> None:
    """Nothing begun after waking, nothing recorded twice, the world as before."""
    begun_late = [what for what in Zygote.points(frozen)[frozen.stop_at :] if what.startswith(("do ", "undo "))]
    assert begun_late == [], f"{where}: it began {begun_late} after it had been overtaken"
    assert World(Path(order.folder) / "world").state == "before", where
    twice = {what: count for what, count in commits(order).items() if count > 1}
    assert not twice, f"{where}: {twice}"


def test_a_recoverer_that_is_frozen_anywhere_is_refused_when_it_wakes(
    zygote: Zygote, quick_path: Path, middle: int
) -> None:
    trial = left_by_a_killed_process(zygote, Order(folder=str(quick_path / "first")), middle)
    status, points = zygote.run(structs.replace(trial, name="frozen", recover=True, hours=1))
    assert (status, World(Path(trial.folder) / "world").state) == (0, "before")

    for number, name in enumerate(points, 1):
        order = left_by_a_killed_process(zygote, Order(folder=str(quick_path / f"{number}")), middle)
        frozen = structs.replace(order, name="frozen", recover=True, hours=1, stop_at=number)
        process = zygote.stop(frozen)
        status, _ = zygote.run(structs.replace(order, name="awake", recover=True, hours=2))
        assert status == 0
        assert zygote.wake(process, frozen, slept_s=3600) == 0
        check(order, frozen, f"stopped at point {number}, {name}")


@pytest.mark.faults
def test_the_process_that_runs_it_is_frozen_anywhere_and_refused_when_it_wakes(
    zygote: Zygote, quick_path: Path
) -> None:
    status, points = zygote.run(begun(Order(folder=str(quick_path / "first"))))
    assert status == 0

    for number, name in enumerate(points, 1):
        order = begun(Order(folder=str(quick_path / f"{number}")))
        frozen = structs.replace(order, name="frozen", stop_at=number)
        process = zygote.stop(frozen)
        status, after = zygote.run(structs.replace(order, name="awake", recover=True, hours=1))
        assert status == 0
        assert zygote.wake(process, frozen, slept_s=3600) == 0
        if "after claim" in after:  # else there was nothing to take over: not begun yet, or done already
            check(order, frozen, f"stopped at point {number}, {name}")


@pytest.mark.parametrize("place", ["sqlite", pytest.param("redis", marks=pytest.mark.redis)])
def test_a_recoverer_that_is_frozen_past_its_lease_finds_the_run_taken(
    zygote: Zygote, quick_path: Path, middle: int, place: str, request: pytest.FixtureRequest
) -> None:
    """The same with the lease of a board and the time of the machine, in the middle of an undo."""
    url = sqlite_file(quick_path) if place == "sqlite" else request.getfixturevalue("redis_url")
    order = Order(folder=str(quick_path / "home"), journal=url, namespace=f"t-{uuid4().hex[:12]}", lease=0.5)
    left_by_a_killed_process(zygote, order, middle)
    frozen = structs.replace(order, name="frozen", recover=True, stop_on="link a is old")
    process = zygote.stop(frozen)
    frozen = structs.replace(frozen, stop_at=len(Zygote.points(frozen)))

    status, _ = zygote.run(structs.replace(order, name="awake", recover=True))

    assert status == 0
    assert zygote.wake(process, frozen, slept_s=0) == 0
    check(order, frozen, f"frozen on {place}")
