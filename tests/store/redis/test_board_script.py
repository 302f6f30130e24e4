"""The board's script, on a real server: where it keeps what, what it clears away, and what it refuses to touch."""

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from grayflow.clock import SystemClock
from grayflow.errors import StoreFormatError, StoreUnavailableError
from grayflow.store.board import Lease, Member, Record
from grayflow.store.redis import RedisStore
from grayflow.testing.contract.board.kit import LONG, held, passed
from grayflow.testing.contract.board.limits import NAMED
from tests.servers import RedisServer
from tests.store.redis.conftest import OpenRedis

pytestmark = pytest.mark.anyio

Ask = Callable[..., Any]

sleep = SystemClock().sleep


@pytest.fixture
def ask(redis_server: RedisServer, namespace: str) -> Ask:
    """Run a command on a key of the test's namespace, given without its beginning."""
    return lambda verb, key, *words: redis_server.ask(verb, f"{{gf:{namespace}}}:run:{key}", *words)


async def test_keys_are_where_the_documentation_says(open_redis: OpenRedis, ask: Ask) -> None:
    async with open_redis() as store:
        board = store.board
        lease = await held(board, "a", "ada")
        record = await board.put("jobs", "a", b"\x00value", ttl=LONG)
        await board.put("jobs", "b", b"stays")
        await board.count("hits", "w", 7, {"on": 3}, ttl=LONG)
        await board.add("dirty", ["m"], ttl=LONG)
        after = await board.now()
        (member,) = await board.members("dirty")

    assert record is not None
    assert record.expires is not None
    expires = record.expires // 1000
    assert ask("HGETALL", "records:jobs") == {
        b"a": b"1:%d:%d:%d:3:ada\x00value" % (expires, lease.fence, lease.until // 1000),
        b"b": b"1::::0:stays",
    }
    assert ask("ZRANGE", "expiries:jobs", 0, -1, "WITHSCORES") == [b"a", b"%d" % expires]
    assert ask("GET", "fence") == b"%d" % lease.fence
    assert ask("HGETALL", "counter:hits") == {b"on": b"3"}
    assert ask("HGETALL", "writers:hits") == {b"w": b"7"}
    assert ask("ZRANGE", "set:dirty", 0, -1, "WITHSCORES") == [b"m", b"%d" % (member.since // 1000)]
    for key in ("counter:hits", "writers:hits", "set:dirty"):
        # Redis ends a key when the millisecond that it names is over.
        assert 590_000 < ask("PEXPIRETIME", key) + 1 - after // 1_000_000 <= 600_000
    assert ask("PTTL", "records:jobs") == -1


async def test_a_pinned_record_is_read(open_redis: OpenRedis, ask: Ask) -> None:
    """Contract: other releases write this, and expect to find it."""
    ask("HSET", "records:jobs", "a", b"3:8000000000000000:1763700000000001:1763700000000002:6:\xe7\x81\xb0:b\x00:c:5")
    ask("HSET", "records:jobs", "b", b"0::::0:")
    ask("ZADD", "set:dirty", "1.7e15", "m")
    async with open_redis() as store:
        found = await store.board.list("jobs")
        members = await store.board.members("dirty")
        renewed = await store.board.renew("jobs", "a", fence=1763700000000001, span=LONG)

    assert found.records == {
        "a": Record(
            value=b":c:5",
            version=3,
            lease=Lease(owner="\u7070:b\x00", fence=1763700000000001, until=1763700000000002000),
            expires=8000000000000000000,
        ),
        "b": Record(value=b"", version=0),
    }
    assert members == [Member("m", 1_700_000_000_000_000_000)]
    assert renewed
    head, rest = ask("HGET", "records:jobs", "a").split(b":6:")
    assert rest == b"\xe7\x81\xb0:b\x00:c:5"
    assert re.fullmatch(rb"3:8000000000000000:1763700000000001:\d{16}", head)


async def test_a_lost_script_is_loaded_again(server: RedisServer) -> None:
    async with RedisStore(server.url) as store:
        await store.board.put("jobs", "a", b"1")
        server.ask("SCRIPT", "FLUSH")

        assert await store.board.put("jobs", "a", b"2") == Record(value=b"2", version=2)


async def test_a_board_needs_no_namespace(open_redis: OpenRedis, redis_server: RedisServer, namespace: str) -> None:
    async with open_redis() as store:
        await store.board.put("jobs", "a", b"1")
        await held(store.board, "b")

        assert redis_server.ask("EXISTS", f"{{gf:{namespace}}}:meta") == 0
        assert (await store.init()).revision == 0


async def test_what_is_over_is_cleared_away_in_passing_a_few_at_a_time(open_redis: OpenRedis, ask: Ask) -> None:
    async with open_redis() as store:
        board = store.board
        for number in range(25):
            await board.put("jobs", f"{number}", b"1", ttl=0.2)
        last = await board.put("jobs", "24", b"1", ttl=0.2)
        assert last is not None
        assert last.expires is not None
        await passed(board, last.expires, sleep)
        left = [ask("HLEN", "records:jobs")]  # on a slow machine some are gone already
        for _ in range(3):
            await board.put("jobs", "stays", b"1")
            left.append(ask("HLEN", "records:jobs"))

        assert left[-1] == 1
        assert all(before - after <= 10 for before, after in pairwise(left))
        assert ask("EXISTS", "expiries:jobs") == 0


async def test_a_record_that_is_made_anew_is_not_cleared_away_with_the_old_one(open_redis: OpenRedis, ask: Ask) -> None:
    async with open_redis() as store:
        board = store.board
        for name in ("claimed", "put", "longer"):
            record = await board.put("jobs", name, b"1", ttl=0.05)
        assert record is not None
        assert record.expires is not None
        await passed(board, record.expires, sleep)
        await board.claim("jobs", "claimed", "ada", span=LONG)
        await board.put("jobs", "put", b"2")
        await board.put("jobs", "longer", b"2", ttl=LONG)
        for _ in range(5):
            await board.delete("jobs", "none")

        assert set((await board.list("jobs")).records) == {"claimed", "put", "longer"}
        assert ask("ZRANGE", "expiries:jobs", 0, -1) == [b"longer"]


async def test_a_record_that_stays_now_is_not_cleared_away_at_its_former_end(open_redis: OpenRedis) -> None:
    async with open_redis() as store:
        board = store.board
        ending = await board.put("jobs", "a", b"1", ttl=0.2)
        assert ending is not None
        assert ending.expires is not None
        stays = await board.put("jobs", "a", b"2")
        await passed(board, ending.expires, sleep)
        await board.put("jobs", "b", b"1")

        assert await board.get("jobs", "a") == stays


async def test_sets_may_be_filled_and_emptied_by_the_ten_thousand(open_redis: OpenRedis) -> None:
    members = [f"{number}" for number in range(10_000)]
    async with open_redis() as store:
        assert await store.board.add("dirty", members) == frozenset(members)
        await store.board.remove("dirty", members[1:])

        assert [member.text for member in await store.board.members("dirty")] == ["0"]


async def test_deleted_and_released_records_leave_nothing(open_redis: OpenRedis, ask: Ask) -> None:
    async with open_redis() as store:
        await store.board.put("jobs", "a", b"1", ttl=LONG)
        await store.board.delete("jobs", "a")
        await store.board.release("jobs", "b", fence=(await held(store.board, "b")).fence)
        await store.board.add("dirty", ["m"])
        await store.board.remove("dirty", ["m"])

    assert ask("EXISTS", "records:jobs") == ask("EXISTS", "expiries:jobs") == ask("EXISTS", "set:dirty") == 0


async def test_fences_grow_when_the_data_was_lost(server: RedisServer) -> None:
    async with RedisStore(server.url) as store:
        before = [(await held(store.board, f"{number}")).fence for number in range(20)]
        server.restart(keep_data=False)

        after = await held(store.board, "a")

        assert after.fence > max(before)
        assert await store.board.put("jobs", "a", b"late", fence=max(before)) is None


@pytest.mark.parametrize("lost", ["fence", "records:jobs"])
async def test_fences_grow_when_the_time_went_back(open_redis: OpenRedis, ask: Ask, lost: str) -> None:
    """As if they were of tomorrow: of the two places that know the last fence, either is enough."""
    tomorrow = 10**6 * 86_400 + 1_800_000_000_000_000
    async with open_redis() as store:
        await held(store.board)
        ask("SET", "fence", tomorrow)
        ask("HSET", "records:jobs", "a", f"0::{tomorrow}:1:3:ben")
        ask("DEL", lost)

        assert (await held(store.board)).fence == tomorrow + 1
        assert (await held(store.board, "b")).fence == tomorrow + 2


FOREIGN = {
    "records": ("records:jobs", ["get", "list", "put", "delete", "claim", "renew", "release"]),
    "expiries": ("expiries:jobs", ["put", "delete", "claim", "renew", "release"]),
    "fence": ("fence", ["claim"]),
    "counter": ("counter:jobs", ["count", "counts"]),
    "writers": ("writers:jobs", ["count"]),
    "set": ("set:jobs", ["add", "remove", "members", "size"]),
}


@pytest.mark.parametrize(("key", "verb"), [(key, verb) for key, verbs in FOREIGN.values() for verb in verbs])
async def test_what_is_somebody_elses_is_told_and_left_alone(
    open_redis: OpenRedis, ask: Ask, key: str, verb: str
) -> None:
    ask("RPUSH", key, "mine")
    async with open_redis() as store:
        with pytest.raises(StoreFormatError, match=rf"holds a list under '.*:run:{key}'.*Nothing was changed"):
            await NAMED[verb](store.board, "jobs")

    assert ask("LRANGE", key, 0, -1) == [b"mine"]
    assert ask("PTTL", key) == -1


async def test_a_batch_of_nothing_leaves_a_foreign_counter_alone(open_redis: OpenRedis, ask: Ask) -> None:
    ask("SET", "counter:hits", "mine")
    async with open_redis() as store:
        with pytest.raises(StoreFormatError):
            await store.board.count("hits", "w", 1, {}, ttl=LONG)

    assert ask("PTTL", "counter:hits") == -1
    assert ask("EXISTS", "writers:hits") == 0


NO_RECORDS = [
    b"",
    b"mine",
    b"1",
    b"1:::::",
    b"1::::1:",
    b"1::5::0:",
    b"1:::5:0:",
    b"-1::::0:x",
    b"1:1:1:1:9:short",
    b" 1::::0:x",
    b"9" * 5000 + b"::::0:x",
    b"1:" + b"9" * 17 + b":::0:x",
    b"1::::" + b"0" * 17 + b":x",
]


@pytest.mark.parametrize("raw", NO_RECORDS)
@pytest.mark.parametrize("verb", ["get", "list", "put", "delete", "claim", "renew", "release"])
async def test_what_is_no_record_is_told_and_left_alone(open_redis: OpenRedis, ask: Ask, verb: str, raw: bytes) -> None:
    ask("HSET", "records:jobs", "a", raw)
    async with open_redis() as store:
        with pytest.raises(StoreFormatError, match="'a' that grayflow did not leave there") as caught:
            await NAMED[verb](store.board, "jobs")

        assert ask("HGETALL", "records:jobs") == {b"a": raw}
        assert re.search(r"redis-cli HDEL '\{gf:.*\}:run:records:jobs' a$", caught.value.remedy)
        assert await store.board.put("jobs", "b", b"1") is not None


async def test_names_that_are_no_text_are_told(open_redis: OpenRedis, ask: Ask) -> None:
    ask("HSET", "records:jobs", b"\xff", "1::::0:")
    ask("HSET", "records:owned", "a", b"1::1:1:1:\xff")
    ask("HSET", "counter:hits", b"\xff", "1")
    ask("ZADD", "set:dirty", "1", b"\xff")
    async with open_redis() as store:
        for asked in (
            store.board.list("jobs"),
            store.board.list("owned"),
            store.board.counts(["hits"]),
            store.board.members("dirty"),
        ):
            with pytest.raises(StoreFormatError):
                await asked


@pytest.mark.parametrize("fence", ["", "mine", "-1", "9007199254740992", "1.5", "1e3"])
async def test_a_fence_that_cannot_be_read_is_told(open_redis: OpenRedis, ask: Ask, fence: str) -> None:
    ask("SET", "fence", fence)
    async with open_redis() as store:
        with pytest.raises(StoreFormatError) as caught:
            await held(store.board)

        assert await store.board.get("jobs", "a") is None
    assert re.search(r"redis-cli DEL '\{gf:.*\}:run:fence'$", caught.value.remedy)


@pytest.mark.parametrize("number", ["mine", "1.5", "9300000000000000000"])
async def test_a_counter_that_cannot_be_read_is_told_and_left_alone(
    open_redis: OpenRedis, ask: Ask, number: str
) -> None:
    ask("HSET", "counter:hits", "off", "1", "on", number)
    async with open_redis() as store:
        with pytest.raises(StoreFormatError, match="'on' that"):
            await store.board.count("hits", "w", 1, {"off": 1, "on": 1}, ttl=LONG)

        assert ask("HGETALL", "counter:hits") == {b"off": b"1", b"on": number.encode()}
        ask("HSET", "counter:hits", "on", "1")
        assert await store.board.count("hits", "w", 1, {"off": 1, "on": 1}, ttl=LONG)
        ask("HSET", "writers:hits", "w", "mine")
        with pytest.raises(StoreFormatError, match="'w' that"):
            await store.board.count("hits", "w", 2, {}, ttl=LONG)


@pytest.mark.parametrize("sign", [1, -1])
async def test_a_sum_that_would_leave_64_bits_is_refused_whole(open_redis: OpenRedis, ask: Ask, sign: int) -> None:
    most = sign * 2**53
    ask("HSET", "counter:hits", "on", sign * (2**63 - 2**54))
    async with open_redis() as store:

        async def fill() -> None:
            for number in range(1, 4):
                await store.board.count("hits", "w", number, {"off": 1, "on": most}, ttl=LONG)

        with pytest.raises(StoreFormatError):
            await fill()

        (sums,) = await store.board.counts(["hits"])
        assert abs(sums["on"]) < 2**63
        assert (sums["on"] - sign * (2**63 - 2**54)) // most == sums.get("off", 0)


async def test_a_large_value_is_not_sent_back_to_who_wrote_it(server: RedisServer) -> None:
    async with RedisStore(server.url) as store:
        await store.board.put("jobs", "a", b"x")
        before = sent(server)
        for number in range(10):
            await store.board.put("jobs", "a", b"%d" % number * 500_000)

        assert sent(server) - before < 100_000


def sent(server: RedisServer) -> int:
    return server.connect().info("stats")["total_net_output_bytes"]


async def test_a_full_server_says_so_and_can_be_asked(server: RedisServer) -> None:
    async with RedisStore(server.url) as store:
        board = store.board
        record = await board.put("jobs", "a", b"1")
        lease = await held(board, "b")
        await board.count("hits", "w", 1, {"on": 1}, ttl=LONG)
        await board.add("dirty", ["m"])
        server.ask("CONFIG", "SET", "maxmemory", 1)
        before = dump(server)

        for verb in (
            lambda: board.put("jobs", "a", b"2"),
            lambda: board.claim("jobs", "a", "ada", span=1),
            lambda: board.count("hits", "w", 2, {"on": 1}, ttl=1),
            lambda: board.add("dirty", ["n"]),
        ):
            with pytest.raises(StoreUnavailableError, match="out of memory"):
                await verb()
        assert dump(server) == before
        assert await board.get("jobs", "a") == record
        assert set((await board.list("jobs")).records) == {"a", "b"}
        assert list(await board.counts(["hits"])) == [{"on": 1}]
        assert [member.text for member in await board.members("dirty")] == ["m"]
        assert await board.release("jobs", "b", fence=lease.fence)
        assert await board.delete("jobs", "a")


def dump(server: RedisServer) -> dict[bytes, bytes]:
    return {key: server.ask("DUMP", key) for key in server.ask("KEYS", "*")}
