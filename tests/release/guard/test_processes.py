"""Breakers of real processes on a real Redis: when they switch the flag off, and what one that is killed leaves."""

import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import pytest

from grayflow import Admin, Client, Context
from grayflow.clock import SystemClock
from grayflow.release import BreakerPolicy, BreakerState, FallbackGuard, FleetTrip, ImplementationSwitch
from grayflow.release.guard.quorum import BREAKERS
from tests.faults.proxy import Proxy
from tests.release.guard.worker import Shelf, sides
from tests.servers import RedisServer

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]
PATIENCE_S = 40.0


class Worker:
    """A process, and the last thing that it said."""

    def __init__(self, url: str, namespace: str, name: str, options: dict[str, Any]):
        command = [sys.executable, "-m", "tests.release.guard.worker", url, namespace, name, json.dumps(options)]
        self.name = name
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self.said: dict[str, Any] = {}
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said = json.loads(line)

    @property
    def state(self) -> str:
        return str(self.said.get("state"))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_S)
        self._listener.join(PATIENCE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()


Start = Callable[..., list[Worker]]


@pytest.fixture
def namespace() -> str:
    return f"t-{uuid4().hex[:12]}"


@pytest.fixture
async def admin(redis_url: str, namespace: str) -> AsyncIterator[Admin]:
    async with Admin(redis_url, namespace=namespace, actor="ada") as opened:
        await opened.init()
        await opened.put({"key": "shelf", "enabled": True}, reason="release")
        for name in ("old.broken", "new.broken", "new.hangs", "old.hangs"):
            await opened.put({"key": name, "enabled": True, "otherwise": "off"}, reason="test")
        yield opened


@pytest.fixture
def start(redis_url: str, namespace: str) -> Iterator[Start]:
    started: list[Worker] = []

    def begin(number: int, **options: Any) -> list[Worker]:
        started.extend(Worker(redis_url, namespace, f"w{index}", options) for index in range(number))
        return started

    yield begin
    for worker in started:
        worker.kill()


async def until(condition: Callable[[], object]) -> None:
    with anyio.fail_after(PATIENCE_S):
        while not condition():
            await SystemClock().sleep(0.02)


async def enabled(admin: Admin) -> bool:
    return (await admin.flags())["shelf"].enabled


async def reports(admin: Admin) -> int:
    board = admin.store.board
    assert board is not None
    return len((await board.list(BREAKERS)).records)


@pytest.mark.timeout(120)
async def test_four_broken_processes_of_ten_switch_the_flag_off_and_ten_with_both_stores_broken_do_not(
    admin: Admin, start: Start
) -> None:
    within_s = 15
    await admin.edit({"key": "old.broken", "enabled": True}, reason="both are broken")
    await admin.edit({"key": "new.broken", "enabled": True}, reason="both are broken")
    workers = start(10, trip={"within": within_s, "at_least": 3, "quorum": 0.3})
    await until(lambda: all(worker.said.get("both_failed", 0) >= 2 for worker in workers))
    assert [worker.state for worker in workers] == ["closed"] * 10
    assert await reports(admin) == 10
    assert await enabled(admin)

    four = [worker.name for worker in workers[:4]]
    await admin.edit({"key": "new.broken", "enabled": True, "otherwise": "off", "targets": {"on": four}}, reason="four")
    await until(lambda: all("broken" not in worker.said["answer"] for worker in workers[4:]))
    broken = await admin.edit({"key": "old.broken", "enabled": False}, reason="only the new one is broken")
    await until(lambda: [worker.state for worker in workers].count("open") >= 3)
    await until(lambda: all(worker.said["answer"] == "old" for worker in workers))

    newest = (await admin.history("shelf", limit=1))[0]
    assert (newest.actor, await enabled(admin)) == ("breaker", False)
    assert "of 10 processes" in newest.reason
    assert broken.change is not None
    assert (newest.at - broken.change.at) / 1e9 < within_s


@pytest.mark.timeout(120)
async def test_a_process_that_is_killed_with_a_probe_in_its_hands_is_forgotten_when_its_report_expires(
    admin: Admin, start: Start
) -> None:
    workers = start(3, trip={"within": 2, "at_least": 2, "quorum": 0.1}, open_for=0.5, timeout=600)
    first, second, third = workers
    await until(lambda: all(worker.said.get("answer") == "new" for worker in workers))
    await admin.include("new.broken", "on", [first.name])
    await until(lambda: first.state == "open")
    await admin.include("new.hangs", "on", [first.name])
    board = admin.store.board
    assert board is not None
    while b'"why":"its time is over"' not in b"".join(
        record.value for record in (await board.list(BREAKERS)).records.values()
    ):
        await SystemClock().sleep(0.05)
    first.kill()
    assert await reports(admin) == 3
    with anyio.fail_after(PATIENCE_S):
        while await reports(admin) == 3:
            await SystemClock().sleep(0.05)

    await admin.include("new.broken", "on", [second.name])
    await until(lambda: second.state == "open")
    with anyio.fail_after(PATIENCE_S):
        while b'"open":true' not in b"".join(record.value for record in (await board.list(BREAKERS)).records.values()):
            await SystemClock().sleep(0.05)
    await until(lambda: second.state == "half_open" or second.said["answer"] == "old")

    assert third.state == "closed"
    assert third.said["answer"] == "new"
    assert await enabled(admin)


@pytest.mark.parametrize("how", ["the server is frozen", "packets are dropped"])
async def test_a_guarded_call_waits_for_nothing_while_redis_answers_nothing_and_the_breaker_opens(how: str) -> None:
    with RedisServer() as server, Proxy(server.port) as proxy:
        async with Admin(server.url, actor="ada") as admin:
            await admin.init()
            await admin.put({"key": "shelf", "enabled": True}, reason="release")
            await admin.put({"key": "new.broken"}, reason="test")
        flags = Client(f"redis://127.0.0.1:{proxy.port}/0")
        switch = ImplementationSwitch(Shelf, flag="shelf", variants=sides(flags), default="off")
        guard = FallbackGuard(
            switch,
            new="on",
            old="off",
            safe=["get"],
            breaker=BreakerPolicy(minimum_calls=20),
            fleet=FleetTrip(action="report", within=0.3),
        )
        async with flags, switch.running(flags), guard.running(flags):
            assert await guard.proxy().get("k") == "new"
            with flags.override(shelf=False):
                assert await guard.proxy().get("k") == "old"
            if how == "packets are dropped":
                proxy.swallow()
            else:
                server.freeze()
            try:
                await SystemClock().sleep(0.5)  # reports go unanswered meanwhile
                with flags.scope(Context(user_id="u")):
                    assert [at_once(guard) for _ in range(500)] == ["new"] * 500
                with flags.override({"new.broken": True, "shelf": True}):
                    assert [at_once(guard) for _ in range(600)] == ["old"] * 600
                assert guard.status.state is BreakerState.OPEN
                assert guard.status.turned_away > 0
            finally:
                server.thaw()
                proxy.heal()


def at_once(guard: FallbackGuard[Shelf]) -> str:
    """Call, and fail if the call waits for anything at all."""
    call = guard.proxy().get("k")
    try:
        call.send(None)
    except StopIteration as answer:
        return str(answer.value)
    raise AssertionError("a guarded call has waited")
