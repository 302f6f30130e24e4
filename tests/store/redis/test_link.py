"""What happens to a subscription on a bad day: it ends with an error, or says `Gap`, and never stops the process."""

import os
from collections.abc import AsyncIterator
from threading import Event as ThreadEvent
from time import thread_time

import anyio
import pytest

from grayflow.clock import SystemClock
from grayflow.errors import LifetimeError, StoreAccessError, StoreUnavailableError
from grayflow.store.port import Awaited, Changed, Event, Gap
from grayflow.store.redis import RedisStore
from grayflow.store.redis.heartbeat import ANSWER_S, IDLE_S
from grayflow.store.redis.link import Link
from grayflow.testing.contract.kit import edit, put, seen
from tests.servers import RedisServer
from tests.store.redis.conftest import OpenRedis

pytestmark = pytest.mark.anyio

CHANNEL = "{gf:default}:ch"
sleep = SystemClock().sleep


async def end_of(events: AsyncIterator[Event], *, within_s: float) -> Exception:
    """Read until the link ends, and return what it ended with."""
    with anyio.fail_after(within_s):
        try:
            while True:
                await anext(events)
        except (StoreUnavailableError, StoreAccessError, LifetimeError) as error:
            return error


def subscribers(server: RedisServer) -> int:
    """Count the subscriptions to the default namespace."""
    return server.ask("PUBSUB", "NUMSUB", CHANNEL)[1]


async def until_subscribers(server: RedisServer, number: int) -> None:
    with anyio.fail_after(5):
        while subscribers(server) != number:
            await sleep(0.01)


async def test_a_killed_server_ends_the_link(server: RedisServer) -> None:
    async with RedisStore(server.url) as store, store.follow() as events:
        server.kill()

        error = await end_of(events, within_s=5)

        assert isinstance(error, StoreUnavailableError)
        assert server.url in str(error)


async def test_a_frozen_server_ends_the_link(server: RedisServer) -> None:
    async with RedisStore(server.url) as store, store.follow() as events:
        server.freeze()

        error = await end_of(events, within_s=IDLE_S + ANSWER_S + 2)

        assert "silent" in str(error)


async def test_a_short_freeze_loses_nothing(server: RedisServer) -> None:
    async with RedisStore(server.url) as store, store.follow() as events:
        await store.init()
        assert isinstance(await anext(events), Gap)
        server.freeze()
        with anyio.move_on_after(0.8):
            await anext(events)
        server.thaw()

        (change,) = await put(store, edit())

        assert await seen(events, store, change.position) is not None


async def test_a_link_that_was_killed_is_a_doubt(server: RedisServer) -> None:
    async with RedisStore(server.url) as store, store.follow() as events:
        await store.init()
        assert isinstance(await anext(events), Gap)
        server.ask("CLIENT", "KILL", "TYPE", "pubsub")
        await put(store, edit())

        with anyio.fail_after(5):
            try:
                event = await anext(events)
            except StoreUnavailableError:
                return
        assert isinstance(event, Gap)


async def test_a_silent_reconnection_is_a_gap(server: RedisServer) -> None:
    async with RedisStore(server.url) as store, store.follow() as events:
        assert isinstance(events, Link)
        await events._pubsub.connection.disconnect()

        with anyio.fail_after(5):
            assert await anext(events) == Gap("the connection to the server was renewed")


async def test_a_muted_channel_ends_the_link_and_is_told(server: RedisServer) -> None:
    async with RedisStore(server.url) as store:
        async with store.follow() as events:
            server.ask("ACL", "SETUSER", "default", "resetchannels", "&other")

            await end_of(events, within_s=5)

        with pytest.raises(StoreAccessError, match="channel"):
            async with store.follow():
                pass


async def test_a_reader_that_is_too_slow_learns_that_it_missed_something() -> None:
    with RedisServer("--client-output-buffer-limit", "pubsub 64kb 64kb 1") as server:
        async with RedisStore(server.url) as store, store.follow() as events:
            for _ in range(2000):
                server.ask("PUBLISH", CHANNEL, b"gf1" + b"x" * 16_000)  # nobody reads meanwhile: the loop is busy here
                if not subscribers(server):
                    break
            else:
                pytest.fail("the server kept the slow reader")
            await store.init()

            read = 0
            with anyio.fail_after(10):
                try:
                    while await anext(events) != Gap("the connection to the server was renewed"):
                        read += 1
                except StoreUnavailableError:
                    pass
            assert read < 2000


@pytest.mark.parametrize("number", [110, 113], ids=["ETIMEDOUT", "EHOSTUNREACH"])
async def test_a_dead_socket_ends_the_link_and_stops_nobody(server: RedisServer, number: int) -> None:
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            before = thread_time()  # of the processor: a busy machine is no stall of ours
            await sleep(0)
            longest = max(longest, thread_time() - before)

    async with RedisStore(server.url) as store, store.follow() as events, anyio.create_task_group() as tasks:
        assert isinstance(events, Link)
        tasks.start_soon(tick)
        await sleep(0.01)  # it runs
        # What the kernel's time-out does to the stream: the builtin TimeoutError, which asyncio's is too.
        error = TimeoutError(number, os.strerror(number)) if number == 110 else OSError(number, os.strerror(number))
        events._pubsub.connection._reader.set_exception(error)

        ended = await end_of(events, within_s=5)
        await sleep(0.01)  # the others had their turn

        assert isinstance(ended, StoreUnavailableError)
        assert 0 < longest < 0.1
        tasks.cancel_scope.cancel()


async def test_an_ended_link_stays_ended(server: RedisServer) -> None:
    async with RedisStore(server.url) as store, store.follow() as events:
        server.kill()
        error = await end_of(events, within_s=5)

        with pytest.raises(StoreUnavailableError) as caught:
            await anext(events)
        assert caught.value is error


async def test_the_next_block_works_once_the_server_is_back(server: RedisServer) -> None:
    async with RedisStore(server.url) as store:
        async with store.follow() as events:
            server.kill()
            await end_of(events, within_s=5)
        server.start()

        await store.init()
        async with store.follow() as events:
            (change,) = await put(store, edit())

            assert await seen(events, store, change.position) is not None


@pytest.mark.parametrize("data", [b"", b"{}", b"gf1", b"gf15:epoch", b"\xff\xfe", b"x" * 2_000_000], ids=len)
async def test_an_unreadable_message_is_a_gap_and_the_link_goes_on(server: RedisServer, data: bytes) -> None:
    async with RedisStore(server.url) as store:
        await store.init()
        async with store.follow() as events:
            server.ask("PUBLISH", CHANNEL, data)
            (change,) = await put(store, edit())

            with anyio.fail_after(5):
                assert isinstance(await anext(events), Gap)
                event = await anext(events)
            assert isinstance(event, Changed)
            assert event.change.position == change.position


async def test_a_busy_process_does_not_take_its_own_pause_for_the_servers(server: RedisServer) -> None:
    async with RedisStore(server.url) as store:
        await store.init()
        async with store.follow() as events:
            with anyio.move_on_after(IDLE_S + 0.3):  # asked by now
                await anext(events)
            ThreadEvent().wait(IDLE_S + ANSWER_S + 0.5)  # on the loop, which stands still

            (change,) = await put(store, edit())

            assert await seen(events, store, change.position) is not None


async def test_an_idle_link_lives(server: RedisServer) -> None:
    async with RedisStore(server.url) as store:
        await store.init()
        async with store.follow() as events:
            with anyio.move_on_after(2 * (IDLE_S + ANSWER_S)) as waited:
                await anext(events)

            assert waited.cancelled_caught
            (change,) = await put(store, edit())
            assert await seen(events, store, change.position) is not None


async def test_a_store_closed_under_its_follower_is_told(server: RedisServer) -> None:
    store = RedisStore(server.url)
    await store.__aenter__()
    async with store.follow() as events:
        await store.__aexit__(None, None, None)

        assert isinstance(await end_of(events, within_s=2), LifetimeError)


async def test_an_absent_server_is_told_on_entering(server: RedisServer) -> None:
    server.kill()
    async with RedisStore(server.url) as store:
        with pytest.raises(StoreUnavailableError, match="Connection refused"):
            async with store.follow():
                pass


async def test_a_frozen_server_is_told_on_entering(server: RedisServer) -> None:
    server.freeze()
    async with RedisStore(server.url) as store:
        with anyio.fail_after(5), pytest.raises(StoreUnavailableError, match="did not answer in time"):
            async with store.follow():
                pass


async def test_a_link_leaves_no_connection_behind(server: RedisServer) -> None:
    async with RedisStore(server.url) as store:
        async with store.follow():
            assert subscribers(server) == 1
        await until_subscribers(server, 0)
        with anyio.move_on_after(0.1):
            async with store.follow() as events:
                await anext(events)
        await until_subscribers(server, 0)
        async with store.follow() as events:
            server.ask("CLIENT", "KILL", "TYPE", "pubsub")
            with anyio.move_on_after(1):
                await end_of(events, within_s=5)
        await until_subscribers(server, 0)


async def test_links_are_cancelled_at_any_moment(open_redis: OpenRedis) -> None:
    async with open_redis() as store:
        await store.init()
        for number in range(40):
            with anyio.move_on_after(number * 0.0003):
                async with store.follow() as events:
                    await anext(events)

        async with store.follow() as events:
            (change,) = await put(store, edit())
            assert await seen(events, store, change.position) is not None


async def test_followers_hear_that_somebody_waits_for_reports(open_redis: OpenRedis) -> None:
    async with open_redis() as store, store.follow() as events:
        position = await store.init()
        assert isinstance(await anext(events), Gap)
        await store.request_reports(position)

        with anyio.fail_after(10):
            assert await anext(events) == Awaited(position)
