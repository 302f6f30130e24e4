"""Jobs that wait for a process that has their handler, and what people say about jobs."""

import logging
from collections.abc import Callable

import msgspec
import pytest

from grayflow import Admin, CleanupOptions, ConfigurationError, MemoryStore, Retry
from grayflow.store.jobs import HANDLERS, JOBS
from grayflow.store.wrappers import ReadOnly
from grayflow.testing import FakeClock
from tests.cleanup.conftest import Make
from tests.cleanup.kit import Told

pytestmark = pytest.mark.anyio


@pytest.fixture
async def removed(make: Make, admin: Admin, clock: FakeClock) -> None:
    """A handler `purge` was registered, and is in no code any more; then the flag is switched off."""
    async with make() as flags:
        flags.on_switch_off("f", scope="fleet", name="purge")(Told())
        await clock.advance(5)
    await admin.switch_off("f")


@pytest.mark.usefixtures("removed")
async def test_a_handler_that_was_removed_is_missed_after_a_while_once(
    make: Make, clock: FakeClock, recorded: Callable, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.ERROR)
    async with make("one"), make("other"):
        await clock.advance(100)
        job = await recorded()
        assert (job.state, job.attempts) == ("pending", 0)
        assert caplog.records == []

        await clock.advance(3600)
        assert (await recorded()).state == "orphaned"
        (record,) = caplog.records
        assert (
            "'purge' is wanted for flag 'f', variant 'on', and no process has had it for 600 s" in record.getMessage()
        )


@pytest.mark.usefixtures("removed")
async def test_how_long_is_an_option(make: Make, clock: FakeClock, recorded: Callable):
    async with make(cleanup=CleanupOptions(orphan_after=20)):
        await clock.advance(40)

        assert (await recorded()).state == "orphaned"


@pytest.mark.usefixtures("removed")
async def test_an_orphaned_job_is_done_by_a_process_that_has_the_handler_again(
    make: Make, clock: FakeClock, recorded: Callable
):
    told = Told()
    async with make():
        await clock.advance(1000)
        assert (await recorded()).state == "orphaned"
        async with make("mended") as flags:
            flags.on_switch_off("f", scope="fleet", name="purge")(told)
            await clock.advance(5)

    assert len(told.ended) == 1
    assert (await recorded()).state == "done"


@pytest.mark.usefixtures("removed")
async def test_an_orphaned_job_is_waived_with_actor_and_reason_and_the_handler_forgotten(
    make: Make, admin: Admin, clock: FakeClock, store: MemoryStore, recorded: Callable
):
    async with make():
        await clock.advance(1000)
        (waived,) = await admin.waive("purge", "f", reason="keys expire by themselves")

        job = await recorded()
        assert job == waived
        assert (job.state, job.actor, job.reason) == ("waived", "ann", "keys expire by themselves")
        assert (await store.board.list(HANDLERS)).records == {}
        await admin.switch_on("f")
        await admin.switch_off("f")
        await clock.advance(3600)
        assert (await recorded()).state == "waived"


async def test_a_flag_that_the_handler_does_not_follow_any_more_is_missed_too(
    make: Make, admin: Admin, clock: FakeClock, recorded: Callable
):
    async with make() as flags:
        flags.on_switch_off("f", scope="fleet", name="purge", retry=Retry(attempts=1))(Told(failures=1))
        await admin.switch_off("f")
        await clock.advance(5)
    await admin.retry("purge", "f")
    async with make() as flags, make("sweeper"):
        flags.on_switch_off("g", scope="fleet", name="purge")(Told())
        await clock.advance(1000)

        assert (await recorded()).state == "orphaned"


async def test_a_dead_letter_is_done_after_it_is_mended_and_retried(
    make: Make, admin: Admin, clock: FakeClock, recorded: Callable
):
    told = Told(failures=2)
    async with make() as flags:
        flags.on_switch_off("f", scope="fleet", name="purge", retry=Retry(attempts=2, base=1))(told)
        await admin.switch_off("f")
        await clock.advance(60)
        assert (await recorded()).state == "failed"

        (retried,) = await admin.retry("purge", "f", "on", reason="cache is back")
        assert (retried.state, retried.attempts, retried.actor, retried.reason) == (
            "pending",
            0,
            "ann",
            "cache is back",
        )
        await clock.advance(10)

        job = await recorded()
        assert (job.state, job.completed, job.error, len(told.ended)) == ("done", 1, "", 1)


async def test_what_runs_can_be_waived_and_is_stopped(make: Make, admin: Admin, clock: FakeClock, recorded: Callable):
    told = Told(hangs=True)
    async with make() as flags:
        flags.on_switch_off("f", scope="fleet", name="purge")(told)
        await admin.switch_off("f")
        await clock.advance(5)
        with pytest.raises(ConfigurationError, match=r"'purge' for flag 'f', variant 'on' is running now, in shop \("):
            await admin.retry("purge", "f")

        await admin.waive("purge", "f", reason="by hand")
        await clock.advance(20)

        assert len(told.cancelled) == 1
        assert (await recorded()).state == "waived"
        await clock.advance(100)
        assert len(told.events) == 1


async def test_only_what_is_unfinished_can_be_decided_about(make: Make, admin: Admin, clock: FakeClock):
    with pytest.raises(ConfigurationError, match="there is no job of handler 'purge' for flag 'f'; `grayflow jobs`"):
        await admin.retry("purge", "f")
    async with make() as flags:
        flags.on_switch_off("f", scope="fleet", name="purge")(Told())
        await admin.switch_off("f")
        await clock.advance(5)

    with pytest.raises(ConfigurationError, match="nothing is left to do of handler 'purge' for flag 'f': 'on' is done"):
        await admin.waive("purge", "f", reason="x")
    with pytest.raises(ConfigurationError, match="say why"):
        await admin.waive("purge", "f", reason=" ")


async def test_jobs_are_listed_unfinished_first(make: Make, admin: Admin, clock: FakeClock):
    async with make() as flags:
        flags.on_switch_off(["f", "g"], scope="fleet", name="a")(Told())
        flags.on_switch_off("g", scope="fleet", name="b", retry=Retry(attempts=1))(Told(failures=1))
        await admin.switch_off("f")
        await admin.switch_off("g")
        await clock.advance(5)

    found = [(job.handler, job.flag, job.state) for job in await admin.jobs()]
    assert found == [("b", "g", "failed"), ("a", "f", "done"), ("a", "g", "done")]
    assert [job.handler for job in await admin.jobs("f")] == ["a"]


async def test_without_a_board_there_are_no_jobs(store: MemoryStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch):
    bare = ReadOnly(store)
    bare.board = None
    async with Admin(bare, actor="ann", clock=clock) as admin:
        with pytest.raises(ConfigurationError, match="so there are no jobs"):
            await admin.jobs()


async def test_records_that_cannot_be_read_are_passed_over_and_do_not_stop_the_job(
    make: Make, admin: Admin, clock: FakeClock, store: MemoryStore, recorded: Callable
):
    await store.board.put(JOBS, "purge f on", b"\xff not a job")
    await store.board.put(JOBS, "of a later release", msgspec.json.encode({"state": "dreaming"}))
    await store.board.put(HANDLERS, "strange", b"{}")
    assert await admin.jobs() == ()
    told = Told()
    async with make() as flags:
        flags.on_switch_off("f", scope="fleet", name="purge")(told)
        await admin.switch_off("f")
        await clock.advance(100)

    assert len(told.ended) == 1
    assert (await recorded()).state == "done"
