"""Which reports a client makes at once where somebody who waits can ask for them, and which can wait."""

from collections.abc import AsyncIterator

import anyio
import pytest

from grayflow import Admin, Client, StoreAccessError
from grayflow.core.generations import Marks
from grayflow.core.position import Position
from grayflow.store.fleet import PROCESSES, Process, read_fleet
from grayflow.store.memory import MemoryStore
from grayflow.store.port import Awaited, Store
from grayflow.store.wrappers import Recording
from grayflow.testing import FakeClock, Faulty
from tests.replica.kit import put

pytestmark = pytest.mark.anyio

OFF = Marks(off=("on",))


class Asking(MemoryStore):
    """A memory store whose followers hear that somebody waits, as those of Redis do."""

    reports_on_request = True

    async def request_reports(self, position: Position) -> None:
        """See `Store.request_reports`."""
        self._tell(Awaited(position))


@pytest.fixture
async def store(clock: FakeClock) -> AsyncIterator[Asking]:
    async with Asking(clock=clock) as opened:
        await opened.init()
        await put(opened, "a", enabled=True)
        yield opened


def client(store: Store, clock: FakeClock) -> Client:
    return Client(store, clock=clock, random=lambda: 0.5, name="shop")


async def reported(store: Store) -> Process:
    assert store.board is not None
    return (await read_fleet(store.board)).processes[0]


async def reports(store: Store) -> int:
    """Count those that were made."""
    assert store.board is not None
    (record,) = (await store.board.list(PROCESSES)).records.values()
    return record.version


async def test_a_change_that_nobody_waits_for_is_in_the_next_regular_report(store: Asking, clock: FakeClock):
    async with client(store, clock):
        await clock.advance(1)
        before = await reports(store)
        await put(store, "a", description="other")
        await clock.advance(1)
        assert (await reports(store), (await reported(store)).oldest) == (before, 1)

        await clock.advance(5)
        assert (await reports(store), (await reported(store)).oldest) == (before + 1, 2)


async def test_a_switch_off_is_told_at_once_because_cleanup_may_wait(store: Asking, clock: FakeClock):
    async with client(store, clock):
        await clock.advance(1)
        await put(store, "a", enabled=False, marks=OFF)
        await clock.advance(0.5)

        assert (await reported(store)).oldest == 2


async def test_a_state_that_was_loaded_as_a_whole_is_told_at_once(store: Asking, clock: FakeClock):
    async with client(store, clock):
        await clock.advance(1)
        position = await store.init(replaces="*")
        await clock.advance(0.5)

        assert (await reported(store)).epoch == position.epoch


async def test_whoever_waits_is_told_at_once(store: Asking, clock: FakeClock):
    async with client(store, clock), Admin(store, clock=clock) as admin, anyio.create_task_group() as tasks:
        await clock.advance(1)
        change = await put(store, "a", description="other")
        took = []

        async def wait() -> None:
            seen = await admin.wait_until_seen(change.position, timeout=10)
            assert seen.complete
            took.append(seen.took_s)

        tasks.start_soon(wait)
        await clock.advance(1)

        assert took
        assert took[0] < 0.5


async def test_a_process_that_hears_of_a_wait_before_it_hears_of_the_change_tells_it_when_it_does(
    store: Asking, clock: FakeClock
):
    async with Faulty(store) as deaf, client(deaf, clock):
        await clock.advance(1)
        deaf.deaf = True
        change = await put(store, "a", description="other")
        await clock.advance(0)
        deaf.deaf = False
        await store.request_reports(change.position)
        await clock.advance(0.5)

        assert (await reported(store)).oldest == 2


async def test_a_scope_that_is_waited_for_is_told_when_it_closes_and_not_again_and_again_before(
    store: Asking, clock: FakeClock
):
    async with client(store, clock) as flags:
        await clock.advance(1)
        with flags.scope():
            change = await put(store, "a", enabled=False, marks=OFF)
            await clock.advance(0.5)
            before = await reports(store)
            await clock.advance(3)
            assert await reports(store) == before
            await store.request_reports(change.position)
            await clock.advance(0.5)
            assert (await reports(store), (await reported(store)).oldest) == (before + 1, 1)

        await clock.advance(0.5)
        assert (await reported(store)).oldest == 2


async def test_who_has_said_so_already_does_not_say_it_again(store: Asking, clock: FakeClock):
    async with client(store, clock):
        await clock.advance(1)
        before = await reports(store)
        for _ in range(5):
            await store.request_reports(await store.position())
            await clock.advance(0.3)

        assert await reports(store) == before


async def test_a_wait_for_another_epoch_does_not_make_every_later_change_urgent(store: Asking, clock: FakeClock):
    async with client(store, clock):
        await clock.advance(1)
        await store.request_reports(Position(epoch="elsewhere", revision=7, nonce=""))
        await clock.advance(0.5)
        before = await reports(store)
        await put(store, "a", description="other")
        await clock.advance(0.5)

        assert await reports(store) == before


async def test_who_waits_asks_again_as_long_as_somebody_is_behind(store: Asking, clock: FakeClock):
    async with Recording(store) as recorded, client(store, clock) as flags, Admin(recorded, clock=clock) as admin:
        await clock.advance(1)
        with flags.scope():
            change = await put(store, "a", description="other")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lambda: admin.wait_until_seen(change.position, timeout=3.5))
                await clock.advance(4)

        assert 3 <= recorded.count("request_reports") <= 5


async def test_who_may_not_ask_waits_for_the_regular_reports_and_does_not_insist(store: Asking, clock: FakeClock):
    recorded = Recording(Faulty(store))
    async with recorded, client(store, clock), Admin(recorded, clock=clock) as admin:
        recorded.inner.errors["request_reports"] = StoreAccessError("no right to publish")  # type: ignore[attr-defined]
        await clock.advance(1)
        change = await put(store, "a", description="other")
        seen = []

        async def wait() -> None:
            seen.append(await admin.wait_until_seen(change.position, timeout=10))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await clock.advance(7)

        assert seen[0].complete
        assert recorded.count("request_reports") == 1
