"""Handlers of one process and of a small fleet, from the switch to the end."""

import logging
from collections.abc import Callable

import anyio
import pytest

from grayflow import Admin, Client, ConfigurationError, MemoryStore, Retry
from grayflow.store.wrappers import ReadOnly
from grayflow.testing import FakeClock
from tests.cleanup.conftest import Make
from tests.cleanup.kit import Told
from tests.replica.kit import OFF, Rewinding, put

pytestmark = pytest.mark.anyio


def fleet(name: str = "purge", **options):
    return {"scope": "fleet", "name": name, **options}


# Every process, and one of the fleet


async def test_a_switch_off_runs_the_handler_in_every_process(make: Make, admin: Admin, clock: FakeClock):
    one, other = Told(), Told()
    async with make("one") as first, make("other") as second:
        first.on_switch_off("f")(one)
        second.on_switch_off("f")(other)
        saved = await admin.switch_off("f", reason="double charges", checklist={"told the bank": True})
        await clock.advance(1)

    generation = 2 * saved.change.revision
    assert one.generations == other.generations == [generation]
    (off,) = one.events
    assert (off.flag, off.variant, off.cause, off.actor, off.reason) == ("f", "on", "disabled", "ann", "double charges")
    assert off.checklist == {"told the bank": True}
    assert (off.before.enabled, off.after.enabled, off.at) == (True, False, saved.change.at)
    assert (off.fencing_token, off.attempt, off.drained) == (None, 1, "this_process")
    assert off.idempotency_key == f"default:f:on:{generation}:{off.handler}"


async def test_a_handler_of_the_fleet_runs_in_one_process_only(
    make: Make, admin: Admin, clock: FakeClock, recorded: Callable
):
    told = Told()
    async with make("one") as first, make("other") as second, make("third") as third:
        for flags in (first, second, third):
            flags.on_switch_off("f", **fleet())(told)
        saved = await admin.switch_off("f")
        await clock.advance(5)

        assert told.generations == told.ended == [2 * saved.change.revision]
        assert (told.events[0].drained, told.events[0].handler) == ("acknowledged", "purge")
        assert told.events[0].fencing_token > 0
        job = await recorded()
        assert (job.state, job.completed, job.attempts, job.drained) == ("done", 1, 1, "acknowledged")
        await clock.advance(1000)
        assert len(told.events) == 1


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        pytest.param(lambda admin: admin.archive("f"), "archived", id="archived"),
        pytest.param(lambda admin: admin.delete("f"), "deleted", id="deleted"),
        pytest.param(
            lambda admin: admin.edit({"key": "f", "enabled": True, "otherwise": "off"}), "zero share", id="0 %"
        ),
        pytest.param(lambda admin: admin.rollback("f", to=1), "rolled back", id="rolled back"),
    ],
)
async def test_however_it_came_to_that(make: Make, store: MemoryStore, clock: FakeClock, change, cause: str):
    told = Told()
    async with Admin(store, actor="ann", clock=clock) as admin:
        await admin.put({"key": "f"})
        await admin.switch_on("f")
        async with make() as flags:
            flags.on_switch_off("f")(told)
            await change(admin)
            await clock.advance(1)

    assert [off.cause for off in told.events] == [cause]


async def test_one_call_for_each_variant_that_was_switched_off(make: Make, admin: Admin, clock: FakeClock):
    document = {
        "key": "color",
        "kind": "string",
        "enabled": True,
        "variants": {"red": "r", "blue": "b", "none": "n"},
        "off": "none",
        "otherwise": {"weights": [["red", 50_000], ["blue", 50_000]]},
    }
    await admin.put(document)
    every, blue = Told(), Told()
    async with make() as flags:
        flags.on_switch_off("color")(every)
        flags.on_switch_off("color", "blue")(blue)
        await admin.put({**document, "otherwise": "red"})
        await clock.advance(1)
        assert [off.variant for off in every.events] == [off.variant for off in blue.events] == ["blue"]

        await admin.switch_off("color")
        await clock.advance(1)

    assert [off.variant for off in every.events] == ["blue", "red"]
    assert len(blue.events) == 1


async def test_one_handler_of_several_flags(make: Make, admin: Admin, clock: FakeClock):
    told = Told()
    async with make() as flags:
        flags.on_switch_off(["f", "g"])(told)
        await admin.switch_off("g")
        await clock.advance(1)
        await admin.switch_off("f")
        await clock.advance(1)

    assert [off.flag for off in told.events] == ["g", "f"]


async def test_the_off_variant_and_dependents_are_not_switched_off(make: Make, admin: Admin, clock: FakeClock):
    await admin.put({"key": "child", "enabled": True, "requires": [{"type": "flag", "key": "f", "variants": ["on"]}]})
    told = Told()
    async with make() as flags:
        flags.on_switch_off("child")(told)
        flags.on_switch_off("f", "off")(told)
        await admin.switch_off("f")
        await clock.advance(10)

    assert told.events == []


# What was off before


async def test_what_was_off_at_the_start_is_left_alone_in_process_scope_unless_asked_for(
    make: Make, admin: Admin, clock: FakeClock
):
    await admin.switch_off("f")
    skipping, running = Told(), Told()
    flags = make()
    flags.on_switch_off("f")(skipping)
    flags.on_switch_off("f", on_start="run")(running)
    async with flags:
        await clock.advance(1)
        assert (skipping.events, len(running.events)) == ([], 1)

        await admin.switch_on("f")
        await admin.switch_off("f")
        await clock.advance(1)
        assert (len(skipping.events), len(running.events)) == (1, 2)


async def test_a_fleet_handler_that_is_new_runs_once_for_what_has_long_been_off(
    make: Make, admin: Admin, clock: FakeClock
):
    await admin.switch_off("f")
    told = Told()
    for _ in range(3):
        async with make() as flags:
            flags.on_switch_off("f", **fleet())(told)
            await clock.advance(10)

    assert len(told.events) == 1


async def test_a_switch_off_while_the_service_was_down_is_cleaned_up_after_at_the_start(
    make: Make, admin: Admin, clock: FakeClock
):
    told = Told()
    async with make() as flags:
        flags.on_switch_off("f", **fleet())(told)
        await clock.advance(5)
    await admin.switch_off("f")
    await clock.advance(3600)
    assert told.events == []

    flags = make()
    flags.on_switch_off("f", **fleet())(told)
    async with flags:
        await clock.advance(1)
        assert len(told.ended) == 1


async def test_a_handler_that_is_registered_late_hears_of_what_comes(make: Make, admin: Admin, clock: FakeClock):
    told = Told()
    async with make() as flags:
        await admin.switch_off("f")
        await clock.advance(5)
        flags.on_switch_off("f")(told)
        await clock.advance(20)
        assert told.events == []
        await admin.switch_on("f")
        await admin.switch_off("f")
        await clock.advance(1)

    assert len(told.events) == 1


# On again


async def test_switched_on_again_before_it_began_it_is_not_begun(
    make: Make, admin: Admin, clock: FakeClock, recorded: Callable
):
    told = Told()
    async with make() as flags:
        flags.on_switch_off("f", **fleet())(told)
        with flags.scope():  # holds the drain up
            await admin.switch_off("f")
            await clock.advance(5)
            assert (await recorded()).state == "pending"
            await admin.switch_on("f")
            await clock.advance(5)
        await clock.advance(60)

        assert told.events == []
        job = await recorded()
        assert (job.state, job.superseded, job.attempts) == ("superseded", 1, 0)


@pytest.mark.parametrize("options", [{}, fleet()], ids=["process", "fleet"])
async def test_switched_on_again_while_it_runs_it_is_cancelled_and_told(
    make: Make, admin: Admin, clock: FakeClock, options
):
    told = Told(hangs=True)
    async with make() as flags:
        flags.on_switch_off("f", **options)(told)
        await admin.switch_off("f")
        await clock.advance(5)
        assert told.events[0].still_off()

        await admin.switch_on("f")
        assert flags.health.cleanup.running == 1
        await clock.advance(1)
        assert told.cancelled == told.generations
        assert not told.events[0].still_off()
        assert (flags.health.cleanup.running, flags.health.cleanup.superseded) == (0, 1)

        told.go.set()
        await admin.switch_off("f")
        await clock.advance(5)
        assert told.ended == told.generations[1:]
        assert len(told.events) == 2


async def test_switch_on_has_the_same_machinery(make: Make, admin: Admin, clock: FakeClock):
    warm, fleet_warm, at_start = Told(), Told(), Told()
    flags = make()
    flags.on_switch_on("f")(warm)
    flags.on_switch_on("f", scope="fleet", name="warm")(fleet_warm)
    flags.on_switch_on("f", on_start="run")(at_start)
    async with flags:
        await clock.advance(5)
        assert (len(warm.events), len(fleet_warm.events), len(at_start.events)) == (0, 1, 1)

        off = await admin.switch_off("f")
        await clock.advance(5)
        await admin.switch_on("f", reason="mended")
        await clock.advance(5)

    (on,) = warm.events
    assert (on.generation, on.cause, on.actor, on.reason) == (2 * off.change.revision, "enabled", "ann", "mended")
    assert (on.drained, len(fleet_warm.events), len(at_start.events)) == ("", 2, 2)


# The clock


async def test_an_expiry_runs_handlers_without_any_write(
    make: Make, admin: Admin, clock: FakeClock, store: MemoryStore
):
    saved = await admin.put({"key": "sale", "enabled": True, "expires_at": "2026-01-01T00:01:00Z"})
    process, once = Told(), Told()
    async with make("one") as first, make("other") as second:
        for flags in (first, second):
            flags.on_switch_off("sale")(process)
            flags.on_switch_off("sale", **fleet())(once)
        await clock.advance(59)
        assert (process.events, once.events) == ([], [])
        await clock.advance(5)

        assert (len(process.ended), len(once.ended)) == (2, 1)
        (off,) = once.events
        assert (off.cause, off.actor, off.generation) == ("expired", None, 2 * saved.change.revision + 1)
        assert (off.at, off.drained) == (1_767_225_660_000_000_000, "acknowledged")
        assert off.before == off.after == saved.after
        assert (await store.position()).revision == saved.change.revision


async def test_an_expiry_with_nobody_awake_is_cleaned_up_after_later(make: Make, admin: Admin, clock: FakeClock):
    await admin.put({"key": "sale", "enabled": True, "expires_at": "2026-01-01T00:01:00Z"})
    told = Told()
    async with make() as flags:
        flags.on_switch_off("sale", **fleet())(told)
        await clock.advance(10)
    await clock.advance(3600)
    async with make() as flags:
        flags.on_switch_off("sale", **fleet())(told)
        await clock.advance(1)

    assert [off.cause for off in told.events] == ["expired"]


async def test_the_cause_of_an_expiry_is_known_after_later_edits(make: Make, admin: Admin, clock: FakeClock):
    await admin.put({"key": "sale", "enabled": True, "expires_at": "2026-01-01T00:01:00Z"})
    await clock.advance(120)
    await admin.switch_off("sale")
    told = Told()
    async with make() as flags:
        flags.on_switch_off("sale", **fleet())(told)
        await clock.advance(1)

    assert [(off.cause, off.at) for off in told.events] == [("expired", 1_767_225_660_000_000_000)]


@pytest.mark.parametrize(
    ("window", "moved"),
    [
        pytest.param({"expires_at": "2026-01-01T00:00:10Z"}, {"expires_at": "2026-01-02T00:00:00Z"}, id="extended"),
        pytest.param({"effective_at": "2026-01-02T00:00:00Z"}, {"effective_at": None}, id="begun early"),
    ],
)
async def test_a_window_that_is_moved_to_now_switches_on_and_is_no_share(
    make: Make, admin: Admin, clock: FakeClock, window: dict, moved: dict
):
    await admin.put({"key": "sale", "enabled": True, **window})
    told = Told()
    async with make() as flags:
        flags.on_switch_on("sale", scope="fleet", name="warm")(told)
        await clock.advance(20)
        before = len(told.events)
        await admin.put({"key": "sale", "enabled": True, **moved})
        await clock.advance(5)

    assert [on.cause for on in told.events[before:]] == ["rescheduled"]


async def test_a_window_that_begins_switches_on(make: Make, admin: Admin, clock: FakeClock):
    await admin.put({"key": "sale", "enabled": True, "effective_at": "2026-01-01T00:01:00Z"})
    told = Told()
    async with make() as flags:
        flags.on_switch_on("sale")(told)
        await clock.advance(59)
        assert told.events == []
        await clock.advance(5)

    assert [(on.cause, on.at) for on in told.events] == [("started", 1_767_225_660_000_000_000)]


# Draining


async def test_a_scope_that_is_open_in_another_process_is_waited_for(make: Make, admin: Admin, clock: FakeClock):
    told = Told()
    async with make("cleaner") as cleaner, make("busy") as busy:
        cleaner.on_switch_off("f", **fleet())(told)
        await clock.advance(1)
        with busy.scope():
            await admin.switch_off("f")
            await clock.advance(20)
            assert told.events == []
        await clock.advance(1)

    assert [off.drained for off in told.events] == ["acknowledged"]


@pytest.mark.parametrize("drain", [0, 3, 30])
async def test_it_is_not_waited_for_longer_than_drain(
    make: Make, admin: Admin, clock: FakeClock, drain: float, caplog: pytest.LogCaptureFixture
):
    told = Told()
    async with make() as flags:
        flags.on_switch_off("f", drain=drain, **fleet())(told)
        with flags.scope():
            await admin.switch_off("f")
            if drain:
                await clock.advance(drain - 1)
                assert told.events == []
            await clock.advance(2)

            assert [off.drained for off in told.events] == ["timeout"]
    assert "does not wait any longer for shop" in caplog.text


async def test_in_process_scope_only_this_process_is_waited_for(make: Make, admin: Admin, clock: FakeClock):
    told = Told()
    async with make("cleaner") as cleaner, make("busy") as busy:
        cleaner.on_switch_off("f")(told)
        with busy.scope():
            with cleaner.scope():
                await admin.switch_off("f")
                await clock.advance(5)
                assert told.events == []
            await clock.advance(1)
            assert [off.drained for off in told.events] == ["this_process"]


# Failures


async def test_a_failure_is_tried_again_counted_and_told_once_each(
    make: Make, admin: Admin, clock: FakeClock, caplog: pytest.LogCaptureFixture, recorded: Callable
):
    caplog.set_level(logging.INFO, "grayflow.cleanup")
    told = Told(failures=2)
    async with make() as flags:
        flags.on_switch_off("f", retry=Retry(attempts=5, base=10), **fleet())(told)
        await admin.switch_off("f")
        await clock.advance(3)
        job = await recorded()
        assert (job.state, job.attempts, job.error) == ("pending", 1, "RuntimeError: the cache does not answer")
        assert flags.health.cleanup.pending == 1
        await clock.advance(4)
        assert len(told.events) == 2
        await clock.advance(60)

        assert [off.attempt for off in told.events] == [1, 2, 3]
        assert len({off.idempotency_key for off in told.events}) == 1
        assert (flags.health.cleanup.errors, flags.health.cleanup.done) == (2, 1)
        assert "the cache does not answer" in (flags.health.cleanup.last_error or "")
        assert await flags.is_enabled("f") is False
    failures = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(failures) == 2
    assert "'purge' for flag 'f', variant 'on'" in failures[0].getMessage()
    assert "attempt 1 of 5, the next is in 5.0 s" in failures[0].getMessage()


@pytest.mark.parametrize("options", [{}, fleet()], ids=["process", "fleet"])
async def test_a_handler_that_always_fails_ends_as_one_dead_letter(
    make: Make, admin: Admin, clock: FakeClock, caplog: pytest.LogCaptureFixture, options
):
    told = Told(failures=1000)
    async with make() as flags:
        flags.on_switch_off("f", retry=Retry(attempts=3, base=1), **options)(told)
        await admin.switch_off("f")
        await clock.advance(3600)

        assert len(told.events) == 3
        assert flags.health.cleanup.failed == 1
        assert [record.levelname for record in caplog.records].count("ERROR") == 1

        told.failures = 0
        await admin.switch_on("f")
        await admin.switch_off("f")
        await clock.advance(5)
        assert (len(told.ended), flags.health.cleanup.failed) == (1, 0)


async def test_an_attempt_that_takes_too_long_is_cancelled_and_counts(
    make: Make, admin: Admin, clock: FakeClock, recorded: Callable
):
    told = Told(hangs=True)
    async with make() as flags:
        flags.on_switch_off("f", timeout=20, retry=Retry(attempts=2, base=4), **fleet())(told)
        await admin.switch_off("f")
        await clock.advance(21)
        assert (await recorded()).error == "it took longer than 20 s"
        await clock.advance(30)

        job = await recorded()
        assert (job.state, job.attempts, len(told.cancelled)) == ("failed", 2, 2)


async def test_nothing_a_handler_raises_leaves_it(make: Make, admin: Admin, clock: FakeClock):
    told = Told()
    async with make() as flags:
        for number, error in enumerate(
            [SystemExit(3), anyio.get_cancelled_exc_class()(), ExceptionGroup("x", [OSError()])]
        ):

            async def fails(off, error=error) -> None:
                raise error

            flags.on_switch_off("f", name=f"bad-{number}", retry=Retry(attempts=1))(fails)
        flags.on_switch_off("f")(told)
        await admin.switch_off("f")
        await clock.advance(5)

        assert flags.health.cleanup.failed == 3
        assert (len(told.ended), flags.health.state) == (1, "fresh")


# Order


async def test_after_puts_handlers_in_order(make: Make, admin: Admin, clock: FakeClock):
    order: list[str] = []
    flags = make()
    gate = anyio.Event()

    async def last(off) -> None:
        order.append("last")

    async def first(off) -> None:
        await gate.wait()
        order.append("first")

    flags.on_switch_off("f", after=["stop-producer"], **fleet("purge"))(last)
    flags.on_switch_off(["f", "g"], **fleet("stop-producer"))(first)
    async with flags:
        await admin.switch_off("f")
        await clock.advance(30)
        assert order == []
        assert {job.handler: job.state for job in await admin.jobs()} == {
            "purge": "pending",
            "stop-producer": "running",
        }
        gate.set()
        await clock.advance(5)

    assert order == ["first", "last"]


async def test_an_order_that_cannot_be_is_refused_at_the_start(make: Make, admin: Admin):
    flags = make()
    flags.on_switch_off("f", name="a", after=["b"])(Told())

    with pytest.raises(ConfigurationError, match="'a' is to run after 'b', and there is no handler of that name"):
        await flags.start()

    flags.on_switch_off("f", name="b")(Told())
    async with flags:
        with pytest.raises(ConfigurationError, match="no handler of that name"):
            flags.on_switch_off("f", name="c", after=["d"])(Told())


# Jobs that change hands


async def test_a_process_that_closes_gives_back_what_it_does(
    make: Make, admin: Admin, clock: FakeClock, recorded: Callable
):
    told = Told(hangs=True)
    async with make("one") as first:
        first.on_switch_off("f", **fleet())(told)
        await admin.switch_off("f")
        await clock.advance(5)
        assert len(told.events) == 1

    job = await recorded()
    assert (job.state, job.attempts) == ("pending", 0)
    told.go.set()
    async with make("other") as second:
        second.on_switch_off("f", **fleet())(told)
        await clock.advance(1)
        assert len(told.ended) == 1


async def test_a_lease_is_renewed_for_as_long_as_the_handler_runs(make: Make, admin: Admin, clock: FakeClock):
    told = Told(hangs=True)
    async with make("one") as first, make("other") as second:
        for flags in (first, second):
            flags.on_switch_off("f", timeout=1000, **fleet())(told)
        await admin.switch_off("f")
        await clock.advance(300)
        assert len(told.events) == 1
        told.go.set()
        await clock.advance(1)
        assert len(told.ended) == 1


async def test_whoever_lost_its_lease_is_cancelled_and_records_nothing(
    make: Make, admin: Admin, clock: FakeClock, store: MemoryStore, recorded: Callable
):
    told = Told(hangs=True)
    async with make() as flags:
        flags.on_switch_off("f", timeout=1000, **fleet())(told)
        await admin.switch_off("f")
        await clock.advance(5)
        job = await recorded()
        record = await store.board.get("jobs", job.name)
        assert record is not None
        assert record.lease is not None
        await store.board.release("jobs", job.name, fence=record.lease.fence)
        taken = await store.board.claim("jobs", job.name, "somebody else", span=60)
        assert taken is not None

        await clock.advance(6)
        assert len(told.cancelled) == 1
        assert not told.events[0].still_off()
        again = await store.board.get("jobs", job.name)
        assert again is not None
        assert again.version == taken.version


# A store that knows better


async def test_a_process_that_is_late_cleans_nothing_up_that_is_on_again(
    make: Make, admin: Admin, clock: FakeClock, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
):
    told = Told()
    async with make() as flags:
        flags.on_switch_off("f", **fleet())(told)
        with flags.scope():
            await admin.switch_off("f")
            await clock.advance(1)
            monkeypatch.setattr(store, "_tell", lambda event: None)  # deaf from now on
            await admin.switch_on("f")
        await clock.advance(2)
        assert told.events == []
        await clock.advance(60)
        assert told.events == []
        assert await flags.is_enabled("f") is True


async def test_a_failover_that_takes_a_variant_away_is_cleaned_up_after(make: Make, clock: FakeClock):
    """See `Holder.replace`: the chain of changes breaks, and the snapshots are compared once."""
    memory = Rewinding(clock=clock)
    async with memory, Admin(memory, actor="ann", clock=clock) as admin:
        await admin.put({"key": "f", "enabled": True})
        await admin.switch_off("f")
        memory.save()
        process, once = Told(), Told()
        async with make_on(memory, clock) as flags:
            flags.on_switch_off("f")(process)
            flags.on_switch_off("f", **fleet())(once)
            await clock.advance(5)
            assert (process.events, len(once.events)) == ([], 1)
            await admin.switch_on("f")
            await clock.advance(5)
            memory.rewind()
            await clock.advance(60)

            assert flags.health.failovers == 1
            assert (len(process.ended), len(once.ended)) == (1, 2)


def make_on(store: MemoryStore, clock: FakeClock):
    return Client(store, clock=clock, random=lambda: 0.5)


async def test_a_new_epoch_takes_what_is_done_from_what_was_loaded(
    make: Make, admin: Admin, clock: FakeClock, store: MemoryStore, recorded: Callable
):
    process, once = Told(), Told()
    async with make() as flags:
        flags.on_switch_off("f")(process)
        flags.on_switch_off("f", **fleet())(once)
        await admin.switch_off("f")
        await clock.advance(5)
        position = await store.init(replaces="*")
        await clock.advance(60)
        assert (len(process.events), len(once.events)) == (1, 1)
        assert (await recorded()).epoch == position.epoch

        await admin.switch_on("f")
        await admin.switch_off("f")
        await clock.advance(5)
        assert (len(process.events), len(once.events)) == (2, 2)


async def test_a_variant_that_a_new_epoch_takes_away_is_cleaned_up_after(
    make: Make, admin: Admin, clock: FakeClock, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
):
    process, once = Told(), Told()
    async with make() as flags:
        flags.on_switch_off("f")(process)
        flags.on_switch_off("f", **fleet())(once)
        await clock.advance(5)
        with monkeypatch.context() as patch:
            patch.setattr(store, "_tell", lambda event: None)  # as with a file that was put back
            await put(store, "f", **OFF)
        await store.init(replaces="*")
        await clock.advance(60)

        assert (len(process.ended), len(once.ended)) == (1, 1)


# Without a board


async def test_without_a_board_process_handlers_run_and_health_says_what_is_missing(
    admin: Admin, clock: FakeClock, store: MemoryStore
):
    process, once = Told(), Told()
    readonly = ReadOnly(store)
    readonly.board = None
    async with make_on(readonly, clock) as flags:
        flags.on_switch_off("f")(process)
        flags.on_switch_off("f", **fleet())(once)
        await admin.switch_off("f")
        await clock.advance(60)

        assert (len(process.ended), once.events) == (1, [])
        assert flags.health.cleanup.unavailable == readonly.no_board
