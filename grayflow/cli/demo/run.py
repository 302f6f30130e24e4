"""Sets the stage: a store, the flag, the workers; then plays and clears everything away."""

import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import msgspec
from rich.console import Console

from grayflow.admin import Admin
from grayflow.cli.demo.figures import Figures, summary
from grayflow.cli.demo.fleet import open_fleet
from grayflow.cli.demo.outage import FileOutage, Outage, proxied
from grayflow.cli.demo.stage import Play
from grayflow.cli.demo.view import LiveView, PlainView, print_summary
from grayflow.cli.demo.worker import FLAG
from grayflow.core.flag import Flag

__all__ = ["run"]

WORKERS = 4


class _Stage(msgspec.Struct, frozen=True):
    """Where the demo keeps its flag."""

    url: str
    """For the parent."""
    workers_url: str
    """For the workers: it leads through whatever takes the store away."""
    namespace: str
    outage: Outage | None
    where: str


def run(*, redis: str | None = None, plain: bool = False, workers: int = WORKERS) -> None:
    """
    Play the demo; it ends by itself within half a minute.

    Args:
        redis: A server to use instead of a temporary file. The demo writes under a namespace of its own, drawn at
            random, and leaves nothing else behind there.
        plain: Print lines instead of a live table.
        workers: How many processes, 1 or more.
    """
    console = Console()
    plain = plain or not console.is_terminal
    view = PlainView(console) if plain else LiveView(console)
    figures = anyio.run(_play, redis, view, workers)
    print_summary(console, summary(figures), plain=plain)


async def _play(redis: str | None, view: PlainView | LiveView, workers: int) -> Figures:
    async with (
        _embedded() if redis is None else _on_redis(redis) as stage,
        Admin(stage.url, namespace=stage.namespace, actor="demo") as admin,
    ):
        await admin.init()
        await admin.create(Flag(key=FLAG, description="new payment code", otherwise="off"), reason="demo")
        view.say(f"flag {FLAG} created", f"in {stage.where}")
        async with open_fleet(workers, stage.workers_url, stage.namespace) as fleet:
            with view.showing(fleet):
                return await Play(admin, fleet, stage.outage, view).run()


@asynccontextmanager
async def _embedded() -> AsyncIterator[_Stage]:
    with tempfile.TemporaryDirectory(prefix="grayflow-demo-") as folder:
        path = Path(folder) / "flags.db"
        url = f"sqlite:///{path}"
        yield _Stage(url, url, "demo", FileOutage(path), "a temporary SQLite file")


@asynccontextmanager
async def _on_redis(url: str) -> AsyncIterator[_Stage]:
    async with proxied(url) as (through, proxy):
        yield _Stage(url, through, f"demo-{secrets.token_hex(4)}", proxy, "Redis")
