"""`Client.gate`: when a task runs its flag is asked, and what becomes of it when the flag is off."""

import inspect
import logging
import pickle
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from grayflow import Admin, Client, Gate, GateClosedError, MemoryStore, Refusal
from grayflow.client.gate import gate_of, refusing
from grayflow.errors import ConfigurationError

pytestmark = pytest.mark.anyio

FOR_ANNA = {"key": "anna", "enabled": True, "otherwise": "off", "targets": {"on": ["anna"]}}
RANKING = {
    "key": "ranking",
    "kind": "string",
    "enabled": True,
    "variants": {"a": "bm25", "b": "neural"},
    "otherwise": "b",
}


@pytest.fixture
async def admin() -> AsyncIterator[Admin]:
    async with Admin(MemoryStore(), actor="test") as opened:
        for document in ({"key": "f"}, {"key": "g", "enabled": True}, FOR_ANNA, RANKING):
            await opened.put(document)
        yield opened


@pytest.fixture
async def flags(admin: Admin) -> AsyncIterator[Client]:
    async with Client(admin.store) as opened:
        yield opened


# Open and closed


async def test_an_async_task_runs_while_the_flag_is_on(flags: Client):
    @flags.gate("g")
    async def charge(amount: int) -> int:
        return amount + 1

    assert await charge(1) == 2


async def test_a_task_runs_while_the_flag_is_on(flags: Client):
    @flags.gate("g")
    def charge(amount: int) -> int:
        return amount + 1

    assert charge(1) == 2


async def test_a_task_is_dropped_while_the_flag_is_off(flags: Client):
    ran = []

    @flags.gate("f")
    async def charge(amount: int) -> None:
        ran.append(amount)

    @flags.gate("f")
    def refund(amount: int) -> None:
        ran.append(amount)

    assert (await charge(1), refund(1), ran) == (None, None, [])


async def test_the_flag_is_asked_when_the_task_runs_and_not_when_it_is_decorated_or_queued(flags: Client, admin: Admin):
    @flags.gate("g")
    def charge() -> str:
        return "ran"

    queued: list[Callable[[], str]] = [charge] * 1000
    ran = [queued.pop()() for _ in range(300)]
    await flags.wait_for((await admin.switch_off("g")).token)
    ran += [queued.pop()() for _ in range(700)]

    assert (ran.count("ran"), charge.gate.refused) == (300, 700)


async def test_the_context_is_made_of_the_arguments(flags: Client):
    @flags.gate("anna", context=lambda order, *, dry=False: {"user_id": order["user"]})
    def charge(order: dict[str, str], *, dry: bool = False) -> str:
        return order["user"]

    assert (charge({"user": "anna"}, dry=True), charge({"user": "ben"})) == ("anna", None)


async def test_an_async_task_may_await_its_context(flags: Client):
    async def who(user: str) -> dict[str, str]:
        return {"user_id": user}

    @flags.gate("anna", context=who)
    async def charge(user: str) -> str:
        return user

    assert (await charge("anna"), await charge("ben")) == ("anna", None)


async def test_without_a_function_the_context_is_the_scopes(flags: Client):
    @flags.gate("anna")
    def charge() -> str:
        return "ran"

    with flags.scope({"user_id": "anna"}):
        assert charge() == "ran"
    assert charge() is None


async def test_what_the_function_of_the_context_raises_is_the_tasks_error(flags: Client):
    @flags.gate("anna", context=lambda order: {"user_id": order["user"]})
    def charge(order: dict[str, str]) -> None: ...

    with pytest.raises(KeyError):
        charge({})


async def test_a_gate_may_stand_for_one_variant(flags: Client):
    ran = []
    flags.gate("ranking", variant="a")(lambda: ran.append("a"))()
    flags.gate("ranking", variant="b")(lambda: ran.append("b"))()

    assert ran == ["b"]


async def test_a_flag_that_is_not_boolean_opens_no_gate_without_a_variant(flags: Client):
    assert flags.gate("ranking")(lambda: "ran")() is None


@pytest.mark.parametrize("variant", [None, "b"])
async def test_without_an_answer_the_default_decides(flags: Client, variant: str | None):
    closed = flags.gate("missing", variant=variant)(lambda: "ran")
    opened = flags.gate("missing", variant=variant, default=True)(lambda: "ran")

    assert (closed(), opened()) == (None, "ran")


def test_before_the_flags_have_arrived_the_default_decides():
    flags = Client(MemoryStore())

    assert flags.gate("f", default=True)(lambda: "ran")() == "ran"
    assert flags.gate("f")(lambda: "ran")() is None


def test_an_override_opens_the_gate():
    flags = Client(MemoryStore())
    charge = flags.gate("f")(lambda: "ran")

    with flags.override(f=True):
        assert charge() == "ran"


async def test_a_tasks_own_error_leaves_as_it_was(flags: Client):
    @flags.gate("g")
    async def charge() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await charge()


# What becomes of it


@pytest.mark.parametrize("otherwise", ["delay", "dead-letter"])
async def test_a_call_that_is_not_to_be_lost_raises_where_nobody_knows_better(flags: Client, otherwise: Any):
    @flags.gate("f", otherwise=otherwise, delay=90)
    async def charge() -> None: ...

    with pytest.raises(
        GateClosedError, match=r"charge was not run: its gate, flag 'f', is closed\. It is to be"
    ) as met:
        await charge()

    assert (met.value.key, met.value.otherwise, met.value.delay_s) == ("f", otherwise, 90.0)
    assert str(pickle.loads(pickle.dumps(met.value))) == str(met.value)


async def test_the_application_may_say_what_becomes_of_it(flags: Client):
    refusals: list[Refusal] = []

    def later(refusal: Refusal) -> str:
        refusals.append(refusal)
        return "later"

    @flags.gate("f", otherwise=later)
    def charge(amount: int, *, currency: str) -> str:
        return "ran"

    assert charge(3, currency="eur") == "later"
    (refusal,) = refusals
    assert (refusal.key, refusal.args, refusal.kwargs, refusal.otherwise) == ("f", (3,), {"currency": "eur"}, None)
    assert refusal.task.endswith(".charge")
    assert refusal.decision.reason == "DISABLED"


async def test_what_the_application_says_may_be_awaited_and_may_raise(flags: Client):
    class LaterError(Exception):
        pass

    async def later(_: Refusal) -> None:
        raise LaterError

    @flags.gate("f", otherwise=later)
    async def charge() -> None: ...

    with pytest.raises(LaterError):
        await charge()


async def test_a_worker_around_the_task_does_what_is_asked_for(flags: Client):
    seen: list[str | None] = []
    token = refusing.set(lambda refusal: seen.append(refusal.otherwise))
    try:
        for otherwise in ("drop", "delay", "dead-letter"):
            flags.gate("f", otherwise=otherwise)(lambda: "ran")()
    finally:
        refusing.reset(token)

    assert seen == ["drop", "delay", "dead-letter"]


async def test_refusals_are_counted_and_logged_once(flags: Client, caplog: pytest.LogCaptureFixture):
    charge = flags.gate("f")(lambda secret: "ran")
    with caplog.at_level(logging.INFO, logger="grayflow.gate"):
        for _ in range(5):
            charge("4111-1111")

    assert gate_of(charge).refused == 5
    (record,) = caplog.records
    assert "gate 'f' refused" in record.message
    assert "4111" not in record.message


# What it looks like from outside


async def test_whoever_queues_may_ask_whether_a_task_would_run(flags: Client):
    @flags.gate("anna", context=lambda user: {"user_id": user})
    def charge(user: str) -> None: ...

    gate = gate_of(charge)
    assert isinstance(gate, Gate)
    assert (gate.allows("anna"), gate.allows("ben"), gate.refused) == (True, False, 0)


async def test_a_context_that_has_to_be_awaited_cannot_be_asked_beforehand(flags: Client):
    def who(user: str) -> Any:
        class Promise:
            def __await__(self) -> Any:
                yield

        return Promise()

    gate = flags.gate("anna", context=who)
    with pytest.raises(ConfigurationError, match="has to be awaited, so only the task can ask it"):
        gate.allows("anna")


async def test_a_context_that_has_to_be_awaited_is_refused_to_tasks_that_are_not_async(flags: Client):
    async def who(user: str) -> dict[str, str]:
        return {"user_id": user}

    def charge(user: str) -> str:
        return user

    with pytest.raises(ConfigurationError, match=r"context is .*charge is not async, so this must not be either"):
        flags.gate("anna", context=who)(charge)
    with pytest.raises(ConfigurationError, match="has to be awaited, so the task has to be async"):
        flags.gate("anna", context=lambda user: who(f"{user}"))(charge)("anna")


async def test_the_function_keeps_its_name_its_kind_and_its_arguments(flags: Client):
    @flags.gate("f")
    async def charge(order: int, *, dry: bool = False) -> str:
        """Charge."""
        return ""

    assert (charge.__name__, charge.__doc__) == ("charge", "Charge.")
    assert inspect.iscoroutinefunction(charge)
    assert list(inspect.getfullargspec(charge).args) == ["order"]
    assert gate_of(len) is None


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"otherwise": "later"}, "otherwise is 'later'"),
        ({"otherwise": None}, "otherwise"),
        ({"delay": -1}, "delay"),
        ({"context": {"user_id": "u"}}, "context"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused(wrong: dict[str, Any], text: str):
    with pytest.raises(ConfigurationError, match=text):
        Client(MemoryStore()).gate("f", **wrong)


@pytest.mark.parametrize("key", [None, "", 3])
def test_a_gate_needs_the_key_of_its_flag(key: Any):
    with pytest.raises(ConfigurationError, match=r"key is .*; give a flag's key"):
        Client(MemoryStore()).gate(key)


def generator() -> Any:
    yield


async def async_generator() -> Any:
    yield


class Task:
    pass


@pytest.mark.parametrize("function", [generator, async_generator, Task, None, "charge"])
def test_what_does_no_work_when_it_is_called_cannot_be_guarded(function: Any):
    with pytest.raises(ConfigurationError, match="what is gated"):
        Client(MemoryStore()).gate("f")(function)


def test_a_task_that_is_not_async_cannot_await_what_becomes_of_it():
    async def later(_: Refusal) -> None: ...

    with pytest.raises(ConfigurationError, match="is not async, so this must not be"):
        Client(MemoryStore()).gate("f", otherwise=later)(lambda: None)
