"""Handlers that run twice: which are harmless, and what is said of the others."""

import threading
from typing import Any

import anyio
import pytest

from grayflow import Admin, Client, ConfigurationError, MemoryStore, SwitchOff, SwitchOn
from grayflow.testing import SettableClient, run_handlers_twice

pytestmark = pytest.mark.anyio

CHOICE = {"key": "ranking", "kind": "string", "variants": {"a": "a", "b": "b", "old": "old"}, "off": "old"}


@pytest.fixture
def flags() -> SettableClient:
    return SettableClient()


class Noted:
    """A handler that notes its events."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    async def __call__(self, event: Any) -> None:
        self.events.append(event)


async def test_harmless_handlers_pass_and_are_named(flags: SettableClient):
    cache = {"42": "a payment"}

    @flags.on_switch_off("f", scope="fleet", name="purge")
    async def purge(off: SwitchOff) -> None:
        cache.clear()

    @flags.on_switch_on("f", name="warm")
    async def warm(on: SwitchOn) -> None:
        cache["42"] = "a payment"

    assert await run_handlers_twice(flags, state=lambda: cache) == ("purge", "warm")
    assert cache == {"42": "a payment"}


async def test_a_second_run_that_raises_fails(flags: SettableClient):
    cache = {"42": "a payment"}

    @flags.on_switch_off("f", name="purge")
    async def purge(off: SwitchOff) -> None:
        del cache["42"]

    with pytest.raises(AssertionError) as caught:
        await run_handlers_twice(flags)
    assert str(caught.value) == (
        "a handler is not harmless when run again, as after a crash or a lost answer:\n"
        "  'purge' for flag 'f', variant 'on' failed in its second run: KeyError: '42'"
    )
    assert isinstance(caught.value.__cause__, KeyError)


async def test_a_second_run_that_changes_the_state_fails(flags: SettableClient):
    sent: list[str] = []

    @flags.on_switch_off("f", name="announce")
    async def announce(off: SwitchOff) -> None:
        sent.append(off.flag)

    with pytest.raises(AssertionError, match=r"'announce' .* changed the state .*, from \['f'\] to \['f', 'f'\]"):
        await run_handlers_twice(flags, state=lambda: sent)


async def test_without_a_probe_of_the_state_only_failures_count(flags: SettableClient):
    sent: list[str] = []
    flags.on_switch_off("f", name="announce")(Noted())

    @flags.on_switch_off("f")
    async def announce(off: SwitchOff) -> None:
        sent.append(off.flag)

    assert len(await run_handlers_twice(flags)) == 2
    assert len(sent) == 2


async def test_the_probe_may_be_async(flags: SettableClient):
    sent: list[str] = []

    async def state() -> int:
        await anyio.lowlevel.checkpoint()
        return len(sent)

    @flags.on_switch_off("f", name="announce")
    async def announce(off: SwitchOff) -> None:
        sent.append(off.flag)

    with pytest.raises(AssertionError, match="from 1 to 2"):
        await run_handlers_twice(flags, state=state)


async def test_what_heeds_the_idempotency_key_is_harmless(flags: SettableClient):
    sent: dict[str, str] = {}

    @flags.on_switch_off("f", scope="fleet", name="announce")
    async def announce(off: SwitchOff) -> None:
        sent.setdefault(off.idempotency_key, off.flag)

    await run_handlers_twice(flags, state=lambda: sent)
    assert list(sent) == ["tests:f:on:2:announce"]


async def test_a_first_run_that_fails_is_told_apart(flags: SettableClient):
    @flags.on_switch_off("f", name="purge")
    async def purge(off: SwitchOff) -> None:
        raise ConnectionError("the cache does not answer")

    with pytest.raises(
        AssertionError, match=r"'purge' .* failed in its first run: ConnectionError: the cache does not"
    ):
        await run_handlers_twice(flags)


async def test_all_that_are_not_harmless_are_named(flags: SettableClient):
    async def purge(off: SwitchOff) -> None:
        raise RuntimeError("no")

    for name in ("one", "two"):
        flags.on_switch_off("f", name=name)(purge)
    flags.on_switch_off("f", name="three")(Noted())

    with pytest.raises(AssertionError, match=r"(?s)2 handlers are .*'one' .*'two' ") as caught:
        await run_handlers_twice(flags)
    assert "three" not in str(caught.value)


async def test_synchronous_handlers_run_in_a_thread_as_they_do_for_a_client(flags: SettableClient):
    threads: list[threading.Thread] = []
    flags.on_switch_off("f")(lambda off: threads.append(threading.current_thread()))

    await run_handlers_twice(flags)
    assert len(threads) == 2
    assert threading.main_thread() not in threads


async def test_a_handler_that_takes_too_long_fails(flags: SettableClient):
    @flags.on_switch_off("f", name="purge", timeout=0.01)
    async def purge(off: SwitchOff) -> None:
        await anyio.sleep_forever()

    with pytest.raises(AssertionError, match=r"it took longer than 0\.01 s"):
        await run_handlers_twice(flags)


async def test_a_handler_runs_for_each_flag_and_each_variant_that_can_be_switched_off(flags: SettableClient):
    noted, one = Noted(), Noted()
    flags.define(CHOICE)
    flags.on_switch_off(["ranking", "unknown"])(noted)
    flags.on_switch_off("ranking", "b")(one)

    await run_handlers_twice(flags)
    runs = [(event.flag, event.variant, event.attempt) for event in noted.events]
    assert runs == [
        *(("ranking", "a", 1), ("ranking", "a", 2), ("ranking", "b", 1)),
        *(("ranking", "b", 2), ("unknown", "on", 1), ("unknown", "on", 2)),
    ]
    assert [event.variant for event in one.events] == ["b", "b"]


async def test_the_events_say_what_a_switch_says(flags: SettableClient):
    off, on, once = Noted(), Noted(), Noted()
    flags.define({"key": "f"})
    flags.on_switch_off("f")(off)
    flags.on_switch_on("f")(on)
    flags.on_switch_off("f", scope="fleet", name="once")(once)

    await run_handlers_twice(flags)
    first, second = off.events
    assert (first.cause, first.drained, first.still_off()) == ("disabled", "this_process", True)
    assert (first.before.enabled, first.after.enabled) == (True, False)
    assert first.idempotency_key == second.idempotency_key
    assert (first.fencing_token, second.fencing_token) == (None, None)
    assert [(one.fencing_token, one.drained) for one in once.events] == [(1, "acknowledged"), (2, "acknowledged")]
    assert [(one.cause, one.drained, one.still_on()) for one in on.events] == [("enabled", "", True)] * 2
    assert (on.events[0].before.enabled, on.events[0].after.enabled) == (False, True)


async def test_those_run_first_that_others_wait_for(flags: SettableClient):
    flags.on_switch_off("f", name="last", after=["middle"])(Noted())
    flags.on_switch_off("f", name="middle", after=["first"])(Noted())
    flags.on_switch_off("f", name="first")(Noted())

    assert await run_handlers_twice(flags) == ("first", "middle", "last")


async def test_it_works_with_a_client_that_runs_and_switches_nothing():
    async with MemoryStore() as store, Admin(store, actor="ann") as admin:
        await admin.put({"key": "f", "enabled": True})
        noted = Noted()
        async with Client(store) as flags:
            flags.on_switch_off("f", scope="fleet", name="purge")(noted)
            await run_handlers_twice(flags)
            assert flags.peek("f") is True
        assert await admin.jobs() == ()
    assert [event.variant for event in noted.events] == ["on", "on"]


async def test_having_nothing_to_try_is_a_mistake(flags: SettableClient):
    with pytest.raises(ConfigurationError, match="no handler is registered"):
        await run_handlers_twice(flags)


async def test_an_order_that_cannot_be_followed_is_a_mistake(flags: SettableClient):
    flags.on_switch_off("f", name="last", after=["nobody"])(Noted())

    with pytest.raises(ConfigurationError, match="there is no handler of that name"):
        await run_handlers_twice(flags)
