"""taskiq: in a real worker and a real scheduler over Redis, and with its broker in memory."""

import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest
import redis
from taskiq import InMemoryBroker, ScheduledTask, TaskiqMessage, TaskiqMiddleware
from taskiq.exceptions import ScheduledTaskCancelledError
from taskiq.kicker import AsyncKicker
from taskiq.schedule_sources import LabelScheduleSource
from taskiq_redis import ListQueueBroker, ListRedisScheduleSource, RedisAsyncResultBackend

from grayflow import Admin, Client, GateClosedError, MemoryStore
from grayflow.client.carry import AT_LEAST, CONTEXT
from grayflow.clock import SystemClock
from grayflow.errors import ConfigurationError
from grayflow.integrations.taskiq import FlagsMiddleware, GatedSource, delete_schedules
from tests.integrations.processes import PATIENCE_S, running
from tests.servers import RedisServer

pytestmark = [pytest.mark.anyio, pytest.mark.redis, pytest.mark.timeout(300)]

sleep = SystemClock().sleep


class Shop:
    """A server, a broker that sends tasks to it, and what they did."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.broker = ListQueueBroker(url).with_result_backend(RedisAsyncResultBackend(url))
        self.redis = redis.Redis.from_url(url, decode_responses=True)

    async def send(self, task: str, *args: Any, **labels: Any) -> Any:
        return await AsyncKicker(task, self.broker, labels).kiq(*args)

    async def result(self, task: str, *args: Any, **labels: Any) -> Any:
        sent = await self.send(task, *args, **labels)
        return (await sent.wait_result(timeout=PATIENCE_S)).raise_for_error().return_value

    def ran(self) -> list[str]:
        return self.redis.lrange("ran", 0, -1)


def process(url: str, *command: str) -> AbstractContextManager[object]:
    # taskiq's scheduler does not heed SIGTERM
    taskiq = ("taskiq", *command, "--log-level", "ERROR")
    return running(*taskiq, environment={"SHOP_URL": url}, stop=signal.SIGINT)


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    async def init() -> None:
        async with Admin(server.url, namespace="shop", actor="test") as admin:
            await admin.init()

    with RedisServer() as server:
        anyio.run(init)
        yield server


@pytest.fixture(scope="module")
def worker(server: RedisServer) -> Iterator[None]:
    with process(server.url, "worker", "tests.integrations.taskiq_shop:broker", "--workers", "1"):
        yield


@pytest.fixture
async def shop(server: RedisServer) -> AsyncIterator[Shop]:
    shop = Shop(server.url)
    await shop.broker.startup()
    yield shop
    await shop.broker.shutdown()
    shop.redis.close()


@pytest.fixture
async def admin(server: RedisServer, shop: Shop) -> AsyncIterator[Admin]:
    async with Admin(server.url, namespace="shop", actor="test") as admin:
        await admin.put({"key": "payment_v2", "enabled": True}, reason="test")
        await admin.put({"key": "anna", "enabled": True, "otherwise": "off", "targets": {"on": ["anna"]}})
        shop.redis.delete("ran", "taskiq", "dead")
        yield admin


@pytest.fixture
async def ready(worker: None, admin: Admin) -> None:
    with anyio.fail_after(PATIENCE_S):
        while not [one for one in (await admin.fleet()).processes if one.state == "fresh"]:
            await sleep(0.05)


async def until(condition: Any) -> None:
    with anyio.fail_after(PATIENCE_S):
        while not condition():
            await sleep(0.05)


async def switch(admin: Admin, *, on: bool) -> str:
    """Switch the flag, and wait until every process has seen it."""
    saved = await (admin.switch_on if on else admin.switch_off)("payment_v2", reason="test")
    assert (await admin.wait_until_seen(saved.token, timeout=PATIENCE_S)).complete
    return saved.token


# A worker


@pytest.mark.parametrize("task", ["gated", "plain", "delayed", "kept"])
async def test_a_task_runs_while_the_flag_is_on(shop: Shop, ready: None, task: str):
    await shop.result(task, "a")

    assert shop.ran() == ["a"]


@pytest.mark.parametrize("task", ["gated", "plain"])
async def test_whoever_waits_for_a_dropped_task_is_told(shop: Shop, ready: None, admin: Admin, task: str):
    await switch(admin, on=False)

    with pytest.raises(GateClosedError, match="flag 'payment_v2', is closed"):
        await shop.result(task, "a")

    assert shop.ran() == []


async def test_no_body_of_a_thousand_queued_tasks_runs_once_the_gate_has_seen_the_off(
    shop: Shop, ready: None, admin: Admin
):
    sent = []
    for number in range(1000):
        sent.append(await shop.send("gated", str(number)))
        if number == 100:
            await switch(admin, on=False)
            by_then = len(shop.ran())

    results = [await one.wait_result(timeout=PATIENCE_S) for one in sent]

    assert len(shop.ran()) <= by_then + 10  # a few may have asked already, and not run yet
    assert [one.is_err for one in results].count(True) == 1000 - len(shop.ran())


async def test_a_delayed_task_runs_when_the_flag_is_on_again_under_the_same_id(shop: Shop, ready: None, admin: Admin):
    await switch(admin, on=False)
    sent = await shop.send("delayed", "a")
    await until(lambda: shop.redis.keys("schedule:data:*"))
    assert not await sent.is_ready()

    await switch(admin, on=True)
    with process(shop.url, "scheduler", "tests.integrations.taskiq_shop:scheduler", "--update-interval", "1"):
        result = await sent.wait_result(timeout=PATIENCE_S)

    assert result.return_value == ["a", sent.task_id]


@pytest.mark.parametrize("label", [{}, {"any": 1}])
async def test_a_dead_letter_is_kept_as_it_was_sent(shop: Shop, ready: None, admin: Admin, label: dict[str, int]):
    await switch(admin, on=False)
    sent = await shop.send("kept", "a", **label)
    await until(lambda: shop.redis.llen("dead") == 1)
    assert not await sent.is_ready()

    await switch(admin, on=True)
    shop.redis.lmove("dead", "taskiq")

    assert (await sent.wait_result(timeout=PATIENCE_S)).return_value == "a"


async def test_other_tasks_run_on(shop: Shop, ready: None, admin: Admin):
    await switch(admin, on=False)

    assert await shop.result("free", "a") == "a"


async def test_a_task_decides_by_flags_at_least_as_new_as_its_senders(shop: Shop, ready: None, admin: Admin):
    for wanted in [False, True] * 10:
        verb = admin.switch_on if wanted else admin.switch_off
        token = (await verb("payment_v2", reason="test")).token

        decided = await shop.result("decided", **{AT_LEAST: token})

        assert (decided["on"], decided["stale"]) == (wanted, False)


async def test_a_task_decides_for_the_user_whom_its_sender_named(shop: Shop, ready: None):
    async with Client(shop.url, namespace="shop") as flags:
        for user, wanted in (("anna", True), ("ben", False)):
            assert (await shop.result("decided", **flags.carry({"user_id": user})))["for_anna"] is wanted
    assert (await shop.result("decided"))["for_anna"] is False


# A scheduler


async def test_schedules_of_a_gated_task_are_not_sent_while_the_flag_is_off(shop: Shop, admin: Admin):
    source = ListRedisScheduleSource(shop.url)
    await switch(admin, on=False)
    for task in ("gated", "free"):
        schedule = ScheduledTask(
            task_name=task, labels={"queue_name": f"q-{task}"}, args=["a"], kwargs={}, interval=timedelta(seconds=1)
        )
        await source.add_schedule(schedule)
    command = ("scheduler", "tests.integrations.taskiq_shop:scheduler", "--update-interval", "1")
    with process(shop.url, *command):
        await until(lambda: shop.redis.llen("q-free") > 1)
        assert shop.redis.llen("q-gated") == 0

        await switch(admin, on=True)

        await until(lambda: shop.redis.llen("q-gated") > 0)

    assert await delete_schedules(source, "gated", "free")
    assert await source.get_schedules() == []
    await source._connection_pool.disconnect()


async def test_schedules_are_deleted_by_task_and_by_id(shop: Shop):
    source = ListRedisScheduleSource(shop.url, prefix="deleting")
    later = datetime.now(UTC) + timedelta(days=1)
    for number, task in enumerate(["gated", "gated", "free"]):
        await source.add_schedule(
            ScheduledTask(task_name=task, labels={}, args=[], kwargs={}, cron="* * * * *", schedule_id=f"s{number}")
        )
    await source.add_schedule(
        ScheduledTask(task_name="gated", labels={}, args=[], kwargs={}, time=later, schedule_id="remembered")
    )

    deleted = await delete_schedules(source, "gated", ids=["remembered"])

    assert set(deleted) == {"s0", "s1", "remembered"}
    assert [one.schedule_id for one in await source.get_schedules()] == ["s2"]
    assert shop.redis.keys("deleting:data:*") == ["deleting:data:s2"]
    await source._connection_pool.disconnect()


# In memory


class Local:
    """A broker in memory."""

    def __init__(self, flags: Client, **options: Any) -> None:
        self.flags = flags
        self.middleware = FlagsMiddleware(flags, **options)
        self.broker = InMemoryBroker(await_inplace=True).with_middlewares(self.middleware)


@pytest.fixture
async def flags() -> AsyncIterator[Client]:
    async with Admin(MemoryStore(), actor="test") as admin:
        await admin.put({"key": "f", "enabled": True, "otherwise": "off", "targets": {"on": ["anna"]}})
        async with Client(admin.store) as opened:
            yield opened


async def test_with_carry_each_message_says_which_flags_its_sender_had(flags: Client):
    local = Local(flags, carry=True)
    seen: list[dict[str, Any]] = []

    class Note(TaskiqMiddleware):
        def pre_execute(self, message: TaskiqMessage) -> TaskiqMessage:
            seen.append(dict(message.labels))
            return message

    local.broker.add_middlewares(Note())

    @local.broker.task
    async def work() -> None: ...

    await work.kiq()
    await work.kicker().with_labels(**flags.carry({"user_id": "anna"})).kiq()

    assert [labels[AT_LEAST] for labels in seen] == [flags.position.token()] * 2
    assert [CONTEXT in labels for labels in seen] == [False, True]


async def test_no_scope_is_left_when_the_task_is_over(flags: Client):
    local = Local(flags)

    @local.broker.task
    async def work() -> bool:
        return flags.peek("f")

    sent = await work.kicker().with_labels(**flags.carry({"user_id": "anna"})).kiq()

    assert (await sent.get_result()).return_value is True
    assert flags.peek("f") is False
    assert not flags._evaluator.pinned


async def test_a_middleware_that_raises_leaves_no_scope_behind(flags: Client):
    local = Local(flags)

    class Broken(TaskiqMiddleware):
        def pre_execute(self, message: TaskiqMessage) -> TaskiqMessage:
            raise ValueError

    local.broker.add_middlewares(Broken())
    local.broker.await_inplace = False

    @local.broker.task
    async def work() -> None: ...

    await work.kicker().with_labels(**flags.carry({"user_id": "anna"})).kiq()
    (running,) = local.broker._running_tasks
    with pytest.raises(ValueError):
        await running
    await anyio.lowlevel.checkpoint()

    assert not flags._evaluator.pinned


async def test_a_gated_function_inside_a_task_is_dropped_and_the_task_goes_on(flags: Client):
    local = Local(flags)

    @flags.gate("f")
    async def helper() -> str:
        return "ran"

    @local.broker.task
    async def work() -> list[Any]:
        return [await helper(), "went on"]

    assert (await (await work.kiq()).get_result()).return_value == [None, "went on"]


async def test_a_task_that_is_called_directly_is_not_run_either(flags: Client):
    local = Local(flags)

    @local.broker.task
    @flags.gate("f")
    async def work() -> str:
        return "ran"

    assert await work() is None


async def test_messages_at_the_same_time_never_mix_their_users(flags: Client):
    local = Local(flags)
    local.broker.await_inplace = False
    going, waiting = anyio.Event(), []

    @local.broker.task
    async def work() -> bool:
        waiting.append(1)
        if len(waiting) == 20:
            going.set()
        await going.wait()
        return flags.peek("f")

    sent = [
        await work.kicker().with_labels(**flags.carry({"user_id": "anna" if number % 2 else "ben"})).kiq()
        for number in range(20)
    ]
    results = [(await one.wait_result(timeout=PATIENCE_S)).return_value for one in sent]

    assert results == [bool(number % 2) for number in range(20)]


@pytest.mark.parametrize(("otherwise", "remedy"), [("delay", "source"), ("dead-letter", "dead_letter")])
async def test_a_worker_without_the_means_for_its_gates_does_not_start(flags: Client, otherwise: Any, remedy: str):
    local = Local(flags)
    local.broker.is_worker_process = True

    @local.broker.task
    @flags.gate("f", otherwise=otherwise)
    async def work() -> None: ...

    with pytest.raises(ConfigurationError, match=rf"give FlagsMiddleware\({remedy}="):
        await local.middleware.startup()


async def test_the_client_opens_and_closes_with_the_worker():
    flags = Client("memory://")
    local = Local(flags)
    local.broker.is_worker_process = True
    await local.broker.startup()
    assert flags.health.state == "fresh"

    await local.broker.shutdown()

    assert flags.health.state == "closed"


async def test_a_source_passes_on_what_it_is_asked(flags: Client):
    local = Local(flags)

    @local.broker.task(schedule=[{"time": datetime.now(UTC), "schedule_id": "once"}])
    async def free() -> None: ...

    source = GatedSource(LabelScheduleSource(local.broker), local.broker)
    await source.startup()
    (schedule,) = await source.get_schedules()
    await source.pre_send(schedule)
    await source.post_send(schedule)
    await source.shutdown()

    assert await source.get_schedules() == []
    for refused in (source.add_schedule(schedule), source.delete_schedule("once")):
        with pytest.raises(NotImplementedError):
            await refused


@pytest.mark.parametrize(("otherwise", "cancelled"), [("drop", True), ("dead-letter", False)])
async def test_a_source_cancels_only_what_would_be_dropped(flags: Client, otherwise: Any, cancelled: bool):
    local = Local(flags)

    @local.broker.task(task_name="work")
    @flags.gate("f", otherwise=otherwise, context=lambda user: {"user_id": user})
    async def work(user: str) -> None: ...

    source = GatedSource(LabelScheduleSource(local.broker), local.broker)

    async def sent(*args: Any, name: str = "work") -> bool:
        schedule = ScheduledTask(task_name=name, labels={}, args=list(args), kwargs={}, cron="* * * * *")
        try:
            await source.pre_send(schedule)
        except ScheduledTaskCancelledError:
            return False
        return True

    assert await sent("anna")
    assert await sent("ben") is not cancelled
    assert await sent("too", "many", "arguments")  # the worker says what is wrong with it
    assert await sent(name="unknown")
