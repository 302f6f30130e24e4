"""Starting and closing: from any task, any number of times, with failures and hangs at the worst moments."""

import asyncio
import gc
import logging
import warnings
from collections.abc import AsyncIterator

import anyio
import pytest
from anyio.lowlevel import checkpoint

from grayflow import Client, LifetimeError, StoreAccessError, StoreUnavailableError
from grayflow.store.port import Store
from grayflow.store.wrappers import Wrapper
from grayflow.testing import FakeClock, Faulty
from tests.client.conftest import Make
from tests.replica.kit import ON, Rewinding, put, until

pytestmark = pytest.mark.anyio


def tasks_of_grayflow() -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("grayflow")]


def blocks(store: Rewinding) -> int:
    return store._lifetime._blocks


async def test_building_one_needs_no_loop_and_does_nothing(memory: Rewinding):
    await anyio.to_thread.run_sync(lambda: Client(memory))

    assert blocks(memory) == 0


@pytest.mark.usefixtures("opened")
async def test_leaving_ends_everything(make: Make, memory: Rewinding):
    async with make():
        assert tasks_of_grayflow()

    assert tasks_of_grayflow() == []
    assert blocks(memory) == 1  # the test's own


async def test_a_store_that_was_not_open_is_opened_and_closed(make: Make, memory: Rewinding):
    async with memory:
        await memory.init()
    async with make() as flags:
        assert blocks(memory) == 1
        assert flags.health.state == "fresh"

    assert blocks(memory) == 0


@pytest.mark.usefixtures("opened")
async def test_start_and_close_may_be_called_in_different_tasks(make: Make, memory: Rewinding):
    flags = make()
    loop = asyncio.get_running_loop()

    await loop.create_task(flags.start())
    assert flags.health.state == "fresh"
    await loop.create_task(flags.aclose())

    assert flags.health.state == "closed"
    assert tasks_of_grayflow() == []


@pytest.mark.usefixtures("opened")
async def test_closing_twice_and_by_many_at_once_is_harmless(make: Make):
    flags = make()
    await flags.start()

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(flags.aclose)
    await flags.aclose()

    assert tasks_of_grayflow() == []


@pytest.mark.usefixtures("opened")
async def test_starting_twice_is_refused_with_the_line_to_write(make: Make):
    async with make() as flags:
        with pytest.raises(LifetimeError, match="running already"):
            await flags.start()

        assert flags.health.state == "fresh"


@pytest.mark.usefixtures("opened")
async def test_starting_after_the_close_is_refused_with_the_line_to_write(make: Make):
    async with make() as flags:
        pass

    with pytest.raises(LifetimeError, match=r"async with Client\(\.\.\.\) as flags:"):
        await flags.start()


async def test_closing_before_the_start_is_harmless_and_final(make: Make):
    flags = make()

    await flags.aclose()

    assert flags.health.state == "closed"
    with pytest.raises(LifetimeError):
        await flags.start()


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize(
    "error", [ValueError("mine"), KeyboardInterrupt("mine"), BaseExceptionGroup("g", [ValueError()])]
)
async def test_the_exception_of_the_body_leaves_as_it_was(make: Make, error: BaseException):
    with pytest.raises(type(error)) as caught:
        async with make():
            raise error

    assert caught.value is error
    assert tasks_of_grayflow() == []


@pytest.mark.usefixtures("opened")
async def test_a_timeout_around_the_block_is_a_timeout(make: Make):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02), make():
            await anyio.sleep_forever()

    assert tasks_of_grayflow() == []


@pytest.mark.usefixtures("opened")
async def test_two_clients_in_one_process_are_fine(make: Make, store: Faulty, clock: FakeClock):
    async with make() as one, make() as other:
        await put(store, "f", **ON)
        await clock.advance(0)

        assert (one.peek("f"), other.peek("f")) == (True, True)


# The start


@pytest.mark.usefixtures("opened")
async def test_one_that_is_closed_while_it_starts_says_so(make: Make, store: Faulty):
    store.hung.add("position")
    flags = make()
    refused = []

    async def start() -> None:
        try:
            await flags.start()
        except LifetimeError as error:
            refused.append(str(error))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(start)
        await anyio.wait_all_tasks_blocked()
        await flags.aclose()

    assert refused == ["this client was closed while it was starting"]


@pytest.mark.usefixtures("opened")
async def test_a_store_that_does_not_answer_delays_the_start_no_longer_than_asked(make: Make, store: Faulty):
    store.hung.add("position")
    loop = asyncio.get_running_loop()
    began = loop.time()

    async with make(start_timeout=0.05) as flags:
        assert 0.04 < loop.time() - began < 2
        assert flags.health.state == "starting"
        assert flags.peek("f") is False


@pytest.mark.usefixtures("opened")
async def test_flags_that_arrive_after_the_start_are_there(make: Make, store: Faulty, clock: FakeClock):
    await put(store, "f", **ON)
    store.down = True
    async with make(start_timeout=0) as flags:
        await clock.advance(0.1)
        assert flags.peek("f") is False

        store.heal()
        await clock.advance(2)

        assert flags.peek("f") is True
        assert flags.health.state == "fresh"


@pytest.mark.usefixtures("opened")
async def test_require_ready_raises_what_the_store_said(make: Make, store: Faulty, memory: Rewinding):
    store.errors["position"] = StoreAccessError("wrong password for gf-reader")

    with pytest.raises(StoreAccessError, match="wrong password"):
        async with make(require_ready=True, start_timeout=0.05):
            pass

    assert tasks_of_grayflow() == []
    assert blocks(memory) == 1


@pytest.mark.usefixtures("opened")
async def test_require_ready_says_so_where_the_store_said_nothing(make: Make, store: Faulty):
    store.hung.add("position")
    flags = make(require_ready=True, start_timeout=0.02)

    with pytest.raises(StoreUnavailableError, match=r"no flags arrived from memory:// within 0\.02 s"):
        await flags.start()

    assert flags.health.state == "closed"


async def test_a_store_of_another_loop_is_refused_when_starting(make: Make, memory: Rewinding):
    async with memory:
        await memory.init()

        def other_loop() -> None:
            with pytest.raises(LifetimeError, match="another event loop"):
                asyncio.run(Client(memory).start())

        await anyio.to_thread.run_sync(other_loop)


# The close


class Hanging(Wrapper):
    """A store that never lets go."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self.go = anyio.Event()

    async def __aexit__(self, *exc: object) -> None:
        await self.go.wait()
        await super().__aexit__(*exc)


@pytest.mark.usefixtures("opened")
async def test_a_store_that_hangs_does_not_keep_the_client_from_closing(memory: Rewinding, monkeypatch, caplog):
    monkeypatch.setattr("grayflow.client.life._LEAVE_STORE_S", 0.05)
    store = Hanging(memory)
    loop = asyncio.get_running_loop()
    async with Client(store):
        began = loop.time()

    assert loop.time() - began < 2
    assert tasks_of_grayflow() == []
    assert "did not close within" in caplog.text


class Stubborn(Wrapper):
    """A store whose link shields itself against cancellation for ever."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self.go = anyio.Event()

    async def position(self):
        with anyio.CancelScope(shield=True):
            await self.go.wait()
        return await super().position()


@pytest.mark.usefixtures("opened")
async def test_what_shields_itself_for_ever_is_abandoned(memory: Rewinding, monkeypatch, caplog):
    monkeypatch.setattr("grayflow.client.life._CLOSE_S", 0.05)
    monkeypatch.setattr("grayflow.client.owner._GRACE_S", 0.05)
    store = Stubborn(memory)
    flags = Client(store, start_timeout=0)
    await flags.start()
    await anyio.wait_all_tasks_blocked()

    with anyio.fail_after(2):
        await flags.aclose()

    assert "is abandoned" in caplog.text
    store.go.set()
    with anyio.fail_after(2):
        while tasks_of_grayflow():
            await checkpoint()


@pytest.mark.usefixtures("opened")
async def test_a_close_that_is_cancelled_is_finished_first(make: Make, memory: Rewinding):
    flags = make()
    await flags.start()

    with anyio.CancelScope() as scope:
        scope.cancel()
        await flags.aclose()

    assert flags.health.state == "closed"
    assert tasks_of_grayflow() == []
    assert blocks(memory) == 1


# A defect of ours


class Defective(Wrapper):
    async def position(self):
        if self.broken:
            raise ZeroDivisionError("a defect")
        return await super().position()

    broken = False


@pytest.mark.usefixtures("opened")
async def test_a_defect_makes_health_failed_is_logged_once_and_raised_by_the_close(
    memory: Rewinding, clock: FakeClock, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, "grayflow")
    await put(memory, "f", **ON)
    store = Defective(memory)
    flags = Client(store, clock=clock)
    await flags.start()
    assert flags.peek("f") is True

    store.broken = True
    await clock.advance(13)
    await until(lambda: flags.health.state == "failed")

    assert "ZeroDivisionError: a defect" in (flags.health.last_error or "")
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    decision = await flags.evaluate("f")
    assert (decision.value, decision.stale) == (True, True)
    with pytest.raises(ZeroDivisionError, match="a defect"):
        await flags.aclose()
    await flags.aclose()
    assert tasks_of_grayflow() == []
    assert blocks(memory) == 1


@pytest.mark.usefixtures("opened")
async def test_without_its_replica_flags_expire_all_the_same(memory: Rewinding, clock: FakeClock):
    await put(memory, "f", **ON)
    store = Defective(memory)
    flags = Client(store, clock=clock)
    await flags.start()
    flags.peek("f")
    store.broken = True
    await clock.advance(13)
    await until(lambda: flags.health.state == "failed")

    await clock.advance(301)

    assert flags.peek("f") is False
    with pytest.raises(ZeroDivisionError):
        await flags.aclose()


@pytest.mark.usefixtures("opened")
async def test_a_defect_does_not_mask_the_exception_of_the_body(memory: Rewinding, clock: FakeClock):
    store = Defective(memory)

    async def work() -> None:
        async with Client(store, clock=clock) as flags:
            store.broken = True
            await clock.advance(13)
            await until(lambda: flags.health.state == "failed")
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await work()


@pytest.mark.usefixtures("opened")
async def test_a_defect_during_the_start_is_raised_there(memory: Rewinding):
    store = Defective(memory)
    store.broken = True

    with pytest.raises(ZeroDivisionError):
        await Client(store).start()

    assert tasks_of_grayflow() == []


# Forgotten


@pytest.mark.usefixtures("opened")
async def test_one_that_is_dropped_without_closing_warns_and_ends(make: Make, memory: Rewinding):
    forgotten = [make()]
    await forgotten[0].start()

    with pytest.warns(ResourceWarning, match="was not closed; use: async with"):
        forgotten.clear()
    gc.collect()

    with anyio.fail_after(2):
        while tasks_of_grayflow():
            await checkpoint()
    assert blocks(memory) == 1


async def test_one_that_was_never_started_or_was_closed_does_not_warn(make: Make):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        flags = make()
        del flags
        gc.collect()
        flags = make(start_timeout=0)
        await flags.start()
        await flags.aclose()
        del flags
        gc.collect()

    assert [warning.message for warning in told] == []


def test_a_loop_that_ends_without_the_close_leaves_no_task(memory: Rewinding):
    flags = Client(memory, start_timeout=0)

    async def forget() -> None:
        await flags.start()

    asyncio.run(forget())

    assert blocks(memory) == 0
    assert flags.health.state == "starting"
    asyncio.run(flags.aclose())
    assert flags.health.state == "closed"


def test_closing_in_another_loop_than_it_runs_in_is_refused(memory: Rewinding):
    async def main() -> None:
        flags = Client(memory, start_timeout=0)
        async with flags:

            def elsewhere() -> None:
                with pytest.raises(LifetimeError, match="another event loop"):
                    asyncio.run(flags.aclose())

            await anyio.to_thread.run_sync(elsewhere)
            assert flags.health.state != "closed"

    asyncio.run(main())


# Fixtures


@pytest.fixture
async def running(store: Faulty, clock: FakeClock) -> AsyncIterator[Client]:
    async with store:
        await store.init()
        async with Client(store, clock=clock) as flags:
            yield flags


async def test_a_client_lives_in_a_fixture_of_anyios_plugin(running: Client, store: Faulty, clock: FakeClock):
    await put(store, "f", **ON)
    await clock.advance(0)

    assert await running.is_enabled("f") is True
    with running.scope({"user_id": "anna"}):
        assert await running.is_enabled("f") is True
