"""
Whatever is pushed, lost, repeated or shuffled, and whatever happens to the store while it is asked: every state that
readers see is one that the store had, at exactly that position; the file of the last good flags would hold that very
state; within an epoch a replica goes back only by loading everything; and in the end it equals the store.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import anyio
from hypothesis import given
from hypothesis import strategies as st

from grayflow.core.generations import Marks
from grayflow.core.snapshot import Builder
from grayflow.replica.holder import Holder
from grayflow.replica.saver import Saver
from grayflow.replica.sync import Sync
from grayflow.replica.troubles import Troubles
from grayflow.replica.view import View
from grayflow.store.port import Change, State, Store
from grayflow.store.wrappers import Call, Wrapper
from grayflow.testing import FakeClock
from tests.replica.kit import Rewinding, put, put_bytes

T = TypeVar("T")

Step = tuple[str, int]

number = st.integers(0, 3)
steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["tell", "tell", "lose", "delete"]), number),  # changes, heard of at once or not
        st.tuples(st.sampled_from(["push", "ask"]), number),  # any of the newest again, so duplicates and any order
        st.tuples(st.sampled_from(["save", "rewind", "trim", "replace"]), number),
    ),
    min_size=5,
    max_size=30,
)


class Interleaved(Wrapper):
    """Lets the world go on before and after each answer of the store."""

    def __init__(self, inner: Store, world: "World") -> None:
        super().__init__(inner)
        self._world = world

    async def around(self, call: Call, proceed: Callable[[], Awaitable[T]]) -> T:
        await self._world.one()
        answer = await proceed()
        await self._world.one()
        return answer


class World:
    def __init__(self, script: list[Step]) -> None:
        self._script = deque(script)
        self._pushed: list[Change] = []
        self.store = Rewinding()
        self.clock = FakeClock()
        self.holder = Holder(self.clock, ttl_s=10, max_staleness_s=300)
        self.saver = Saver(Path("never written"), "default", self.holder, self.clock, max_age_s=86_400)
        self.truth: dict[str, State] = {}
        self.seen = 0
        self.sync = Sync(
            Interleaved(self.store, self),
            self.holder,
            Troubles("memory://", "default", lambda: self.holder.position),
            clock=self.clock,
            random=lambda: 0.0,
            ttl_s=10,
            builder=lambda previous: Builder(previous=previous),
            loaded=self.saver.see_state,
        )
        self.holder.listeners += (self.check, self.saver.see)

    async def one(self) -> None:
        """Let one step of the script happen."""
        self.check_saved()
        if self._script:
            await self._do(*self._script.popleft())

    async def live(self) -> None:
        async with self.store, anyio.create_task_group() as tasks:
            await self.store.init()
            await self._remember()
            tasks.start_soon(self.sync.run)
            self.sync.request()
            while self._script:
                await self.one()
                await self.clock.advance(0)
            for _ in range(3):
                self.sync.request()
                await self.clock.advance(11)
            await self.check_end()
            tasks.cancel_scope.cancel()

    async def _do(self, what: str, number: int) -> None:
        key = f"f{number}"
        match what:
            case "tell" | "lose":
                self._pushed.append(
                    await put(self.store, key, marks=Marks(armed=("on",)), enabled=True, description=what)
                )
                await self._remember()
                if what == "tell":
                    self.sync.hear(self._pushed[-1])
            case "delete" if (await self.store.get("flag", key))[0] is not None:
                self._pushed.append(await put_bytes(self.store, key, None))
            case "push" if number < len(self._pushed):
                self.sync.hear(self._pushed[-1 - number])
            case "ask":
                self.sync.request()
            case "save":
                self.store.save()
            case "rewind" if self.store._saved:
                self.store.rewind()
            case "trim" if self.store._log:
                self.store._log.popleft()
            case "replace":
                await self.store.init(replaces=["*"])
        await self._remember()

    async def _remember(self) -> None:
        state = await self.store.load()
        self.truth[state.position.token()] = state

    def check(self, before: View, after: View, change: Change | None) -> None:
        self.seen += 1
        assert after.snapshot is not None
        assert after.position is not None
        held = {key: entry.revision for key, entry in after.snapshot.flags.items()}
        assert held == {key: document.revision for key, document in self.truth[after.position.token()].flags.items()}
        if before.position is not None and before.position.epoch == after.position.epoch and change is not None:
            assert after.position.revision == before.position.revision + 1

    def check_saved(self) -> None:
        kept = self.saver.kept()
        if kept is not None:
            assert kept.state == self.truth[kept.state.position.token()]

    async def check_end(self) -> None:
        state = await self.store.load()
        self.check_saved()
        assert self.holder.position == state.position
        assert self.holder.view.freshness == "fresh"


@given(script=steps)
def test_every_state_seen_is_one_that_the_store_had_and_the_last_one_is_the_stores(script: list[Step]):
    world = World(script)

    anyio.run(world.live)

    assert world.seen > 0  # each view, and what would be saved, was looked at as it came
