"""A store is used inside its blocks, by the loop and the process that entered it."""

import asyncio
import os
from collections.abc import Awaitable, Callable

import pytest
from anyio import to_thread

from grayflow.core.position import Position
from grayflow.errors import LifetimeError
from grayflow.store.port import Store
from grayflow.testing.contract.kit import Contract, OpenStore, edit, put, ready


async def _follow(store: Store) -> None:
    async with store.follow():
        pass


VERBS: dict[str, Callable[[Store], Awaitable[object]]] = {
    "init": lambda store: store.init(),
    "position": lambda store: store.position(),
    "replaced": lambda store: store.replaced(),
    "load": lambda store: store.load(),
    "get": lambda store: store.get("flag", "checkout"),
    "changes": lambda store: store.changes(Position(epoch="e", revision=0, nonce="n")),
    "follow": _follow,
    "commit": lambda store: store.commit(edit(), expected=0),
    "history": lambda store: store.history(),
    "oldest": lambda store: store.oldest(),
    "at": lambda store: store.at(0),
}


class Living(Contract):
    """Entering, leaving, and who may do it."""

    @pytest.mark.parametrize("verb", sorted(VERBS))
    async def test_a_closed_store_is_refused(self, open_store: OpenStore, verb: str) -> None:
        async with ready(open_store) as store:
            pass

        with pytest.raises(LifetimeError):
            await VERBS[verb](store)

    @pytest.mark.parametrize("verb", sorted(VERBS))
    async def test_another_loop_is_refused(self, open_store: OpenStore, verb: str) -> None:
        async with ready(open_store) as store:

            async def use() -> None:
                await VERBS[verb](store)

            with pytest.raises(LifetimeError):
                await to_thread.run_sync(lambda: asyncio.run(use()))

    async def test_a_store_held_by_one_loop_cannot_be_entered_in_another(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:

            async def enter() -> None:
                async with store:
                    pass

            with pytest.raises(LifetimeError):
                await to_thread.run_sync(lambda: asyncio.run(enter()))
            assert (await store.position()).revision == 0

    async def test_a_forked_child_is_refused(self, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
        async with ready(open_store) as store:
            with monkeypatch.context() as child:
                child.setattr(os, "getpid", lambda: -1)

                with pytest.raises(LifetimeError):
                    await store.position()

    async def test_blocks_are_counted(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            async with store:
                await put(store, edit("a"))

            await put(store, edit("b"))

            assert set((await store.load()).flags) == {"a", "b"}

    async def test_leaving_once_too_often_is_harmless(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            pass

        await store.__aexit__(None, None, None)

        async with store:
            assert (await store.position()).revision == 0

    async def test_a_store_may_be_opened_again(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            (change,) = await put(store, edit("a"))

        async with store:
            assert await store.position() == change.position
            await put(store, edit("b"))

    async def test_an_error_of_the_body_leaves_as_it_was(self, open_store: OpenStore) -> None:
        error = ValueError("mine")

        with pytest.raises(ValueError, match="mine") as caught:
            async with open_store():
                raise error

        assert caught.value is error

    async def test_a_store_says_where_it_is(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            assert store.place
            assert store.place in repr(store)
            assert repr(store.namespace) in repr(store)
