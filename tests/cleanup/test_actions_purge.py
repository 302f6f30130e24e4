"""`purge_keys` against a real server: whatever is written meanwhile, in the end nothing that matches is left."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import anyio
import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from grayflow.cleanup.actions import Purge, purge_keys
from grayflow.clock import SystemClock
from grayflow.errors import ConfigurationError
from tests.servers import RedisServer

pytestmark = pytest.mark.anyio

sleep = SystemClock().sleep


class Skipping(SystemClock):
    """Nobody waits: sleeping moves the time, and tells whoever listens."""

    def __init__(self, slept: Callable[[], Any] | None = None) -> None:
        self.time_s, self._slept = 0.0, slept

    def monotonic(self) -> float:
        return self.time_s

    async def sleep(self, seconds: float) -> None:
        self.time_s += max(0.0, seconds)
        if self._slept is not None:
            await self._slept()


@pytest.fixture
def prefix() -> str:
    return f"cache-{uuid4().hex}:v2:"


async def fill(cache: Redis, prefix: str, count: int) -> None:
    await cache.mset({f"{prefix}{number}": "x" for number in range(count)})


async def left(cache: Redis, prefix: str) -> int:
    return len(await cache.keys(f"{prefix}*"))


# What may be asked for

BAD = ["*", "", "payment*", "payment", "pa*", "a:*", "?ay:*", "[p]ay:*", ":*", "pay*:v2:*", "\\**", 5, None]


@pytest.mark.parametrize("pattern", BAD)
async def test_a_pattern_without_a_literal_prefix_that_ends_in_a_separator_is_refused(cache: Redis, pattern: Any):
    with pytest.raises(ConfigurationError, match=r"pattern is .* literal characters"):
        await purge_keys(cache, pattern)


async def test_grayflows_own_keys_are_refused(cache: Redis):
    with pytest.raises(ConfigurationError, match="grayflow's own"):
        await purge_keys(cache, "{gf:shop}:*")


@pytest.mark.parametrize("pattern", ["nobody:*", b"nobody/v2/*", "no-*", "no_*", "nobody|*", "no\\*body:*", "nobody:"])
async def test_a_pattern_with_a_literal_prefix_is_accepted(cache: Redis, pattern: Any):
    assert (await purge_keys(cache, pattern, settle=0)).complete


@pytest.mark.parametrize(
    "wrong", [{"batch": 0}, {"batch": True}, {"rate": 0}, {"rate": float("nan")}, {"settle": -1}, {"clock": 3}]
)
async def test_an_option_that_cannot_be_used_is_refused(cache: Redis, wrong: dict[str, Any]):
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        await purge_keys(cache, "nobody:*", **wrong)


def test_a_synchronous_connection_is_refused(redis_server: RedisServer):
    async def purge() -> None:
        with redis_server.connect() as connection:
            await purge_keys(connection, "nobody:*")

    with pytest.raises(ConfigurationError, match=r"redis\.asyncio\.Redis"):
        anyio.run(purge)


# What is removed


@pytest.mark.parametrize("decode", [False, True])
async def test_all_keys_that_match_are_gone_and_no_other(redis_url: str, prefix: str, decode: bool):
    async with Redis.from_url(redis_url, decode_responses=decode) as cache:
        await fill(cache, prefix, 1200)
        await cache.set(f"{prefix[:-1]}0:1", "another's")

        report = await purge_keys(cache, f"{prefix}*", settle=0)

        assert (report.deleted, report.complete, await left(cache, prefix)) == (1200, True, 0)
        assert report == Purge(pattern=f"{prefix}*", found=report.found, deleted=1200, passes=2, nodes=1, complete=True)
        assert await cache.get(f"{prefix[:-1]}0:1") is not None


async def test_names_of_any_bytes_are_removed(cache: Redis, prefix: str):
    names = [prefix.encode() + bytes(range(start, start + 16)) for start in range(0, 256, 16)]
    await cache.mset(dict.fromkeys(names, b""))

    assert (await purge_keys(cache, prefix.encode() + b"*", settle=0)).deleted == 16


async def test_a_dry_run_counts_and_removes_nothing(cache: Redis, prefix: str):
    await fill(cache, prefix, 700)

    report = await purge_keys(cache, f"{prefix}*", dry_run=True)

    assert (report.found, report.deleted, report.passes, report.complete) == (700, 0, 1, False)
    assert await left(cache, prefix) == 700


async def test_the_rate_bounds_how_fast_keys_go(cache: Redis, prefix: str):
    await fill(cache, prefix, 900)
    clock, seen = Skipping(), []

    await purge_keys(
        cache,
        f"{prefix}*",
        rate=100,
        settle=0,
        clock=clock,
        progress=lambda so: seen.append((clock.time_s, so.deleted)),
    )

    assert seen[-1][1] == 900
    assert all(
        deleted <= 100 * (at + 1) + 20 for at, deleted in seen
    )  # SCAN may return some more than it was asked for
    assert clock.time_s >= 8


async def test_progress_tells_what_is_done_so_far(cache: Redis, prefix: str):
    await fill(cache, prefix, 500)
    seen: list[Purge] = []

    report = await purge_keys(cache, f"{prefix}*", batch=50, progress=seen.append, settle=0)

    deleted = [so_far.deleted for so_far in seen]
    assert deleted == sorted(deleted)
    assert len(set(deleted)) > 5
    assert (seen[-1].deleted, report.deleted) == (500, 500)


async def test_it_stops_between_two_commands_when_the_flag_is_on_again(cache: Redis, prefix: str):
    await fill(cache, prefix, 500)
    seen: list[Purge] = []

    report = await purge_keys(
        cache, f"{prefix}*", batch=20, progress=seen.append, still_off=lambda: not seen or seen[-1].deleted < 100
    )

    assert 100 <= report.deleted < 160
    assert not report.complete
    assert await left(cache, prefix) == 500 - report.deleted


async def test_what_is_found_is_not_removed_any_more_when_the_flag_is_on_again(cache: Redis, prefix: str):
    await fill(cache, prefix, 5)
    asked = 0

    def still_off() -> bool:
        nonlocal asked
        asked += 1
        return asked <= 2  # the sweep, the SCAN; not the UNLINK

    report = await purge_keys(cache, f"{prefix}*", batch=10_000, still_off=still_off)

    assert (report.deleted, report.complete, await left(cache, prefix)) == (0, False, 5)


async def test_cancelled_it_leaves_what_was_not_reached(cache: Redis, prefix: str):
    await fill(cache, prefix, 300)

    with anyio.CancelScope() as scope:
        await purge_keys(cache, f"{prefix}*", batch=20, progress=lambda seen: scope.cancel() if seen.deleted else None)

    assert 0 < await left(cache, prefix) < 300


async def test_what_the_server_refuses_is_raised(redis_server: RedisServer, prefix: str):
    user = prefix.rstrip(":")
    redis_server.ask("ACL", "SETUSER", user, "on", ">pw", "~*", "+@all", "-unlink")
    async with Redis(port=redis_server.port, username=user, password="pw") as cache:
        await fill(cache, prefix, 3)

        with pytest.raises(NoPermissionError):
            await purge_keys(cache, f"{prefix}*")

    redis_server.ask("ACL", "DELUSER", user)


async def test_the_right_to_info_is_not_needed(redis_server: RedisServer, prefix: str):
    user = prefix.rstrip(":")
    redis_server.ask("ACL", "SETUSER", user, "on", ">pw", "~*", "+@all", "-info")
    async with Redis(port=redis_server.port, username=user, password="pw") as cache:
        await fill(cache, prefix, 3)

        assert (await purge_keys(cache, f"{prefix}*", settle=0)).complete

    redis_server.ask("ACL", "DELUSER", user)


@pytest.mark.parametrize("errors", ["replace", "strict"])
async def test_names_that_the_connection_garbles_are_told_instead_of_swept_for_ever(
    redis_url: str, prefix: str, errors: str
):
    async with Redis.from_url(redis_url) as cache:
        await cache.set(prefix.encode() + b"\xff", "x")
    async with Redis.from_url(redis_url, decode_responses=True, encoding_errors=errors) as garbling:
        with pytest.raises(ConfigurationError, match="give a connection without decode_responses"):
            await purge_keys(garbling, f"{prefix}*", settle=0.001)


async def test_a_server_that_restarts_meanwhile_is_swept_anew():
    with RedisServer() as server:
        with server.connect() as sync:
            sync.mset({f"shop:v2:{number}": "x" for number in range(500)})
        restarted = False

        def restart(so_far: Purge) -> None:
            nonlocal restarted
            if so_far.deleted > 100 and not restarted:
                restarted = True
                server.restart(keep_data=True)

        async with Redis(port=server.port) as cache:
            report = await purge_keys(cache, "shop:v2:*", batch=50, progress=restart, settle=0)

            assert report.restarts == 1
            assert await cache.dbsize() == 0


# Whoever still writes


async def one_sweep(cache: Redis, pattern: str) -> None:
    """What a service does that has read of SCAN, and not all of it."""
    cursor = -1
    while cursor:
        cursor, keys = await cache.scan(max(cursor, 0), match=pattern, count=500)
        if keys:
            await cache.unlink(*keys)


class Writers:
    """Fifty units of work that began before the switch-off, and write until they end."""

    def __init__(self, cache: Redis, prefix: str) -> None:
        self.ended = False
        self.written = 0
        self._cache, self._prefix = cache, prefix

    async def write(self) -> None:
        while not self.ended:
            self.written += 1
            await self._cache.set(f"{self._prefix}{uuid4().hex}", "x")
            await sleep(0.002)


async def test_one_sweep_leaves_what_fifty_writers_wrote_meanwhile(cache: Redis, prefix: str):
    await fill(cache, prefix, 2000)
    writers = Writers(cache, prefix)
    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(writers.write)

        await one_sweep(cache, f"{prefix}*")
        writers.ended = True

    assert await left(cache, prefix) > 10
    await purge_keys(cache, f"{prefix}*", settle=0)


async def test_fifty_writers_leave_no_key_once_they_have_ended(cache: Redis, prefix: str):
    await fill(cache, prefix, 2000)
    writers = Writers(cache, prefix)

    def drained(so_far: Purge) -> None:
        if so_far.passes == 3:
            writers.ended = True

    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(writers.write)
        report = await purge_keys(cache, f"{prefix}*", progress=drained, settle=0.1)

    assert (report.complete, report.deleted, await left(cache, prefix)) == (True, 2000 + writers.written, 0)


async def test_what_a_straggler_writes_after_a_sweep_is_found_by_the_next(cache: Redis, prefix: str):
    late = [f"{prefix}late", f"{prefix}later"]

    async def written() -> None:
        if late:
            await cache.set(late.pop(), "x")

    report = await purge_keys(cache, f"{prefix}*", clock=Skipping(written))

    assert (report.deleted, report.passes, await left(cache, prefix)) == (2, 4, 0)


async def test_several_at_once_do_no_harm(cache: Redis, prefix: str):
    await fill(cache, prefix, 1000)
    reports: list[Purge] = []

    async def purge() -> None:
        reports.append(await purge_keys(cache, f"{prefix}*", settle=0.01))

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(purge)

    assert sum(report.deleted for report in reports) == 1000
    assert all(report.complete for report in reports)


def test_the_actions_import_nothing_of_redis():
    code = "import sys, grayflow.cleanup.actions; print('redis' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
