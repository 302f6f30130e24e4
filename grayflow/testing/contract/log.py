"""Changes since a position are all of them or none, so that a reader can go on from what it holds."""

from collections.abc import Sequence
from uuid import uuid4

import msgspec
import pytest

from grayflow.core.generations import Marks
from grayflow.core.position import Document, Position
from grayflow.store.port import Change, Edit, State
from grayflow.testing.contract.kit import Contract, OpenStore, edit, put, ready


def story() -> list[Edit]:
    """Return edits of every kind: created, edited, deleted, created again, marked, of flags and segments."""
    return [
        edit("a", b"a1", marks=Marks(armed=("on",))),
        edit("s", b"s1", kind="segment"),
        edit("b", b"b1"),
        edit("a", b"a2", marks=Marks(off=("on",))),
        edit("b", None, marks=Marks(off=("x",), passed={"y": 1})),
        edit("a", b"segment", kind="segment"),
        edit("s", None, kind="segment"),
        edit("b", b"b2"),
    ]


class Logging(Contract):
    """`changes` since every position that a reader may hold."""

    async def test_the_log_is_a_dense_chain(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            start = await store.init()
            made = await put(store, *story())

            found = await store.changes(start)

            assert found is not None
            assert [change.position for change in found] == [change.position for change in made]
            assert [change.revision for change in found] == list(range(1, len(made) + 1))
            assert [change.previous for change in found] == [
                start.nonce,
                *(change.position.nonce for change in found[:-1]),
            ]
            assert len({start.nonce, *(change.position.nonce for change in found)}) == len(made) + 1

    async def test_what_follows_each_position_is_found(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store, open_store() as other:
            made = await put(store, *story())

            for index, change in enumerate(made):
                found = await other.changes(change.position)
                assert found is not None
                assert [later.position for later in found] == [later.position for later in made[index + 1 :]]

    async def test_nothing_follows_the_current_position(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            start = await store.init()
            before = await store.changes(start)
            (change,) = await put(store, edit())

            after = await store.changes(change.position)

            assert before is not None
            assert after is not None
            assert (len(before), len(after)) == (0, 0)

    async def test_changes_lead_from_any_state_to_the_current_one(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            states = [await store.load()]
            for step in story():
                await put(store, step)
                states.append(await store.load())

            for state in states:
                found = await store.changes(state.position)
                assert found is not None
                assert _apply(state, found) == states[-1]

    @pytest.mark.parametrize(
        "change",
        [
            {"epoch": "another"},
            {"nonce": "another"},
            {"revision": 1, "nonce": "another"},
            {"revision": 0},
            {"revision": 2},
            {"revision": 3},
            {"revision": 4},
            {"revision": 99},
            {"revision": 10**18},
            {"revision": 0, "nonce": ""},
        ],
        ids=str,
    )
    async def test_no_change_follows_a_position_that_never_was(
        self, open_store: OpenStore, change: dict[str, object]
    ) -> None:
        async with ready(open_store) as store:
            await put(store, edit("a", b"1"))
            position = await store.position()
            await put(store, edit("a", b"2"), edit("a", b"3"))

            assert await store.changes(msgspec.structs.replace(position, **change)) is None

    async def test_no_change_follows_another_state_of_the_current_revision(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            await put(store, edit())
            position = await store.position()

            assert await store.changes(msgspec.structs.replace(position, nonce="another")) is None
            assert await store.changes(msgspec.structs.replace(position, epoch="another")) is None

    async def test_no_change_follows_a_foreign_position_in_an_empty_namespace(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            assert await store.changes(Position(epoch=uuid4().hex, revision=0, nonce=uuid4().hex)) is None


def _apply(state: State, changes: Sequence[Change]) -> State:
    kinds = {"flag": dict(state.flags), "segment": dict(state.segments)}
    generations = dict(state.generations)
    position = state.position
    for change in changes:
        if change.document is None:
            del kinds[change.kind][change.key]
        else:
            kinds[change.kind][change.key] = Document(change.revision, change.document)
        if change.generations:
            generations[change.key] = change.generations
        position = change.position
    return State(position=position, flags=kinds["flag"], segments=kinds["segment"], generations=generations)
