"""Sets the stage: a store, the flag, the workers; then plays and clears everything away."""

import secrets
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
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
from grayflow.errors import StoreError, lone

__all__ = ["play"]

WORKERS = 4
CLEARED_WITHIN_S = 10.0


class _Stage(msgspec.Struct, frozen=True):
    """Where the demo keeps its flag."""

    url: str
    """For the parent."""
    workers_url: str
    """For the workers: it leads through whatever takes the store away."""
    namespace: str
    shared: Path
    """A folder for what the workers share."""
    outage: Outage | None
    where: str
    clear: Callable[[], Awaitable[str]]
    """Removes what the demo made, and says so; `""` where there is nothing to say."""


async def play(*, redis: str | None = None, plain: bool = False, workers: int = WORKERS) -> None:
    """
    Play the demo and print what was measured; it ends by itself within half a minute.

    Args:
        redis: A server to use instead of a temporary file. The demo writes under a namespace of its own and removes
            it at the end.
        plain: Print lines instead of a live table.
        workers: How many processes, 1 or more.

    Raises:
        GrayflowError: the server cannot be used, or a worker was lost.

    Cancellation: the workers have ended, and the temporary file or the namespace is gone, when it is raised.
    """
    console = Console()
    plain = plain or not console.is_terminal
    view = PlainView(console) if plain else LiveView(console)
    try:
        figures = await _played(redis, view, workers, console)
    except ExceptionGroup as group:
        raise lone(group) from None  # whichever part failed; what else ended was cancelled because of it
    print_summary(console, summary(figures), plain=plain)


async def _played(redis: str | None, view: PlainView | LiveView, workers: int, console: Console) -> Figures:
    async with (
        _embedded() if redis is None else _on_redis(redis) as stage,
        Admin(stage.url, namespace=stage.namespace, actor="demo") as admin,
    ):
        with anyio.CancelScope(shield=True):  # a namespace that was begun is one that has to be cleared away
            await admin.init()
        try:
            await admin.put(Flag(key=FLAG, description="new payment code", otherwise="off"), reason="demo")
            view.say(f"flag {FLAG} created", f"in {stage.where}")
            async with open_fleet(workers, stage.workers_url, stage.namespace, stage.shared) as fleet:
                with view.showing(fleet):
                    return await Play(admin, fleet, stage.outage, view).run()
        finally:
            with anyio.CancelScope(shield=True):
                if told := await stage.clear():
                    console.print(told, highlight=False, soft_wrap=not console.is_terminal, markup=False)


@asynccontextmanager
async def _embedded() -> AsyncIterator[_Stage]:
    async def clear() -> str:
        return ""  # the file goes with its folder

    with _folder() as folder:
        path = folder.parent / "flags.db"
        url = f"sqlite:///{path}"
        yield _Stage(url, url, "demo", folder, FileOutage(path), "a temporary SQLite file", clear)


@asynccontextmanager
async def _on_redis(url: str) -> AsyncIterator[_Stage]:
    # Several may play on one server, and none may play on flags that somebody uses.
    namespace = f"grayflow-demo-{secrets.token_hex(4)}"
    clear = partial(_remove, url, namespace)
    async with proxied(url) as (through, proxy):
        with _folder() as folder:
            yield _Stage(url, through, namespace, folder, proxy, f"namespace {namespace}", clear)


@contextmanager
def _folder() -> Iterator[Path]:
    """Make an empty folder in a temporary one of its own."""
    with tempfile.TemporaryDirectory(prefix="grayflow-demo-") as parent:
        folder = Path(parent) / "shared"
        folder.mkdir()
        yield folder


async def _remove(url: str, namespace: str) -> str:
    from grayflow.store.redis.removal import remove_namespace

    why = f"it took longer than {CLEARED_WITHIN_S:g} s"
    with anyio.move_on_after(CLEARED_WITHIN_S):
        try:
            removed = await remove_namespace(url, namespace)
        except StoreError as error:
            why = str(error)
        else:
            return f"namespace {namespace} is removed again ({removed} keys): nothing of the demo is left on the server"
    by_hand = f"redis-cli --scan --pattern '{{gf:{namespace}}}:*' | xargs redis-cli UNLINK"
    return f"namespace {namespace} was not removed: {why.rstrip('.')}. To remove it by hand: {by_hand}"
