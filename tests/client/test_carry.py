"""What a message carries: a worker decides by flags at least as new as the sender's, and for the same user."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest

from grayflow import Admin, Client, Context, MemoryStore, Position
from grayflow.client.carry import AT_LEAST, CONTEXT
from grayflow.errors import ConfigurationError, LifetimeError

pytestmark = pytest.mark.anyio

FOR_ANNA = {"key": "f", "enabled": True, "otherwise": "off", "targets": {"on": ["anna"]}}


class ShopContext(Context, frozen=True, kw_only=True):
    store_id: str | None = None


@pytest.fixture
async def admin() -> AsyncIterator[Admin]:
    async with Admin(MemoryStore(), actor="test") as opened:
        await opened.put(FOR_ANNA)
        yield opened


@pytest.fixture
async def flags(admin: Admin) -> AsyncIterator[Client]:
    async with Client(admin.store, context_type=ShopContext) as opened:
        yield opened


async def test_a_message_carries_the_position_of_its_sender(flags: Client):
    assert flags.carry() == {AT_LEAST: flags.position.token()}


async def test_in_a_scope_it_carries_what_is_pinned(flags: Client, admin: Admin):
    with flags.scope():
        pinned = flags.position.token()
        await flags.wait_for((await admin.switch_off("f")).token)

        assert flags.carry() == {AT_LEAST: pinned}


def test_a_sender_without_flags_sends_no_position():
    assert Client(MemoryStore()).carry() == {}


@pytest.mark.parametrize(
    "context",
    [ShopContext(user_id="anna", store_id="sz-7", attributes={"cart": {"items": 3}}), {"user_id": "anna", "cart": 3}],
)
async def test_the_context_arrives_as_it_was(flags: Client, context: Any):
    headers = flags.carry(context)

    async with flags.carried(headers) as scope:
        assert await flags.is_enabled("f")
        expected = context if isinstance(context, Context) else ShopContext(user_id="anna", attributes={"cart": 3})
        assert scope.context == expected


async def test_a_context_is_not_sent_unless_it_is_given(flags: Client):
    with flags.scope({"user_id": "anna"}):
        assert CONTEXT not in flags.carry()


async def test_dates_become_text_that_operators_read(flags: Client):
    headers = flags.carry({"born": datetime(2000, 1, 1, tzinfo=UTC)})

    async with flags.carried(headers) as scope:
        assert scope.context.attributes == {"born": "2000-01-01T00:00:00Z"}


@pytest.mark.parametrize("value", [object(), {1: object()}, "x" * 70_000])
async def test_a_context_that_cannot_be_sent_is_refused(flags: Client, value: Any):
    with pytest.raises(ConfigurationError, match="context"):
        flags.carry({"thing": value})


async def test_a_worker_waits_for_the_flags_that_the_sender_had(flags: Client, admin: Admin):
    saved = await admin.switch_off("f")  # not waited for: the worker may not have it yet

    async with flags.carried({AT_LEAST: saved.token}) as scope:
        assert scope.position.revision >= saved.revision
        assert not (await flags.evaluate("f", {"user_id": "anna"})).stale


async def test_flags_that_never_come_make_the_decisions_stale(flags: Client):
    position = flags.position
    future = Position(epoch=position.epoch, revision=position.revision + 100, nonce="x")

    async with flags.carried({AT_LEAST: future.token()}):
        assert (await flags.evaluate("f", {"user_id": "anna"})).stale


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {AT_LEAST: 5, CONTEXT: 5},
        {AT_LEAST: "", CONTEXT: ""},
        {CONTEXT: "[1]"},
        {CONTEXT: "{"},
        {CONTEXT: b"\xff{}"},
        {CONTEXT: "[" * 60_000},
        {CONTEXT: '{"a":' * 10_000 + "1" + "}" * 10_000},
        {CONTEXT: "x" * 100_000},
    ],
)
async def test_damaged_headers_cost_nothing_but_what_they_would_have_said(flags: Client, headers: dict[str, Any]):
    async with flags.carried(headers):
        assert await flags.is_enabled("f", {"user_id": "anna"})
        assert not (await flags.evaluate("f", {"user_id": "anna"})).stale


@pytest.mark.parametrize("headers", [None, "junk", 5])
async def test_a_message_without_headers_carries_nothing(flags: Client, headers: Any):
    async with flags.carried(headers):
        assert await flags.is_enabled("x") is False


async def test_headers_may_be_bytes(flags: Client):
    headers = {name: text.encode() for name, text in flags.carry({"user_id": "anna"}).items()}

    async with flags.carried(headers):
        assert await flags.is_enabled("f")


async def test_the_worker_may_know_the_context_better(flags: Client):
    async with flags.carried(flags.carry({"user_id": "ben"}), {"user_id": "anna"}):
        assert await flags.is_enabled("f")


# Waiting beforehand


async def test_a_scope_that_has_waited_may_be_entered_in_another_thread(flags: Client, admin: Admin):
    saved = await admin.switch_off("f")
    scope = await flags.scope({"user_id": "anna"}, at_least=saved.token).wait()

    def work() -> tuple[bool, int]:
        with scope:
            return flags.peek("f"), flags.position.revision

    assert await anyio.to_thread.run_sync(work) == (False, saved.revision)


async def test_what_it_waited_for_is_pinned_from_then_on(flags: Client, admin: Admin):
    scope = await flags.scope({"user_id": "anna"}, at_least=flags.position.token()).wait()
    await flags.wait_for((await admin.switch_off("f")).token)

    with scope:
        assert flags.peek("f")
    assert not flags.peek("f", {"user_id": "anna"})


async def test_a_scope_that_waits_for_nothing_pins_when_it_is_entered(flags: Client, admin: Admin):
    scope = await flags.scope({"user_id": "anna"}).wait()
    await flags.wait_for((await admin.switch_off("f")).token)

    with scope:
        assert not flags.peek("f")


async def test_a_scope_cannot_wait_inside_its_own_block(flags: Client):
    with flags.scope() as scope, pytest.raises(LifetimeError):
        await scope.wait()
