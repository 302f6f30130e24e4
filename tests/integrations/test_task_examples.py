"""The examples of workers run as their first lines say."""

import signal
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from importlib import import_module
from queue import Queue
from types import ModuleType

import anyio
import pytest

from grayflow import Admin, GateClosedError
from tests.integrations.processes import PATIENCE_S, running
from tests.servers import RedisServer

pytestmark = [pytest.mark.anyio, pytest.mark.redis, pytest.mark.timeout(300)]

ORDER = {"user": "anna", "amount": 3}


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def environment(server: RedisServer) -> dict[str, str]:
    return {"GRAYFLOW_URL": server.url, "CELERY_BROKER_URL": server.url, "TASKIQ_URL": server.url}


@pytest.fixture
async def admin(server: RedisServer) -> AsyncIterator[Admin]:
    async with Admin(server.url, actor="test") as admin:
        await admin.init()
        await admin.put({"key": "payment_v2", "enabled": True})
        yield admin


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], request: pytest.FixtureRequest) -> ModuleType:
    """The example as a sender imports it."""
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    monkeypatch.delitem(sys.modules, request.param, raising=False)
    module = import_module(request.param)
    monkeypatch.delitem(sys.modules, request.param)
    return module


async def off(admin: Admin) -> None:
    saved = await admin.switch_off("payment_v2", reason="test")
    assert (await admin.wait_until_seen(saved.token, timeout=PATIENCE_S)).complete


@pytest.mark.parametrize("example", ["tests.examples.celery_app"], indirect=True)
async def test_celery(environment: dict[str, str], admin: Admin, example: ModuleType) -> None:
    app = ("celery", "-A", example.__name__, "worker", "--concurrency", "1", "--loglevel", "WARNING")
    with running(*app, environment=environment, stop=signal.SIGINT):
        assert example.charge.delay(ORDER).get(timeout=PATIENCE_S) == "charged 3"

        await off(admin)

        with pytest.raises(Exception, match="flag 'payment_v2', is closed"):
            example.charge.delay(ORDER).get(timeout=PATIENCE_S)
    example.app.close()


@pytest.mark.parametrize("example", ["tests.examples.taskiq_app"], indirect=True)
async def test_taskiq(environment: dict[str, str], admin: Admin, example: ModuleType) -> None:
    app = ("taskiq", "worker", f"{example.__name__}:broker", "--workers", "1", "--log-level", "ERROR")
    await example.broker.startup()
    with running(*app, environment=environment, stop=signal.SIGINT):
        sent = await example.charge.kiq(ORDER)
        assert (await sent.wait_result(timeout=PATIENCE_S)).return_value == "charged 3"

        await example.charge.schedule_by_cron(example.source, "0 4 * * *", ORDER)
        await off(admin)

        with pytest.raises(GateClosedError):
            (await (await example.charge.kiq(ORDER)).wait_result(timeout=PATIENCE_S)).raise_for_error()
        with anyio.fail_after(PATIENCE_S):
            while await example.source.get_schedules():
                await anyio.lowlevel.checkpoint()
    await example.broker.shutdown()
    await example.source._connection_pool.disconnect()


async def test_apscheduler(environment: dict[str, str], admin: Admin) -> None:
    with running("tests.examples.apscheduler_app", environment=environment, stop=signal.SIGINT, pipe=True) as process:
        lines: Queue[str] = Queue()
        threading.Thread(target=lambda: [lines.put(line) for line in process.stdout or ()], daemon=True).start()
        for _ in range(3):
            assert lines.get(timeout=PATIENCE_S) == "charged\n"

        await off(admin)

        with anyio.fail_after(PATIENCE_S):
            while not await _is_quiet(lines):
                pass


async def _is_quiet(lines: "Queue[str]") -> bool:
    """Tell whether nothing comes within a second: five times as long as between two runs of the job."""
    seen = lines.qsize()
    with anyio.move_on_after(1):
        await anyio.sleep_forever()
    return lines.qsize() == seen
