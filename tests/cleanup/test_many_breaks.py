"""A break of the chain of changes while many handlers are at work: all of them begin again, and all of them end."""

import pytest

from grayflow import Admin, MemoryStore, SwitchOff
from grayflow.testing import FakeClock
from tests.cleanup.conftest import Make

pytestmark = pytest.mark.anyio

KEYS = tuple(f"flag-{number}" for number in range(12))


async def test_many_handlers_end_although_the_chain_breaks_while_they_are_at_work(
    make: Make, admin: Admin, clock: FakeClock, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
):
    for key in KEYS:
        await admin.put({"key": key, "enabled": True})
    begun, ended = [], set()

    async def work(off: SwitchOff) -> None:
        begun.append(off.flag)
        if len(begun) > 100:
            raise AssertionError("handlers are begun and stopped for ever")
        await clock.sleep(1 + KEYS.index(off.flag) / 10)
        ended.add(off.flag)

    async with make() as flags:
        flags.on_switch_off(KEYS)(work)
        await clock.advance(1)
        for key in KEYS[:6]:
            await admin.switch_off(key)
        await clock.advance(0.5)
        with monkeypatch.context() as patch:
            patch.setattr(store, "_tell", lambda event: None)  # the others are found off after the break
            for key in KEYS[6:]:
                await admin.switch_off(key)
        await admin.init(replaces="*")
        await clock.advance(60)

    assert ended == set(KEYS)
