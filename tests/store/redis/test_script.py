"""The script, on a real server: what it computes, what it leaves behind, and what it refuses before it writes."""

from uuid import uuid4

import pytest
import redis.asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grayflow.core.generations import Generation, Marks
from grayflow.core.position import Document
from grayflow.errors import HistoryGoneError, StoreFormatError
from grayflow.store.port import Changed, Edit
from grayflow.store.redis import RedisStore
from grayflow.store.redis.keys import REVISION_LIMIT
from grayflow.store.redis.wire import MESSAGE_LIMIT
from grayflow.testing.contract.kit import edit, put, seen
from tests.servers import RedisServer
from tests.store.redis.conftest import OpenRedis

pytestmark = pytest.mark.anyio

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12) | st.sampled_from("abc")
numbers = st.integers(-5, 5) | st.integers(2**52, 2**63 - 1) | st.integers(0, 10**6)
all_marks = st.builds(
    Marks,
    off=st.lists(names, max_size=3).map(tuple),
    armed=st.lists(names, max_size=3).map(tuple),
    disarmed=st.lists(names, max_size=3).map(tuple),
    passed=st.dictionaries(names, numbers, max_size=3),
)


@given(history=st.lists(all_marks, min_size=1, max_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
async def test_generations_are_those_of_marks_apply(redis_url: str, history: list[Marks]) -> None:
    held: dict[str, Generation] = {}
    async with RedisStore(redis_url, f"t-{uuid4().hex[:12]}") as store:
        await store.init()
        for number, marks in enumerate(history, 1):
            change = await store.commit(edit(document=b"%d" % number, marks=marks), expected=number - 1)

            held = marks.apply(held, number)
            assert change.generations == held
        assert (await store.get("flag", "checkout"))[1] == held


async def test_keys_are_where_the_documentation_says(
    redis_server: RedisServer, open_redis: OpenRedis, namespace: str
) -> None:
    async with open_redis() as store:
        await store.init()
        await put(store, edit("a", b"{}", marks=Marks(off=("on",)), request_id="r1"), edit("s", b"1", kind="segment"))

    def ask(*words: str) -> object:
        return redis_server.ask(words[0], f"{{gf:{namespace}}}:{words[1]}", *words[2:])

    assert ask("HGETALL", "flags") == {b"a": b"1:{}"}
    assert ask("HGETALL", "segments") == {b"s": b"2:1"}
    assert ask("HGETALL", "offs") == {b"a": b"2:on1:21:0"}
    assert ask("HMGET", "meta", "schema", "ready", "rev", "count") == [b"1", b"1", b"2", b"2"]
    assert [entry[0] for entry in ask("XRANGE", "log", "-", "+")] == [b"1-0", b"2-0"]
    assert [entry[0] for entry in ask("XRANGE", "history:flag:a", "-", "+")] == [b"1-0"]
    assert [entry[0] for entry in ask("XRANGE", "history:segment:s", "-", "+")] == [b"2-0"]
    assert 590_000 < ask("PTTL", "idem:r1") <= 600_000


async def test_a_lost_script_is_loaded_again(server: RedisServer) -> None:
    async with RedisStore(server.url) as store:
        await store.init()
        server.ask("SCRIPT", "FLUSH")

        (change,) = await put(store, edit())

        assert change.revision == 1


async def test_revisions_are_exact_below_their_limit(server: RedisServer) -> None:
    near = REVISION_LIMIT - 2
    async with RedisStore(server.url) as store:
        await store.init()
        server.ask("HSET", "{gf:default}:meta", "rev", near)
        assert (await store.init(replaces=[])).revision == near

        change = await store.commit(edit(marks=Marks(off=("on",), armed=("on",))), expected=0)

        assert change.revision == near + 1
        assert change.generations == {"on": Generation(off=2 * near + 2, armed=near + 1)}
        assert (await store.load()).flags == {"checkout": Document(near + 1, b"{}")}
        with pytest.raises(StoreFormatError):
            await store.commit(edit(), expected=near + 1)
        assert (await store.load()).position == change.position


@pytest.mark.parametrize(("size", "carried"), [(MESSAGE_LIMIT - 400, True), (MESSAGE_LIMIT, False)])
async def test_a_message_carries_the_change_up_to_a_limit(open_redis: OpenRedis, size: int, carried: bool) -> None:
    async with open_redis() as store:
        await store.init()
        async with store.follow() as events:
            change = await store.commit(edit("a", b"x" * size), expected=0)

            pushed = await seen(events, store, change.position)

            assert (pushed is not None) is carried


async def test_the_script_writes_the_pinned_message(
    redis_server: RedisServer, open_redis: OpenRedis, namespace: str
) -> None:
    asked = Edit(
        kind="flag",
        key="checkout",
        document=b'{"key":"checkout"}',
        action="switch_off",
        actor="ada",
        reason="Grün",
        at=1_767_225_600_123_456_789,
        request_id="r1",
        marks=Marks(off=("on",)),
    )
    async with open_redis() as store, redis.asyncio.Redis(port=redis_server.port) as client:
        start = await store.init()
        pubsub = client.pubsub()
        await pubsub.subscribe(f"{{gf:{namespace}}}:ch")
        assert (await pubsub.get_message(timeout=5))["type"] == "subscribe"
        change = await store.commit(asked, expected=0)

        message = await pubsub.get_message(timeout=5)

        await pubsub.aclose()
    plain = message["data"].decode()
    for drawn, name in ((start.epoch, "EPOCH"), (start.nonce, "BEFORE"), (change.position.nonce, "NONCE")):
        plain = plain.replace(f"16:{drawn}", name)
    assert plain == (
        "gf15:epochEPOCH3:rev1:15:nonceNONCE4:prevBEFORE4:kind4:flag3:key8:checkout4:live1:1"
        '3:doc18:{"key":"checkout"}4:gens10:2:on1:21:06:action10:switch_off5:actor3:ada6:reason5:Grün'
        "2:at19:17672256001234567897:request2:r1"
    )


async def test_a_pushed_change_is_the_committed_one(open_redis: OpenRedis) -> None:
    async with open_redis() as store:
        await store.init()
        await put(store, edit("a", b"1"))
        async with store.follow() as events:
            change = await store.commit(edit("a", b"2", marks=Marks(armed=("on",))), expected=1)

            event = await anext(events)

            assert isinstance(event, Changed)
            assert event.change.before is None
            assert change.before == Document(1, b"1")
            assert (event.change.position, event.change.generations) == (change.position, change.generations)


async def test_a_document_put_there_by_hand_can_be_edited_away(
    redis_server: RedisServer, open_redis: OpenRedis, namespace: str
) -> None:
    async with open_redis() as store:
        await store.init()
        redis_server.ask("HSET", f"{{gf:{namespace}}}:flags", "a", '{"key":"a"}')
        redis_server.ask("HINCRBY", f"{{gf:{namespace}}}:meta", "count", 1)
        assert (await store.load()).flags == {"a": Document(0, b'{"key":"a"}')}

        change = await store.commit(edit("a", b"{}"), expected=0)
        await store.commit(edit("a", None), expected=change.revision)

        assert (await store.load()).flags == {}


async def test_the_log_keeps_its_limit_and_each_flag_its_own(open_redis: OpenRedis) -> None:
    async with open_redis(history_limit=50, versions_per_flag=5) as store:
        start = await store.init()
        await put(store, edit("rare", b"1"), edit("rare", b"2"))
        for number in range(400):
            await store.commit(edit("busy", b"%d" % number), expected=0 if not number else number + 2)

        oldest = await store.oldest()

        assert 50 <= 402 - oldest + 1 < 200
        assert [change.revision for change in await store.history("rare")] == [2, 1]
        assert [change.revision for change in await store.history("busy")] == [402, 401, 400, 399, 398]
        assert [change.revision for change in await store.history(limit=1000)] == list(range(402, oldest - 1, -1))
        assert await store.changes(start) is None
        with pytest.raises(HistoryGoneError, match=rf"^revision 12 is older than the oldest kept \({oldest}\)$"):
            await store.at(12)
        assert (await store.at(oldest - 1)).flags["rare"] == Document(2, b"2")


async def test_many_changes_are_read_in_pages(open_redis: OpenRedis) -> None:
    async with open_redis() as store:
        start = await store.init()
        for number in range(350):
            await store.commit(edit("a", b"%d" % number), expected=number)

        found = await store.changes(start)

        assert found is not None
        assert [change.revision for change in found] == list(range(1, 351))
        assert [change.revision for change in await store.history(limit=1000)] == list(range(350, 0, -1))
        assert [change.revision for change in await store.history("a", limit=1000)] == list(range(350, 250, -1))
        assert (await store.at(7)).flags == {"a": Document(7, b"6")}


async def test_a_request_whose_entry_was_dropped_is_not_done_again(open_redis: OpenRedis) -> None:
    async with open_redis(history_limit=1, versions_per_flag=1) as store:
        await store.init()
        asked = edit("a", b"1")
        await store.commit(asked, expected=0)
        for number in range(300):
            await store.commit(edit("a", b"x%d" % number), expected=number + 1)

        with pytest.raises(HistoryGoneError) as caught:
            await store.commit(asked, expected=0)

        assert caught.value.revision == 1
        assert (await store.position()).revision == 301


async def test_a_repetition_is_answered_from_the_flags_own_history(open_redis: OpenRedis) -> None:
    async with open_redis(history_limit=1) as store:
        await store.init()
        asked = edit("a", b"1")
        first = await store.commit(asked, expected=0)
        for number in range(300):
            await store.commit(edit("b", b"x%d" % number), expected=number + 1 if number else 0)

        assert await store.oldest() > 1
        assert await store.commit(asked, expected=0) == first
