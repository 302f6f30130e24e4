"""What refuses to write for a candidate."""

import inspect
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from grayflow import ConfigurationError, ShadowWriteError
from grayflow.release import in_shadow, refuse_in_shadow, writes
from grayflow.release.parallel.shadow import SHADOW

pytestmark = pytest.mark.anyio


class Store:
    def __init__(self) -> None:
        self.written: list[Any] = []

    @writes
    async def save(self, value: int) -> int:
        self.written.append(value)
        return value

    @writes
    def save_now(self, value: int) -> int:
        self.written.append(value)
        return value

    @writes
    def each(self, *values: int) -> Iterator[int]:
        for value in values:
            self.written.append(value)
            yield value

    @writes
    async def stream(self, *values: int) -> AsyncIterator[int]:
        for value in values:
            self.written.append(value)
            yield value

    @writes
    @asynccontextmanager
    async def lock(self, value: int) -> AsyncIterator[int]:
        self.written.append(value)
        yield value

    @classmethod
    @writes
    def drop(cls) -> str:
        return cls.__name__


@pytest.fixture
def shadow() -> Iterator[None]:
    token = SHADOW.set("users")
    yield
    SHADOW.reset(token)


async def test_outside_of_a_candidate_everything_works_and_looks_as_before():
    store = Store()

    assert not in_shadow()
    assert await store.save(1) == store.save_now(1) == 1
    assert list(store.each(1, 2)) == [each async for each in store.stream(1, 2)] == [1, 2]
    async with store.lock(3) as found:
        assert found == 3
    assert Store.drop() == "Store"
    assert store.written == [1, 1, 1, 2, 1, 2, 3]
    assert inspect.iscoroutinefunction(store.save)
    assert store.save.__name__ == "save"
    refuse_in_shadow("Orders.insert")


async def test_a_candidate_is_refused_and_nothing_is_done(shadow: None):
    store = Store()

    assert in_shadow()
    with pytest.raises(ShadowWriteError, match=r"Store\.save was refused.*'users'"):
        await store.save(1)
    for call in (store.save_now, store.each, store.stream, store.lock):
        with pytest.raises(ShadowWriteError):
            call(1)
    with pytest.raises(ShadowWriteError):
        Store.drop()
    with pytest.raises(ShadowWriteError) as caught:
        refuse_in_shadow("Orders.insert")
    assert (caught.value.what, caught.value.run) == ("Orders.insert", "users")
    assert store.written == []


def test_what_is_no_function_cannot_be_marked():
    with pytest.raises(ConfigurationError, match="@writes"):
        writes(Store)
