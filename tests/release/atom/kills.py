"""
Processes that run the atom on a world of files, or go on with what another left, and die at a point of it.

Points are before and after every write to the journal, and before, between and after the writes of every effect and
every look.
"""

import asyncio
import shutil
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from grayflow.release.atom.atoms import Atoms
from grayflow.release.atom.errors import AtomError
from grayflow.release.atom.files import FileJournal
from grayflow.release.atom.journal import BoardJournal, Journal
from grayflow.store.sqlite import SQLiteStore
from grayflow.store.urls import open_store
from tests.release.atom.world import World, make_atom
from tests.release.kills import Fate, Later, Pointed, Points, serve

__all__ = ["Order", "sqlite_file"]


class Order(Fate, frozen=True, kw_only=True):
    """What one process is to do."""

    journal: str = "files"
    """`files`, or a URL."""
    namespace: str = "default"
    recover: bool = False
    """Whether it goes on with what others left, instead of running the atom."""
    lease: float = 600.0
    """Of the runs; a short one is waited for."""
    resume: bool = False
    """Whether it goes on with parked runs too, as somebody would who saw to the cause."""
    fail: str = ""
    """The functions that raise, such as `do start, undo link`."""
    rules: dict[str, Any] = msgspec.field(default_factory=dict)
    """Of the atom."""


class _Watched(Pointed):
    """A journal whose writes are points; what it has accepted is noted for all processes."""

    def __init__(self, journal: Journal, point: Points, order: Order) -> None:
        super().__init__(journal, point, verbs=("put", "claim", "release"))
        self._journal, self._folder, self._writer = journal, Path(order.folder), order.name

    async def __aenter__(self) -> Self:
        await self._journal.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._journal.__aexit__(kind, error, trace)

    def answered(self, verb: str, answer: Any) -> None:
        if verb == "put" and answer is not None:
            with (self._folder / "accepted").open("a") as file:
                file.write(msgspec.json.encode([self._writer, answer.version]).decode() + "\n")
            (self._folder / f"version-{answer.version}").write_bytes(answer.value)


def sqlite_file(home: Path) -> str:
    """Make a store in a folder, as the service that uses it did; return its URL."""
    template = home.parent / "template.db"
    if not template.exists():
        asyncio.run(_init(template))
    home.mkdir(exist_ok=True)
    shutil.copy(template, home / "flags.db")
    return f"sqlite:///{home}/flags.db"


async def _init(path: Path) -> None:
    async with SQLiteStore(path) as store:
        await store.init()


def _journal(order: Order) -> Journal:
    clock = Later(order)
    if order.journal == "files":
        return FileJournal(Path(order.folder) / "journal", clock=clock)
    return BoardJournal(open_store(order.journal, namespace=order.namespace, clock=clock))


async def _obey(order: Order, points: Points) -> None:
    world = World(Path(order.folder) / "world", points)
    for one in filter(None, order.fail.split(", ")):
        _let_fail(world, one)
    atom = make_atom(world, **order.rules)
    journal: Any = _Watched(_journal(order), points, order)
    async with Atoms(journal, [atom], recover_every=None, lease=order.lease, clock=Later(order)) as atoms:
        if order.recover:
            await atoms.recover(wait=order.lease < 600)
            parked = [one.run.run_id for one in await atoms.runs() if one.run.parked and order.resume]
            for run_id in parked:
                await atoms.resume_undo(run_id)
        else:
            with suppress(AtomError):
                await atoms.run(atom, "input", run_id="r")


def _let_fail(world: World, fail: str) -> None:
    what, name = fail.split()
    real = getattr(world, what)

    async def failing(call: Any) -> Any:
        if call.step == name:
            world.point(f"{what} {name} fails")
            raise RuntimeError("told to fail")
        return await real(call)

    setattr(world, what, failing)


if __name__ == "__main__":
    serve(Order, _obey)
