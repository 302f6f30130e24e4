"""
Uses what one extra brings, in an environment that has nothing else: `python -m tests.extras starlette`.

Run by `nox -s extras` and `.ci/run`, once for each extra.
"""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module

from grayflow import Admin, Client, MemoryStore

FLAG = {"key": "f", "enabled": True}


def cli() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from grayflow.cli import main; main()", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Usage: grayflow" in done.stdout


def starlette() -> None:
    from starlette.applications import Starlette

    from grayflow.integrations.starlette import FlagsMiddleware, lifespan

    asyncio.run(_serves(lambda flags: FlagsMiddleware(Starlette(lifespan=lifespan(flags)), flags)))


def aiohttp() -> None:
    from aiohttp import web

    from grayflow.integrations.aiohttp import setup

    setup(web.Application(), Client(MemoryStore()), health="/ready")


def openfeature() -> None:
    from openfeature import api

    from grayflow.integrations.openfeature import GrayflowProvider

    async def main(flags: Client) -> None:
        api.set_provider(GrayflowProvider(flags))
        assert api.get_client().get_boolean_value("f", default_value=False) is True

    asyncio.run(_with_flags(main))


def opentelemetry() -> None:
    from grayflow.integrations.opentelemetry import FlagsTelemetry

    async def main(flags: Client) -> None:
        assert flags.peek("f") is True

    asyncio.run(_with_flags(main, FlagsTelemetry()))


def celery() -> None:
    from celery import Celery

    from grayflow.integrations.celery import setup

    setup(Celery("shop", broker="memory://"), Client(MemoryStore()))


def taskiq() -> None:
    from taskiq import InMemoryBroker

    assert InMemoryBroker()
    import_module("grayflow.integrations.taskiq")


def apscheduler() -> None:
    from apscheduler.schedulers.asyncio import AsyncIOScheduler

    assert AsyncIOScheduler()
    import_module("grayflow.integrations.apscheduler")


def yaml() -> None:
    from grayflow.admin.formats import read_text

    (found,) = read_text("flags: {f: {enabled: true}}", "yaml").documents
    assert found.key == "f"


def re2() -> None:
    import re2 as engine

    assert engine.search("a+", "caat")
    flag = {
        **FLAG,
        "otherwise": "off",
        "rules": [
            {"serve": "on", "when": [{"type": "attribute", "name": "x", "op": "matches", "values": ["needle$"]}]}
        ],
    }
    from grayflow import Snapshot

    assert Snapshot.build([flag]).evaluate("f", {"x": "a" * 100_000 + "needle"}, default=False).value is True


def uvloop() -> None:
    import uvloop as loops

    async def main(flags: Client) -> None:
        assert await flags.is_enabled("f") is True

    loops.run(_with_flags(main))


def hiredis() -> None:
    import hiredis as parser

    from grayflow.store.redis.store import RedisStore

    assert parser.Reader()
    RedisStore("redis://localhost:1/0")


async def _serves(make: Callable[[Client], object]) -> None:
    async def main(flags: Client) -> None:
        assert make(flags)

    await _with_flags(main)


async def _with_flags(work: "Callable[[Client], object]", *hooks: object) -> None:
    async with Admin(MemoryStore(), actor="test") as admin:
        await admin.put(FLAG)
        async with Client(admin.store, hooks=hooks) as flags:
            await work(flags)  # type: ignore[misc]


if __name__ == "__main__":
    for name in sys.argv[1:]:
        globals()[name]()
        print(f"{name}: works alone")
