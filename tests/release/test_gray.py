"""A decorator that chooses between a function and the one that it replaces."""

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from grayflow import Client, ConfigurationError, Context
from grayflow.release import gray
from tests.release.kit import serve

pytestmark = pytest.mark.anyio


async def old_async(order: int, *, rush: bool = False) -> str:
    return f"old {order} {rush}"


def old_sync(order: int) -> str:
    return f"old {order}"


async def old_stream(order: int) -> AsyncIterator[str]:
    yield f"old {order}"


def old_items(order: int) -> Iterator[str]:
    yield f"old {order}"


async def test_an_async_function_replaces_another_for_whom_the_flag_says(admin: Any, flags: Client) -> None:
    @gray(flags, "notes", old=old_async)
    async def pay(order: int, *, rush: bool = False) -> str:
        """Pay."""
        return f"new {order} {rush}"

    assert await pay(1, rush=True) == "old 1 True"
    await serve(admin, flags, "on")
    assert await pay(1) == "new 1 False"
    await serve(admin, flags, "off")
    assert await pay(1) == "old 1 False"
    assert (pay.__name__, pay.__doc__, inspect.iscoroutinefunction(pay)) == ("pay", "Pay.", True)


async def test_other_functions_are_decided_when_they_are_called(flags: Client) -> None:
    @gray(flags, "notes", old=old_sync)
    def pay(order: int) -> str:
        return f"new {order}"

    @gray(flags, "notes", old=old_stream)
    async def stream(order: int) -> AsyncIterator[str]:
        yield f"new {order}"

    @gray(flags, "notes", old=old_items)
    def items(order: int) -> Iterator[str]:
        yield f"new {order}"

    for on, name in ((False, "old 1"), (True, "new 1")):
        with flags.override(notes=on):
            chosen = stream(1), items(1)
            assert pay(1) == name
        assert [each async for each in chosen[0]] == [name]
        assert list(chosen[1]) == [name]


async def test_a_unit_of_work_calls_the_same_one_to_its_end(admin: Any, flags: Client) -> None:
    @gray(flags, "notes", old=old_async)
    async def pay(order: int, *, rush: bool = False) -> str:
        return "new"

    with flags.scope(Context(user_id="u")):
        await serve(admin, flags, "on")
        assert await pay(1) == "old 1 False"
    assert await pay(1) == "new"


async def test_the_arguments_may_say_for_whom_it_is_decided(admin: Any, flags: Client) -> None:
    only_7 = {"when": [{"type": "attribute", "name": "user_id", "op": "in", "values": [7]}], "serve": "on"}
    saved = await admin.put({"key": "notes", "enabled": True, "otherwise": "off", "rules": [only_7]}, reason="test")
    await flags.wait_for(saved.token)

    @gray(flags, "notes", old=old_sync, context=lambda order: {"user_id": order})
    def pay(order: int) -> str:
        return "new"

    @gray(flags, "notes", old=old_async, context=lambda order, *, rush=False: {"user_id": order})
    async def pay_async(order: int, *, rush: bool = False) -> str:
        return "new"

    async def who(order: int, *, rush: bool = False) -> dict[str, int]:
        return {"user_id": order}

    @gray(flags, "notes", old=old_async, context=who)
    async def pay_whom(order: int, *, rush: bool = False) -> str:
        return "new"

    assert [pay(7), pay(8)] == ["new", "old 8"]
    assert [await pay_async(7), await pay_async(8)] == ["new", "old 8 False"]
    assert [await pay_whom(7), await pay_whom(8)] == ["new", "old 8 False"]


async def test_methods_replace_methods(flags: Client) -> None:
    class Shop:
        name = "shop"

        async def pay_v1(self, order: int) -> str:
            return f"old {self.name}"

        @gray(flags, "notes", old=pay_v1)
        async def pay(self, order: int) -> str:
            return f"new {self.name}"

    assert await Shop().pay(1) == "old shop"
    with flags.override(notes=True):
        assert await Shop().pay(1) == "new shop"


async def other_async(order: int, rush: bool) -> str:
    raise AssertionError


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (old_async, old_sync, "old_sync cannot replace old_async: method for async method"),
        (old_sync, old_async, "old_async cannot replace old_sync: async method for method"),
        (old_stream, old_async, "async method for async iterator"),
        (old_async, other_async, "other_async cannot replace old_async: it needs an argument 'rush'"),
        (old_sync, other_async, "async method for method"),
        (old_async, print, "print cannot replace old_async: method for async method"),
    ],
)
def test_what_cannot_replace_the_other_is_refused(old: Callable[..., Any], new: Callable[..., Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        gray(Client("memory://"), "notes", old=old)(new)

    assert words in str(caught.value)


def test_an_async_context_for_functions_that_are_not_is_refused() -> None:
    async def who(order: int) -> dict[str, int]:
        return {"user_id": order}

    with pytest.raises(ConfigurationError, match=r"context is .*; give one that is not async"):
        gray(Client("memory://"), "notes", old=old_sync, context=who)(lambda order: "new")


def test_wrong_arguments_are_told() -> None:
    with pytest.raises(ConfigurationError, match=r"flags is .*; give a grayflow\.Client"):
        gray("redis://localhost", "notes", old=old_sync)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="old is 3; give the function that is replaced"):
        gray(Client("memory://"), "notes", old=3)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="flag is 'no key'; give a flag's key"):
        gray(Client("memory://"), "no key", old=old_sync)
    with pytest.raises(ConfigurationError, match="context is 'user_id'; give a function"):
        gray(Client("memory://"), "notes", old=old_sync, context="user_id")  # type: ignore[arg-type]
