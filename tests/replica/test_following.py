"""A replica over a memory store with faults, on a clock that stands still: what makes it ask, and how often."""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import pytest
from anyio.lowlevel import checkpoint

from grayflow.core.position import Position
from grayflow.errors import StoreAccessError, StoreUnavailableError
from grayflow.store.port import Store
from grayflow.store.wrappers import Call, Recording, Wrapper
from grayflow.testing import FakeClock, Faulty
from tests.replica.conftest import Run
from tests.replica.kit import ON, Rewinding, put, put_bytes

pytestmark = pytest.mark.anyio

T = TypeVar("T")


async def test_a_change_is_there_without_asking(run: Run, store: Recording, clock: FakeClock):
    async with run() as replica:
        asked = len(store.calls)

        change = await put(store.inner, "a", **ON)
        await clock.advance(0)

        assert replica.view.position == change.position
        assert replica.view.snapshot is not None
        assert replica.view.snapshot.evaluate("a").value is True
        assert len(store.calls) == asked


async def test_the_first_state_is_loaded_once(run: Run, store: Recording):
    async with run() as replica:
        assert replica.sync.loads == 1
        assert store.count("load") == 1
        assert replica.view.freshness == "fresh"


async def test_a_change_that_nobody_heard_of_is_found_by_the_poll(
    run: Run, faulty: Faulty, store: Recording, clock: FakeClock
):
    async with run() as replica:
        faulty.deaf = True
        change = await put(store, "a", **ON)

        await clock.advance(9)
        assert replica.view.position != change.position
        await clock.advance(3)

        assert replica.view.position == change.position
        assert store.count("load") == 1  # by the log, not by loading all


async def test_a_gap_makes_it_ask_at_once(run: Run, faulty: Faulty, store: Recording, clock: FakeClock):
    async with run() as replica:
        faulty.deaf = True
        change = await put(store, "a", **ON)
        await clock.advance(0)
        faulty.deaf = False

        faulty.gap()
        await clock.advance(0)

        assert replica.view.position == change.position


async def test_a_jump_makes_it_ask_at_once(run: Run, faulty: Faulty, store: Recording, clock: FakeClock):
    async with run() as replica:
        faulty.deaf = True
        await put(store, "a", **ON)
        await clock.advance(0)
        faulty.deaf = False

        change = await put(store, "b", **ON)
        await clock.advance(0)

        assert replica.view.position == change.position
        assert replica.view.snapshot is not None
        assert set(replica.view.snapshot.flags) == {"a", "b"}


async def test_a_duplicate_costs_no_question(run: Run, store: Recording, clock: FakeClock):
    async with run() as replica:
        change = await put(store, "a", **ON)
        await put(store, "b", **ON)
        await clock.advance(0)
        asked, held = store.count("position"), replica.view

        replica.sync.hear(change)
        await clock.advance(0)

        assert store.count("position") == asked
        assert replica.view is held


async def test_a_lost_link_is_entered_again_and_the_store_asked(run: Run, faulty: Faulty, store: Recording, clock):
    async with run() as replica:
        asked = store.count("position")

        faulty.cut()
        await clock.advance(0)
        assert replica.link == "down"
        await clock.advance(1)

        assert replica.link == "up"
        assert store.count("follow") == 2
        assert store.count("position") == asked + 1


async def test_attempts_to_connect_back_off_up_to_a_second(
    run: Run, faulty: Faulty, store: Recording, clock: FakeClock
):
    async with run(random=lambda: 1.0):
        faulty.down = True
        await clock.advance(0)
        first = store.count("follow")

        for wait_s in (0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0):
            await clock.advance(wait_s - 0.001)
            assert store.count("follow") == first
            await clock.advance(0.001)
            first += 1
            assert store.count("follow") == first


async def test_a_link_that_dies_at_once_is_not_entered_in_a_tight_loop(run: Run, faulty: Faulty, store, clock):
    async with run(random=lambda: 1.0):
        for _ in range(20):
            faulty.cut()
            await clock.advance(0.5)

        assert store.count("follow") < 15


async def test_a_refused_password_is_not_tried_often(run: Run, faulty: Faulty, store: Recording, clock: FakeClock):
    async with run() as replica:
        faulty.errors = {verb: StoreAccessError("wrong password for gf-reader") for verb in ("follow", "position")}
        faulty.cut()
        await clock.advance(1)
        asked = len(store.calls)

        await clock.advance(60)

        assert len(store.calls) - asked <= 40
        assert "wrong password" in (replica.troubles.text or "")


async def test_it_lives_by_polling_where_following_is_forbidden(run: Run, faulty: Faulty, store, clock: FakeClock):
    faulty.errors["follow"] = StoreAccessError("no right to the channel")
    async with run() as replica:
        change = await put(store, "a", **ON)

        await clock.advance(12)

        assert replica.view.position == change.position
        assert (replica.link, replica.view.freshness) == ("down", "fresh")
        assert "no right to the channel" in (replica.troubles.text or "")


async def test_a_hundred_reasons_to_ask_make_one_question_more_than_the_one_that_runs(
    run: Run, faulty: Faulty, store: Recording, clock: FakeClock
):
    async with run() as replica:
        faulty.hung.add("position")
        replica.sync.request()
        await clock.advance(0)
        asked = store.count("position")

        for _ in range(100):
            replica.sync.request()
        faulty.heal()
        await clock.advance(0)

        assert store.count("position") == asked + 1


async def test_a_proof_is_of_a_question_asked_after_the_call(run: Run, faulty: Faulty, store, clock: FakeClock):
    async with run() as replica, anyio.create_task_group() as tasks:
        faulty.deaf = True
        faulty.lost.add("position")  # the running question is answered late and in vain
        faulty.hung.add("position")
        replica.sync.request()
        await clock.advance(0)
        change = await put(store, "a", **ON)
        seen = []

        async def confirm() -> None:
            assert await replica.confirm() is None
            seen.append(replica.view.position)

        tasks.start_soon(confirm)
        await clock.advance(0)
        faulty.heal()
        await clock.advance(1)

        assert seen == [change.position]


async def test_where_the_log_does_not_reach_back_it_loads_everything(run: Run, faulty: Faulty, memory, clock):
    async with run() as replica:
        before = replica.view.breaks
        faulty.deaf = True
        for _ in range(3):
            change = await put(memory, "a", **ON)
        memory._log.popleft()

        await clock.advance(12)

        assert replica.view.position == change.position
        assert replica.sync.loads == 2
        assert replica.view.breaks == before + 1


async def test_after_a_lost_link_a_full_load_waits_a_random_while(run: Run, faulty: Faulty, memory, store, clock):
    async with run(random=lambda: 0.5) as replica:
        faulty.down = True
        await clock.advance(0)
        await put(memory, "a", **ON)
        memory._log.clear()
        faulty.heal()

        await clock.advance(2)
        assert store.count("load") == 1
        await clock.advance(3)

        assert store.count("load") == 2
        assert replica.view.snapshot is not None
        assert "a" in replica.view.snapshot.flags


async def test_somebody_who_waits_for_a_proof_cuts_that_short(run: Run, faulty: Faulty, memory, store, clock):
    async with run(random=lambda: 0.5) as replica:
        faulty.down = True
        await clock.advance(0)
        await put(memory, "a", **ON)
        memory._log.clear()
        faulty.heal()
        await clock.advance(1)
        assert store.count("load") == 1

        assert await replica.confirm() is None

        assert store.count("load") == 2


async def test_a_process_with_nothing_loads_at_once_after_a_lost_link(run: Run, faulty: Faulty, store, clock):
    faulty.down = True
    async with run(init=False) as replica:
        await clock.advance(10)
        faulty.heal()
        await store.init()
        await clock.advance(1.1)

        assert replica.view.snapshot is not None


class LateLoad(Wrapper):
    """Two changes are committed and pushed between the moment that a load shows and the moment that it arrives."""

    async def around(self, call: Call, proceed: Callable[[], Awaitable[T]]) -> T:
        answer = await proceed()
        if call.verb == "load":
            await put(self.inner, "first", **ON)
            await put(self.inner, "second", **ON)
            for _ in range(10):
                await checkpoint()
        return answer


async def test_changes_that_arrive_during_a_load_are_added_to_it(run: Run, memory: Rewinding):
    store = Recording(LateLoad(memory))
    async with store:
        await store.init()
        async with run(init=False, on=store) as replica:
            assert replica.view.position == await store.position()
            assert replica.sync.loads == 1
            assert store.count("changes") == 0


class Overtaken(Wrapper):
    """A store whose next answer about the position arrives behind hundreds of changes that were made after it."""

    armed = False

    async def around(self, call: Call, proceed: Callable[[], Awaitable[T]]) -> T:
        if call.verb != "position" or not self.armed:
            return await proceed()
        self.armed = False
        await put(self.inner, "a", **ON)
        answer = await proceed()
        for number in range(300):
            await put(self.inner, "a", description=str(number))
            await checkpoint()
        return answer


async def test_an_answer_that_changes_have_overtaken_is_no_failover(run: Run, memory: Rewinding, clock: FakeClock):
    store = Overtaken(memory)
    async with run(on=store) as replica:
        store.armed = True

        error = await replica.confirm()

        assert error is None
        assert replica.view.position == await memory.position()
        assert (replica.sync.failovers, replica.sync.loads) == (0, 1)


class HangingOnce(Wrapper):
    """The first question for the position after `armed` was set is never answered, as by a server that is gone."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self.armed, self.hangs = False, anyio.Event()

    async def position(self) -> Position:
        if self.armed:
            self.armed = False
            self.hangs.set()
            await anyio.sleep_forever()
        return await super().position()


async def test_a_question_that_hangs_is_asked_again_when_the_link_is_renewed(
    run: Run, memory: Rewinding, faulty: Faulty, clock: FakeClock
):
    store = HangingOnce(faulty)
    async with run(on=store) as replica:
        store.armed = True
        asked = replica.sync.request()
        await store.hangs.wait()
        await clock.advance(1)
        assert not asked.done.is_set()

        faulty.cut()
        await clock.advance(1)

        assert asked.done.is_set()
        assert asked.error is None


async def test_a_load_lets_other_tasks_run_every_hundred_flags(run: Run, memory: Rewinding, clock: FakeClock):
    async with memory:
        await memory.init()
        for index in range(2000):
            await put(memory, f"f{index}", **ON)
        turns = []
        async with run(init=False) as replica:
            # `run` has settled, so count anew: the state is loaded a second time.
            memory._log.clear()
            memory.replace_by("e2")
            memory._replaced = ("*",)

            async def count() -> None:
                while replica.sync.loads < 2:
                    turns.append(replica.view.position)
                    await checkpoint()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(count)
                replica.sync.request()

        assert len(turns) >= 20
        assert len(set(turns)) == 1  # nobody saw a half-built one


async def test_deleting_a_flag_is_a_change(run: Run, store: Recording, clock: FakeClock):
    async with run() as replica:
        await put(store, "a", **ON)
        await put_bytes(store, "a", None)
        await clock.advance(0)

        assert replica.view.snapshot is not None
        assert "a" not in replica.view.snapshot.flags


async def test_recovery_is_told_once(run: Run, faulty: Faulty, clock: FakeClock, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, "grayflow")
    async with run() as replica:
        faulty.down = True
        await clock.advance(60)
        faulty.heal()
        await clock.advance(5)

        told = [(record.levelname, record.message) for record in caplog.records]
        assert [level for level, _ in told] == ["WARNING", "INFO"]
        assert "still serving revision 0" in told[0][1]
        assert "well again" in told[1][1]
        assert replica.troubles.text is None


async def test_a_store_that_never_answers_is_unavailable(run: Run, faulty: Faulty):
    async with run() as replica:
        replica.sync.answer_limit_s = 0.01
        faulty.hung.add("position")

        error = await replica.confirm()

        assert isinstance(error, StoreUnavailableError)
        assert "did not answer within 0.01 s" in str(error)
