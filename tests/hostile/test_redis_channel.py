"""
What somebody with all rights can do to clients by publishing: make them look at the store, now and then. Nothing else.

And who may not write flags cannot publish at all.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from time import perf_counter, thread_time

import anyio
import pytest
import redis.asyncio
from redis.exceptions import NoPermissionError, ResponseError

from grayflow import Admin, Client
from grayflow.clock import SystemClock
from grayflow.store.redis import RedisStore
from grayflow.store.redis.acl import Role, acl_rules
from grayflow.store.redis.wire import MESSAGE_LIMIT, pack
from tests.hostile.campaign import TARGETS, run
from tests.hostile.corpus import next_message, served
from tests.hostile.published import Counting, fill
from tests.hostile.test_campaign import SHARE
from tests.replica.kit import until
from tests.servers import RedisServer

pytestmark = pytest.mark.anyio

TAG = "{gf:prod}"
CHANNEL = f"{TAG}:ch"
ROLES: tuple[Role, ...] = ("reader", "worker", "writer")
KEY = next(iter(served().flags))
WRONG = served().flags[KEY].data.replace(b'"key"', b'"archived":true,"key"')
"""A document that would change every decision of its flag."""


@pytest.fixture(scope="module")
def module_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
async def guarded(module_server: RedisServer) -> RedisServer:
    """Return a server that holds what is `served`, with the three users of its namespace."""
    module_server.ask("FLUSHALL")
    for role in ROLES:
        module_server.ask("ACL", "SETUSER", f"gf-{role}", *acl_rules(role, "prod", "pw"))
    async with RedisStore(module_server.url, "prod") as store, everything(module_server) as client:
        await store.init()
        await fill(client, "prod", served())
    return module_server


def everything(server: RedisServer) -> "redis.asyncio.Redis":
    return redis.asyncio.Redis(port=server.port, protocol=2)


@asynccontextmanager
async def reading(server: RedisServer, role: Role = "reader") -> AsyncIterator[tuple[Client, Counting]]:
    """Run a client with that role's rights, which polls once a minute; wait until it has nothing more to ask."""
    store = Counting(RedisStore(f"redis://gf-{role}:pw@127.0.0.1:{server.port}/0", "prod"))
    async with Client(store, ttl=60, max_staleness=300) as flags:
        await until(lambda: flags.health.link == "up" and flags._replica.sync._waiting is None)
        yield flags, store


async def test_no_published_bytes_break_a_promise() -> None:
    report = await run("published", TARGETS["published"].share // SHARE, seed=1)

    assert report.inputs / 50 < report.valid < report.inputs / 2


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(b"rubbish", id="rubbish"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"gf2" + next_message("flag", KEY, WRONG)[3:], id="another release"),
        pytest.param(next_message("flag", KEY, WRONG)[:-1], id="cut"),
        pytest.param(next_message("flag", KEY, WRONG) + pack([b"odd"]), id="a name without a value"),
        pytest.param(next_message("flag", KEY, WRONG, live=b"2"), id="neither live nor deleted"),
        pytest.param(next_message("flag", KEY, WRONG, gens=pack([b"on", b"9" * 20, b"0"])), id="a huge generation"),
        pytest.param(next_message("flag", KEY, WRONG, at=b"9" * 30), id="an impossible time"),
        pytest.param(next_message("flag", KEY, WRONG, prev=b"n6"), id="another chain"),
        pytest.param(next_message("flag", KEY, WRONG, epoch=b"e2"), id="another epoch"),
        pytest.param(next_message("flag", KEY, WRONG, rev=b"9"), id="not the next"),
        pytest.param(next_message("flag", KEY, WRONG, rev=b"7"), id="the same number, another nonce"),
        pytest.param(next_message("flag", KEY, WRONG, reason=b"x" * MESSAGE_LIMIT), id="too large"),
        pytest.param(next_message("flag", KEY, WRONG, reason=b"x" * 2_000_000), id="far too large"),
    ],
)
async def test_a_message_that_does_not_continue_the_chain_only_causes_a_look(
    guarded: RedisServer, message: bytes
) -> None:
    async with reading(guarded) as (flags, store), everything(guarded) as attacker:
        before, asked = flags._replica.view.snapshot, store.asked

        await attacker.publish(CHANNEL, message)

        await until(lambda: store.asked == asked + 1)
        assert flags._replica.view.snapshot is before
        assert flags.health.state == "fresh"


async def test_a_next_change_that_never_was_is_undone_by_the_next_look(guarded: RedisServer) -> None:
    """Who may publish may also write flags, so this takes nothing that he could not do anyway; but it does not last."""
    async with reading(guarded) as (flags, _), everything(guarded) as attacker:
        await attacker.publish(CHANNEL, next_message("flag", KEY, WRONG))
        await until(lambda: flags.position is not None and flags.position.revision == 8)

        await attacker.publish(CHANNEL, b"rubbish")

        await until(lambda: flags.position == served().position)
        assert flags.health.failovers == 1


async def flood(
    server: RedisServer, messages: list[bytes], count: int, together: int, over: anyio.Event | None = None
) -> None:
    """Publish so many, as fast as the server takes them, so many at a time, unless it is over before."""
    async with everything(server) as attacker:
        for _ in range(count // together):
            if over is not None and over.is_set():
                break
            pipe = attacker.pipeline(transaction=False)
            for number in range(together):
                pipe.publish(CHANNEL, messages[number % len(messages)])
            await pipe.execute()


@pytest.mark.parametrize("together", [500, 3])
async def test_a_flood_of_rubbish_is_no_flood_of_questions(guarded: RedisServer, together: int) -> None:
    messages = [b"rubbish" * 20, next_message("flag", KEY, WRONG, prev=b"n6"), b"gf1" + pack([b"gap", b"x"])]
    async with reading(guarded) as (flags, store):
        before, asked, heard, began = flags._replica.view.snapshot, store.asked, store.heard, perf_counter()

        await flood(guarded, messages, 6_000, together)
        await until(lambda: store.heard >= heard + 6_000, within_s=30)

        took_s = perf_counter() - began
        assert 1 <= store.asked - asked <= 10 + 5 * took_s + 2
        assert flags._replica.view.snapshot is before
        assert (flags.health.link, flags.health.loads) == ("up", 1)


async def test_changes_arrive_and_others_have_their_turn_in_a_flood_of_rubbish(guarded: RedisServer) -> None:
    longest = 0.0

    ticking = anyio.CancelScope()

    async def tick() -> None:
        nonlocal longest
        with ticking:
            while True:
                before = thread_time()  # of the processor: a busy machine is no stall of ours
                await SystemClock().sleep(0)
                longest = max(longest, thread_time() - before)

    url = f"redis://gf-writer:pw@127.0.0.1:{guarded.port}/0"
    async with (
        reading(guarded) as (flags, _),
        Admin(url, namespace="prod", actor="ada") as admin,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(tick)
        over = anyio.Event()
        tasks.start_soon(flood, guarded, [b"gf1" + b"x" * 500], 1_000_000, 500, over)
        for number in range(5):
            saved = await admin.put({"key": "fresh", "enabled": number % 2 == 0}, reason="in a flood")
            await flags.wait_for(saved.token, timeout=10)
            assert flags.peek("fresh") is (number % 2 == 0)
        over.set()
        ticking.cancel()

    assert 0 < longest < 0.1


async def test_large_changes_are_caught_up_with_a_few_times_a_second(guarded: RedisServer) -> None:
    """They are published as doubts too, so the purse must not make them late."""
    url = f"redis://gf-writer:pw@127.0.0.1:{guarded.port}/0"
    async with reading(guarded) as (flags, store), Admin(url, namespace="prod", actor="ada") as admin:
        asked, began = store.asked, perf_counter()
        for number in range(40):
            await admin.put({"key": "large", "description": str(number) + "x" * 20_000}, reason="large")
        last = await admin.put({"key": "large", "enabled": True, "description": "x" * 20_000}, reason="large")

        await until(lambda: flags.position is not None and flags.position.revision == last.revision)

        assert flags.peek("large") is True
        assert store.asked - asked <= 10 + 5 * (perf_counter() - began) + 2


# Who may publish

ROUTES: dict[str, tuple[str | int, ...]] = {
    "publish": ("PUBLISH", CHANNEL, "forged"),
    "sharded": ("SPUBLISH", CHANNEL, "forged"),
    "script": ("EVAL", f"return redis.call('PUBLISH', '{CHANNEL}', 'forged')", 0),
    "script with a key": ("EVAL", f"return redis.call('PUBLISH', '{CHANNEL}', 'forged')", 1, f"{TAG}:run:x"),
    "script that only reads": ("EVAL_RO", f"return redis.call('PUBLISH', '{CHANNEL}', 'forged')", 0),
    "function": ("FUNCTION", "LOAD", f"#!lua name=f\nredis.register_function('p', function() end) -- {CHANNEL}"),
    "as another user": ("ACL", "SETUSER", "gf-reader", "+publish"),
    "as a replica": ("REPLCONF", "listening-port", 1),
    "by configuration": ("CONFIG", "SET", "notify-keyspace-events", "KEA"),
    "by moving a key": ("RENAME", f"{TAG}:run:x", f"{TAG}:flags"),
}


@pytest.mark.parametrize("role", ["reader", "worker"])
async def test_who_may_not_write_flags_cannot_publish(guarded: RedisServer, role: Role) -> None:
    heard: list[bytes] = []
    async with reading(guarded) as (flags, store), everything(guarded) as spy, spy.pubsub() as listening:
        await listening.psubscribe("*")
        asked, user = store.asked, {"username": f"gf-{role}", "password": "pw"}
        async with redis.asyncio.Redis(port=guarded.port, protocol=2, driver_info=None, **user) as client:
            for words in ROUTES.values():
                with pytest.raises((NoPermissionError, ResponseError), match=r"(?i)permission|can't"):
                    await client.execute_command(*words)
            pipe = client.pipeline(transaction=True)
            pipe.execute_command("PUBLISH", CHANNEL, "forged")
            with pytest.raises(NoPermissionError):
                await pipe.execute()
        await spy.publish("end", "end")

        with anyio.fail_after(10):
            while b"end" not in heard:
                message = await listening.get_message(timeout=1)
                if message is not None and message["type"] == "pmessage":
                    heard.append(message["channel"])
        assert heard == [b"end"]
        assert store.asked == asked
        assert flags.health.state == "fresh"


async def test_a_writer_can(guarded: RedisServer) -> None:
    async with reading(guarded) as (_, store):
        asked, user = store.asked, {"username": "gf-writer", "password": "pw"}
        async with redis.asyncio.Redis(port=guarded.port, protocol=2, driver_info=None, **user) as client:
            assert await client.publish(CHANNEL, "rubbish") == 1

        await until(lambda: store.asked == asked + 1)
