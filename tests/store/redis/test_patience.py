"""A big answer may take its time on a slow link, and a dead server is found all the same."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import NoReturn

import anyio
import pytest
from anyio.lowlevel import checkpoint

from grayflow.clock import SystemClock
from grayflow.errors import StoreUnavailableError
from grayflow.store.redis import RedisStore
from grayflow.store.redis import patience as module
from grayflow.store.redis.patience import patiently
from grayflow.testing import FakeClock
from grayflow.testing.contract.kit import edit, put
from tests.servers import RedisServer

pytestmark = pytest.mark.anyio

clock = SystemClock()


class Growing:
    """Bytes keep coming."""

    def __init__(self) -> None:
        self._received = 0

    def __call__(self) -> int:
        self._received += 1
        return self._received


@asynccontextmanager
async def throttled(port: int, *, bytes_per_s: int) -> AsyncIterator[int]:
    """Forward connections to `port`, answers at this pace; yield the port to use instead."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pace: int | None) -> None:
        with suppress(OSError):
            while data := await reader.read(2**16 if pace is None else pace // 50):
                writer.write(data)
                await writer.drain()
                if pace is not None:
                    await clock.sleep(0.02)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
        writers.extend((writer, there_writer))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pump, reader, there_writer, None)
            tasks.start_soon(pump, there_reader, writer, bytes_per_s)

    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def test_a_load_that_takes_longer_than_the_time_out_is_not_cut(server: RedisServer) -> None:
    async with RedisStore(server.url) as store:
        await store.init()
        await put(store, *(edit(f"f{number}", b"x" * 100_000) for number in range(5)))
        whole = await store.load()

    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(throttled(server.port, bytes_per_s=500_000))
        store = await stack.enter_async_context(RedisStore(f"redis://127.0.0.1:{port}/0?timeout=0.2"))
        began = clock.monotonic()

        assert await store.load() == whole
        assert clock.monotonic() - began > 0.6  # or it was never slow, and nothing is proved


@pytest.mark.parametrize("verb", ["changes", "history"])
async def test_changes_that_take_longer_than_the_time_out_are_not_cut(server: RedisServer, verb: str) -> None:
    async with RedisStore(server.url) as store:
        start = await store.init()
        made = await put(store, *(edit("f", b"%d" % number + b"x" * 100_000) for number in range(3)))

    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(throttled(server.port, bytes_per_s=500_000))
        store = await stack.enter_async_context(RedisStore(f"redis://127.0.0.1:{port}/0?timeout=0.2"))
        began = clock.monotonic()

        found = await store.changes(start) if verb == "changes" else await store.history()

        assert {change.position for change in found or ()} == {change.position for change in made}
        assert clock.monotonic() - began > 0.6


async def test_a_load_from_a_server_that_freezes_is_given_up(server: RedisServer) -> None:
    async with RedisStore(server.url + "?timeout=0.2&connect_timeout=0.2") as store:
        await store.init()
        server.freeze()

        with anyio.fail_after(5), pytest.raises(StoreUnavailableError, match="did not answer in time"):
            await store.load()
        server.thaw()

        assert (await store.load()).position.revision == 0


async def test_one_lost_question_does_not_end_a_load() -> None:
    answers = [True, False, False, True, False, False, True]
    done = anyio.Event()

    async def probe() -> None:
        good = answers.pop(0)
        if not answers:
            done.set()
        if not good:
            raise ConnectionError

    async def answer() -> str:
        await done.wait()
        return "whole"

    assert await patiently(answer, probe, Growing(), every_s=0.001, clock=clock) == "whole"


async def test_the_third_unanswered_question_in_a_row_ends_it() -> None:
    asked = 0

    async def probe() -> NoReturn:
        nonlocal asked
        asked += 1
        raise ConnectionError(f"number {asked}")

    with anyio.fail_after(5), pytest.raises(ConnectionError, match="number 3"):
        await patiently(anyio.sleep_forever, probe, Growing(), every_s=0.001, clock=clock)


async def test_an_answer_of_which_no_more_comes_is_given_up_although_the_server_lives() -> None:
    with anyio.fail_after(5), pytest.raises(TimeoutError):
        await patiently(anyio.sleep_forever, checkpoint, lambda: 17, every_s=0.001, clock=clock)


async def test_an_answer_that_comes_by_and_by_is_waited_for() -> None:
    received, done = 0, anyio.Event()

    async def probe() -> None:
        nonlocal received
        received += asked.pop() > 0
        if not asked:
            done.set()

    async def answer() -> str:
        await done.wait()
        return "whole"

    asked = [1, 0, 0, 1, 0, 0, 1]

    assert await patiently(answer, probe, lambda: received, every_s=0.001, clock=clock) == "whole"


async def test_an_error_of_the_answer_is_raised_as_it_is() -> None:
    error = ValueError("mine")

    async def answer() -> NoReturn:
        raise error

    with pytest.raises(ValueError, match="mine") as caught:
        await patiently(answer, anyio.sleep_forever, Growing(), every_s=1, clock=FakeClock())
    assert caught.value is error


async def test_patience_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMIT_S", 0.01)

    with pytest.raises(TimeoutError):
        await patiently(anyio.sleep_forever, anyio.sleep_forever, Growing(), every_s=1, clock=FakeClock())


async def test_giving_up_the_wait_is_harmless() -> None:
    with anyio.move_on_after(0.01) as scope:
        await patiently(anyio.sleep_forever, anyio.sleep_forever, Growing(), every_s=1, clock=clock)

    assert scope.cancelled_caught
