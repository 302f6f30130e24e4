"""What a user of `grayflow.release` writes; never run, but it must check as `api.py` does."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from datetime import timedelta
from typing import Protocol, Self, assert_type

from grayflow import Admin, Arm, Client, Context, Decision, Tally
from grayflow.release import (
    BreakerPolicy,
    Counters,
    FallbackGuard,
    FleetTrip,
    ImplementationSwitch,
    Observation,
    Outcome,
    ParallelCounts,
    ParallelRun,
    Selection,
    gray,
    writes,
)


class CacheService(Protocol):
    """What both implementations are."""

    async def get(self, key: str) -> bytes | None:
        """Return what is kept."""
        ...

    def scan(self, prefix: str) -> AsyncIterator[str]:
        """Yield keys."""
        ...


class FileCache:
    """The old one."""

    async def get(self, key: str) -> bytes | None:
        """See `CacheService`."""
        return key.encode()

    async def scan(self, prefix: str) -> AsyncIterator[str]:
        """See `CacheService`."""
        yield prefix

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncGenerator[Self, None]:
        """Open it."""
        yield cls()


class RedisCache(FileCache):
    """The new one."""


class Wrong:
    """Its method is not awaited."""

    def get(self, key: str) -> bytes | None:
        """See `CacheService`."""
        return key.encode()

    async def scan(self, prefix: str) -> AsyncIterator[str]:
        """See `CacheService`."""
        yield prefix


async def serve(cache: CacheService) -> bytes | None:
    """Use whatever it is given."""
    async for key in cache.scan("a"):
        print(key)
    return await cache.get("k")


async def switched(flags: Client) -> None:
    """Switch between two implementations."""
    switch = ImplementationSwitch(
        CacheService,
        flag="cache.backend",
        variants={"file": FileCache.open, "redis": RedisCache.open},
        default="file",
        by="user_id",
    )
    async with switch.running(flags):
        cache: CacheService = switch.proxy()
        assert_type(switch.proxy(), CacheService)
        assert_type(await cache.get("k"), bytes | None)
        await serve(switch.proxy())
        chosen = switch.choose(Context(user_id="42"))
        assert_type(chosen, Selection[CacheService])
        assert_type(await chosen.implementation.get("k"), bytes | None)
        print(chosen.variant, chosen.reason, chosen.revision)


async def guarded(flags: Client, admin: Admin, switch: ImplementationSwitch[CacheService]) -> None:
    """Let the old one answer where the new one fails, and count both."""
    counters = Counters(by="tenant_id", ignore=KeyError, flush_every=timedelta(seconds=1))
    guard = FallbackGuard(
        switch,
        new="redis",
        old="file",
        timeout=timedelta(milliseconds=200),
        ignore=KeyError,
        breaker=BreakerPolicy(window=timedelta(seconds=30), failure_ratio=0.3),
        fleet=FleetTrip(admin=admin, quorum=0.5),
        counters=counters,
        on_event=lambda event: print(event.kind, event.why),
    )
    async with switch.running(flags), guard.running(flags), counters.running(flags):
        assert_type(guard.proxy(), CacheService)
        assert_type(counters.proxy(switch), CacheService)
        assert_type(guard.choose(), Selection[CacheService])
        assert_type(guard.status.outcomes.get(Outcome.FAILURE), int | None)
        with counters.measure(await flags.evaluate("payment_v2"), {"user_id": "42"}) as decision:
            assert_type(decision, Decision)
        stats = await admin.stats("payment_v2", since=timedelta(hours=6), window=600)
        assert_type(stats.total("on"), Tally)
        assert_type(stats.arms, Mapping[Arm, Tally])
        assert_type(stats.total("on").latency.quantile(0.99), float | None)


def refused() -> None:
    """Be told by the type checker, before the switch says it."""
    switch: ImplementationSwitch[CacheService] = ImplementationSwitch(
        CacheService,
        flag="cache.backend",
        variants={
            "file": lambda: nullcontext(FileCache()),
            "redis": lambda: nullcontext(Wrong()),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        },
        default="file",
    )
    print(switch)


async def pay_v1(order: int) -> str:
    """Pay as ever."""
    return f"{order}"


def decorated(flags: Client) -> None:
    """Replace one function."""

    @gray(flags, "payment_v2", old=pay_v1, context=lambda order: {"user_id": order})
    async def pay(order: int) -> str:
        return f"{order}"

    async def use() -> None:
        assert_type(await pay(3), str)

    print(use)


async def find_v1(user: int) -> str | None:
    """Find as ever."""
    return f"{user}"


@writes
async def save(user: int, name: str) -> bool:
    """Change something."""
    return bool(user and name)


async def compared(flags: Client, switch: ImplementationSwitch[CacheService]) -> None:
    """Compare functions, and what is behind an interface."""

    async def sink(seen: Observation) -> None:
        print(seen.outcome, seen.control.clean)

    run = ParallelRun[str | None]("find", flag="exp.find", clean=lambda name: name, publish=sink, mode="sequential")
    async with run.running(flags):
        found = await run(control=find_v1, candidates={"new": find_v1}, args=(1,), context={"user_id": "42"})
        assert_type(found, str | None)
        assert_type(run.proxy(switch, candidates=["redis"]), CacheService)
        await run.idle()
    assert_type(run.counts, ParallelCounts)
    assert_type(await save(1, "anna"), bool)
    await run(control=serve, candidates={})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
