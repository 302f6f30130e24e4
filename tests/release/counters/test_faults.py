"""Batches that arrive late, twice or never: what was counted is never counted twice."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import anyio
import anyio.lowlevel
import pytest
from anyio import to_thread

from grayflow import Admin, Client, Context, MemoryStore, StoreFormatError, Tally, open_store
from grayflow.clock import SystemClock
from grayflow.errors import StoreAccessError
from grayflow.release import Counters
from grayflow.release.counters.flusher import Flusher
from grayflow.store.counts import WINDOW_NS, Arm, counter_name, failed_name
from grayflow.store.redis.acl import acl_rules
from grayflow.store.wrappers import ReadOnly
from grayflow.testing import FakeClock, Faulty
from tests.faults.proxy import Proxy
from tests.release.kit import PATIENCE_S, until
from tests.servers import RedisServer

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]


class Service:
    """A process that counts, on a store that breaks."""

    def __init__(self, store: MemoryStore, clock: FakeClock, admin: Admin):
        self.admin, self.clock = admin, clock
        self.faulty = Faulty(store, clock=clock)
        self.flags = Client(self.faulty, clock=clock)
        self.counters = Counters(clock=clock, flush_every=2, random=lambda: 0.5)

    def call(self, user: str = "anna", *, failed: bool = False) -> None:
        self.counters.record(self.flags.peek_decision("shelf"), Context(user_id=user), failed=failed, took=0.001)

    async def total(self) -> Tally:
        return (await self.admin.stats("shelf")).total("on")


@pytest.fixture
async def store(clock: FakeClock) -> AsyncIterator[MemoryStore]:
    async with MemoryStore(clock=clock) as opened:
        yield opened


@pytest.fixture
async def service(store: MemoryStore, admin: Admin, clock: FakeClock) -> Service:
    await admin.put({"key": "shelf", "enabled": True}, reason="release")
    return Service(store, clock, admin)


async def test_a_batch_whose_answer_was_lost_is_added_once(service: Service) -> None:
    async with service.flags, service.counters.running(service.flags):
        service.call()
        service.faulty.lost.add("board.count")
        for _ in range(3):
            await service.counters.flush()
        assert "may have been done" in str(service.counters.status.trouble)
        assert service.counters.status.waiting == 1
        service.call()
        service.faulty.heal()
        await service.counters.flush()
        assert service.counters.status.trouble is None
        assert (await service.total()).calls == 1
        await service.counters.flush()

        assert (await service.total()).calls == 2
        assert (await service.total()).units == 1
        assert service.counters.status.told == 2


async def test_a_unit_whose_failure_was_told_in_vain_failed_once(service: Service) -> None:
    async with service.flags, service.counters.running(service.flags):
        service.call(failed=True)
        for verb in ("board.add", "board.size", "board.count"):
            service.faulty.lost.add(verb)
            await service.counters.flush()
            service.faulty.heal()
        await service.counters.flush()

        found = await service.total()
        assert (found.calls, found.failures, found.failed_units) == (1, 1, 1)


async def test_while_the_store_is_away_numbers_wait_in_bounded_memory(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    async with service.flags, service.counters.running(service.flags):
        service.faulty.down = True
        for number in range(300):
            service.call(f"u{number % 5}", failed=True)
            await service.clock.advance(1)
        status = service.counters.status
        assert status.waiting == 300
        assert caplog.text.count("what was counted waits to be told") == 1
        service.faulty.heal()
        await service.clock.advance(10)

        found = await service.total()
        assert (found.calls, found.failures, found.units, found.failed_units) == (300, 300, 5, 5)
        assert service.counters.status.waiting == 0


async def test_a_batch_that_is_late_is_told_to_the_minute_that_it_was_for(service: Service) -> None:
    async with service.flags, service.counters.running(service.flags):
        service.call()
        service.faulty.lost.add("board.count")
        await service.counters.flush()
        await service.clock.advance(300)
        service.faulty.heal()
        service.call()
        await service.counters.flush()
        await service.counters.flush()

        windows = (await service.admin.stats("shelf")).windows
        assert [window.total("on").calls for window in windows[-6:]] == [1, 0, 0, 0, 0, 1]


async def test_a_batch_that_nobody_would_look_at_any_more_is_given_up(service: Service) -> None:
    async with service.flags, service.counters.running(service.flags):
        service.call()
        service.faulty.lost.add("board.count")
        await service.counters.flush()
        service.clock._now += 25 * 3600 * 10**9  # only the instant: nothing that waits has to be woken for it
        service.faulty.heal()
        await service.counters.flush()

        assert service.counters.status.lost == 1
        assert service.counters.status.waiting == 0


async def test_what_the_store_cannot_take_does_not_stand_in_the_way(service: Service) -> None:
    await service.admin.put({"key": "other", "enabled": True}, reason="release")
    async with service.flags, service.counters.running(service.flags):
        service.faulty.errors["board.count"] = StoreFormatError("something else lies there")
        service.call()
        await service.counters.flush()
        assert service.counters.status.lost == 1
        assert service.counters.status.trouble == "something else lies there"
        service.faulty.heal()
        service.call()
        await service.counters.flush()

        assert (await service.total()).calls == 1
        assert service.counters.status.trouble is None


async def test_a_store_that_refuses_is_asked_less_often(service: Service) -> None:
    async with service.flags, service.counters.running(service.flags):
        service.faulty.errors["board.now"] = StoreAccessError("this user may not")
        await service.clock.advance(3)
        assert service.counters.status.trouble == "this user may not"
        service.faulty.heal()
        service.call()
        await service.clock.advance(30)
        assert service.counters.status.waiting == 1
        await service.clock.advance(60)
        assert service.counters.status.waiting == 0
        service.call()
        await service.clock.advance(3)
        assert service.counters.status.waiting == 0


async def test_a_flush_that_is_cancelled_loses_nothing(service: Service) -> None:
    async with service.flags, service.counters.running(service.flags):
        for verb in ("board.now", "board.add", "board.size", "board.count"):
            service.call(failed=True)
            service.faulty.hung.add(verb)
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(service.counters.flush)
                    for _ in range(20):
                        await anyio.lowlevel.checkpoint()
                    scope.cancel()
            service.faulty.heal()
        await service.counters.flush()
        await service.counters.flush()

        assert (await service.total()).calls == 4


async def test_a_store_that_hangs_does_not_hold_up_whoever_leaves(service: Service) -> None:
    async with service.flags:
        with anyio.fail_after(PATIENCE_S):
            async with service.counters.running(service.flags):
                service.call()
                service.faulty.hung.add("board.now")
        service.faulty.heal()

        assert await service.total() == Tally()


async def test_an_arm_in_which_too_many_failed_is_full(service: Service) -> None:
    board = service.faulty.board
    assert board is not None
    async with service.flags, service.counters.running(service.flags):
        revision = service.flags.peek_decision("shelf").revision
        name = failed_name("shelf", Arm("on", revision))
        for first in range(0, 10_000, 1000):
            await board.add(name, [str(number) for number in range(first, first + 1000)])
        for user in ("anna", "ben"):
            service.call(user, failed=True)
            await service.counters.flush()

        assert await board.size(name) == 10_001
        assert (await service.total()).failures == 2


# Real faults


async def test_on_a_network_that_loses_answers_every_call_is_counted_once() -> None:
    with RedisServer() as server, Proxy(server.port) as proxy:
        async with Admin(server.url, actor="ada") as admin:
            await admin.init()
            await admin.put({"key": "shelf", "enabled": True}, reason="release")
            flags = Client(f"redis://127.0.0.1:{proxy.port}/0")
            counters = Counters(flush_every=3600)
            async with flags, counters.running(flags):
                decision = flags.peek_decision("shelf")
                for number in range(6):
                    counters.record(decision, Context(user_id=f"u{number % 2}"), failed=True)
                    if number % 2:
                        # More than the store itself tries again, so that the answer stays away.
                        proxy.lose_answers(50, to=b"calls:")
                    await counters.flush()
                    proxy.heal()
                with anyio.fail_after(PATIENCE_S):
                    while counters.status.waiting:
                        await counters.flush()
                        await SystemClock().sleep(0.05)
                found = (await admin.stats("shelf")).total("on")

            assert proxy.answers_lost > 0
            assert (found.calls, found.failures, found.failed_units) == (6, 6, 2)


COUNTING = """
import os, sys
import anyio
import anyio.lowlevel
from grayflow import Client, Context
from grayflow.release import Counters

async def main():
    async with Client(sys.argv[1], namespace=sys.argv[2]) as flags:
        counters = Counters(flush_every=0.05)
        async with counters.running(flags):
            decision, calls = flags.peek_decision("shelf"), 0
            while True:
                counters.record(decision, Context(user_id=str(calls)), failed=True)
                calls += 1
                os.write(1, b"%d %d\\n" % (calls, counters.status.told))
                await anyio.sleep(0.001)

anyio.run(main)
"""


def run_until_told(command: list[str]) -> tuple[int, int]:
    """Run a process until the store knows of a hundred of its calls, kill it, and return what it said last."""
    said = (0, 0)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:  # ends when it is dead
            said = (int(line.split()[0]), int(line.split()[1]))
            if said[1] >= 100:
                process.kill()
    return said


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", ["sqlite", "redis"])
async def test_of_processes_that_are_killed_in_the_middle_nothing_is_counted_twice(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path}/flags.db" if kind == "sqlite" else request.getfixturevalue("redis_url")
    namespace = f"t-{uuid4().hex[:12]}"
    called = told = 0
    async with Admin(url, namespace=namespace, actor="ada") as admin:
        await admin.init()
        await admin.put({"key": "shelf", "enabled": True}, reason="release")
        for _ in range(3):
            command = [sys.executable, "-c", COUNTING, url, namespace]
            more = await to_thread.run_sync(run_until_told, command)
            called, told = called + more[0], told + more[1]
        found = (await admin.stats("shelf")).total("on")

    assert told <= found.calls <= called
    assert found.failures == found.calls


async def test_a_forked_child_begins_anew(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path}/flags.db") as store, Admin(store, actor="ada") as admin:
        await admin.put({"key": "shelf", "enabled": True}, reason="release")
        flags, counters = Client(store), Counters(flush_every=3600)
        async with flags, counters.running(flags):
            counters.record(flags.peek_decision("shelf"))
            child = os.fork()
            if not child:
                status = counters.status
                counters.record(flags.peek_decision("shelf"))
                os._exit(0 if (status.running, status.waiting, counters.status.waiting) == (False, 0, 0) else 1)
            _, ended = await to_thread.run_sync(os.waitpid, child, 0)
            assert os.waitstatus_to_exitcode(ended) == 0
        assert (await admin.stats("shelf")).total("on").calls == 1


async def test_a_board_that_lost_everything_is_counted_to_anew(service: Service, store: MemoryStore) -> None:
    """Numbers of batches go with the sums that they guard."""
    board = store.board
    assert board is not None
    async with service.flags, service.counters.running(service.flags):
        service.call()
        await service.counters.flush()
        name = counter_name("shelf", await board.now() // WINDOW_NS)
        board._shelf.forget("counter", name)  # type: ignore[attr-defined]
        service.call()
        await service.counters.flush()

        assert (await service.total()).calls == 1


async def test_a_store_without_a_board_is_told_of_and_counts_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with service.flags:
        monkeypatch.setattr(service.faulty, "board", None)
        monkeypatch.setattr(service.faulty, "no_board", "this store has no board")
        async with service.counters.running(service.flags):
            service.call()
            assert service.counters.status.waiting == 0
            assert service.counters.status.trouble == "this store has no board"
            await service.counters.flush()
    assert "nothing is counted: this store has no board" in caplog.text


async def test_a_defect_is_told_and_ends_the_counting_only(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_: Flusher) -> None:
        monkeypatch.undo()
        raise RuntimeError("a defect")

    async def defective() -> None:
        async with service.counters.running(service.flags):
            monkeypatch.setattr(Flusher, "flush", broken)
            await service.clock.advance(3)
            await until(lambda: not service.counters.status.running)
            service.call()

    async with service.flags:
        with pytest.raises(RuntimeError, match="a defect"):
            await defective()
    assert "a defect ended the counting of calls; calls go on" in caplog.text


async def test_whoever_may_only_read_is_told_and_a_worker_counts_what_a_reader_sees() -> None:
    with RedisServer() as server:
        async with Admin(server.url, namespace="prod", actor="ada") as admin:
            await admin.init()
            await admin.put({"key": "shelf", "enabled": True}, reason="release")
        for role in ("reader", "worker"):
            server.ask("ACL", "SETUSER", f"gf-{role}", *acl_rules(role, "prod", "pw"))
        seen = {}
        for role in ("reader", "worker"):
            url, counters = f"redis://gf-{role}:pw@127.0.0.1:{server.port}/0", Counters()
            async with Client(url, namespace="prod") as flags, counters.running(flags):
                counters.record(flags.peek_decision("shelf"), {"user_id": "anna"}, failed=True)
                await counters.flush()
                seen[role] = counters.status.trouble
        reader = ReadOnly(open_store(f"redis://gf-reader:pw@127.0.0.1:{server.port}/0", namespace="prod"))
        async with Admin(reader, actor="ada") as admin:
            found = (await admin.stats("shelf")).total("on")

    assert "of the role worker" in str(seen["reader"])
    assert seen["worker"] is None
    assert (found.calls, found.failures, found.failed_units) == (1, 1, 1)
