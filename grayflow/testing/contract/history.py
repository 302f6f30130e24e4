"""History tells who changed what and from what, and leads back to every earlier state."""

import pytest

from grayflow.core.position import Document, Position
from grayflow.errors import HistoryGoneError
from grayflow.store.port import Change, State
from grayflow.testing.contract.kit import Contract, OpenStore, edit, put, ready
from grayflow.testing.contract.log import story


class Remembering(Contract):
    """`history`, `oldest` and `at`."""

    async def test_history_is_newest_first(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store, open_store() as other:
            made = await put(store, *story())

            assert list(await other.history()) == made[::-1]

    async def test_history_of_one_document_is_its_own(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            made = await put(store, *story())

            for kind, key in {(change.kind, change.key) for change in made}:
                own = [change for change in reversed(made) if (change.kind, change.key) == (kind, key)]
                assert list(await store.history(key, kind=kind)) == own

    async def test_history_of_what_never_was_is_empty(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            assert list(await store.history()) == []
            await put(store, edit("a"))

            assert list(await store.history("b")) == []
            assert list(await store.history("a", kind="segment")) == []

    async def test_each_version_knows_the_one_before(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            await put(store, edit("a", b"1"), edit("b"), edit("a", b"2"), edit("a", None), edit("a", b"3"))

            told = [(change.before, change.document) for change in await store.history("a")]

            assert told == [(None, b"3"), (Document(3, b"2"), None), (Document(1, b"1"), b"2"), (None, b"1")]

    @pytest.mark.parametrize("limit", [1, 2, 3, 100])
    @pytest.mark.parametrize("key", [None, "a"])
    async def test_pages_hold_every_change_once(self, open_store: OpenStore, limit: int, key: str | None) -> None:
        async with ready(open_store) as store:
            await put(store, *story(), *(edit("a", b"%d" % number) for number in range(6)))
            paged: list[Change] = []
            before = None
            while page := await store.history(key, before=before, limit=limit):
                assert len(page) <= limit
                assert before is None or page[0].revision < before
                paged.extend(page)
                before = page[-1].revision

            assert paged == list(await store.history(key, limit=100))

    async def test_a_page_begins_below_the_given_revision(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            await put(store, *story())

            assert [change.revision for change in await store.history(before=4)] == [3, 2, 1]
            assert [change.revision for change in await store.history(before=1)] == []
            assert [change.revision for change in await store.history(before=99, limit=2)] == [8, 7]
            assert len(await store.history(before=2**64, limit=2**64)) == 8

    async def test_every_earlier_state_can_be_shown(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store, open_store() as other:
            states = [await store.load()]
            for step in story():
                await put(store, step)
                states.append(await store.load())

            for revision, state in enumerate(states):
                assert await other.at(revision) == _as_shown(state)

    async def test_a_state_to_come_is_the_current_one(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            await put(store, *story())

            assert await store.at(1000) == _as_shown(await store.load())

    async def test_there_is_no_state_before_the_first(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            await put(store, edit())

            with pytest.raises(HistoryGoneError) as caught:
                await store.at(-1)

            assert (caught.value.revision, caught.value.oldest) == (-1, 1)

    async def test_the_oldest_revision_is_the_first(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            empty = await store.oldest()
            await put(store, *story())

            assert (empty, await store.oldest()) == (1, 1)

    async def test_all_history_is_kept_where_that_is_promised(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            if not store.keeps_all_history:
                pytest.skip(f"{store!r} does not promise to keep all history")
            start = await store.position()
            for number in range(300):
                await store.commit(edit(document=b"%d" % number), expected=number)

            changes = await store.changes(start)

            assert changes is not None
            assert (len(changes), await store.oldest()) == (300, 1)
            assert (await store.at(1)).flags == {"checkout": Document(1, b"0")}


def _as_shown(state: State) -> State:
    position = Position(epoch=state.position.epoch, revision=state.position.revision, nonce="")
    return State(position=position, flags=state.flags, segments=state.segments, generations={})
