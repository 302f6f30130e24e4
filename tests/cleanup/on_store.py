"""
What handlers promise on every store that processes share; subclassed for SQLite and for Redis.

The clients of one test stand for the processes of a fleet; `kills.py` has processes of its own. Time is the machine's.
"""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from grayflow import Admin, CleanupOptions, Client, Retry
from grayflow.store.jobs import HANDLERS, Job
from tests.cleanup.kit import Told
from tests.replica.kit import until

OPTIONS = CleanupOptions(lease=0.6, orphan_after=1.5)
QUICK = Retry(attempts=3, base=0.05)
ANYWHERE = (
    "before claim",
    "after claim",
    "before begin",
    "in the handler",
    "after the effect",
    "before renew",
    "after renew",
    "after finish",
)
EARLY = ("before claim", "after claim", "before begin")
"""Points at which the handler has not begun."""


class Worker:
    """A process of its own with the handler `purge`; `kills_at` says where it kills itself."""

    def __init__(self, url: str, namespace: str, effects: Path, kills_at: str) -> None:
        arguments = [url, namespace, str(effects), kills_at]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.cleanup.worker", *arguments],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            text=True,
        )

    async def ready(self) -> None:
        assert self.process.stdout is not None
        with anyio.fail_after(30):
            line = await anyio.to_thread.run_sync(self.process.stdout.readline)
        assert line == "ready\n"

    async def dead(self) -> None:
        await until(lambda: self.process.poll() is not None, within_s=30)
        assert self.process.returncode == -signal.SIGKILL

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        if self.process.stdout is not None:
            self.process.stdout.close()


class HandlersOnStore:
    """Give a fixture `place`: the URL and the namespace of an empty store."""

    kills = ANYWHERE

    @pytest.fixture
    async def admin(self, place: tuple[str, str]) -> AsyncIterator[Admin]:
        async with Admin(place[0], namespace=place[1], actor="ann") as opened:
            await opened.init()
            await opened.put({"key": "f", "enabled": True})
            yield opened

    @pytest.fixture
    def workers(self) -> Iterator[list[Worker]]:
        started: list[Worker] = []
        yield started
        for worker in started:
            worker.close()

    def client(self, place: tuple[str, str], name: str = "shop", **options: Any) -> Client:
        return Client(place[0], namespace=place[1], name=name, cleanup=OPTIONS, **options)

    async def job(self, admin: Admin, handler: str = "purge") -> Job | None:
        found = [job for job in await admin.jobs() if job.handler == handler]
        return found[0] if found else None

    async def until_state(self, admin: Admin, state: str, handler: str = "purge") -> Job:
        with anyio.fail_after(30):
            while True:
                job = await self.job(admin, handler)
                if job is not None and job.state == state:
                    return job
                await anyio.to_thread.run_sync(lambda: None)

    async def test_every_process_and_once_in_the_fleet(self, place: tuple[str, str], admin: Admin):
        process, once = Told(), Told()
        async with self.client(place, "one") as first, self.client(place, "other") as second:
            for flags in (first, second):
                flags.on_switch_off("f")(process)
                flags.on_switch_off("f", scope="fleet", name="purge")(once)
            saved = await admin.switch_off("f", reason="double charges")
            job = await self.until_state(admin, "done")
            await until(lambda: len(process.ended) == 2)

            assert once.generations == [2 * saved.change.revision]
            assert (job.completed, job.done, job.drained) == (1, 2 * saved.change.revision, "acknowledged")
            (off,) = once.events
            assert (off.cause, off.actor, off.reason) == ("disabled", "ann", "double charges")

    async def test_an_expiry_with_and_without_somebody_awake(self, place: tuple[str, str], admin: Admin):
        soon = datetime.now(UTC) + timedelta(seconds=1.2)
        await admin.put({"key": "f", "enabled": True, "expires_at": soon.isoformat()})
        await admin.put({"key": "asleep", "enabled": True, "expires_at": soon.isoformat()})
        told, late = Told(), Told()
        async with self.client(place, "one") as first, self.client(place, "other") as second:
            for flags in (first, second):
                flags.on_switch_off("f", scope="fleet", name="purge")(told)
            assert first.peek("f") is True
            await until(lambda: told.ended, within_s=30)
            assert datetime.now(UTC) >= soon
        async with self.client(place) as flags:
            flags.on_switch_off("asleep", scope="fleet", name="late")(late)
            await until(lambda: late.ended, within_s=30)

        assert [off.cause for off in (*told.events, *late.events)] == ["expired", "expired"]

    async def test_a_dead_letter_is_recorded_once_and_done_after_a_retry(self, place: tuple[str, str], admin: Admin):
        told = Told(failures=3)
        async with self.client(place) as flags:
            flags.on_switch_off("f", scope="fleet", name="purge", retry=QUICK)(told)
            await admin.switch_off("f")
            job = await self.until_state(admin, "failed")
            assert (job.attempts, job.error, flags.health.cleanup.errors) == (
                3,
                "RuntimeError: the cache does not answer",
                3,
            )

            await admin.retry("purge", "f", reason="mended")
            job = await self.until_state(admin, "done")
            assert (job.completed, job.actor, len(told.ended)) == (1, "ann", 1)

    async def test_a_removed_handler_is_orphaned_and_waived(self, place: tuple[str, str], admin: Admin):
        async with self.client(place) as flags:
            flags.on_switch_off("f", scope="fleet", name="purge")(Told())
            board = admin.store.board
            assert board is not None
            with anyio.fail_after(30):
                while "purge" not in (await board.list(HANDLERS)).records:
                    await anyio.to_thread.run_sync(lambda: None)
        async with self.client(place):
            await admin.switch_off("f")
            await self.until_state(admin, "orphaned")
            await admin.waive("purge", "f", reason="keys expire by themselves")
            job = await self.until_state(admin, "waived")

        assert (job.actor, job.reason) == ("ann", "keys expire by themselves")

    async def test_on_again_stops_what_runs_in_another_process(self, place: tuple[str, str], admin: Admin):
        told = Told(hangs=True)
        async with self.client(place) as flags:
            flags.on_switch_off("f", scope="fleet", name="purge")(told)
            await admin.switch_off("f")
            await until(lambda: told.events)
            await admin.switch_on("f")
            job = await self.until_state(admin, "superseded")

            assert (len(told.cancelled), job.superseded, job.completed) == (1, 1, 0)

    async def test_a_service_that_was_down_cleans_up_when_it_starts(self, place: tuple[str, str], admin: Admin):
        told = Told()
        await admin.switch_off("f")
        flags = self.client(place)
        flags.on_switch_off("f", scope="fleet", name="purge")(told)
        async with flags:
            await until(lambda: told.ended)

    # Processes that die

    async def test_killed_anywhere_another_process_finishes_it_and_it_is_recorded_once(
        self, place: tuple[str, str], admin: Admin, workers: list[Worker], tmp_path: Path
    ):
        """All points in one test: each has a handler, a flag and a process of its own, and they die together."""
        told = {point: Told() for point in self.kills}
        for point in self.kills:
            await admin.put({"key": _key(point), "enabled": True})
            workers.append(Worker(*place, tmp_path / _key(point), point))
        for worker in workers:
            await worker.ready()
        for point in self.kills:
            await admin.switch_off(_key(point))
        for worker in workers:
            await worker.dead()

        async with self.client(place) as flags:
            for point in self.kills:
                flags.on_switch_off(_key(point), scope="fleet", name=_key(point), drain=0.2)(told[point])
            for point in self.kills:
                job = await self.until_state(admin, "done", _key(point))
                begun, effects = _effects(tmp_path / _key(point))
                assert (point, job.completed) == (point, 1)
                died_done = point == "after finish"
                assert (point, len(told[point].ended)) == (point, 0 if died_done else 1)
                if not point.endswith("renew"):  # the first renewal may come before the handler begins
                    assert (point, begun) == (point, 0 if point in EARLY else 1)
                assert (point, effects) == (point, 1 if point in ("after the effect", "after finish") else 0)
                assert (point, job.attempts) == (point, 2 if begun and not died_done else 1)

    async def test_a_process_that_was_stopped_for_too_long_cannot_claim_to_have_finished(
        self, place: tuple[str, str], admin: Admin, workers: list[Worker], tmp_path: Path
    ):
        await admin.put({"key": "stopped", "enabled": True})
        worker, told = Worker(*place, tmp_path / "effects", "stopped"), Told()
        workers.append(worker)
        await worker.ready()
        saved = await admin.switch_off("stopped")
        await until(lambda: _effects(tmp_path / "effects") == (1, 0))
        os.kill(worker.process.pid, signal.SIGSTOP)
        async with self.client(place) as flags:
            flags.on_switch_off("stopped", scope="fleet", name="stopped", drain=0.2)(told)
            job = await self.until_state(admin, "done", "stopped")
            assert (job.completed, told.generations) == (1, [2 * saved.change.revision])
            os.kill(worker.process.pid, signal.SIGCONT)
            await until(lambda: _effects(tmp_path / "effects") == (1, 1))
            worker.process.terminate()
            await until(lambda: worker.process.poll() is not None)

            assert await self.job(admin, "stopped") == job


def _key(point: str) -> str:
    return point.replace(" ", "-")


def _effects(path: Path) -> tuple[int, int]:
    """Return how many handlers began and how many had their effect."""
    lines = path.read_text().split() if path.exists() else []
    return lines.count("began"), lines.count("effect")
