"""What a fault is played on: a server of its own, a client, a writer, a witness; and the verbs of descriptions."""

import os
import re
import shlex
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import anyio

from grayflow import Client
from grayflow.clock import SystemClock
from grayflow.core.position import Position
from grayflow.store.redis import RedisStore
from tests.faults.cable import Cable
from tests.faults.fault import Fault
from tests.faults.fill import fill, flag_keys
from tests.faults.places import NAMESPACE, Place, opened
from tests.faults.proxy import Proxy
from tests.faults.witness import Watched, Witness
from tests.faults.writer import Writer
from tests.servers import RedisServer

__all__ = ["NAMESPACE", "BrokenPromiseError", "Setting", "Stage", "clock", "staged", "until"]

T = TypeVar("T")

clock = SystemClock()

_PATIENCE_S = 40.0
"""How long anything may take on a machine that is busy with other things; the table says how long it did take."""


class BrokenPromiseError(AssertionError):
    """What grayflow promises was not so; the text says what was seen instead."""


@dataclass(frozen=True)
class Setting:
    """How large the play is."""

    flags: int = 10_000
    ttl_s: float = 2.0
    brief: bool = False
    """For the ordinary suite: faults that would be the same when they are shorter are shorter."""


async def until(condition: Callable[[], object], what: str, *, within_s: float = _PATIENCE_S) -> None:
    """
    Wait until something is so.

    Raises:
        BrokenPromiseError: it is not so in time.
    """
    with anyio.move_on_after(within_s):
        while not condition():
            await clock.sleep(0.005)
        return
    raise BrokenPromiseError(f"{what}: not within {within_s:g} s")


@dataclass(kw_only=True)
class Stage:
    """Everything that a description may touch. Its verbs never hold up the loop that the client runs in."""

    setting: Setting
    place: Place
    store: RedisStore
    """The writer's: the judge asks it, too."""
    flags: Client
    watched: Watched
    writer: Writer
    witness: Witness
    folder: Path
    started_at: Position

    @property
    def server(self) -> RedisServer:
        """The server that held the data in the beginning."""
        return self.place.server

    @property
    def replica(self) -> RedisServer:
        """The server that takes over from it."""
        assert self.place.replica is not None
        return self.place.replica

    @property
    def proxy(self) -> Proxy:
        """The bad network."""
        assert self.place.proxy is not None
        return self.place.proxy

    @property
    def cable(self) -> Cable:
        """The cable to the server."""
        assert self.place.cable is not None
        return self.place.cable

    async def aside(self, work: Callable[..., T], *arguments: object) -> T:
        """Run something that blocks in a thread."""
        return await anyio.to_thread.run_sync(lambda: work(*arguments))

    async def kill(self) -> None:
        """End the server as a power cut would."""
        await self.aside(self.server.kill)

    async def start(self) -> None:
        """Start the server again, on its port."""
        await self.aside(self.server.start)

    async def ask(self, *words: str | bytes | int) -> Any:
        """Run one command on the server, with all rights."""
        return await self.aside(self.server.ask, *words)

    async def cli(self, *words: str) -> None:
        """Run `grayflow ...` as an operator would, as a process of its own, with the writer's rights."""
        environment = {**os.environ, "GRAYFLOW_URL": self.place.writers_url, "GRAYFLOW_NAMESPACE": NAMESPACE}
        command = [sys.executable, "-c", "from grayflow.cli import main; main()", *words]
        done = await anyio.run_process(command, env=environment, check=False)
        if done.returncode:
            raise BrokenPromiseError(f"grayflow {' '.join(words)} failed: {done.stderr.decode(errors='replace')}")

    def advised(self) -> list[list[str]]:
        """Return the `grayflow` commands that the client's health names, in their order, without the first word."""
        text = self.flags.health.last_error or ""
        return [shlex.split(found)[1:] for found in re.findall(r"grayflow (?:init|import|restore)[\w.* -]*", text)]

    async def follow_advice(self, backup: Path | None = None) -> None:
        """Run the commands that health names, as an operator would; `import` gets the backup."""
        advised = self.advised()
        if not advised:
            raise BrokenPromiseError(f"health names no command: {self.flags.health.last_error}")
        for words in advised:
            await self.cli(*words, *([str(backup)] if words[0] == "import" else ()))

    async def edits(self, number: int) -> None:
        """Wait until so many more edits are acknowledged and the client has them, unless it is cut off."""
        wanted = len(self.writer.acknowledged) + number
        await until(lambda: len(self.writer.acknowledged) >= wanted, "the writer does not go on")

    async def seen(self, position: Position) -> None:
        """Wait until the client has that change, without asking it to hurry."""
        await until(lambda: self.flags._replica.holder.reached(position), f"revision {position.revision} was not seen")

    def well(self) -> bool:
        """Tell whether the client says that all is well."""
        health = self.flags.health
        return health.state == "fresh" and health.link == "up" and health.last_error is None


@asynccontextmanager
async def staged(fault: Fault, setting: Setting) -> AsyncIterator[Stage]:
    """Set everything up, wait until flags are edited and seen, and take it down afterwards."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="grayflow-faults-")))
        place = await stack.enter_async_context(opened(fault))
        await anyio.to_thread.run_sync(fill, place.server, NAMESPACE, setting.flags)
        store = await stack.enter_async_context(RedisStore(place.writers_url, NAMESPACE))
        watched = Watched(RedisStore(place.clients_url, NAMESPACE))
        client = Client(watched, ttl=setting.ttl_s, start_timeout=30, require_ready=True)
        flags = await stack.enter_async_context(client)
        writer, witness = Writer(store, flag_keys(setting.flags)), Witness(flags, watched)
        tasks = await stack.enter_async_context(anyio.create_task_group())
        tasks.start_soon(witness.run)
        tasks.start_soon(writer.run)
        stack.callback(tasks.cancel_scope.cancel)
        stage = Stage(
            setting=setting,
            place=place,
            store=store,
            flags=flags,
            watched=watched,
            writer=writer,
            witness=witness,
            folder=folder,
            started_at=await store.position(),
        )
        await until(lambda: len(writer.acknowledged) > 10, "the writer did not begin")
        yield stage
