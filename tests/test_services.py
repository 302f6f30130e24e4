"""Real servers with a client inside: a flag flipped elsewhere is seen by their requests."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from grayflow import Admin
from tests.ports import free_port

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parent.parent
COMMANDS = {
    "uvicorn": ["uvicorn", "tests.examples.starlette_app:app", "--log-level", "warning", "--port"],
    "fastapi": ["uvicorn", "tests.examples.fastapi_app:app", "--log-level", "warning", "--port"],
    "aiohttp": ["tests.examples.aiohttp_app"],
}
PATIENCE_S = 20.0


@contextmanager
def service(name: str, url: str) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", *COMMANDS[name], str(port)]
    environment = {**os.environ, "GRAYFLOW_URL": url, "GRAYFLOW_NAMESPACE": "shop"}
    with subprocess.Popen(command, cwd=ROOT, env=environment) as process:
        try:
            until(f"http://127.0.0.1:{port}/health", lambda text: '"state":"fresh"' in text)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) in (0, -signal.SIGTERM)


def until(url: str, wanted: "callable[[str], bool]") -> str:  # type: ignore[valid-type]
    """Ask until the answer is the one wanted."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            text = httpx.get(url, timeout=5).text
        except httpx.TransportError as error:
            text = repr(error)
        if wanted(text):
            return text
        assert time.monotonic() < deadline, f"{url} still answers {text}"


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("store", ["sqlite", "redis"])
async def test_a_service_follows_its_flags(name: str, store: str, tmp_path: Path, redis_url: str) -> None:
    url = redis_url if store == "redis" else f"sqlite:///{tmp_path / 'flags.db'}"
    async with Admin(url, namespace="shop", actor="test") as admin:
        await admin.init()
        await admin.put({"key": "payment_v2"}, reason="test")
        with service(name, url) as base:
            assert until(f"{base}/pay?user=u1", bool).strip('"') == "old True"

            await admin.switch_on("payment_v2", reason="test")

            until(f"{base}/pay?user=u1", lambda text: text.strip('"') == "new True")

            await admin.switch_off("payment_v2", reason="test")

            until(f"{base}/pay?user=u1", lambda text: text.strip('"') == "old True")
