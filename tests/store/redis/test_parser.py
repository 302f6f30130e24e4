"""The parser of big answers reads what redis-py's own reads, in whatever pieces it comes."""

import asyncio
from itertools import accumulate, pairwise
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis._parsers import _AsyncRESP2Parser
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, NoPermissionError, ResponseError

from grayflow.store.redis.parser import BigAnswerParser

pytestmark = pytest.mark.anyio

values = st.recursive(
    st.binary(max_size=30) | st.integers(-(2**63), 2**63 - 1) | st.none(), lambda inner: st.lists(inner, max_size=5)
)


def encoded(value: Any) -> bytes:
    match value:
        case None:
            return b"$-1\r\n"
        case int():
            return b":%d\r\n" % value
        case bytes():
            return b"$%d\r\n%b\r\n" % (len(value), value)
        case _:
            return b"*%d\r\n%b" % (len(value), b"".join(map(encoded, value)))


async def parsed(kind: type, data: bytes, sizes: list[int], answers: int = 1, *, close: bool = False) -> list[Any]:
    """Feed `data` in pieces of these sizes, the rest at once, and read so many answers."""
    stream = asyncio.StreamReader()
    parser = kind(socket_read_size=65_536)
    parser.on_connect(SimpleNamespace(_reader=stream, encoder=SimpleNamespace(decode=lambda value: value)))

    async def feed() -> None:
        at = 0
        for size in sizes:
            stream.feed_data(data[at : at + size])
            at += size
            await anyio.lowlevel.checkpoint()
        stream.feed_data(data[at:])
        if close:
            stream.feed_eof()

    found = []
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        tasks.create_task(feed())
        for _ in range(answers):
            found.append(await parser.read_response())  # noqa: PERF401 - one after the other
    assert not await parser.can_read()
    return found


@given(answers=st.lists(values, min_size=1, max_size=3), sizes=st.lists(st.integers(0, 40)))
async def test_any_answer_in_any_pieces_is_read_as_redis_py_reads_it(answers: list[Any], sizes: list[int]) -> None:
    data = b"".join(map(encoded, answers))

    assert await parsed(BigAnswerParser, data, sizes, len(answers)) == answers
    assert await parsed(_AsyncRESP2Parser, data, [], len(answers)) == answers


async def interrupted(data: bytes, sizes: list[int], answers: int) -> list[Any]:
    """Feed `data` in pieces; a read that has not ended with a piece is cancelled, and another begins with the next."""
    stream = asyncio.StreamReader()
    parser = BigAnswerParser(socket_read_size=65_536)
    parser.on_connect(SimpleNamespace(_reader=stream, encoder=None))
    found: list[Any] = []
    ends = [*accumulate(sizes), len(data)]
    for start, end in pairwise([0, *ends]):
        stream.feed_data(data[start:end])
        while len(found) < answers:
            reading = asyncio.ensure_future(parser.read_response())  # noqa: TID251 - ended below
            await asyncio.wait([reading], timeout=0)
            for _ in range(3):
                await anyio.lowlevel.checkpoint()
            reading.cancel()
            await asyncio.wait([reading])
            if reading.cancelled():
                break
            found.append(reading.result())
    return found


@given(answers=st.lists(values, min_size=1, max_size=3), sizes=st.lists(st.integers(0, 40)))
async def test_reads_that_are_cancelled_anywhere_lose_nothing(answers: list[Any], sizes: list[int]) -> None:
    data = b"".join(map(encoded, answers))

    assert await interrupted(data, sizes, len(answers)) == answers


async def test_a_long_text_is_not_lost_with_the_read_that_got_half_of_it() -> None:
    answer = [b"x" * 300_000, b"y"]

    assert await interrupted(encoded(answer), [10, 70_000, 1, 100_000], 1) == [answer]


async def test_texts_of_any_length_are_read() -> None:
    answer = [b"x" * size for size in (0, 1, 65_535, 65_536, 65_537, 300_000, 1_048_576)]

    assert await parsed(BigAnswerParser, encoded(answer), [10, 70_000, 1]) == [answer]


async def test_simple_texts_and_empty_lists_are_read() -> None:
    assert await parsed(BigAnswerParser, b"+OK\r\n*0\r\n*-1\r\n*1\r\n*0\r\n", [], 4) == [b"OK", [], None, [[]]]


async def test_an_error_inside_of_an_answer_is_a_value() -> None:
    (answer,) = await parsed(BigAnswerParser, b"*2\r\n-NOPERM no\r\n:1\r\n", [])

    assert isinstance(answer[0], NoPermissionError)
    assert answer[1] == 1


async def test_an_error_is_returned_and_one_of_the_connection_raised() -> None:
    (answer,) = await parsed(BigAnswerParser, b"-ERR no\r\n", [])
    assert isinstance(answer, ResponseError)

    with pytest.raises(ExceptionGroup) as caught:
        await parsed(BigAnswerParser, b"-LOADING wait\r\n", [])
    assert caught.group_contains(RedisConnectionError)


@pytest.mark.parametrize("data", [b"", b"*2\r\n:1\r\n", b"$10\r\nabc", b"$100000\r\nabc", b"$3"])
async def test_an_answer_that_ends_half_way_is_a_lost_connection(data: bytes) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await parsed(BigAnswerParser, data, [], close=True)

    assert caught.group_contains(RedisConnectionError)


async def test_something_that_is_no_answer_is_refused() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await parsed(BigAnswerParser, b"HTTP/1.1 400\r\n", [])

    assert caught.group_contains(InvalidResponse)


async def test_other_tasks_run_while_a_big_answer_is_read() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await anyio.lowlevel.checkpoint()
            ticks += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tick)
        await parsed(BigAnswerParser, encoded([b"x"] * 100_000), [])
        tasks.cancel_scope.cancel()

    assert ticks > 20
