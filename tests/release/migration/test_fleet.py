"""Several processes write the same rows by mixed stages and are killed at random: nothing acknowledged is lost."""

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from grayflow import Admin, Client
from grayflow.release.migration.compass import gray_flag, stage_flag
from grayflow.release.migration.rules import Stage
from tests.release.migration.bench import NAME, make, until
from tests.release.migration.ledger import Ack, check, settle
from tests.release.migration.stores import SqliteOrders

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

FAR = pytest.mark.faults
SKEWS = [
    pytest.param("dualwrite", "shadow", "split", marks=FAR),
    pytest.param("off", "dualwrite", "split", marks=FAR),
    pytest.param("off", "dualwrite", "mirrored"),
    pytest.param("shadow", "live", "split"),
    pytest.param("shadow", "live", "mirrored", marks=FAR),
    pytest.param("live", "rampdown", "split", marks=FAR),
    pytest.param("live", "rampdown", "mirrored", marks=FAR),
    pytest.param("", "", "mirrored", id="stages that change", marks=FAR),
]


class Fleet:
    """The processes."""

    def __init__(self, folder: Path, profile: str) -> None:
        self._folder, self._profile = folder, profile
        self._running: list[subprocess.Popen[bytes]] = []
        self._started = 0

    def start(self, stage: str) -> None:
        self._started += 1
        arguments = [str(self._folder), f"w{self._started}", str(self._started % 16), stage, self._profile]
        command = [sys.executable, "-m", "tests.release.migration.worker", *arguments]
        self._running.append(subprocess.Popen(command, cwd=Path(__file__).parents[3]))

    def kill(self, index: int) -> None:
        process = self._running.pop(index)
        assert process.poll() is None, "it ended by itself"
        process.kill()
        process.wait()

    def kill_all(self) -> None:
        while self._running:
            self.kill(0)

    def acks(self) -> list[Ack]:
        lines = [line for path in self._folder.glob("acks-*") for line in path.read_text().splitlines()]
        return [msgspec.json.decode(line, type=tuple[str, int]) for line in lines]


@pytest.fixture
def fleets() -> Iterator[list[Fleet]]:
    started: list[Fleet] = []
    yield started
    for one in started:
        for process in one._running:
            process.kill()
            process.wait()


@pytest.mark.parametrize(("one", "other", "profile"), SKEWS)
async def test_a_fleet_of_two_stages_that_is_killed(
    tmp_path: Path, fleets: list[Fleet], one: str, other: str, profile: str
) -> None:
    fleet, chosen = Fleet(tmp_path, profile), random.Random(f"{one}{other}{profile}")
    fleets.append(fleet)
    old, new = SqliteOrders(tmp_path / "old.db"), SqliteOrders(tmp_path / "new.db")
    async with Admin(f"sqlite:///{tmp_path}/flags.db", actor="ada") as admin:
        await admin.put(gray_flag(NAME))
        await admin.put(stage_flag(NAME, Stage.DUALWRITE))
        for stage in (one, other):
            fleet.start(stage)
        for stage in (one, other, one):
            before = len(fleet.acks())

            async def wrote(before: int = before) -> bool:
                return len(fleet.acks()) >= before + 150

            await until(wrote, 60)
            if not one:
                await admin.put(stage_flag(NAME, chosen.choice((Stage.DUALWRITE, Stage.SHADOW, Stage.RAMPDOWN))))
            fleet.kill(chosen.randrange(2) if not one else 0)
            fleet.start(stage)
        fleet.kill_all()

        migration = make(old, new, profile=profile)
        async with Client(f"sqlite:///{tmp_path}/flags.db") as flags, migration.running(flags, admin):

            async def free() -> bool:
                return (await migration.repair(at_once=True)).left == 0

            await until(free, 90)  # who was killed may have held the lease of the repairs
            await settle(migration)
            await check(old, new, profile, fleet.acks())
    old.close()
    new.close()
