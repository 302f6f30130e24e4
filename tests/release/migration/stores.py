"""
The application under test: orders, kept in an SQLite table, or in Redis; two real implementations of `MigrationStore`.

Both keep tombstones beside the rows, and both change a row in one atomic statement.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from weakref import finalize

import msgspec
from redis.asyncio import Redis

from grayflow.release.migration.adapter import Place

__all__ = ["Order", "OrderId", "RedisOrders", "SqliteOrders"]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A row."""

    order_id: str
    store_id: str = "s1"
    seq: int = 1
    """Its version."""
    at: int = 0
    """What lists are ordered by."""
    text: str = ""


class OrderId(msgspec.Struct, frozen=True):
    """What a row is asked for by."""

    order_id: str
    store_id: str = "s1"


_TABLE = """
CREATE TABLE IF NOT EXISTS orders (
    key TEXT PRIMARY KEY, store TEXT, seq INTEGER NOT NULL, at INTEGER, text TEXT, deleted INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS orders_by_at ON orders (at, key) WHERE NOT deleted;
"""
_COLUMNS = "key, store, seq, at, text"
_UPSERT = """
INSERT INTO orders (key, store, seq, at, text, deleted) VALUES (?, ?, ?, ?, ?, 0)
ON CONFLICT (key) DO UPDATE
SET store = excluded.store, seq = excluded.seq, at = excluded.at, text = excluded.text, deleted = 0
WHERE excluded.seq > orders.seq
"""
_DELETE = """
INSERT INTO orders (key, seq, deleted) VALUES (?, ?, 1)
ON CONFLICT (key) DO UPDATE SET seq = excluded.seq, deleted = 1 WHERE excluded.seq >= orders.seq
"""


class SqliteOrders:
    """
    A table. Its calls are short, and made right in the loop: what is tested is how they interleave.

    Args:
        path: The file; several processes may open it.
    """

    def __init__(self, path: Path | str) -> None:
        # Whoever collects garbage closes it: in a worker thread, perhaps.
        self._db = sqlite3.connect(path, isolation_level=None, timeout=30, check_same_thread=False)
        if str(path) != ":memory:":
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_TABLE)
        self._closed = finalize(self, self._db.close)  # with the store: Python 3.13 warns of connections left open

    async def get(self, key: str) -> Order | None:
        return self._one(f"SELECT {_COLUMNS} FROM orders WHERE key = ? AND NOT deleted", key)

    async def exists(self, key: str) -> bool:
        return self._db.execute("SELECT 1 FROM orders WHERE key = ? AND NOT deleted", (key,)).fetchone() is not None

    async def tombstone(self, key: str) -> int | None:
        found = self._db.execute("SELECT seq FROM orders WHERE key = ? AND deleted", (key,)).fetchone()
        return None if found is None else found[0]

    async def list(self, query: Any, after: Place | None, limit: int) -> Sequence[Order]:
        """Orders by time; `query` is the text that they must have."""
        where, values = ["NOT deleted"], []
        if query is not None:
            where.append("text = ?")
            values.append(query)
        if after is not None:
            where.append("(at, key) > (?, ?)")
            values += after
        words = f"SELECT {_COLUMNS} FROM orders WHERE {' AND '.join(where)} ORDER BY at, key LIMIT ?"
        return self._all(words, *values, limit)

    async def insert(self, row: Order, version: int) -> bool:
        return self._changed(f"{_UPSERT} AND orders.deleted", *_values(row, version))

    async def upsert_if_newer(self, row: Order, version: int) -> bool:
        return self._changed(_UPSERT, *_values(row, version))

    async def delete_if_not_newer(self, key: str, version: int) -> bool:
        self._changed(_DELETE, key, version)
        return not await self.exists(key)

    async def scan(self, after: str | None, limit: int) -> Sequence[Order]:
        words = f"SELECT {_COLUMNS} FROM orders WHERE NOT deleted AND key > ? ORDER BY key LIMIT ?"
        return self._all(words, after or "", limit)

    def close(self) -> None:
        self._closed()

    def _changed(self, words: str, *values: object) -> bool:
        return self._db.execute(words, values).rowcount == 1

    def _one(self, words: str, *values: object) -> Order | None:
        return next(iter(self._all(words, *values)), None)

    def _all(self, words: str, *values: object) -> Sequence[Order]:
        return [_order(*found) for found in self._db.execute(words, values)]


def _order(key: str, store: str, seq: int, at: int, text: str) -> Order:
    return Order(order_id=key, store_id=store, seq=seq, at=at, text=text)


def _values(row: Order, version: int) -> tuple[object, ...]:
    return row.order_id, row.store_id, version, row.at, row.text


_REDIS_ORDER = """
-- As texts: a number of Lua has 53 bits, and a version that is an instant in nanoseconds needs more.
local function less(one, other) return #one < #other or (#one == #other and one < other) end
local held = redis.call('HGET', KEYS[1], 'seq')
"""
_REDIS_PUT = f"""{_REDIS_ORDER}
if held and not less(held, ARGV[2]) then return 0 end
if ARGV[5] == 'insert' and held and redis.call('HGET', KEYS[1], 'row') ~= '' then return 0 end
redis.call('HSET', KEYS[1], 'seq', ARGV[2], 'row', ARGV[3])
redis.call('ZADD', KEYS[2], 0, ARGV[1])
redis.call('ZADD', KEYS[3], ARGV[4], ARGV[1])
return 1
"""
_REDIS_DELETE = f"""{_REDIS_ORDER}
if held and less(ARGV[2], held) then return redis.call('HGET', KEYS[1], 'row') == '' and 1 or 0 end
redis.call('HSET', KEYS[1], 'seq', ARGV[2], 'row', '')
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
return 1
"""


class RedisOrders:
    """
    A hash for each order, and two indexes.

    Args:
        client: A connection of the application's own.
        prefix: Of its keys.
    """

    def __init__(self, client: Redis, prefix: str) -> None:
        self._client, self._prefix = client, prefix
        self._put, self._remove = client.register_script(_REDIS_PUT), client.register_script(_REDIS_DELETE)

    async def get(self, key: str) -> Order | None:
        found = await self._client.hget(self._row(key), "row")
        return msgspec.json.decode(found, type=Order) if found else None

    async def exists(self, key: str) -> bool:
        return await self._client.zscore(f"{self._prefix}:keys", key) is not None

    async def tombstone(self, key: str) -> int | None:
        seq, row = await self._client.hmget(self._row(key), "seq", "row")
        return int(seq) if seq is not None and not row else None

    async def list(self, query: Any, after: Place | None, limit: int) -> Sequence[Order]:
        rows = []
        least, offset = ("-inf" if after is None else after[0]), 0
        while len(rows) < limit:
            found = await self._client.zrangebyscore(
                f"{self._prefix}:by-at", least, "+inf", start=offset, num=limit, withscores=True
            )
            offset += len(found)
            for key, at in found:
                if after is None or (int(at), key.decode()) > after:
                    row = await self.get(key.decode())
                    if row is not None and query in {None, row.text}:
                        rows.append(row)
            if len(found) < limit:
                break
        return rows[:limit]

    async def insert(self, row: Order, version: int) -> bool:
        return await self._write(row, version, "insert")

    async def upsert_if_newer(self, row: Order, version: int) -> bool:
        return await self._write(row, version, "upsert")

    async def delete_if_not_newer(self, key: str, version: int) -> bool:
        return bool(await self._remove(keys=self._keys(key), args=[key, version]))

    async def scan(self, after: str | None, limit: int) -> Sequence[Order]:
        least = "-" if after is None else f"({after}"
        found = await self._client.zrangebylex(f"{self._prefix}:keys", least, "+", start=0, num=limit)
        rows = [await self.get(key.decode()) for key in found]
        return [row for row in rows if row is not None]

    async def _write(self, row: Order, version: int, what: str) -> bool:
        data = msgspec.json.encode(row)
        args = [row.order_id, version, data, row.at, what]
        return bool(await self._put(keys=self._keys(row.order_id), args=args))

    def _row(self, key: str) -> str:
        return f"{self._prefix}:row:{key}"

    def _keys(self, key: str) -> Sequence[str]:
        return [self._row(key), f"{self._prefix}:keys", f"{self._prefix}:by-at"]
