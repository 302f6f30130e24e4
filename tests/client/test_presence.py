"""What a client says of itself on the board, and when."""

from collections.abc import AsyncIterator

import anyio
import pytest

from grayflow import Admin, Client, StoreAccessError
from grayflow.store.fleet import PROCESSES, Process, read_fleet
from grayflow.store.memory import MemoryStore
from grayflow.testing import FakeClock
from tests.replica.kit import put

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(clock: FakeClock) -> AsyncIterator[MemoryStore]:
    async with MemoryStore(clock=clock) as opened:
        await opened.init()
        await put(opened, "a", enabled=True)
        yield opened


def client(store: MemoryStore, clock: FakeClock, name: str = "shop") -> Client:
    return Client(store, clock=clock, random=lambda: 0.5, name=name)


async def reported(store: MemoryStore) -> tuple[Process, ...]:
    assert store.board is not None
    return (await read_fleet(store.board)).processes


async def test_a_client_reports_the_revision_that_it_serves(store: MemoryStore, clock: FakeClock):
    async with client(store, clock) as flags:
        await clock.advance(0.5)
        (process,) = await reported(store)

        assert (process.name, process.revision, process.oldest, process.state) == ("shop", 1, 1, "fresh")
        assert process.epoch == (await store.position()).epoch
        assert flags.health.unreported is None


async def test_a_change_is_reported_within_half_a_second(store: MemoryStore, clock: FakeClock):
    async with client(store, clock):
        await clock.advance(1)
        await put(store, "a", enabled=False)
        await clock.advance(0.5)

        assert (await reported(store))[0].oldest == 2


async def test_an_open_scope_holds_the_oldest_revision_back_and_its_end_lets_it_go(
    store: MemoryStore, clock: FakeClock
):
    async with client(store, clock) as flags:
        with flags.scope():
            await put(store, "a", enabled=False)
            await clock.advance(1)
            assert [(one.revision, one.oldest) for one in await reported(store)] == [(2, 1)]

        await clock.advance(0.5)
        assert [(one.revision, one.oldest) for one in await reported(store)] == [(2, 2)]


async def test_a_scope_from_before_the_epoch_holds_everything_back(store: MemoryStore, clock: FakeClock):
    async with client(store, clock) as flags:
        with flags.scope():
            await store.init(replaces="*")
            await clock.advance(20)

            (process,) = await reported(store)
            assert process.epoch == (await store.position()).epoch
            assert process.oldest == 0


async def test_the_oldest_instant_is_that_of_the_oldest_scope(store: MemoryStore, clock: FakeClock):
    async with client(store, clock) as flags:
        entered = clock.now()
        with flags.scope():
            await clock.advance(20)
            assert (await reported(store))[0].instant == entered

        await clock.advance(10)
        assert (await reported(store))[0].instant > entered


async def test_leaving_takes_the_report_back_at_once(store: MemoryStore, clock: FakeClock):
    async with client(store, clock):
        await clock.advance(1)

    assert await reported(store) == ()


async def test_a_process_that_fell_silent_is_gone_after_15_seconds(store: MemoryStore, clock: FakeClock):
    assert store.board is not None
    async with client(store, clock, "alive"):
        await store.board.put(PROCESSES, "dead", _report("dead"), ttl=15.0)
        await clock.advance(14)
        assert [one.name for one in await reported(store)] == ["alive", "dead"]

        await clock.advance(2)
        assert [one.name for one in await reported(store)] == ["alive"]


async def test_reports_go_on_for_as_long_as_the_client_runs(store: MemoryStore, clock: FakeClock):
    async with client(store, clock):
        for _ in range(20):
            await clock.advance(7)
            assert len(await reported(store)) == 1


async def test_a_burst_of_changes_is_reported_a_few_times_only(store: MemoryStore, clock: FakeClock):
    assert store.board is not None
    async with client(store, clock):
        await clock.advance(1)
        before = (await store.board.list(PROCESSES)).records
        for number in range(50):
            await put(store, "a", enabled=bool(number % 2))
            await clock.advance(0.02)
        await clock.advance(0.5)
        after = (await store.board.list(PROCESSES)).records

        (name,) = after
        assert 1 <= after[name].version - before[name].version <= 6
        assert (await reported(store))[0].oldest == 51


async def test_a_client_without_flags_is_not_counted(clock: FakeClock):
    async with MemoryStore(clock=clock) as empty, client(empty, clock) as flags:
        await clock.advance(10)

        assert await reported(empty) == ()
        assert flags.health.unreported == "no flags to report yet"


async def test_a_client_that_may_not_write_says_so_in_health_and_asks_rarely(
    store: MemoryStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
):
    asked = 0

    async def refused(*_: object, **__: object) -> None:
        nonlocal asked
        asked += 1
        raise StoreAccessError("this user may not write to the board")

    monkeypatch.setattr(store.board, "put", refused)
    async with client(store, clock) as flags:
        await clock.advance(100)

        assert flags.health.unreported == "this user may not write to the board"
        assert asked <= 3
        assert flags.health.state == "fresh"


async def test_a_report_that_cannot_be_read_does_not_hide_the_others(store: MemoryStore, clock: FakeClock):
    assert store.board is not None
    async with client(store, clock):
        await store.board.put(PROCESSES, "strange", b'{"id": 5}', ttl=15.0)
        await clock.advance(1)

        assert [one.name for one in await reported(store)] == ["shop"]


async def test_admin_waits_until_every_process_has_seen_a_change(store: MemoryStore, clock: FakeClock):
    async with (
        client(store, clock, "one"),
        client(store, clock, "two"),
        Admin(store, actor="ada", clock=clock) as admin,
    ):
        await clock.advance(1)
        saved = await admin.switch_off("a")
        async with anyio.create_task_group() as tasks:
            seen = []

            async def wait() -> None:
                seen.append(await admin.wait_until_seen(saved.token, timeout=10))

            tasks.start_soon(wait)
            await clock.advance(2)

        assert (seen[0].processes, seen[0].complete) == (2, True)
        assert 0 < seen[0].took_s < 1


async def test_admin_names_who_has_not_seen_it_when_the_time_is_up(store: MemoryStore, clock: FakeClock):
    async with client(store, clock, "one") as one, client(store, clock, "two"), Admin(store, clock=clock) as admin:
        await clock.advance(1)
        with one.scope():
            saved = await admin.switch_off("a")
            await clock.advance(1)
            seen = await admin.wait_until_seen(saved.position, timeout=0)

        assert [process.name for process in seen.behind] == ["one"]
        assert not seen.complete


async def test_admin_takes_a_revision_and_refuses_one_that_is_not_there_yet(store: MemoryStore, clock: FakeClock):
    async with client(store, clock), Admin(store, actor="ada", clock=clock) as admin:
        await clock.advance(1)

        assert (await admin.wait_until_seen(1, timeout=0)).complete
        with pytest.raises(Exception, match="no revision 7 yet; the newest is 1"):
            await admin.wait_until_seen(7)


def _report(name: str) -> bytes:
    return (
        b'{"id":"x","host":"h","pid":1,"name":"%s","started":1,"epoch":"e","revision":1,"oldest":1,'
        b'"instant":1,"state":"fresh"}' % name.encode()
    )
