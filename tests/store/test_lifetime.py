"""Who may use a store: the four refusals that all adapters share."""

import asyncio
import os

import pytest

from grayflow.errors import LifetimeError
from grayflow.store.lifetime import Lifetime


async def enter(lifetime: Lifetime) -> bool:
    return lifetime.enter()


async def check(lifetime: Lifetime) -> None:
    lifetime.check()


def test_the_first_block_opens_and_the_last_one_closes() -> None:
    async def use() -> list[bool]:
        lifetime = Lifetime("Store")
        return [lifetime.enter(), lifetime.enter(), lifetime.leave(), lifetime.leave(), lifetime.leave()]

    assert asyncio.run(use()) == [True, False, False, True, False]


def test_before_entering_the_text_is_the_missing_line() -> None:
    with pytest.raises(LifetimeError, match=r"async with RedisStore\(...\) as store:"):
        asyncio.run(check(Lifetime("RedisStore")))


def test_a_loop_that_ended_without_leaving_does_not_hold_the_store() -> None:
    lifetime = Lifetime("Store")
    asyncio.run(enter(lifetime))

    assert asyncio.run(enter(lifetime))


def test_a_loop_that_is_gone_still_owns_what_it_opened() -> None:
    lifetime = Lifetime("Store")
    asyncio.run(enter(lifetime))

    with pytest.raises(LifetimeError, match="another event loop"):
        asyncio.run(check(lifetime))


@pytest.mark.parametrize("use", [enter, check])
def test_a_forked_child_is_told_so(use, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fork() -> None:
        lifetime = Lifetime("Store")
        lifetime.enter()
        monkeypatch.setattr(os, "getpid", lambda: -1)
        await use(lifetime)

    with pytest.raises(LifetimeError, match="make a new one after the fork"):
        asyncio.run(fork())
