"""
A parser for one answer that is big, ten thousand flags in one piece, and for messages, which should be there soon.

The pure Python parser of redis-py 8.1.0 awaits twice for each text of an answer, which costs 3 µs, and yet lets no
other task run while the bytes are there: 250 kB of short texts stop the loop for 50 ms. This one goes through the
bytes in a plain loop, several times as fast, and pauses now and then. With hiredis there is no need of that.

Whoever waits for a message gives up now and then, in the middle of it too. Then redis-py's parsers begin again with
the first byte; this one goes on where it was.

Both kinds say how many bytes have come: of a big answer on a slow link that is the only sign of life (`patience.py`).
"""

import re
from asyncio import StreamReader
from typing import Any

from anyio.lowlevel import checkpoint
from redis._parsers import _AsyncHiredisParser, _AsyncRESPBase
from redis.exceptions import ConnectionError, InvalidResponse  # noqa: A004 - redis-py's name

__all__ = ["BigAnswerParser", "HiredisParser"]

_PIECE = 65_536
"""Bytes that are taken from the stream at once."""

_AT_ONCE = 4000
"""Values between two pauses: 2 ms or so."""

_INTEGER = re.compile(rb"[+-]?[0-9]{1,20}")
_DIGITS = 15
"""
Of a length at most. One that is below zero, as in `$-7`, is none: it would lead back, and the same bytes would be read
for ever.
"""

_CLOSED = "Connection closed by server."


class _Counting:
    """A StreamReader, as far as parsers use one, that counts what is read."""

    def __init__(self, stream: StreamReader) -> None:
        self._stream = stream
        self.received = 0

    @property
    def _buffer(self) -> bytearray:
        return self._stream._buffer  # type: ignore[attr-defined, no-any-return]  # noqa: SLF001 - as redis-py does

    def at_eof(self) -> bool:
        return self._stream.at_eof()

    async def read(self, size: int) -> bytes:
        data = await self._stream.read(size)
        self.received += len(data)
        return data


class _Counted:
    """Lets a parser of redis-py's read from a stream that counts."""

    _stream: Any
    _counting: _Counting | None = None

    def on_connect(self, connection: Any) -> None:
        """Begin to read from a connection."""
        super().on_connect(connection)  # type: ignore[misc]
        self._stream = self._counting = _Counting(self._stream)

    @property
    def received(self) -> int:
        """How many bytes have come."""
        return 0 if self._counting is None else self._counting.received


class HiredisParser(_Counted, _AsyncHiredisParser):
    """That of redis-py for hiredis, with a count of the bytes."""


class BigAnswerParser(_Counted, _AsyncRESPBase):
    """RESP2, as redis-py's own but for the reading. After a read that is cancelled the next one goes on."""

    _answer: "_Answer | None" = None

    def on_connect(self, connection: Any) -> None:
        """Begin to read from a connection."""
        super().on_connect(connection)
        self._answer = None
        self._pieces: list[bytes] = []
        self._lacking = 0

    async def read_response(self, disable_decoding: bool = False) -> Any:  # noqa: ARG002, FBT001, FBT002 - redis-py's
        """Read one answer. An error that the server answered is returned, one of the connection is raised."""
        stream = self._stream
        if not self._connected or stream is None:
            raise ConnectionError(_CLOSED)
        if self._answer is None:
            self._answer = _Answer(self.parse_error)
        answer = self._answer
        while True:
            await self._fill(stream)
            taken = answer.take(self._buffer)
            self._buffer = self._buffer[taken:]
            if answer.whole:
                self._answer = None
                return answer.value
            self._lacking = answer.missing
            if taken:
                await checkpoint()

    async def _fill(self, stream: Any) -> None:
        while self._lacking > 0:
            piece = await stream.read(max(_PIECE, self._lacking))
            if not piece:
                raise ConnectionError(_CLOSED)
            self._pieces.append(piece)
            self._lacking -= len(piece)
        if self._pieces:
            self._buffer += b"".join(self._pieces)
            self._pieces.clear()


class _Answer:
    """One answer, as far as it has come."""

    def __init__(self, parse_error: Any) -> None:
        self._parse_error = parse_error
        self._outermost: list[Any] = []
        self._open = [(self._outermost, 1)]
        self.missing = 0
        """Bytes that have to come before anything else can be taken, at least; 0 if it only paused."""

    @property
    def whole(self) -> bool:
        return not self._open

    @property
    def value(self) -> Any:
        value = self._outermost[0]
        if isinstance(value, ConnectionError):
            raise value
        return value

    def take(self, data: bytes) -> int:
        """Take as many values as there are, a few thousand at most; return how many bytes they had."""
        at = 0
        values, wanted = self._open[-1]
        for _ in range(_AT_ONCE):
            end = data.find(b"\r\n", at)
            if end < 0:
                self.missing = 1
                return at
            kind, head = data[at : at + 1], data[at + 1 : end]
            after = end + 2
            if kind == b"$" and head.isdigit() and len(head) <= _DIGITS:
                stop = after + int(head)
                if stop + 2 > len(data):
                    self.missing = stop + 2 - len(data)
                    return at
                values.append(data[after:stop])  # as `_add` does; a call for each of twenty thousand texts is felt
                if len(values) == wanted:
                    self._close()
                at = stop + 2
            else:
                self._add_short(kind, head)
                at = after
            if not self._open:
                break
            values, wanted = self._open[-1]
        self.missing = 0
        return at

    def _add(self, value: Any) -> None:
        self._open[-1][0].append(value)
        self._close()

    def _close(self) -> None:
        """Go on with the list around those that are full."""
        while self._open and len(self._open[-1][0]) == self._open[-1][1]:
            self._open.pop()

    def _add_list(self, length: int) -> None:
        if length == 0:
            return self._add([])
        values: list[Any] = []
        self._open[-1][0].append(values)
        self._open.append((values, length))
        return None

    def _add_short(self, kind: bytes, head: bytes) -> None:
        match kind:
            case b"+":
                self._add(head)
            case b":" if _INTEGER.fullmatch(head):
                self._add(int(head))
            case b"-":
                self._add(self._parse_error(head.decode(errors="replace")))
            case b"*" if head.isdigit() and len(head) <= _DIGITS:
                self._add_list(int(head))
            case b"*" | b"$" if head == b"-1":
                self._add(None)
            case _:
                raise InvalidResponse(f"Protocol Error: {(kind + head)[:100]!r}")
