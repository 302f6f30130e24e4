"""Many writers, many flags, and writers that give up half-way: nothing is lost and nothing is half done."""

import asyncio
from contextlib import suppress
from random import Random

import anyio
import pytest

from grayflow.core.position import Document
from grayflow.errors import ConflictError
from grayflow.store.port import Store
from grayflow.testing.contract.kit import Contract, OpenStore, edit, ready


class Competing(Contract):
    """Several tasks and instances at once."""

    async def test_no_update_is_lost(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store, open_store() as other:
            await store.commit(edit(document=b"0"), expected=0)

            async with anyio.create_task_group() as tasks:
                for number in range(8):
                    tasks.start_soon(_count_up, (store, other)[number % 2], 5)

            assert (await store.load()).flags == {"checkout": Document(41, b"40")}

    async def test_writers_of_different_flags_make_one_dense_log(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store, open_store() as other:
            start = await store.position()

            async def write(writer: Store, key: str) -> None:
                expected = 0
                for number in range(10):
                    expected = (await writer.commit(edit(key, b"%d" % number), expected=expected)).revision

            async with anyio.create_task_group() as tasks:
                for number in range(6):
                    tasks.start_soon(write, (store, other)[number % 2], f"f{number}")

            found = await store.changes(start)
            assert found is not None
            assert [change.revision for change in found] == list(range(1, 61))
            assert {document.data for document in (await store.load()).flags.values()} == {b"9"}

    async def test_a_load_is_of_one_position(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store, open_store() as reader, anyio.create_task_group() as tasks:
            await store.commit(edit(document=b"0"), expected=0)
            tasks.start_soon(_count_up, store, 30)
            revision = 0
            while revision < 31:
                state = await reader.load()

                assert state.position.revision >= revision
                revision = state.position.revision
                assert state.flags == {"checkout": Document(revision, b"%d" % (revision - 1))}

    async def test_two_thousand_flags_are_loaded(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store, open_store() as reader:
            for number in range(2000):
                await store.commit(edit(f"flag-{number}", b"%d" % number), expected=0)

            state = await reader.load()

            expected = {f"flag-{number}": Document(number + 1, b"%d" % number) for number in range(2000)}
            assert state.flags == expected
            assert state.position.revision == 2000

    @pytest.mark.parametrize("native", [False, True], ids=["scope", "task"])
    async def test_a_cancelled_commit_was_made_or_was_not(self, open_store: OpenStore, *, native: bool) -> None:
        random = Random(11)  # noqa: S311 - the same each time
        async with ready(open_store) as store, open_store() as other:
            start = await store.position()
            for number in range(40):
                asked = edit(f"f{number}", b"x")
                await _give_up(store, asked.key, asked.request_id, random.random() * 0.004, native=native)

                change = await store.commit(asked, expected=0)

                assert (await other.load()).flags[asked.key] == Document(change.revision, b"x")
                assert change.revision == number + 1
            found = await store.changes(start)
            assert found is not None
            assert len(found) == 40


async def _count_up(store: Store, times: int) -> None:
    for _ in range(times):
        while True:
            held = (await store.load()).flags["checkout"]
            try:
                await store.commit(edit(document=b"%d" % (int(held.data) + 1)), expected=held.revision)
            except ConflictError:
                continue
            break


async def _give_up(store: Store, key: str, request_id: str, after_s: float, *, native: bool) -> None:
    commit = store.commit(edit(key, b"x", request_id=request_id), expected=0)
    if native:
        with suppress(TimeoutError):
            await asyncio.wait_for(commit, after_s)
    else:
        with anyio.move_on_after(after_s):
            await commit
