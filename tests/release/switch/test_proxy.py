"""Every kind of member through a proxy: it behaves as the implementation's own, and keeps it open while it is used."""

import gc
import inspect
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any, Protocol, runtime_checkable

import anyio
import pytest
from anyio.lowlevel import checkpoint

from grayflow import Admin, Client, Context, UnopenedError
from grayflow.release import ImplementationSwitch
from tests.release.kit import Sides, serve, until

pytestmark = pytest.mark.anyio


@runtime_checkable
class Everything(Protocol):
    """One member of each kind."""

    size: int

    @property
    def label(self) -> str: ...

    async def get(self, key: str, *, default: str = "") -> str:
        """Return what is kept."""
        ...

    def peek(self, key: str) -> str: ...

    def stream(self, count: int) -> AsyncGenerator[str, str | None]: ...

    async def opened_stream(self, count: int) -> AsyncIterator[str]: ...

    def items(self, count: int) -> Generator[str, str | None, str]: ...

    def lock(self, key: str) -> AbstractAsyncContextManager[str]: ...

    async def opened_lock(self, key: str) -> AbstractAsyncContextManager[str]: ...

    def block(self, key: str) -> AbstractContextManager[str]: ...

    def __len__(self) -> int: ...


class Full:
    """An implementation of all of it."""

    size = 3

    def __init__(self, name: str, misuses: list[str]):
        self.name, self.open, self._misuses = name, True, misuses
        self.ended: list[str] = []

    @property
    def label(self) -> str:
        return self._used()

    def _used(self) -> str:
        if not self.open:
            self._misuses.append(self.name)
        return self.name

    async def get(self, key: str, *, default: str = "") -> str:
        await checkpoint()
        if key == "missing":
            raise KeyError(key)
        return self._used() + default

    def peek(self, key: str) -> str:
        return self._used()

    async def stream(self, count: int) -> AsyncGenerator[str, str | None]:
        try:
            for _ in range(count):
                await checkpoint()
                sent = yield self._used()
                if sent:
                    yield sent
        finally:
            await checkpoint()
            self._used()
            self.ended.append("stream")

    async def opened_stream(self, count: int) -> AsyncIterator[str]:
        await checkpoint()
        return self.stream(count)

    def items(self, count: int) -> Generator[str, str | None, str]:
        try:
            for _ in range(count):
                sent = yield self._used()
                if sent:
                    yield sent
        finally:
            self.ended.append("items")
        return "done"

    @asynccontextmanager
    async def lock(self, key: str) -> AsyncIterator[str]:
        try:
            yield self._used()
        finally:
            await checkpoint()
            self._used()
            self.ended.append("lock")

    async def opened_lock(self, key: str) -> AbstractAsyncContextManager[str]:
        return self.lock(key)

    @contextmanager
    def block(self, key: str) -> Iterator[str]:
        try:
            yield self._used()
        finally:
            self.ended.append("block")

    def __len__(self) -> int:
        return len(self._used())


@pytest.fixture
def sides() -> Sides:
    return Sides(Full)


@pytest.fixture
def switch(sides: Sides) -> ImplementationSwitch[Everything]:
    variants = {"off": sides.factory("old"), "on": sides.factory("new")}
    return ImplementationSwitch(Everything, flag="notes", variants=variants, default="off")


async def test_everything_is_passed_on(flags: Client, switch: ImplementationSwitch[Everything]) -> None:
    async with switch.running(flags):
        notes = switch.proxy()

        assert await notes.get("k", default="!") == "old!"
        assert notes.peek("k") == "old"
        assert [name async for name in notes.stream(2)] == ["old", "old"]
        assert [name async for name in await notes.opened_stream(2)] == ["old", "old"]
        assert list(notes.items(2)) == ["old", "old"]
        async with notes.lock("k") as name:
            assert name == "old"
        async with await notes.opened_lock("k") as name:
            assert name == "old"
        with notes.block("k") as name:
            assert name == "old"
        assert (notes.size, notes.label, len(notes)) == (3, "old", 3)
        assert switch.status.variants["off"].calls == 0


async def test_what_an_implementation_raises_comes_out_as_it_is(
    flags: Client, switch: ImplementationSwitch[Everything]
) -> None:
    async with switch.running(flags):
        with pytest.raises(KeyError) as caught:
            await switch.proxy().get("missing")

        assert [frame.name for frame in caught.traceback][-1] == "get"
        assert switch.status.variants["off"].calls == 0


async def test_a_proxy_is_an_object_of_its_interface(flags: Client, switch: ImplementationSwitch[Everything]) -> None:
    async with switch.running(flags):
        assert isinstance(switch.proxy(), Everything)


def test_a_proxy_looks_like_its_interface(switch: ImplementationSwitch[Everything]) -> None:
    notes = switch.proxy()

    assert switch.proxy() is notes
    assert inspect.iscoroutinefunction(notes.get)
    assert inspect.signature(notes.get) == inspect.signature(Full("x", []).get)
    assert notes.get.__doc__ == "Return what is kept."
    assert repr(notes) == "<Everything by switch 'notes'>"


def test_an_attribute_of_a_proxy_cannot_be_set(switch: ImplementationSwitch[Everything]) -> None:
    with pytest.raises(AttributeError):
        switch.proxy().size = 4


async def test_values_can_be_sent_into_iterators(flags: Client, switch: ImplementationSwitch[Everything]) -> None:
    async with switch.running(flags):
        notes = switch.proxy()
        stream, items = notes.stream(2), notes.items(1)

        assert [await anext(stream), await stream.asend("mine"), await anext(stream)] == ["old", "mine", "old"]
        assert [next(items), items.send("mine")] == ["old", "mine"]
        with pytest.raises(StopIteration) as over:
            next(items)
        assert over.value.value == "done"
        await stream.aclose()
        assert switch.status.variants["off"].calls == 0


@pytest.mark.parametrize("kind", ["stream", "opened_stream"])
async def test_an_error_thrown_into_a_stream_ends_it(
    flags: Client, switch: ImplementationSwitch[Everything], kind: str
) -> None:
    async with switch.running(flags):
        stream: Any = getattr(switch.proxy(), kind)(5)
        stream = await stream if kind == "opened_stream" else stream
        await anext(stream)
        with pytest.raises(ValueError, match="mine"):
            await stream.athrow(ValueError("mine"))

        assert [each async for each in stream] == []
        assert switch.status.variants["off"].calls == 0


async def test_a_stream_that_is_closed_before_it_began_runs_nothing(
    flags: Client, switch: ImplementationSwitch[Everything], sides: Sides
) -> None:
    async with switch.running(flags):
        stream = switch.proxy().stream(5)
        await stream.aclose()

        assert [each async for each in stream] == []
        assert sides.opened[0].ended == []
        assert switch.status.variants["off"].calls == 0


async def test_a_stream_that_is_dropped_halfway_is_ended_before_its_implementation_is_closed(
    admin: Admin, flags: Client, switch: ImplementationSwitch[Everything], sides: Sides
) -> None:
    async with switch.running(flags):
        stream, items = switch.proxy().stream(5), switch.proxy().items(5)
        await anext(stream)
        next(items)
        assert switch.status.variants["off"].calls == 2
        del stream, items
        gc.collect()
        await until(lambda: not switch.status.variants["off"].calls)

        assert sorted(sides.opened[0].ended) == ["items", "stream"]
    assert sides.misuses == []


async def test_a_stream_that_was_never_begun_does_not_keep_anything_open(
    flags: Client, switch: ImplementationSwitch[Everything]
) -> None:
    async with switch.running(flags):
        stream, items = switch.proxy().stream(5), switch.proxy().items(5)
        del stream, items
        gc.collect()

        await until(lambda: not switch.status.variants["off"].calls)


async def test_a_stream_whose_reader_is_cancelled_has_ended(
    flags: Client, switch: ImplementationSwitch[Everything], sides: Sides
) -> None:
    async with switch.running(flags):
        with anyio.CancelScope() as scope:
            async for _ in switch.proxy().stream(5):
                scope.cancel()

        assert scope.cancelled_caught
        await until(lambda: not switch.status.variants["off"].calls)


@pytest.mark.parametrize("member", ["lock", "opened_lock", "block", "stream", "opened_stream", "items"])
async def test_what_goes_on_keeps_its_implementation_open(
    admin: Admin, flags: Client, switch: ImplementationSwitch[Everything], sides: Sides, member: str
) -> None:
    await serve(admin, flags, "on")
    async with switch.running(flags):
        await switch.proxy().get("k")
        used: Any = getattr(switch.proxy(), member)("k" if "lock" in member or "block" in member else 3)
        used = await used if member.startswith("opened") else used
        if "stream" in member:
            await anext(used)
        elif member == "items":
            next(used)
        elif member == "block":
            used.__enter__()
        else:
            await used.__aenter__()
        await serve(admin, flags, "off")
        await until(lambda: not switch.status.variants["on"].open)
        for _ in range(50):
            await checkpoint()
        assert "new" in sides.still_open()

        if "stream" in member:
            await used.aclose()
        elif member == "items":
            used.close()
        elif member == "block":
            used.__exit__(None, None, None)
        else:
            await used.__aexit__(None, None, None)
        await until(lambda: sides.still_open() == ["old"])
    assert sides.misuses == []


async def test_the_default_of_an_interface_with_synchronous_members_is_open_at_once_and_stays_open(
    admin: Admin, flags: Client, switch: ImplementationSwitch[Everything], sides: Sides
) -> None:
    async with switch.running(flags):
        assert sides.still_open() == ["old"]
        await serve(admin, flags, "on")
        await until(lambda: sides.still_open() == ["old", "new"])

        assert switch.proxy().peek("k") == "new"
        await serve(admin, flags, "off")
        assert switch.proxy().peek("k") == "old"
        await until(lambda: sides.still_open() == ["old"])


async def test_a_default_that_has_to_be_open_at_once_and_cannot_is_told_on_entering(
    flags: Client, switch: ImplementationSwitch[Everything], sides: Sides
) -> None:
    sides.failing["old"] = OSError("no such directory")

    with pytest.raises(UnopenedError, match="no such directory"):
        async with switch.running(flags):
            raise AssertionError
    del sides.failing["old"]
    async with switch.running(flags):
        assert switch.proxy().peek("k") == "old"


async def test_what_cannot_wait_is_served_by_the_default_until_the_other_is_open_and_so_for_the_whole_scope(
    admin: Admin, flags: Client, switch: ImplementationSwitch[Everything], sides: Sides
) -> None:
    sides.held_up["new"] = anyio.Event()
    async with switch.running(flags):
        await serve(admin, flags, "on")
        with flags.scope(Context(user_id="u")):
            assert switch.proxy().peek("k") == "old"
            sides.held_up["new"].set()
            await until(lambda: switch.status.variants["on"].open)
            assert switch.proxy().peek("k") == "old"
            assert await switch.proxy().get("k") == "old"

        assert switch.proxy().peek("k") == "new"


async def test_threads_call_synchronous_members_while_the_flag_flips(
    admin: Admin, flags: Client, switch: ImplementationSwitch[Everything], sides: Sides
) -> None:
    seen: set[str] = set()
    failures: list[BaseException] = []
    stop = threading.Event()

    def call() -> None:
        try:
            while not stop.is_set():
                names = {switch.proxy().peek("k"), *switch.proxy().items(2)}
                with switch.proxy().block("k") as name:
                    seen.update({*names, name})
        except BaseException as error:  # noqa: BLE001 - told by the test
            failures.append(error)

    async with switch.running(flags):
        threads = [threading.Thread(target=call) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(30):
                await serve(admin, flags, "on")
                await serve(admin, flags, "off")
            await until(lambda: seen == {"old", "new"})
        finally:
            stop.set()
            await anyio.to_thread.run_sync(lambda: [thread.join() for thread in threads])

    assert failures == []
    assert sides.misuses == []
    assert sides.still_open() == []


class Base(ABC):
    """An abstract class with a method of its own, a constructor, and state."""

    def __init__(self, name: str):
        self.name = name

    @abstractmethod
    async def get(self, key: str) -> str: ...

    @abstractmethod
    async def _keep(self, key: str) -> None: ...

    async def get_twice(self, key: str) -> str:
        return await self.get(key) * 2


class Plain(Base):
    async def get(self, key: str) -> str:
        return self.name

    async def _keep(self, key: str) -> None:
        self.name = key


class Quick(Plain):
    async def get_twice(self, key: str) -> str:
        return f"quick {self.name}"


async def test_an_abstract_base_class_is_an_interface_too(admin: Admin, flags: Client) -> None:
    switch = ImplementationSwitch(
        Base, flag="notes", variants={"off": lambda: Plain("old"), "on": lambda: Quick("new")}, default="off"
    )
    async with switch.running(flags):
        notes = switch.proxy()
        assert isinstance(notes, Base)
        assert await notes.get_twice("k") == "oldold"

        await serve(admin, flags, "on")
        assert await notes.get_twice("k") == "quick new"
