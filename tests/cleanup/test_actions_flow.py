"""The whole way on a real server: units of work that write, a switch-off, the drain, and a handler that removes."""

import json
from collections.abc import AsyncIterator
from uuid import uuid4

import anyio
import pytest
from redis.asyncio import Redis

from grayflow import Admin, Client, Purge, SwitchOff
from grayflow.clock import SystemClock

pytestmark = pytest.mark.anyio

sleep = SystemClock().sleep


@pytest.fixture
def name() -> str:
    return f"shop-{uuid4().hex}"


@pytest.fixture
async def admin(redis_url: str, name: str) -> AsyncIterator[Admin]:
    async with Admin(redis_url, namespace=name, actor="anna") as opened:
        await opened.init()
        await opened.put({"key": "payment_v2", "enabled": True})
        yield opened


async def test_fifty_workers_that_write_leave_no_key_when_the_handler_is_done(
    cache: Redis, redis_url: str, name: str, admin: Admin
):
    prefix, purges, written, done = f"{name}:v2:", [], [], anyio.Event()
    flags = Client(redis_url, namespace=name)

    @flags.on_switch_off("payment_v2", scope="fleet", name="purge", timeout=30)
    async def purge(off: SwitchOff) -> None:
        purges.append((off.drained, await off.purge_keys(cache, f"{prefix}*", settle=0.2)))
        await off.publish(cache, stream=f"{name}-events")
        done.set()

    async def work(number: int) -> None:
        """Decide once, and write for as long as the unit of work lasts, however the flag is switched meanwhile."""
        while not done.is_set():
            with flags.scope():
                if flags.peek("payment_v2"):
                    for _ in range(5):
                        written.append(await cache.set(f"{prefix}{number}:{uuid4().hex}", "x"))
                        await sleep(0.01)
            await sleep(0.01)

    async with flags, anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(work, number)
        while len(written) < 500:
            await sleep(0.01)

        await admin.switch_off("payment_v2", reason="double charges")

        with anyio.fail_after(30):
            await done.wait()

    ((drained, report),) = purges
    assert (drained, report.complete, report.deleted) == ("acknowledged", True, len(written))
    assert await cache.keys(f"{prefix}*") == []
    ((_, entry),) = await cache.xrange(f"{name}-events")
    told = json.loads(entry[b"payload"])
    assert (told["actor"], told["reason"], told["cause"]) == ("anna", "double charges", "disabled")


async def test_a_flag_that_is_switched_on_again_keeps_the_keys_that_are_left(
    cache: Redis, redis_url: str, name: str, admin: Admin
):
    prefix, stopped = f"{name}:v2:", anyio.Event()
    await cache.mset({f"{prefix}{number}": "x" for number in range(1000)})
    flags = Client(redis_url, namespace=name)
    reports: list[Purge] = []

    @flags.on_switch_off("payment_v2", scope="fleet", name="purge", drain=0)
    async def purge(off: SwitchOff) -> None:
        try:
            await off.purge_keys(cache, f"{prefix}*", batch=10, rate=20, progress=reports.append)
        finally:
            stopped.set()

    async with flags:
        await admin.switch_off("payment_v2")
        with anyio.fail_after(20):
            while not any(report.deleted for report in reports):
                await sleep(0.01)
            await admin.switch_on("payment_v2")
            await stopped.wait()

    left = len(await cache.keys(f"{prefix}*"))
    assert 0 < left < 1000
    await cache.delete(*await cache.keys(f"{prefix}*"))
