"""Several admins at once: nothing is lost, and who edits a whole document is told."""

from collections.abc import Callable
from itertools import pairwise

import anyio
import pytest

from grayflow.admin import Admin, Saved
from grayflow.errors import ConflictError
from grayflow.store.memory import MemoryStore
from grayflow.store.port import Change, Edit, Store
from grayflow.store.wrappers import Wrapper
from grayflow.testing.builders import flag

pytestmark = pytest.mark.anyio

OpenStore = Callable[[], Store]


class Rival(Wrapper):
    """Lets somebody else write before each of the first commits that go through it."""

    def __init__(self, inner: Store, rounds: int):
        super().__init__(inner)
        self.rounds = rounds
        self.admin = Admin(inner, actor="rival")

    async def commit(self, edit: Edit, *, expected: int) -> Change:
        if self.rounds:
            self.rounds -= 1
            async with self.admin as admin:
                await admin.update("x", lambda one: flag("x", enabled=one.enabled, tags=(*one.tags, f"r{self.rounds}")))
        return await super().commit(edit, expected=expected)


async def test_of_two_that_edit_the_same_revision_one_is_told(open_store: OpenStore):
    async with Admin(open_store(), actor="ann") as ann, Admin(open_store(), actor="bob") as bob:
        await ann.create(flag("x"))
        (held, revision), (other, same) = await ann.get("x"), await bob.get("x")
        assert (held, revision) == (other, same)
        await ann.edit(flag("x", description="ann's"), expected=revision)

        with pytest.raises(ConflictError, match="you edited revision 1, but the store has revision 2"):
            await bob.edit(flag("x", description="bob's"), expected=revision)

        assert (await bob.get("x"))[0].description == "ann's"
        assert [change.actor for change in await ann.history("x")] == ["ann", "ann"]


async def test_an_edit_that_loses_the_race_is_told_even_without_a_revision():
    store = MemoryStore()
    async with Admin(Rival(store, rounds=1), actor="ann") as ann:
        async with Admin(store, actor="rival") as rival:
            await rival.create(flag("x"))

        with pytest.raises(ConflictError):
            await ann.edit(flag("x", description="ann's"))


@pytest.mark.parametrize("rounds", [1, 5])
async def test_a_verb_that_loses_the_race_is_applied_to_what_won(rounds: int):
    store = MemoryStore()
    async with Admin(Rival(store, rounds), actor="ann") as ann:
        async with Admin(store, actor="rival") as rival:
            await rival.create(flag("x", enabled=True))

        saved = await ann.switch_off("x")

        assert saved.after is not None
        assert not saved.after.enabled
        assert saved.after.tags == tuple(f"r{number}" for number in reversed(range(rounds)))


async def test_a_verb_gives_up_after_fifty_lost_races():
    store = MemoryStore()
    async with Admin(Rival(store, rounds=1000), actor="ann", clock=Unhurried()) as ann:
        async with Admin(store, actor="rival") as rival:
            await rival.create(flag("x", enabled=True))

        with pytest.raises(ConflictError):
            await ann.switch_off("x")
        assert (await ann.store.position()).revision == 51


class Unhurried:
    """A clock that sleeps no time at all."""

    def now(self) -> int:
        return 0

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        await anyio.lowlevel.checkpoint()


async def test_twenty_writers_at_once_all_land(open_store: OpenStore):
    landed: list[Saved] = []

    async def write(admin: Admin, number: int) -> None:
        match number % 3:
            case 0:
                landed.append(await admin.include("x", "on", f"u-{number}"))
            case 1:
                landed.append(await admin.set_percent("x", number))
            case _:
                landed.append(await admin.switch_off("x"))

    async with Admin(open_store(), actor="ann") as ann, Admin(open_store(), actor="bob") as bob:
        await ann.create(flag("x", enabled=True, targets={"off": ["u-0"]}))
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                for number in range(21):
                    tasks.start_soon(write, ann if number % 2 else bob, number)
        held, revision = await ann.get("x")
        history = await ann.history("x", limit=100)

    assert len(landed) == 21
    assert set(held.targets["on"]) == {f"u-{number}" for number in range(0, 21, 3)}
    assert "off" not in held.targets
    # Revisions are dense, each change begins where the one before it ended, and the newest is what is stored.
    assert [change.revision for change in history] == list(range(revision, 0, -1))
    for newer, older in pairwise(history):
        assert newer.before is not None
        assert (newer.before.revision, newer.before.data) == (older.revision, older.document)
    written = {saved.revision for saved in landed if saved.changed}
    assert written == {change.revision for change in history} - {1}


async def test_creating_at_once_creates_once(open_store: OpenStore):
    outcomes: list[object] = []

    async def create(admin: Admin) -> None:
        try:
            outcomes.append(await admin.create(flag("x", description=admin.actor)))
        except ConflictError as error:
            outcomes.append(error)

    async with Admin(open_store(), actor="ann") as ann, Admin(open_store(), actor="bob") as bob:
        async with anyio.create_task_group() as tasks:
            for admin in (ann, bob):
                tasks.start_soon(create, admin)

        assert sorted(isinstance(outcome, Saved) for outcome in outcomes) == [False, True]
        assert len(await ann.history()) == 1
