"""What must hold of any bytes that a server answers, that lie in the file of last good flags, or that are a token."""

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from redis._parsers import _AsyncRESP2Parser
from redis.exceptions import RedisError

from grayflow.core.position import Position
from grayflow.errors import ConfigurationError
from grayflow.replica.last_good import Unusable, read
from grayflow.store.redis.parser import BigAnswerParser
from tests.hostile.documents import loaded

__all__ = ["answer", "file", "token"]


async def answer(data: bytes) -> bool:
    """Read one answer in two pieces: it ends, as an error of the connection or as what redis-py's own parser reads."""
    ours = await parsed(BigAnswerParser, data)
    if isinstance(ours, RedisError):
        return False
    # Theirs ends a line at any line feed, so on lines that a server never writes the two differ.
    if b"\n" not in data.replace(b"\r\n", b""):
        with suppress(RecursionError):  # theirs, and `repr`, go one call deeper with each list in a list
            theirs = await parsed(_AsyncRESP2Parser, data)
            # Theirs raises an error of loading from inside of a list, too, where a server never answers it.
            assert isinstance(theirs, RedisError) or repr(ours) == repr(theirs)
    return True


async def parsed(kind: Callable[..., Any], data: bytes) -> Any:
    stream = asyncio.StreamReader()
    parser = kind(socket_read_size=65_536)
    parser.on_connect(SimpleNamespace(_reader=stream, encoder=SimpleNamespace(decode=lambda value: value)))
    middle = len(data) // 3
    stream.feed_data(data[:middle])
    stream.feed_data(data[middle:])
    stream.feed_eof()
    try:
        async with asyncio.timeout(20):
            return await parser.read_response()
    except RedisError as error:
        return error


def file(folder: Path) -> Callable[[bytes], Any]:
    """Return a check of the body of a file of last good flags, whose checksum fits."""
    path = folder / "last-good"

    async def check(data: bytes) -> bool:
        checksum = hashlib.blake2b(data, digest_size=32).hexdigest().encode()
        path.write_bytes(b"grayflow last-good 1\n" + checksum + b"\n" + data)
        try:
            kept = read(path, "default")
        except Unusable:
            return False
        await loaded(kept.state)
        return True

    return check


async def token(data: bytes) -> bool:
    """Read a position from what somebody handed on."""
    try:
        found = Position.from_token(data.decode(errors="surrogateescape"))
    except ConfigurationError:
        return False
    assert Position.from_token(found.token()) == found
    return True
