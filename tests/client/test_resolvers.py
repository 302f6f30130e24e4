import asyncio

import anyio
import pytest

from grayflow import ConfigurationError, Context, ErrorCode
from grayflow.testing import Faulty
from tests.client.conftest import Make
from tests.replica.kit import ON, put

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("gold")]

ANNA, BEN = Context(user_id="anna"), Context(user_id="ben")
RULE = {"when": [{"type": "attribute", "name": "plan", "op": "in", "values": ["gold"]}], "serve": "on"}


@pytest.fixture
async def gold(opened: None, store: Faulty) -> None:
    await put(store, "f", **ON, otherwise="off", rules=[RULE])
    await put(store, "g", **ON, otherwise="off", rules=[RULE])
    await put(store, "plain", **ON)


class Plans:
    """A resolver that counts its calls."""

    def __init__(self) -> None:
        self.calls: list[object] = []
        self.go = anyio.Event()
        self.go.set()
        self.failure: Exception | None = None

    async def __call__(self, context: Context) -> str:
        self.calls.append(context.user_id)
        await self.go.wait()
        if self.failure is not None:
            raise self.failure
        return "gold" if context.user_id == "anna" else "free"


async def test_an_attribute_is_fetched_when_a_rule_needs_it(make: Make):
    plans = Plans()
    async with make(resolvers={"plan": plans}) as flags:
        assert await flags.is_enabled("plain", ANNA) is True
        assert plans.calls == []

        assert await flags.is_enabled("f", ANNA) is True
        assert await flags.is_enabled("f", BEN) is False
        assert (await flags.evaluate("f", ANNA)).error is None
        assert await flags.value("f", ANNA, default=False) is True


async def test_an_attribute_that_the_context_has_is_not_fetched(make: Make):
    plans = Plans()
    async with make(resolvers={"plan": plans}) as flags:
        assert await flags.is_enabled("f", Context(user_id="ben", attributes={"plan": "gold"})) is True
        assert flags.peek("f", Context(attributes={"plan": "gold"})) is True
        assert plans.calls == []


async def test_a_field_that_is_null_is_fetched_too(make: Make, store: Faulty):
    rule = {"when": [{"type": "attribute", "name": "country", "op": "in", "values": ["DE"]}], "serve": "on"}
    await put(store, "c", **ON, otherwise="off", rules=[rule])

    async def country(_: Context) -> str:
        return "DE"

    async with make(resolvers={"country": country}) as flags:
        assert await flags.is_enabled("c", ANNA) is True
        assert await flags.is_enabled("c", Context(country="FR")) is False


async def test_it_is_fetched_once_per_scope(make: Make):
    plans = Plans()
    async with make(resolvers={"plan": plans}) as flags:
        with flags.scope(ANNA):
            for _ in range(3):
                assert await flags.is_enabled("f") is True
                assert await flags.is_enabled("g") is True
                assert await flags.is_enabled("g", ANNA) is True
        assert plans.calls == ["anna"]

        await flags.is_enabled("f", ANNA)
        await flags.is_enabled("f", ANNA)
        assert plans.calls == ["anna"] * 3


async def test_another_context_in_the_scope_is_fetched_for_itself(make: Make):
    plans = Plans()
    async with make(resolvers={"plan": plans}) as flags:
        with flags.scope(ANNA):
            assert await flags.is_enabled("f", BEN) is False
            assert await flags.is_enabled("f") is True
            with flags.scope(BEN):
                assert await flags.is_enabled("f") is False
                with flags.scope():
                    assert await flags.is_enabled("f") is False
        assert plans.calls == ["ben", "anna", "ben"]


async def test_tasks_of_one_scope_share_the_call(make: Make):
    plans = Plans()
    plans.go = anyio.Event()
    async with make(resolvers={"plan": plans}) as flags:
        found = []

        async def ask(key: str) -> None:
            found.append(await flags.is_enabled(key))

        with flags.scope(ANNA):
            async with anyio.create_task_group() as tasks:
                for key in ("f", "g", "f", "g"):
                    tasks.start_soon(ask, key)
                await anyio.wait_all_tasks_blocked()
                plans.go.set()

        assert found == [True] * 4
        assert plans.calls == ["anna"]


async def test_if_the_task_that_fetches_is_cancelled_another_one_does(make: Make):
    plans = Plans()
    plans.go = anyio.Event()
    async with make(resolvers={"plan": plans}) as flags:
        found = []

        async def ask(scope: anyio.CancelScope) -> None:
            with scope:
                found.append(await flags.is_enabled("f"))

        first = anyio.CancelScope()
        with flags.scope(ANNA):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask, first)
                await anyio.wait_all_tasks_blocked()
                tasks.start_soon(ask, anyio.CancelScope())
                await anyio.wait_all_tasks_blocked()
                first.cancel()
                await anyio.wait_all_tasks_blocked()
                plans.go.set()

        assert found == [True]
        assert plans.calls == ["anna", "anna"]


async def test_one_that_fails_is_absent_and_the_decision_says_so(make: Make, caplog: pytest.LogCaptureFixture):
    plans = Plans()
    plans.failure = RuntimeError("no database")
    async with make(resolvers={"plan": plans}) as flags:
        for _ in range(3):
            decision = await flags.evaluate("f", ANNA, default=True)
            assert (decision.value, decision.error) == (False, ErrorCode.RESOLVER_FAILED)
            assert "'plan'" in decision.detail
            assert "no database" in decision.detail

        assert flags.health.resolver_errors == 3
        assert len(caplog.records) == 1


async def test_one_that_awaits_what_was_cancelled_is_absent_and_the_caller_goes_on(make: Make):
    async def shared(_: Context) -> str:
        fetch: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        fetch.cancel()
        await fetch
        return "gold"

    async with make(resolvers={"plan": shared}) as flags:
        assert await flags.is_enabled("f", ANNA) is False
        decision = await flags.evaluate("f", ANNA)

        assert (decision.value, decision.error) == (False, ErrorCode.RESOLVER_FAILED)
        assert "cancelled from within" in decision.detail


async def test_a_decision_that_failed_anyway_keeps_its_own_error(make: Make):
    plans = Plans()
    plans.failure = RuntimeError("no database")
    async with make(resolvers={"plan": plans}) as flags:
        decision = await flags.evaluate("f", ANNA, default="text")

        assert decision.error is ErrorCode.TYPE_MISMATCH
        assert "no database" in decision.detail


async def test_a_failure_is_remembered_for_the_scope(make: Make):
    plans = Plans()
    plans.failure = RuntimeError("no database")
    async with make(resolvers={"plan": plans}) as flags:
        with flags.scope(ANNA):
            for key in ("f", "g"):
                assert (await flags.evaluate(key)).error is ErrorCode.RESOLVER_FAILED
            assert (await flags.evaluate("plain")).error is None

        assert plans.calls == ["anna"]


async def test_one_that_takes_too_long_is_absent(make: Make):
    plans = Plans()
    plans.go = anyio.Event()
    async with make(resolvers={"plan": plans}, resolver_timeout=0.01) as flags:
        decision = await flags.evaluate("f", ANNA)

        assert (decision.value, decision.error) == (False, ErrorCode.RESOLVER_FAILED)
        assert "longer than 0.01 s" in decision.detail


async def test_peek_takes_it_as_absent_and_says_so(make: Make):
    plans = Plans()
    async with make(resolvers={"plan": plans}) as flags:
        for _ in range(2):
            decision = flags.peek_decision("f", ANNA)
            assert (decision.value, decision.error) == (False, ErrorCode.RESOLVER_FAILED)
            assert "memory" in decision.detail
            assert flags.peek("f", ANNA) is False
        assert plans.calls == []


async def test_peek_uses_what_the_scope_has_fetched(make: Make):
    plans = Plans()
    async with make(resolvers={"plan": plans}) as flags:
        with flags.scope(ANNA):
            await flags.is_enabled("g")

            decision = flags.peek_decision("f")
            assert (decision.value, decision.error) == (True, None)


async def test_what_peek_did_without_can_still_be_fetched_in_the_scope(make: Make):
    async with make(resolvers={"plan": Plans()}) as flags:
        with flags.scope(ANNA):
            assert flags.peek("f") is False

            decision = await flags.evaluate("f", default=False)

            assert (decision.value, decision.error) == (True, None)


async def test_a_plain_function_will_do(make: Make):
    async with make(resolvers={"plan": lambda context: "gold"}) as flags:
        assert await flags.is_enabled("f", ANNA) is True


async def test_a_cancelled_evaluation_ends_the_call(make: Make):
    plans = Plans()
    plans.go = anyio.Event()
    async with make(resolvers={"plan": plans}) as flags:
        with anyio.move_on_after(0.01) as scope:
            await flags.is_enabled("f", ANNA)

        assert scope.cancelled_caught
        plans.go.set()
        assert await flags.is_enabled("f", ANNA) is True


async def test_what_cannot_be_called_is_refused(make: Make):
    with pytest.raises(ConfigurationError, match="'plan'"):
        make(resolvers={"plan": 7})
