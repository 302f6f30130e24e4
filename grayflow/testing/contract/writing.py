"""A commit is made from what is there, all or nothing, and its bytes and texts come back as they were."""

from string import ascii_letters, digits

import anyio
import pytest

from grayflow.core.position import Document
from grayflow.errors import ConflictError
from grayflow.store.port import Change, Edit
from grayflow.testing.contract.kit import AT, Contract, OpenStore, edit, put, ready

DOCUMENTS = {
    "json": b'{"key":"checkout","n":12345678901234567890123,"empty":[]}',
    "empty": b"",
    "not-json": b"{",
    "not-utf-8": b"\xff\xfe\x00\x80",
    "line-ends": b"\r\n\x00\t\n",
    "unicode": '{"name":"灰度 ß"}'.encode(),
}
TEXTS = {
    "empty": "",
    "nul": "before\x00after",
    "lines": "one\r\ntwo\n",
    "unicode": "灰度 \U0001f600 e\u0301 \u202e",
    "quotes": """'"; DROP TABLE flags; -- {} % \\""",
    "number": "007",
    "long": "x" * 10_000,
}


class Writing(Contract):
    """`commit` of one document after the other."""

    async def test_a_commit_makes_the_next_position(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            start = await store.init()

            change = await store.commit(edit(), expected=0)

            assert change.position == await store.position()
            assert (change.position.epoch, change.revision) == (start.epoch, 1)
            assert change.position.nonce != start.nonce
            assert change.previous == start.nonce

    async def test_a_commit_answers_with_all_that_was_done(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            asked = edit("checkout", b'{"a":1}', reason="TICKET-7")

            change = await store.commit(asked, expected=0)

            assert _echo(change) == _echo(asked)
            assert change.before is None

    async def test_a_commit_is_loaded_with_its_revision(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            await put(store, edit("a", b"1"), edit("b", b"2"), edit("a", b"3"))

            state = await store.load()

            assert state.flags == {"a": Document(3, b"3"), "b": Document(2, b"2")}

    async def test_a_commit_is_seen_by_another_instance(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store, open_store() as other:
            (change,) = await put(store, edit("a", b"1"))

            assert await other.position() == change.position
            assert (await other.load()).flags == {"a": Document(1, b"1")}

    async def test_the_answer_holds_the_document_before(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            _, change, gone = await put(store, edit("a", b"1"), edit("a", b"2"), edit("a", None))

            assert change.before == Document(1, b"1")
            assert gone.before == Document(2, b"2")

    async def test_what_exists_is_not_created_again(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            await put(store, edit("a", b"1"), edit("b"))
            before = await store.load()

            with pytest.raises(ConflictError) as caught:
                await store.commit(edit("a", b"2"), expected=0)

            assert (caught.value.key, caught.value.kind) == ("a", "flag")
            assert (caught.value.expected, caught.value.actual) == (0, 1)
            assert await store.load() == before
            assert len(await store.history()) == 2

    @pytest.mark.parametrize("expected", [1, 2, 4, 99])
    async def test_an_edit_of_another_revision_is_refused(self, open_store: OpenStore, expected: int) -> None:
        async with ready(open_store) as store:
            await put(store, edit("a", b"1"), edit("b"), edit("a", b"2"), edit("b"))
            before = await store.load()

            with pytest.raises(ConflictError) as caught:
                await store.commit(edit("a", b"3"), expected=expected)

            assert (caught.value.expected, caught.value.actual) == (expected, 3)
            assert await store.load() == before

    async def test_what_is_not_there_cannot_be_edited(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            with pytest.raises(ConflictError) as caught:
                await store.commit(edit("a"), expected=3)

            assert (caught.value.expected, caught.value.actual) == (3, 0)

    async def test_a_deleted_document_is_gone(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            await put(store, edit("a"), edit("b"))

            change = await store.commit(edit("a", None), expected=1)

            assert change.document is None
            assert set((await store.load()).flags) == {"b"}

    @pytest.mark.parametrize("expected", [0, 1])
    async def test_what_is_not_there_cannot_be_deleted(self, open_store: OpenStore, expected: int) -> None:
        async with ready(open_store) as store:
            await put(store, edit("a"), edit("a", None))

            with pytest.raises(ConflictError) as caught:
                await store.commit(edit("a", None), expected=expected)

            assert (caught.value.expected, caught.value.actual) == (expected, 0)
            assert (await store.position()).revision == 2

    async def test_a_deletion_of_another_revision_is_refused(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            await put(store, edit("a", b"1"), edit("a", b"2"))

            with pytest.raises(ConflictError):
                await store.commit(edit("a", None), expected=1)

            assert (await store.load()).flags == {"a": Document(2, b"2")}

    async def test_what_was_deleted_can_be_created_again(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            await put(store, edit("a", b"1"), edit("a", None))

            change = await store.commit(edit("a", b"2"), expected=0)

            assert change.before is None
            assert (await store.load()).flags == {"a": Document(3, b"2")}

    async def test_a_flag_and_a_segment_of_one_key_are_two_documents(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            await put(store, edit("a", b"flag"), edit("a", b"segment", kind="segment"), edit("a", None))

            state = await store.load()

            assert (state.flags, state.segments) == ({}, {"a": Document(2, b"segment")})
            with pytest.raises(ConflictError) as caught:
                await store.commit(edit("a", b"2", kind="segment"), expected=0)
            assert (caught.value.kind, caught.value.actual) == ("segment", 2)

    @pytest.mark.parametrize("name", sorted(DOCUMENTS))
    async def test_any_bytes_survive(self, open_store: OpenStore, name: str) -> None:
        data = DOCUMENTS[name]
        async with ready(open_store) as store, open_store() as other:
            start = await store.position()
            change = await store.commit(edit("a", data), expected=0)
            gone = await store.commit(edit("a", None), expected=1)

            found = await other.changes(start)

            assert change.document == data
            assert gone.before == Document(1, data)
            assert (await other.at(1)).flags == {"a": Document(1, data)}
            assert found is not None
            assert [change.document for change in found] == [data, None]

    async def test_a_document_of_a_mebibyte_survives(self, open_store: OpenStore) -> None:
        data = bytes(range(256)) * 4096
        async with ready(open_store) as store, open_store() as other:
            await put(store, edit("a", data))

            assert (await other.load()).flags["a"].data == data

    @pytest.mark.parametrize("name", sorted(TEXTS))
    async def test_any_text_survives(self, open_store: OpenStore, name: str) -> None:
        text = TEXTS[name]
        asked = Edit(
            kind="flag", key="a", document=b"", action=text, actor=text, reason=text, at=AT, request_id=f"id{text}"
        )
        async with ready(open_store) as store, open_store() as other:
            await store.commit(asked, expected=0)

            (change,) = await other.history()

            assert _echo(change) == _echo(asked)

    @pytest.mark.parametrize("at", [0, -1, AT, 2**63 - 1])
    async def test_the_instant_survives_to_the_nanosecond(self, open_store: OpenStore, at: int) -> None:
        asked = Edit(kind="flag", key="a", document=b"", action="", actor="", reason="", at=at, request_id="1")
        async with ready(open_store) as store:
            await store.commit(asked, expected=0)

            assert [change.at for change in await store.history()] == [at]

    async def test_every_key_that_a_flag_can_have_is_its_own(self, open_store: OpenStore) -> None:
        keys = ["a", "A", "a:b", "a/b", "a.b", "a_b", "-", "0", "k" * 200, f"{ascii_letters}{digits}._:/-"]
        async with ready(open_store) as store:
            await put(store, *(edit(key, key.encode()) for key in keys))

            state = await store.load()

            assert {key: document.data for key, document in state.flags.items()} == {key: key.encode() for key in keys}
            for key in keys:
                assert [change.document for change in await store.history(key)] == [key.encode()]


class Repeating(Contract):
    """A commit that is repeated, because nobody knows whether it was made."""

    async def test_a_repeated_request_answers_with_the_first_result(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            asked = edit("a", b"1")
            first = await store.commit(asked, expected=0)

            again = await store.commit(asked, expected=0)

            assert again == first
            assert (await store.position()).revision == 1

    async def test_a_repeated_request_is_known_after_other_changes(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store, open_store() as other:
            asked = edit("a", b"1")
            first, *_ = await put(store, asked, edit("b"), edit("a", b"2"), edit("a", None))

            again = await other.commit(asked, expected=0)

            assert again == first
            assert (await store.position()).revision == 4

    async def test_a_repeated_request_is_known_by_its_id_alone(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            first = await store.commit(edit("a", b"1", request_id="r"), expected=0)

            again = await store.commit(edit("b", b"2", request_id="r"), expected=7)

            assert again == first
            assert set((await store.load()).flags) == {"a"}

    async def test_a_request_made_many_times_at_once_is_done_once(self, open_store: OpenStore) -> None:
        asked = edit("a", b"1")
        answers: list[Change] = []
        async with ready(open_store) as store, open_store() as other:

            async def ask(number: int) -> None:
                answers.append(await (store, other)[number % 2].commit(asked, expected=0))

            async with anyio.create_task_group() as tasks:
                for number in range(20):
                    tasks.start_soon(ask, number)

            assert answers == [answers[0]] * 20
            assert (await store.position()).revision == 1

    async def test_a_refused_request_is_not_remembered(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            await put(store, edit("a", b"1"))
            asked = edit("a", b"2")
            with pytest.raises(ConflictError):
                await store.commit(asked, expected=0)

            change = await store.commit(asked, expected=1)

            assert change.revision == 2


def _echo(told: Edit | Change) -> tuple[object, ...]:
    """Return what a change repeats of its edit."""
    return (told.kind, told.key, told.document, told.action, told.actor, told.reason, told.at, told.request_id)
