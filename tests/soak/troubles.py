"""
What goes wrong, as a seed draws it, two things at once: one at the server and its data, one on the way or in a process.

Each trouble is over when its function returns, whatever else goes on.
"""

import random
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import anyio

from grayflow import Admin
from grayflow.errors import StoreError
from tests.faults.places import NAMESPACE
from tests.faults.proxy import Proxy
from tests.faults.stage import clock
from tests.servers import RedisServer
from tests.soak.crews import Crew
from tests.soak.editor import Editor

__all__ = ["Troubles"]

Trouble = Callable[[], Awaitable[None]]


class Troubles:
    """
    Breaks and mends.

    Args:
        server: Keeps what it acknowledges in an append-only file.
        admin: Near to the server.
        editor: Stands aside while the server is made to forget.
        crews: The processes.
        seed: Draws.
        mortal: Those of the crews that are killed at times; the others live to the end, so that their memory tells.
    """

    def __init__(
        self,
        server: RedisServer,
        admin: Admin,
        editor: Editor,
        crews: Sequence[Crew],
        *,
        seed: int,
        mortal: Sequence[Crew],
    ) -> None:
        self.met: Counter[str] = Counter()
        self._server, self._admin, self._editor = server, admin, editor
        self._crews, self._mortal = crews, mortal
        self._random = random.Random(seed)
        self._whole = anyio.Lock()  # a process that starts while its store is half set up rightly takes that over

    async def run(self, seconds: float) -> None:
        """Make trouble for so long, and return when all is mended."""
        server = (self._killed, self._frozen, self._cut_off, self._muted, self._rewound, self._replaced, self._emptied)
        way = (self._half_open, self._forgotten, self._reset, self._slow, self._dripping, self._thin)
        until = clock.monotonic() + seconds
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._strand, server, until)
            tasks.start_soon(self._strand, (*way, self._process_killed) if self._mortal else way, until)

    async def _strand(self, troubles: Sequence[Trouble], until: float) -> None:
        while clock.monotonic() < until:
            await self._pause(0.5, 3)
            trouble = self._random.choice(troubles)
            self.met[trouble.__name__.strip("_").replace("_", " ")] += 1
            await trouble()

    async def _pause(self, least_s: float, most_s: float) -> None:
        await clock.sleep(self._random.uniform(least_s, most_s))

    # The server and its data

    async def _killed(self) -> None:
        await self._aside(self._server.kill)
        await self._pause(0, 3)
        await self._aside(self._server.start)

    async def _frozen(self) -> None:
        self._server.freeze()
        await self._pause(0.5, 5)
        self._server.thaw()

    async def _cut_off(self) -> None:
        for _ in range(self._random.randrange(1, 10)):
            for kind in ("pubsub", "normal"):
                await self._ask("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

    async def _muted(self) -> None:
        await self._ask("ACL", "SETUSER", "gf-worker", "resetchannels")
        await self._pause(0.5, 5)
        await self._ask("ACL", "SETUSER", "gf-worker", f"&{{gf:{NAMESPACE}}}:ch")

    async def _rewound(self) -> None:
        """The server comes back as it was a moment ago; what it acknowledged since never happened."""
        now, earlier = (str(self._server.folder / name) for name in ("appendonlydir", "earlier"))
        async with self._editor.turn:
            await self._aside(lambda: shutil.copytree(now, earlier))
        await self._pause(0.5, 4)
        async with self._editor.turn:
            self._editor.ledger.clear()
            await self._aside(self._server.kill)
            await self._aside(lambda: (shutil.rmtree(now), shutil.move(earlier, now)))
            await self._aside(self._server.start)

    async def _replaced(self) -> None:
        """What `grayflow init --replace` does: another life, on purpose."""
        async with self._editor.turn:
            self._editor.ledger.clear()
            await self._insist(lambda: self._admin.init(replaces="*"))

    async def _emptied(self) -> None:
        """FLUSHALL; then what health advises: `init`, `import` and only then `init --replace`."""
        async with self._whole, self._editor.turn:
            self._editor.ledger.clear()
            backup = await self._insist(self._admin.export)
            await self._ask("FLUSHALL")
            await self._pause(0.5, 4)
            await self._insist(self._admin.init)
            report = await self._insist(lambda: self._admin.import_(backup))
            assert report.ok, report
            await self._insist(lambda: self._admin.init(replaces="*"))

    # The way, and the processes

    async def _half_open(self) -> None:
        await self._on_the_way(Proxy.swallow, 2, 6)

    async def _forgotten(self) -> None:
        await self._on_the_way(Proxy.swallow, 0, 0)

    async def _reset(self) -> None:
        await self._on_the_way(Proxy.cut, 0, 0)

    async def _slow(self) -> None:
        delay_s = self._random.uniform(0.02, 0.3)
        await self._on_the_way(lambda proxy: proxy.delay(delay_s), 2, 6)

    async def _dripping(self) -> None:
        piece = self._random.randrange(1, 20)
        await self._on_the_way(lambda proxy: proxy.drip(piece), 1, 4)

    async def _thin(self) -> None:
        await self._on_the_way(lambda proxy: proxy.throttle(20_000), 2, 6)

    async def _on_the_way(self, strike: Callable[[Proxy], None], least_s: float, most_s: float) -> None:
        hit = self._random.sample(self._crews, self._random.randint(1, len(self._crews)))
        for crew in hit:
            await self._aside(lambda crew=crew: strike(crew.proxy))
        await self._pause(least_s, most_s)
        for crew in hit:
            await self._aside(crew.proxy.heal)

    async def _process_killed(self) -> None:
        crew = self._random.choice(self._mortal)
        async with self._whole:
            await crew.kill()
            await self._pause(0, 2)
            await crew.start()

    async def _ask(self, *words: str) -> None:
        await self._aside(lambda: self._server.ask(*words))

    async def _aside(self, work: Callable[[], object]) -> None:
        await anyio.to_thread.run_sync(work)

    async def _insist(self, verb: Callable[[], Awaitable]):
        """Repeat what an operator would repeat: its connection may have been killed a moment ago."""
        while True:
            try:
                return await verb()
            except StoreError:
                await clock.sleep(0.1)
