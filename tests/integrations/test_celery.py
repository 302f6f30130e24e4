"""Celery in real worker processes, with Redis as its broker."""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import redis
from celery import Celery
from celery.exceptions import TaskRevokedError
from celery.signals import before_task_publish

from grayflow import Admin, Client, GateClosedError, MemoryStore
from grayflow.client.carry import AT_LEAST
from grayflow.clock import SystemClock
from grayflow.integrations.celery import revoke_tasks, setup
from tests.integrations.processes import PATIENCE_S, running
from tests.ports import free_port
from tests.servers import RedisServer

pytestmark = [pytest.mark.anyio, pytest.mark.redis, pytest.mark.timeout(300)]

MODULE = "tests.integrations.celery_shop"
PROCESSES = 2

sleep = SystemClock().sleep


class Shop:
    """A server, the application that sends tasks to it, and what they did."""

    def __init__(self, server: RedisServer) -> None:
        self.url = server.url
        self.app = Celery("sender", broker=self.url, backend=self.url)
        self.redis = redis.Redis.from_url(self.url, decode_responses=True)

    def send(self, task: str, *args: Any, **options: Any) -> Any:
        return self.app.send_task(f"shop.{task}", args, **options)

    def ran(self) -> list[str]:
        return self.redis.lrange("ran", 0, -1)

    def waiting(self, queue: str = "celery") -> int:
        return int(self.redis.llen(queue))

    def close(self) -> None:
        self.app.close()
        self.redis.close()


@contextmanager
def opened() -> Iterator[Shop]:
    """A shop with a namespace: workers that find none come back for it later and later."""

    async def init() -> None:
        async with Admin(shop.url, namespace="shop", actor="test") as admin:
            await admin.init()

    with RedisServer() as server:
        shop = Shop(server)
        anyio.run(init)
        yield shop
        shop.close()


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with opened() as shop:
        yield shop


def process(shop: Shop, *command: str) -> AbstractContextManager[object]:
    celery = ("celery", "-A", MODULE, *command, "--loglevel", "WARNING")
    return running(*celery, environment={"SHOP_URL": shop.url})


@pytest.fixture(scope="module")
def worker(shop: Shop) -> Iterator[None]:
    with process(shop, "worker", "--concurrency", str(PROCESSES), "--without-gossip", "--without-mingle"):
        yield


@pytest.fixture
async def admin(shop: Shop) -> AsyncIterator[Admin]:
    async with Admin(shop.url, namespace="shop", actor="test") as admin:
        await admin.put({"key": "payment_v2", "enabled": True}, reason="test")
        await admin.put({"key": "anna", "enabled": True, "otherwise": "off", "targets": {"on": ["anna"]}})
        shop.redis.delete("ran", "celery", "dead", *(f"beat-{name}" for name in ("gated", "bound", "free", "delayed")))
        yield admin


@pytest.fixture
async def ready(worker: None, admin: Admin) -> None:
    """The worker's processes have the flags, and each has reported."""
    await until(admin_sees(admin, PROCESSES))


@pytest.fixture
def other() -> Iterator[Shop]:
    """A shop without a worker."""
    with opened() as shop:
        yield shop


@pytest.fixture
async def others(other: Shop) -> AsyncIterator[Admin]:
    async with Admin(other.url, namespace="shop", actor="test") as admin:
        await admin.put({"key": "payment_v2", "enabled": True}, reason="test")
        yield admin


def admin_sees(admin: Admin, count: int) -> Callable[[], Any]:
    async def seen() -> bool:
        fleet = await admin.fleet()
        return len([one for one in fleet.processes if one.state == "fresh"]) == count

    return seen


async def until(condition: Callable[[], Any]) -> None:
    """Wait until something is so."""
    with anyio.fail_after(PATIENCE_S):
        while True:
            found = condition()
            if await found if hasattr(found, "__await__") else found:
                return
            await sleep(0.05)


async def off(admin: Admin) -> None:
    """Switch the flag off, and wait until every process has seen it."""
    await until_seen(admin, (await admin.switch_off("payment_v2", reason="test")).token)


async def on(admin: Admin) -> None:
    await until_seen(admin, (await admin.switch_on("payment_v2", reason="test")).token)


async def until_seen(admin: Admin, token: str) -> None:
    seen = await admin.wait_until_seen(token, timeout=PATIENCE_S)
    assert seen.complete


# The gate


async def test_each_process_of_the_pool_has_a_client_of_its_own(shop: Shop, ready: None, admin: Admin):
    processes = (await admin.fleet()).processes

    assert len({one.pid for one in processes}) == PROCESSES
    assert {one.name for one in processes} == {"worker"}


async def test_a_task_runs_while_the_flag_is_on(shop: Shop, ready: None):
    assert shop.send("gated", "a").get(timeout=PATIENCE_S) == "a"
    assert shop.send("bound", "b").get(timeout=PATIENCE_S) == "b"


async def test_no_body_of_a_thousand_queued_tasks_runs_once_the_gate_has_seen_the_off(
    shop: Shop, ready: None, admin: Admin
):
    shop.app.control.cancel_consumer("celery", reply=True)
    sent = [shop.send("gated", str(number), ignore_result=False) for number in range(1000)]
    await off(admin)
    shop.app.control.add_consumer("celery", reply=True)

    for one in sent:
        await until(lambda one=one: one.state == "REVOKED")
    assert shop.ran() == []


async def test_an_off_in_the_middle_of_the_queue_stops_the_rest(shop: Shop, ready: None, admin: Admin):
    sent = [shop.send("busy", str(number)) for number in range(100)]
    await until(lambda: len(shop.ran()) > 10)
    await off(admin)
    by_then = len(shop.ran())

    await until(lambda: all(one.state in ("SUCCESS", "REVOKED") for one in sent))
    assert len(shop.ran()) <= by_then + PROCESSES  # those that had begun
    assert [one.state for one in sent].count("REVOKED") == 100 - len(shop.ran())


async def test_whoever_waits_for_a_dropped_task_is_told(shop: Shop, ready: None, admin: Admin):
    await off(admin)

    with pytest.raises(TaskRevokedError, match="flag 'payment_v2', is closed"):
        shop.send("gated", "a").get(timeout=PATIENCE_S)


async def test_a_delayed_task_runs_when_the_flag_is_on_again_and_keeps_its_retries(
    shop: Shop, ready: None, admin: Admin
):
    await off(admin)
    sent = shop.send("delayed", "a")
    await until(lambda: sent.state == "RETRY")
    await sleep(0.5)  # more than one round
    assert shop.ran() == []

    await on(admin)

    assert sent.get(timeout=PATIENCE_S) == ["a", 0]


async def test_a_dead_letter_waits_in_its_queue_until_somebody_asks_for_it(shop: Shop, ready: None, admin: Admin):
    await off(admin)
    sent = shop.send("kept", "a")
    await until(lambda: shop.waiting("dead") == 1)
    assert sent.state == "PENDING"

    await on(admin)
    shop.app.control.add_consumer("dead", reply=True)

    assert sent.get(timeout=PATIENCE_S) == "a"
    shop.app.control.cancel_consumer("dead", reply=True)


async def test_a_gated_function_inside_a_task_is_dropped_and_the_task_goes_on(shop: Shop, ready: None, admin: Admin):
    await off(admin)

    assert shop.send("helped", "a").get(timeout=PATIENCE_S) == [None, None, "a"]


async def test_other_tasks_run_on(shop: Shop, ready: None, admin: Admin):
    await off(admin)

    assert shop.send("free", "a").get(timeout=PATIENCE_S) == "a"


# What was scheduled


async def test_tasks_that_workers_hold_are_revoked(shop: Shop, ready: None):
    held = [shop.send("gated", "later", countdown=600) for _ in range(5)]
    other = shop.send("free", "later", countdown=600)
    ids = {one.id for one in (*held, other)}
    scheduled = shop.app.control.inspect(timeout=1)

    def waiting() -> set[str]:
        return {one["request"]["id"] for held in (scheduled.scheduled() or {}).values() for one in held}

    await until(lambda: ids <= waiting())

    assert set(revoke_tasks(shop.app, "shop.gated", ids=["remembered"])) == {*ids - {other.id}, "remembered"}

    revoked = {each for answer in (scheduled.revoked() or {}).values() for each in answer}
    assert revoked >= ids - {other.id}
    assert other.id not in revoked
    other.revoke()


def test_nothing_is_asked_of_workers_where_ids_are_enough(shop: Shop):
    began = time.monotonic()

    assert revoke_tasks(shop.app, ids=["a", "b"], timeout=30) == ("a", "b")
    assert revoke_tasks(shop.app) == ()
    assert time.monotonic() - began < 20


async def test_beat_sends_no_entry_of_a_gated_task_while_the_flag_is_off(other: Shop, others: Admin, tmp_path: Path):
    await others.switch_off("payment_v2", reason="test")
    scheduler = "grayflow.integrations.celery:GatedScheduler"
    with process(other, "beat", "--schedule", str(tmp_path / "beat"), "--scheduler", scheduler):
        await until(lambda: other.waiting("beat-free") > 3)
        # Kept for later, so beat does not decide: the worker delays it.
        await until(lambda: other.waiting("beat-delayed") > 3)
        assert (other.waiting("beat-gated"), other.waiting("beat-bound")) == (0, 0)

        await others.switch_on("payment_v2", reason="test")

        await until(lambda: other.waiting("beat-gated") > 1 and other.waiting("beat-bound") > 1)
        await until(admin_sees(others, 1))

    assert (await others.fleet()).processes == ()


# What a message carries


async def test_a_task_decides_by_flags_at_least_as_new_as_its_senders(shop: Shop, ready: None, admin: Admin):
    for wanted in [False, True] * 10:
        verb = admin.switch_on if wanted else admin.switch_off
        token = (await verb("payment_v2", reason="test")).token

        decided = shop.send("decided", headers={AT_LEAST: token}).get(timeout=PATIENCE_S)

        assert (decided["on"], decided["stale"]) == (wanted, False)


async def test_a_task_decides_for_the_user_whom_its_sender_named(shop: Shop, ready: None):
    async with Client(shop.url, namespace="shop") as flags:
        for user, wanted in (("anna", True), ("ben", False)):
            headers = flags.carry({"user_id": user})
            assert shop.send("decided", headers=headers).get(timeout=PATIENCE_S)["for_anna"] is wanted


async def test_no_scope_is_left_when_the_task_is_over(shop: Shop, ready: None):
    async with Client(shop.url, namespace="shop") as flags:
        for _ in range(PROCESSES * 2):
            shop.send("decided", headers=flags.carry({"user_id": "anna"})).get(timeout=PATIENCE_S)
        for _ in range(PROCESSES * 2):
            assert shop.send("decided").get(timeout=PATIENCE_S)["for_anna"] is False


async def test_a_token_of_another_life_costs_a_moment_and_is_told(shop: Shop, ready: None):
    decided = shop.send("decided", headers={AT_LEAST: "other:5:x"}).get(timeout=PATIENCE_S)

    assert decided["stale"]


async def test_with_carry_each_message_says_which_flags_its_sender_had():
    app = Celery("carrying", broker="memory://", set_as_current=False)
    sent: list[dict[str, Any]] = []

    def note(headers: dict[str, Any], **_: Any) -> None:
        sent.append(headers)

    async with Client("memory://") as flags:
        setup(app, flags, carry=True)
        before_task_publish.connect(note)
        app.send_task("any")
        app.send_task("any", headers={AT_LEAST: "mine"})

        assert [headers[AT_LEAST] for headers in sent] == [flags.position.token(), "mine"]


# Processes


@pytest.mark.parametrize("pool", ["prefork", "threads"])
async def test_clients_open_and_close_with_the_processes_of_each_pool(other: Shop, others: Admin, pool: str):
    options = ("--pool", pool, "--concurrency", "2", "--without-gossip", "--without-mingle")
    with process(other, "worker", *options):
        assert other.send("gated", "a").get(timeout=PATIENCE_S) == "a"
        await until(admin_sees(others, 2 if pool == "prefork" else 1))
        await off(others)
        with pytest.raises(TaskRevokedError):
            other.send("gated", "b").get(timeout=PATIENCE_S)

    assert (await others.fleet()).processes == ()


def test_a_store_that_is_away_does_not_keep_a_process_from_starting_in_time():
    app = Celery("away", broker="memory://", set_as_current=False)
    app.conf.worker_proc_alive_timeout = 1.0
    flags = Client(f"redis://127.0.0.1:{free_port()}", start_timeout=30)
    from grayflow.integrations.celery import _Worker

    worker = _Worker(app, flags, "dead")
    began = time.monotonic()
    worker.start()
    worker.start()

    assert time.monotonic() - began < 20
    assert flags.health.state == "starting"
    worker.stop()
    assert flags.health.state == "closed"


# Without a worker


@pytest.fixture
def eager() -> Celery:
    return Celery("eager", broker="memory://", set_as_current=False, config_source={"task_always_eager": True})


def gated(eager: Celery, **gate: Any) -> tuple[Client, Any]:
    """Return flags, and a task that one of them guards."""
    flags = Client(MemoryStore())
    setup(eager, flags)

    @eager.task
    @flags.gate("f", **gate)
    def charge() -> str:
        return "ran"

    return flags, charge


def test_a_task_that_is_called_directly_is_not_run_either(eager: Celery):
    flags, charge = gated(eager)

    assert charge() is None
    with flags.override(f=True):
        assert charge() == "ran"
        assert charge.delay().get() == "ran"


def test_an_eager_task_that_is_dropped_returns_nothing(eager: Celery):
    _, charge = gated(eager)

    assert charge.delay().get() is None


def test_an_eager_task_that_is_not_to_be_lost_says_so(eager: Celery):
    _, charge = gated(eager, otherwise="delay")

    with pytest.raises(GateClosedError):
        charge.delay().get()


def test_celery_checks_the_arguments_of_a_gated_task(eager: Celery):
    flags = Client(MemoryStore())

    @eager.task
    @flags.gate("f")
    def charge(order: int) -> None: ...

    eager.conf.task_always_eager = False
    with pytest.raises(TypeError, match="order"):
        charge.delay()
