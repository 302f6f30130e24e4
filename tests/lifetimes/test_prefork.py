"""Real pre-fork servers: every worker has a client that follows, whichever way it was started, replaced or ended."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

import anyio
import httpx
import pytest

from grayflow import Admin
from grayflow.clock import SystemClock
from tests.ports import free_port

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

ROOT = Path(__file__).parents[2]
PATIENCE_S = 30.0
APPS = "tests.lifetimes.services"
GUNICORN = ["gunicorn", "--no-control-socket", "--workers", "2", "--graceful-timeout", "10", "--bind"]
WSGI = ["--config", f"python:{APPS}.wsgi"]
COMMANDS: dict[str, Callable[[str], list[str]]] = {
    "uvicorn": lambda at: ["uvicorn", f"{APPS}.asgi:app", "--workers", "2", "--port", at.partition(":")[2]],
    "gunicorn": lambda at: [*GUNICORN, at, "--worker-class", "asgi", f"{APPS}.asgi:app"],
    "gunicorn preload": lambda at: [*GUNICORN, at, "--preload", "--worker-class", "asgi", f"{APPS}.asgi:app"],
    "gunicorn with uvicorn": lambda at: [
        *(*GUNICORN, at, "--preload"),
        *("--worker-class", "uvicorn.workers.UvicornWorker", f"{APPS}.asgi:app"),
    ],
    "gunicorn without a loop": lambda at: [*GUNICORN, at, "--preload", *WSGI, f"{APPS}.wsgi:app"],
    "gunicorn too early": lambda at: [*GUNICORN, at, "--preload", f"{APPS}.early:app"],
}


class Service:
    """One running server."""

    def __init__(self, base: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.base, self.process, self._log = base, process, log

    @property
    def log(self) -> str:
        """Everything that it wrote."""
        return self._log.read_text(errors="replace")

    async def answers(self, path: str) -> dict[int, str]:
        """Ask several times at once; return the answers by process."""
        found: dict[int, str] = {}

        async def ask(client: httpx.AsyncClient) -> None:
            try:
                response = await client.get(f"{self.base}{path}", headers={"connection": "close"})
            except httpx.TransportError:
                return
            found[int(response.headers["x-pid"])] = response.text

        async with httpx.AsyncClient(timeout=5) as client, anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(ask, client)
        return found

    async def until(self, path: str, wanted: str, *, but: frozenset[int] = frozenset()) -> frozenset[int]:
        """Ask until two processes, none of them in `but`, last answered what is wanted; return their numbers."""
        deadline, last = monotonic() + PATIENCE_S, dict[int, str]()
        while True:
            last |= {pid: text for pid, text in (await self.answers(path)).items() if pid not in but}
            right = frozenset(pid for pid, text in last.items() if wanted in text)
            if len(right) >= 2:
                return right
            assert monotonic() < deadline, f"{path} says {last}\n{self.log}"
            await SystemClock().sleep(0.02)

    async def stop(self) -> None:
        """End it as an init system does."""
        self.process.send_signal(signal.SIGTERM)
        code = await anyio.to_thread.run_sync(self.process.wait, PATIENCE_S)
        assert code in {0, -signal.SIGTERM}, self.log


@asynccontextmanager
async def service(name: str, url: str, namespace: str, folder: Path) -> AsyncIterator[Service]:
    at = f"127.0.0.1:{free_port()}"
    environment = {**os.environ, "GRAYFLOW_URL": url, "GRAYFLOW_NAMESPACE": namespace, "PYTHONWARNINGS": "always"}
    log = folder / "log"
    with log.open("wb") as out:
        command = [sys.executable, "-m", *COMMANDS[name](at)]
        process = subprocess.Popen(  # noqa: ASYNC220
            command, cwd=ROOT, env=environment, stdout=out, stderr=out, start_new_session=True
        )
    try:
        yield Service(f"http://{at}", process, log)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@asynccontextmanager
async def administered(url: str, namespace: str) -> AsyncIterator[Admin]:
    async with Admin(url, namespace=namespace, actor="ada") as admin:
        await admin.init()
        await admin.put({"key": "payment_v2"}, reason="test")
        yield admin


async def reported(admin: Admin, wanted: Callable[[set[int]], Any]) -> set[int]:
    """Wait until the processes that report themselves are those that are wanted."""
    deadline = monotonic() + PATIENCE_S
    while not wanted(pids := {process.pid for process in (await admin.fleet()).processes}):
        assert monotonic() < deadline, pids
        await SystemClock().sleep(0.02)
    return pids


@pytest.fixture
def namespace() -> str:
    return f"t-{uuid4().hex[:12]}"


@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, "redis") for name in COMMANDS if "early" not in name] + [("gunicorn preload", "sqlite")],
)
async def test_every_worker_follows_from_its_start_to_its_end(
    name: str, kind: str, redis_url: str, namespace: str, tmp_path: Path
) -> None:
    url = redis_url if kind == "redis" else f"sqlite:///{tmp_path}/flags.db"
    async with administered(url, namespace) as admin, service(name, url, namespace, tmp_path) as running:
        workers = await running.until("/health", '"state":"fresh"')
        await reported(admin, lambda pids: pids == workers)

        saved = await admin.switch_on("payment_v2", reason="test")
        assert (await admin.wait_until_seen(saved.token, timeout=PATIENCE_S)).complete
        assert await running.until("/pay?user=u1", "new True") == workers

        os.kill(min(workers), signal.SIGKILL)
        replaced = await running.until("/pay?user=u1", "new True", but=frozenset({min(workers)}))
        assert max(workers) in replaced
        await reported(admin, lambda pids: pids >= replaced)
        await admin.switch_off("payment_v2", reason="test")
        assert await running.until("/pay?user=u1", "old True", but=frozenset({min(workers)})) == replaced

        await running.stop()
        await reported(admin, lambda pids: not pids & replaced)
        for word in ("Traceback", "was not closed", "never awaited", "unclosed Connection", "a defect"):
            assert word not in running.log, running.log


async def test_workers_that_are_reloaded_follow(redis_url: str, namespace: str, tmp_path: Path) -> None:
    async with administered(redis_url, namespace) as admin, service("gunicorn", redis_url, namespace, tmp_path) as it:
        before = await it.until("/health", '"state":"fresh"')

        it.process.send_signal(signal.SIGHUP)

        after = await it.until("/health", '"state":"fresh"', but=before)
        await reported(admin, lambda pids: pids == after)
        await admin.switch_on("payment_v2", reason="test")
        assert await it.until("/pay?user=u1", "new True", but=before) == after
        await it.stop()


async def test_workers_of_a_client_that_was_started_too_early_say_so(
    redis_url: str, namespace: str, tmp_path: Path
) -> None:
    name = "gunicorn too early"
    async with administered(redis_url, namespace) as admin, service(name, redis_url, namespace, tmp_path) as running:
        await admin.switch_on("payment_v2", reason="test")
        workers = await running.until("/health", "Start the client after the fork")

        assert await running.until("/health", '"state":"stale"') == workers
        (master,) = await reported(admin, lambda pids: len(pids) == 1)
        assert master == running.process.pid  # which hears what its workers do not
        saved = await admin.switch_off("payment_v2", reason="test")
        assert (await admin.wait_until_seen(saved.token, timeout=PATIENCE_S)).complete
        assert running.log.count("Start the client after the fork") == 2
        await running.stop()
