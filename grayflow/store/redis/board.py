"""
The board in Redis: every verb that writes is one call of `board.lua`, every other one question.

So a reader, who may not run scripts, may look at everything and change nothing. What is where stands in `keys.py`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from shlex import quote
from typing import Any

import msgspec

from grayflow.errors import StoreFormatError
from grayflow.store.board import (
    Board,
    Member,
    Record,
    Records,
    check_batch,
    check_name,
    check_page,
    check_text,
    check_texts,
    check_value,
)
from grayflow.store.durability import Durability
from grayflow.store.records import is_over, span_ns
from grayflow.store.redis.keys import Keys, type_of
from grayflow.store.redis.record import read_record
from grayflow.store.redis.script import BOARD
from grayflow.store.redis.session import Command, Session

__all__ = ["RedisBoard"]

_NOW: Command = ("TIME",)


class RedisBoard(Board):
    """
    What running processes share in one namespace of a server.

    Instants are whole microseconds of the server. Counters and sets go away at a whole millisecond, at most one early.

    Args:
        session: Returns the connections of the store that it belongs to, and raises if that is not open here.
        keys: The namespace's.
        place: The store's, for messages.
        durability: How safe writes have to be; `None`: the server's own affair.
    """

    def __init__(
        self, session: Callable[[], Session], keys: Keys, *, place: str, durability: Durability | None = None
    ) -> None:
        self._session = session
        self._keys = keys
        self._place = place
        self._durability = durability

    def durable(self, durability: Durability) -> "RedisBoard":
        """See `Board.durable`: whether the server has such replicas is known when something is written."""
        return RedisBoard(self._session, self._keys, place=self._place, durability=durability)

    async def now(self) -> int:
        """See `Board.now`."""
        return _instant(*await self._ask(_NOW))

    async def get(self, collection: str, name: str) -> Record | None:
        """See `Board.get`."""
        key, field = self._keys.records(check_name(collection)), check_text("record", name).encode()
        raw, time = await self._ask(("HGET", key, field), _NOW)
        record = self._record(raw, key, field) if raw is not None else None
        return None if record is None or is_over(record.expires, _instant(time)) else record

    async def list(self, collection: str) -> Records:
        """See `Board.list`."""
        key = self._keys.records(check_name(collection))
        fields, time = await self._ask(("HGETALL", key), _NOW)
        now, found = _instant(time), dict[str, Record]()
        for field, raw in fields.items():
            record = self._record(raw, key, field)
            if not is_over(record.expires, now):
                found[self._text(field, key)] = record
        return Records(now=now, records=found)

    async def put(
        self,
        collection: str,
        name: str,
        value: bytes,
        *,
        expected: int | None = None,
        fence: int | None = None,
        ttl: float | None = None,
    ) -> Record | None:
        """See `Board.put`."""
        given = check_value(value), _number(expected), _number(fence), "" if ttl is None else _microseconds("ttl", ttl)
        answer = await self._run_on_record("put", collection, name, *given)
        if answer is None:
            return None
        record = self._record(answer[0], self._keys.records(collection), name.encode())
        return msgspec.structs.replace(record, value=value)

    async def delete(
        self, collection: str, name: str, *, expected: int | None = None, fence: int | None = None
    ) -> bool:
        """See `Board.delete`."""
        return await self._run_on_record("delete", collection, name, _number(expected), _number(fence)) is not None

    async def claim(
        self, collection: str, name: str, owner: str, *, span: float, expected: int | None = None
    ) -> Record | None:
        """See `Board.claim`."""
        given = check_text("owner", owner), _microseconds("span", span), _number(expected)
        answer = await self._run_on_record("claim", collection, name, *given)
        return None if answer is None else self._record(answer[0], self._keys.records(collection), name.encode())

    async def renew(self, collection: str, name: str, *, fence: int, span: float) -> bool:
        """See `Board.renew`."""
        given = _number(fence), _microseconds("span", span)
        return await self._run_on_record("renew", collection, name, *given) is not None

    async def release(self, collection: str, name: str, *, fence: int) -> bool:
        """See `Board.release`."""
        return await self._run_on_record("release", collection, name, _number(fence)) is not None

    async def count(self, counter: str, writer: str, sequence: int, amounts: Mapping[str, int], *, ttl: float) -> bool:
        """See `Board.count`."""
        keys = self._keys.counter(check_name(counter)), self._keys.writers(counter)
        batch = [word for pair in check_batch(sequence, amounts).items() for word in pair]
        given = check_text("writer", writer), sequence, _milliseconds("ttl", ttl)
        return await self._run(keys, "count", *given, *batch) is not None

    async def counts(self, counters: Sequence[str]) -> Sequence[Mapping[str, int]]:
        """See `Board.counts`."""
        keys = [self._keys.counter(check_name(counter)) for counter in counters]
        session = self._session()
        if not keys:
            return []
        answers = await session.read(*(("HGETALL", key) for key in keys))
        return [
            {self._text(field, key): self._sum(text, key, field) for field, text in sums.items()}
            for key, sums in zip(keys, answers, strict=True)
        ]

    async def add(self, name: str, members: Collection[str], *, ttl: float | None = None) -> frozenset[str]:
        """See `Board.add`."""
        key, texts = self._keys.members(check_name(name)), check_texts("member", members)
        span = "" if ttl is None else _milliseconds("ttl", ttl)
        self._session()
        if not texts:
            return frozenset()
        new = await self._run([key], "add", span, *texts) or ()
        return frozenset(self._text(text, key) for text in new)

    async def remove(self, name: str, members: Collection[str]) -> None:
        """See `Board.remove`."""
        key, texts = self._keys.members(check_name(name)), check_texts("member", members)
        self._session()
        if texts:
            await self._run([key], "remove", *texts)

    async def members(self, name: str, *, limit: int = 1000, offset: int = 0) -> Sequence[Member]:
        """See `Board.members`."""
        key = self._keys.members(check_name(name))
        check_page(limit, offset)
        (found,) = await self._ask(("ZRANGE", key, offset, offset + limit - 1, "WITHSCORES"))
        # Scores are doubles, which servers also write as 1.7e+15.
        return [
            Member(self._text(text, key), int(float(since)) * 1000)
            for text, since in zip(found[::2], found[1::2], strict=True)
        ]

    async def size(self, name: str) -> int:
        """See `Board.size`."""
        (size,) = await self._ask(("ZCARD", self._keys.members(check_name(name))))
        return int(size)

    async def _ask(self, *commands: Command) -> Sequence[Any]:
        return await self._session().read(*commands)

    async def _run_on_record(
        self, verb: str, collection: str, name: str, *given: str | bytes | int
    ) -> Sequence[bytes] | None:
        keys = [self._keys.records(check_name(collection)), self._keys.expiries(collection)]
        if verb == "claim":
            keys.append(self._keys.fence)
        return await self._run(keys, verb, check_text("record", name), *given)

    async def _run(self, keys: Sequence[str], *arguments: str | bytes | int) -> Sequence[bytes] | None:
        """Return what the verb tells, `None` if it was refused."""
        session = self._session()
        if self._durability is None:
            status, *told = await session.write(BOARD, keys, arguments)
        else:
            status, *told = await session.write_safely(BOARD, keys, arguments, self._durability)
        if status == b"damaged":
            raise self._damaged(told[0].decode(), *told[1:])
        return told if status == b"done" else None

    def _record(self, raw: bytes, key: str, field: bytes) -> Record:
        record = read_record(raw)
        if record is None:
            raise self._damaged(key, field)
        return record

    def _sum(self, text: bytes, key: str, field: bytes) -> int:
        try:
            return int(text)
        except ValueError as error:
            raise self._damaged(key, field) from error

    def _text(self, text: bytes, key: str) -> str:
        try:
            return text.decode()
        except UnicodeDecodeError as error:
            raise self._damaged(key, text) from error

    def _damaged(self, key: str, field: bytes | None = None) -> StoreFormatError:
        words = [key] if field is None else [key, field.decode(errors="backslashreplace")]
        command = {"hash": "HDEL", "zset": "ZREM"}.get(type_of(key), "DEL")
        return StoreFormatError(
            f"{self._place} holds something under {', '.join(map(repr, words))} that grayflow did not leave there. "
            "Nothing was changed",
            remedy=f"If nobody needs it, remove it: redis-cli {command} {' '.join(map(quote, words))}",
        )


def _instant(time: tuple[int, int]) -> int:
    seconds, microseconds = time
    return (seconds * 1_000_000 + microseconds) * 1000


def _number(condition: int | None) -> str:
    return "" if condition is None else f"{condition:d}"


def _microseconds(what: str, span: float) -> int:
    return max(1, span_ns(what, span) // 1000)


def _milliseconds(what: str, span: float) -> int:
    # Redis: a key that ends in 50 ms is there until 51 whole milliseconds of its clock began.
    return -(-span_ns(what, span) // 1_000_000) - 1
