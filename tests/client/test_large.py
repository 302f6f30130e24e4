"""The first check of a very large flag does not stop the event loop, where it is awaited."""

from threading import Thread
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from grayflow import Client, Context
from grayflow.testing import Faulty
from tests.client.conftest import Make
from tests.replica.kit import ON, put

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("opened")]

ANNA = Context(user_id="anna", attributes={"a299": "x"})


def rule(number: int) -> dict[str, Any]:
    return {"when": [{"type": "attribute", "name": f"a{number}", "op": "in", "values": ["x"]}], "serve": "on"}


LARGE = {"enabled": True, "otherwise": "off", "rules": [rule(number) for number in range(300)]}


async def turns(flags: Client, key: str) -> int:
    """Return how often another task had its turn while a flag was checked."""
    count = 0

    async def other() -> None:
        nonlocal count
        while True:
            count += 1
            await checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other)
        assert await flags.is_enabled(key, ANNA) is True
        tasks.cancel_scope.cancel()
        return count


async def test_others_have_their_turn_while_a_large_flag_is_compiled(make: Make, store: Faulty):
    await put(store, "large", **LARGE)
    await put(store, "usual", **ON)
    async with make() as flags:
        assert await turns(flags, "usual") == 0
        assert await turns(flags, "large") > 0
        assert await turns(flags, "large") == 0


async def test_all_who_ask_at_once_are_answered(make: Make, store: Faulty):
    await put(store, "large", **LARGE)
    answers: list[bool] = []
    async with make() as flags:

        async def ask() -> None:
            answers.append(await flags.is_enabled("large", ANNA))

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(ask)

    assert answers == [True] * 5


async def test_whoever_is_cancelled_meanwhile_leaves_nothing_undone(make: Make, store: Faulty):
    await put(store, "large", **LARGE)
    async with make() as flags:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await flags.is_enabled("large", ANNA)

        assert scope.cancelled_caught
        assert await flags.is_enabled("large", ANNA) is True
        assert flags.peek("large", ANNA) is True


async def test_without_a_loop_it_is_compiled_on_the_spot(make: Make, store: Faulty):
    await put(store, "large", **LARGE)
    answers: list[bool] = []
    async with make() as flags:

        def ask() -> None:
            try:
                flags.is_enabled("large", ANNA).send(None)
            except StopIteration as stop:
                answers.append(stop.value)

        thread = Thread(target=ask)
        thread.start()
        while thread.is_alive():
            await checkpoint()

    assert answers == [True]
