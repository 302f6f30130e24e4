"""
Whatever is pushed, lost, repeated or shuffled, and whatever happens to the store while it is asked: every state that
readers see is one that the store had, at exactly that position; within an epoch a replica goes back only by loading
everything; and in the end it equals the store.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio
from hypothesis import given
from hypothesis import strategies as st

from grayflow.core.snapshot import Builder
from grayflow.replica.holder import Holder
from grayflow.replica.sync import Sync
from grayflow.replica.troubles import Troubles
from grayflow.replica.view import View
from grayflow.store.port import Change, Store
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
        self.truth: dict[str, dict[str, Any]] = {}
        self.sync = Sync(
            Interleaved(self.store, self),
            self.holder,
            Troubles("memory://", "default", lambda: self.holder.position),
            clock=self.clock,
            random=lambda: 0.0,
            ttl_s=10,
            builder=lambda previous: Builder(previous=previous),
            loaded=lambda _: None,
        )
        self.holder.listeners.append(self.check)

    async def one(self) -> None:
        """Let one step of the script happen."""
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
                self._pushed.append(await put(self.store, key, enabled=True, description=what))
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
        self.truth[state.position.token()] = {key: held.revision for key, held in state.flags.items()}

    def check(self, before: View, after: View, change: Change | None) -> None:
        assert after.snapshot is not None
        assert after.position is not None
        held = {key: entry.revision for key, entry in after.snapshot.flags.items()}
        assert held == self.truth[after.position.token()]
        if before.position is not None and before.position.epoch == after.position.epoch and change is not None:
            assert after.position.revision == before.position.revision + 1

    async def check_end(self) -> None:
        state = await self.store.load()
        assert self.holder.position == state.position
        assert self.holder.view.freshness == "fresh"


@given(script=steps)
def test_every_state_seen_is_one_that_the_store_had_and_the_last_one_is_the_stores(script: list[Step]):
    anyio.run(World(script).live)
