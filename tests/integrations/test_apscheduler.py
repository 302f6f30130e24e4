"""APScheduler 3: which jobs are paused, and that no body runs once the gate has seen the off."""

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import anyio
import pytest
from apscheduler.jobstores.redis import RedisJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.background import BackgroundScheduler

from grayflow import Admin, Client, MemoryStore
from grayflow.clock import SystemClock
from grayflow.integrations.apscheduler import pause_jobs, pause_while_off, remove_jobs, resume_jobs
from tests.servers import RedisServer

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

sleep = SystemClock().sleep

THREADS = 10
"""In which APScheduler runs jobs, where nothing else is said."""


class Ran(list[str]):
    """What jobs did."""

    def note(self, what: str = "ran") -> None:
        self.append(what)

    async def note_later(self, what: str = "ran") -> None:
        self.append(what)


def nightly() -> None:
    """Stand for a job that a store keeps by the name of its function."""


def weekly() -> None:
    """Stand for another."""


@pytest.fixture
async def admin() -> AsyncIterator[Admin]:
    async with Admin(MemoryStore(), actor="test") as opened:
        await opened.put({"key": "f", "enabled": True})
        yield opened


@pytest.fixture
async def flags(admin: Admin) -> AsyncIterator[Client]:
    async with Client(admin.store) as opened:
        yield opened


@pytest.fixture
async def scheduler() -> AsyncIterator[AsyncIOScheduler]:
    scheduler = AsyncIOScheduler(timezone="UTC")
    scheduler.start()
    yield scheduler
    scheduler.shutdown()


@pytest.fixture
def idle() -> Iterator[BackgroundScheduler]:
    """A scheduler in a thread, whose jobs never come."""
    scheduler = BackgroundScheduler(timezone="UTC")
    scheduler.start(paused=True)
    yield scheduler
    scheduler.shutdown()


async def until(condition: Callable[[], Any]) -> None:
    with anyio.fail_after(50):
        while not condition():
            await sleep(0.01)


def paused(scheduler: Any) -> set[str]:
    return {job.id for job in scheduler.get_jobs() if getattr(job, "next_run_time", job) is None}


# Which


@pytest.fixture
def jobs(idle: BackgroundScheduler) -> BackgroundScheduler:
    for number, function in enumerate((nightly, nightly, weekly)):
        idle.add_job(function, "interval", hours=1, id=f"job-{number}")
    return idle


def test_jobs_are_paused_by_id(jobs: BackgroundScheduler):
    assert pause_jobs(jobs, "job-0", "job-2", "missing") == ("job-0", "job-2")
    assert paused(jobs) == {"job-0", "job-2"}


def test_jobs_are_paused_by_function(jobs: BackgroundScheduler):
    assert pause_jobs(jobs, nightly) == ("job-0", "job-1")
    assert paused(jobs) == {"job-0", "job-1"}


def test_what_is_paused_already_is_not_paused_again_and_what_is_not_does_not_go_on_anew(jobs: BackgroundScheduler):
    before = jobs.get_job("job-2").next_run_time
    pause_jobs(jobs, nightly)

    assert pause_jobs(jobs, nightly) == ()
    assert resume_jobs(jobs, nightly, weekly) == ("job-0", "job-1")
    assert resume_jobs(jobs, nightly, weekly) == ()
    assert (paused(jobs), jobs.get_job("job-2").next_run_time) == (set(), before)


def test_jobs_are_removed_once(jobs: BackgroundScheduler):
    assert remove_jobs(jobs, nightly) == ("job-0", "job-1")
    assert remove_jobs(jobs, nightly) == ()
    assert [job.id for job in jobs.get_jobs()] == ["job-2"]


def test_methods_and_nested_functions_are_known_too(idle: BackgroundScheduler):
    first, second = Ran(), Ran()
    idle.add_job(first.note, "interval", hours=1, id="first")
    idle.add_job(second.note, "interval", hours=1, id="second")
    idle.add_job(lambda: None, "interval", hours=1, id="nested")

    assert pause_jobs(idle, first.note) == ("first",)


def test_jobs_of_a_scheduler_that_was_not_started_begin_paused():
    scheduler = BackgroundScheduler(timezone="UTC")
    scheduler.add_job(nightly, "interval", hours=1, id="job")

    assert pause_jobs(scheduler, nightly) == ("job",)

    scheduler.start(paused=True)
    assert paused(scheduler) == {"job"}
    scheduler.shutdown()


def test_jobs_that_a_store_kept_are_known_by_the_name_of_their_function(redis_server: RedisServer):
    key = uuid4().hex
    for restart in (False, True):
        store = RedisJobStore(jobs_key=f"{key}:jobs", run_times_key=f"{key}:times", port=redis_server.port)
        scheduler = BackgroundScheduler(timezone="UTC", jobstores={"default": store})
        scheduler.start(paused=True)
        if restart:
            assert pause_jobs(scheduler, nightly) == ("kept",)
            remove_jobs(scheduler, "kept")
        else:
            scheduler.add_job(nightly, "interval", hours=1, id="kept")
        scheduler.shutdown()


# When


async def test_a_job_pauses_when_the_flag_goes_off_and_goes_on_when_it_comes_back(
    scheduler: AsyncIOScheduler, flags: Client, admin: Admin
):
    ran = Ran()
    scheduler.add_job(ran.note_later, "interval", seconds=0.02, id="job")
    pause_while_off(scheduler, flags, "f", "job")
    await until(lambda: len(ran) > 2)

    await admin.switch_off("f")
    await until(lambda: paused(scheduler) == {"job"})
    by_then = len(ran)
    await sleep(0.2)
    assert len(ran) <= by_then + 1  # one that was due already

    await admin.switch_on("f")
    await until(lambda: len(ran) > by_then + 3)


async def test_a_job_is_paused_that_starts_after_the_switch(scheduler: AsyncIOScheduler, admin: Admin):
    await admin.switch_off("f")
    scheduler.add_job(nightly, "interval", hours=1, id="job")
    flags = Client(admin.store)
    pause_while_off(scheduler, flags, "f", nightly)

    async with flags:
        await until(lambda: paused(scheduler) == {"job"})


@pytest.mark.parametrize("kind", ["async", "threads"])
async def test_no_body_of_a_thousand_waiting_jobs_runs_once_the_gate_has_seen_the_off(
    flags: Client, admin: Admin, kind: str
):
    ran, came = Ran(), Ran()
    scheduler = AsyncIOScheduler(timezone="UTC") if kind == "async" else BackgroundScheduler(timezone="UTC")
    gated = flags.gate("f", context=lambda: came.append("came"))(ran.note_later if kind == "async" else ran.note)
    soon = datetime.now(UTC) + timedelta(seconds=0.2)
    for _ in range(1000):
        scheduler.add_job(gated, "date", run_date=soon, misfire_grace_time=None)
    scheduler.start()
    await flags.wait_for((await admin.switch_off("f")).token)
    by_then = len(ran)

    await until(lambda: len(came) == 1000)
    await until(lambda: gated.gate.refused + len(ran) == 1000)

    assert len(ran) <= by_then + THREADS  # those that had asked already
    scheduler.shutdown()


async def test_an_async_body_is_awaited_behind_its_gate(scheduler: AsyncIOScheduler, flags: Client):
    ran = Ran()
    scheduler.add_job(flags.gate("f")(ran.note_later), "date", run_date=datetime.now(UTC))

    await until(lambda: ran == ["ran"])
