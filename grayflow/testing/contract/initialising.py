"""A namespace comes into being on purpose, once, and is declared to be the truth on purpose."""

from collections.abc import Awaitable, Callable

import pytest

from grayflow.core.generations import Marks
from grayflow.errors import NotInitializedError
from grayflow.store.port import Store
from grayflow.testing.contract.kit import Contract, OpenStore, edit, put, ready, seen

VERBS: dict[str, Callable[[Store], Awaitable[object]]] = {
    "position": lambda store: store.position(),
    "load": lambda store: store.load(),
    "get": lambda store: store.get("flag", "checkout"),
    "at": lambda store: store.at(0),
    "commit": lambda store: store.commit(edit(), expected=0),
}


class Initialising(Contract):
    """`init`, and what is refused before it."""

    async def test_init_begins_an_empty_namespace_at_revision_0(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            position = await store.init()

            state = await store.load()
            assert position.revision == 0
            assert position.epoch
            assert position.nonce
            assert state.position == position == await store.position()
            assert (state.flags, state.segments, state.generations) == ({}, {}, {})

    async def test_init_again_changes_nothing(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            await put(store, edit())
            before = await store.load()

            position = await store.init()

            assert position == before.position
            assert await store.load() == before

    @pytest.mark.parametrize("verb", sorted(VERBS))
    async def test_an_uninitialised_namespace_is_refused(self, open_store: OpenStore, verb: str) -> None:
        async with open_store() as store:
            with pytest.raises(NotInitializedError) as caught:
                await VERBS[verb](store)

            assert (caught.value.namespace, caught.value.place) == (store.namespace, store.place)

    async def test_the_first_write_does_not_initialise(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            with pytest.raises(NotInitializedError):
                await store.commit(edit(), expected=0)

            with pytest.raises(NotInitializedError):
                await store.position()

    async def test_init_is_seen_by_another_instance(self, open_store: OpenStore) -> None:
        async with open_store() as reader, open_store() as writer:
            position = await writer.init()

            assert await reader.position() == position

    async def test_a_plain_namespace_replaces_no_epoch(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            assert list(await store.replaced()) == []

    async def test_init_with_replaces_names_epochs_in_an_empty_place(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await store.init(replaces=["e1", "*"])

            assert set(await store.replaced()) == {"e1", "*"}

    async def test_init_with_replaces_draws_a_new_epoch_and_keeps_what_is_there(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            await put(store, edit("a", marks=Marks(off=("on",))), edit("b"), edit("s", kind="segment"))
            before, log = await store.load(), await store.history()

            position = await store.init(replaces=[])

            after = await store.load()
            assert position.epoch != before.position.epoch
            assert position.nonce != before.position.nonce
            assert position.revision >= before.position.revision
            assert after.position == position
            assert (after.flags, after.segments) == (before.flags, before.segments)
            assert after.generations == before.generations
            assert [change.request_id for change in await store.history()] == [change.request_id for change in log]

    async def test_init_with_replaces_hands_on_all_that_went_before(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            first = await store.init()
            second = await store.init(replaces=["lost"])
            await store.init(replaces=[])

            assert {"lost", first.epoch, second.epoch} <= set(await store.replaced())

    async def test_no_change_continues_across_a_new_epoch(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            (change,) = await put(store, edit())
            renewed = await store.init(replaces=[])
            (later,) = await put(store, edit("b"))

            assert await store.changes(change.position) is None
            found = await store.changes(renewed)
            assert found is not None
            assert [change.position for change in found] == [later.position]

    async def test_generations_do_not_fall_in_a_new_epoch(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            (before,) = await put(store, edit(marks=Marks(off=("on",))))
            await store.init(replaces=["*"])

            (after,) = await put(store, edit(marks=Marks(off=("on",))))

            assert after.generations["on"].off > before.generations["on"].off

    async def test_followers_hear_of_a_new_epoch(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store, open_store() as reader, reader.follow() as events:
            position = await store.init(replaces=[])

            await seen(events, reader, position)

    async def test_who_follows_before_init_hears_of_it(self, open_store: OpenStore) -> None:
        async with open_store() as reader, reader.follow() as events, open_store() as store:
            position = await store.init()

            await seen(events, reader, position)
