"""What is committed after `follow` was entered is seen, or its absence is."""

import anyio
import pytest

from grayflow.core.generations import Generation, Marks
from grayflow.store.port import Changed
from grayflow.testing.contract.kit import PATIENCE_S, Contract, OpenStore, edit, put, ready, seen


class Following(Contract):
    """`follow`, in one instance and across two."""

    async def test_a_commit_right_after_entering_is_seen(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store, store.follow() as events:
            (change,) = await put(store, edit())

            await seen(events, store, change.position)

    async def test_a_commit_of_another_instance_is_seen(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store, open_store() as reader, reader.follow() as events:
            (change,) = await put(store, edit())

            await seen(events, reader, change.position)

    async def test_a_pushed_change_carries_what_a_reader_needs(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store, open_store() as reader, reader.follow() as events:
            (made,) = await put(store, edit("a", b"1", marks=Marks(off=("on",))))

            pushed = await seen(events, reader, made.position)

            if pushed is not None:
                assert (pushed.kind, pushed.key, pushed.document) == ("flag", "a", b"1")
                assert pushed.previous == made.previous
                assert pushed.generations == {"on": Generation(off=2)}
                assert (pushed.actor, pushed.reason, pushed.action) == (made.actor, made.reason, made.action)

    async def test_a_deletion_is_seen(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            await put(store, edit("a"))
            async with store.follow() as events:
                (made,) = await put(store, edit("a", None))

                pushed = await seen(events, store, made.position)

                assert pushed is None or pushed.document is None

    async def test_two_followers_both_see(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store, store.follow() as one, store.follow() as two:
            (change,) = await put(store, edit())

            await seen(one, store, change.position)
            await seen(two, store, change.position)

    async def test_nothing_falls_between_entering_and_loading(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store, open_store() as reader, anyio.create_task_group() as tasks:

            async def write() -> None:
                for number in range(20):
                    await put(store, edit(f"f{number}"))

            tasks.start_soon(write)
            async with reader.follow() as events:
                position = (await reader.load()).position
                with anyio.fail_after(PATIENCE_S):
                    while position.revision < 20:
                        match await anext(events):
                            case Changed(change) if change.previous == position.nonce:
                                position = change.position
                            case Changed(change) if change.revision <= position.revision:
                                continue
                            case _:
                                position = await reader.position()
            assert position == await store.position()

    async def test_a_big_document_is_seen(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store, open_store() as reader, reader.follow() as events:
            (change,) = await put(store, edit("a", b"x" * 1_048_576))

            await seen(events, reader, change.position)

    async def test_what_was_committed_before_entering_is_not_needed(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            await put(store, edit("a"), edit("b"))
            async with store.follow() as events:
                (change,) = await put(store, edit("c"))

                await seen(events, store, change.position)

    async def test_a_follower_may_leave_and_come_again(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            async with store.follow():
                pass
            async with store.follow() as events:
                (change,) = await put(store, edit())

                await seen(events, store, change.position)

    async def test_giving_up_the_wait_for_an_event_loses_none(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store, store.follow() as events:
            for wait_s in (0, 0.001, 0.03, 0.06):
                with anyio.move_on_after(wait_s):
                    while True:
                        await anext(events)
            (change,) = await put(store, edit())

            await seen(events, store, change.position)

    async def test_an_error_of_the_body_leaves_as_it_was(self, open_store: OpenStore) -> None:
        error = ValueError("mine")
        async with ready(open_store) as store:
            with pytest.raises(ValueError, match="mine") as caught:
                async with store.follow():
                    raise error

            assert caught.value is error
