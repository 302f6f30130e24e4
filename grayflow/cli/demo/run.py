"""Sets the stage: a store, the flag, the workers; then plays and clears everything away."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

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
from grayflow.errors import lone

__all__ = ["play"]

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


async def play(*, redis: str | None = None, plain: bool = False, workers: int = WORKERS) -> None:
    """
    Play the demo and print what was measured; it ends by itself within half a minute.

    Args:
        redis: A server to use instead of a temporary file. The demo writes under the namespace `grayflow-demo` and
            leaves it there for the next one.
        plain: Print lines instead of a live table.
        workers: How many processes, 1 or more.

    Raises:
        GrayflowError: the server cannot be used, or a worker was lost.

    Cancellation: the workers have ended and the temporary file is gone when it is raised.
    """
    console = Console()
    plain = plain or not console.is_terminal
    view = PlainView(console) if plain else LiveView(console)
    try:
        figures = await _played(redis, view, workers)
    except ExceptionGroup as group:
        raise lone(group) from None  # whichever part failed; what else ended was cancelled because of it
    print_summary(console, summary(figures), plain=plain)


async def _played(redis: str | None, view: PlainView | LiveView, workers: int) -> Figures:
    async with (
        _embedded() if redis is None else _on_redis(redis) as stage,
        Admin(stage.url, namespace=stage.namespace, actor="demo") as admin,
    ):
        await admin.init()
        await admin.put(Flag(key=FLAG, description="new payment code", otherwise="off"), reason="demo")
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
        yield _Stage(url, through, "grayflow-demo", proxy, "Redis")
