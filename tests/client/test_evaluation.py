"""What the methods of a client answer, and that the hot path says the same as the snapshot does."""

import asyncio
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grayflow import Client, Context, Decision, ErrorCode, Reason, Snapshot, Store
from grayflow.store.memory import MemoryStore
from grayflow.testing import FakeClock, Faulty
from tests.client.conftest import Make
from tests.replica.kit import OFF, ON, put, put_bytes, until

pytestmark = pytest.mark.anyio

ANNA = Context(user_id="anna", country="DE")


class ShopContext(Context, frozen=True, kw_only=True):
    store_id: str | None = None


# Booleans


@pytest.mark.usefixtures("opened")
async def test_is_enabled_and_peek_agree(make: Make, store: Faulty):
    await put(store, "on", **ON)
    await put(store, "off", **OFF)
    async with make() as flags:
        for _ in range(2):  # the first time prepares the hot path
            assert await flags.is_enabled("on", ANNA) is True
            assert flags.peek("on", ANNA) is True
            assert await flags.is_enabled("off", ANNA) is False
            assert flags.peek("off", ANNA) is False


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize("default", [True, False])
async def test_an_unknown_flag_is_the_default_and_never_none(make: Make, default: bool):
    async with make() as flags:
        for _ in range(2):
            assert await flags.is_enabled("missing", ANNA, default=default) is default
            assert flags.peek("missing", ANNA, default=default) is default


@pytest.mark.usefixtures("opened")
async def test_a_default_of_none_becomes_false(make: Make):
    async with make() as flags:
        assert await flags.is_enabled("missing", default=None) is False  # type: ignore[arg-type]
        assert flags.peek("missing", default=None) is False  # type: ignore[arg-type]


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize(
    ("kind", "value"), [("string", "true"), ("integer", 1), ("float", 1.0), ("json", True), ("json", None)]
)
async def test_only_a_boolean_flag_is_on(make: Make, store: Faulty, kind: str, value: Any):
    await _put_variant(store, "f", kind, value)
    async with make() as flags:
        for _ in range(2):
            assert await flags.is_enabled("f", ANNA) is False
            assert await flags.is_enabled("f", ANNA, default=True) is True
            assert flags.peek("f", ANNA, default=True) is True


async def _put_variant(store: Store, key: str, kind: str, value: Any) -> None:
    document = {"key": key, "kind": kind, "enabled": True, "variants": {"v": value}, "off": "v", "otherwise": "v"}
    await put_bytes(store, key, msgspec.json.encode(document))


@pytest.mark.usefixtures("opened")
async def test_a_broken_flag_is_the_default(make: Make, store: Faulty):
    await put_bytes(store, "f", b"no json")
    async with make() as flags:
        assert await flags.is_enabled("f", ANNA, default=True) is True
        assert flags.peek("f", ANNA) is False
        assert (await flags.evaluate("f", ANNA)).error is ErrorCode.PARSE_ERROR


# Values


@pytest.mark.usefixtures("opened")
async def test_a_value_is_of_the_type_of_its_default(make: Make, store: Faulty):
    await _put_variant(store, "size", "integer", 20)
    await _put_variant(store, "rate", "float", 2)
    async with make() as flags:
        for _ in range(2):
            assert await flags.value("size", ANNA, default=50) == 20
            assert await flags.value("size", ANNA, default=0.5) == 0.5
            assert await flags.value("size", ANNA, default="x") == "x"
            assert await flags.value("size", ANNA, default=True) is True
            assert flags.peek_value("size", ANNA, default=50) == 20
            rate = await flags.value("rate", ANNA, default=1.0)
            assert (rate, type(rate)) == (2.0, float)


@pytest.mark.usefixtures("opened")
async def test_a_default_of_none_takes_any_type(make: Make, store: Faulty):
    await _put_variant(store, "size", "integer", 20)
    async with make() as flags:
        for _ in range(2):
            assert await flags.value("size", ANNA, default=None) == 20
            assert flags.peek_value("size", ANNA, default=None) == 20
            assert (await flags.evaluate("size", ANNA)).value == 20


@pytest.mark.usefixtures("opened")
async def test_json_values_are_shared_and_cannot_be_changed(make: Make, store: Faulty):
    await _put_variant(store, "j", "json", {"a": [1, 2]})
    async with make() as flags:
        value = await flags.value("j", ANNA, default={})

        assert value == {"a": [1, 2]}
        with pytest.raises(TypeError, match="shared"):
            value["a"].append(3)


@pytest.mark.usefixtures("opened")
async def test_a_decision_that_is_fresh_is_shared(make: Make, store: Faulty):
    await put(store, "f", **ON)
    async with make() as flags:
        await flags.evaluate("f", ANNA)

        assert await flags.evaluate("f", ANNA) is await flags.evaluate("f", ANNA)
        assert flags.peek_decision("f", ANNA) is await flags.evaluate("f", ANNA, default=True)


@pytest.mark.usefixtures("opened")
async def test_a_flag_that_leaves_it_to_the_caller_answers_with_the_default(make: Make, store: Faulty):
    await put(store, "f", **ON, otherwise=None)
    async with make() as flags:
        for _ in range(2):
            decision = await flags.evaluate("f", ANNA, default=True)
            assert (decision.value, decision.reason, decision.variant) == (True, Reason.DEFAULT, None)


variants = st.one_of(
    st.tuples(st.just("boolean"), st.booleans()),
    st.tuples(st.just("string"), st.text(max_size=3)),
    st.tuples(st.just("integer"), st.integers(-5, 5)),
    st.tuples(st.just("float"), st.sampled_from([0.0, 1.5])),
    st.tuples(st.just("json"), st.sampled_from([None, True, 1, 1.5, "a", [], [1], {}, {"a": 1}])),
)
defaults = st.sampled_from([None, True, False, 0, 1, 1.5, math.inf, "", "a", [], [1], {}, {"a": 2}, (), object()])


@given(variant=variants, default=defaults)
def test_the_hot_path_says_what_the_snapshot_says(variant: tuple[str, Any], default: Any):
    kind, value = variant
    document = {"key": "f", "kind": kind, "enabled": True, "variants": {"v": value}, "off": "v", "otherwise": "v"}
    expected = Snapshot.build([document]).evaluate("f", ANNA, default=default)

    async def ask() -> list[Decision]:
        async with MemoryStore() as store:
            await store.init()
            await _put_variant(store, "f", kind, value)
            async with Client(store, clock=FakeClock()) as flags:
                found = [flags.peek_decision("f", ANNA, default=default) for _ in range(3)]
                found += [await flags.evaluate("f", ANNA, default=default)]
                assert flags.peek_value("f", ANNA, default=default) is found[0].value or default is not None
                return found

    for decision in asyncio.run(ask()):
        same = (decision.value, type(decision.value), decision.variant, decision.reason, decision.error)
        assert same == (expected.value, type(expected.value), expected.variant, expected.reason, expected.error)


# Contexts


@pytest.mark.usefixtures("opened")
async def test_a_mapping_is_a_context(make: Make, store: Faulty):
    await put(store, "f", **ON, otherwise="off", targets={"on": ["anna"]})
    async with make() as flags:
        for _ in range(2):
            assert await flags.is_enabled("f", {"user_id": "anna"}) is True
            assert flags.peek("f", {"user_id": "ben"}) is False
            assert flags.peek_decision("f", {"user_id": "anna"}).reason is Reason.TARGETING_MATCH


@pytest.mark.usefixtures("opened")
async def test_own_fields_are_read_from_the_declared_context_type(make: Make, store: Faulty):
    rule = {"when": [{"type": "attribute", "name": "store_id", "op": "in", "values": ["7"]}], "serve": "on"}
    await put(store, "f", **ON, otherwise="off", rules=[rule])
    async with make(context_type=ShopContext) as flags:
        for _ in range(2):
            assert flags.peek("f", ShopContext(store_id="7")) is True
            assert flags.peek("f", {"store_id": "7"}) is True
            assert flags.peek("f", Context(attributes={"store_id": "7"})) is True
            assert flags.peek("f", Context(user_id="7")) is False


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize("context", [42, "anna", [("user_id", "anna")]])
async def test_what_is_no_context_is_an_error_in_the_decision(make: Make, store: Faulty, context: Any):
    await put(store, "f", **ON)
    async with make() as flags:
        for _ in range(2):
            decision = await flags.evaluate("f", context, default=True)
            assert (decision.value, decision.error) == (True, ErrorCode.INVALID_CONTEXT)
            assert flags.peek("f", context) is False


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize("key", [None, 7, ["f"], {}, "x" * 10_000])
async def test_a_strange_key_is_the_default(make: Make, key: Any):
    async with make() as flags:
        assert await flags.is_enabled(key, ANNA, default=True) is True
        assert flags.peek(key, ANNA) is False
        assert (await flags.evaluate(key, ANNA, default=1)).value == 1


class Hostile(dict):
    def get(self, *_: Any) -> Any:
        raise RuntimeError("do not touch me")


@pytest.mark.usefixtures("opened")
async def test_a_value_that_raises_when_it_is_touched_is_an_error_in_the_decision(make: Make, store: Faulty):
    rule = {"when": [{"type": "attribute", "name": "plan", "op": "in", "values": ["gold"]}], "serve": "on"}
    await put(store, "f", **ON, otherwise="off", rules=[rule])
    async with make() as flags:
        context = Context(attributes=Hostile())
        for _ in range(2):
            assert flags.peek("f", context, default=True) is True
            assert await flags.is_enabled("f", context) is False
            decision = await flags.evaluate("f", context)
            assert decision.error is ErrorCode.GENERAL
            assert "do not touch me" in decision.detail


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even that")


class Worse(dict):
    def get(self, *_: Any) -> Any:
        raise MuteError

    keys = items = __iter__ = __getitem__ = get


@pytest.mark.usefixtures("opened")
async def test_an_error_that_cannot_be_printed_is_no_error_of_ours(make: Make, store: Faulty):
    rule = {"when": [{"type": "attribute", "name": "plan", "op": "in", "values": ["gold"]}], "serve": "on"}
    await put(store, "f", **ON, otherwise="off", rules=[rule])
    async with make() as flags:
        for context in (Context(attributes=Worse()), Worse(a=1)):
            assert flags.peek("f", context, default=True) is True
            assert (await flags.evaluate("f", context)).error is not None


# Time and other flags


@pytest.mark.usefixtures("opened")
async def test_a_window_is_judged_by_the_clock_at_each_evaluation(make: Make, store: Faulty, clock: FakeClock):
    await put(store, "f", **ON, expires_at="2026-01-01T00:01:00Z")
    async with make() as flags:
        assert flags.peek("f", ANNA) is True
        assert flags.peek("f", ANNA) is True

        clock.step(60)

        assert flags.peek("f", ANNA) is False
        assert (await flags.evaluate("f", ANNA)).reason is Reason.SCHEDULED


@pytest.mark.usefixtures("opened")
async def test_a_requirement_is_looked_up_each_time(make: Make, store: Faulty, clock: FakeClock):
    await put(store, "wallet", **ON)
    await put(store, "f", **ON, requires=[{"type": "flag", "key": "wallet"}])
    async with make() as flags:
        assert flags.peek("f", ANNA) is True
        assert flags.peek("f", ANNA) is True

        await put(store, "wallet", **OFF)
        await clock.advance(0)

        assert flags.peek("f", ANNA) is False
        assert (await flags.evaluate("f", ANNA)).reason is Reason.PREREQUISITE_FAILED


@pytest.mark.usefixtures("opened")
async def test_a_segment_that_changes_changes_the_flags_that_name_it(make: Make, store: Faulty, clock: FakeClock):
    await put(store, "staff", kind="segment", include=["anna"])
    rule = {"when": [{"type": "segment", "key": "staff"}], "serve": "on"}
    await put(store, "f", **ON, otherwise="off", rules=[rule])
    async with make() as flags:
        assert flags.peek("f", ANNA) is True
        assert flags.peek("f", ANNA) is True

        await put(store, "staff", kind="segment", include=["ben"])
        await clock.advance(0)

        assert flags.peek("f", ANNA) is False


# Before and after


async def test_before_the_start_everything_is_the_default_and_says_why(make: Make):
    flags = make()

    assert flags.peek("f", default=True) is True
    assert await flags.is_enabled("f") is False
    decision = await flags.evaluate("f", default=5)
    assert (decision.value, decision.error) == (5, ErrorCode.PROVIDER_NOT_READY)
    assert "async with Client(...) as flags:" in decision.detail


@pytest.mark.usefixtures("opened")
async def test_after_the_close_flags_come_from_memory_marked_stale(make: Make, store: Faulty):
    await put(store, "f", **ON)
    async with make() as flags:
        pass

    decision = await flags.evaluate("f", ANNA, default=False)
    assert (decision.value, decision.stale) == (True, True)
    assert "closed" in decision.detail
    assert flags.peek("f", ANNA) is True


@pytest.mark.usefixtures("opened")
async def test_without_an_answer_of_the_store_decisions_say_what_is_wrong(make: Make, store: Faulty):
    store.down = True
    async with make(start_timeout=0) as flags:
        await until(lambda: flags.health.last_error is not None)
        decision = await flags.evaluate("f", ANNA, default=1)

        assert decision.error is ErrorCode.PROVIDER_NOT_READY
        assert "cannot be reached" in decision.detail


# Unknown flags


@pytest.mark.usefixtures("opened")
async def test_an_unknown_flag_is_logged_once_and_listed_in_health(make: Make, caplog: pytest.LogCaptureFixture):
    async with make() as flags:
        for _ in range(5):
            flags.peek("missing", ANNA)
            await flags.is_enabled("missing", ANNA)
            await flags.evaluate("missing")

        assert len(caplog.records) == 1
        assert "'missing'" in caplog.records[0].message
        assert flags.health.unknown == ("missing",)


@pytest.mark.usefixtures("opened")
async def test_a_thousand_unknown_names_are_listed_and_the_others_counted(make: Make, caplog):
    async with make() as flags:
        for index in range(1005):
            flags.peek(f"missing{index}", ANNA)

        assert len(flags.health.unknown) == 1000
        assert flags.health.unknown_overflow == 5
        assert len(caplog.records) == 1001
        assert "more than 1000 unknown flags" in caplog.records[-1].message


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize("key", ["x" * 201, "x" * 10_000_000, "half \ud800", b"f", 5, None])
async def test_what_no_flag_can_be_called_is_logged_as_such_and_counted(make: Make, caplog, key: Any):
    async with make() as flags:
        for _ in range(3):
            decision = flags.peek_decision(key, ANNA)

        (record,) = caplog.records
        assert "no flag can have that name" in record.message
        assert len(record.message) < 300
        assert (decision.error, len(decision.detail) < 300) == ("flag_not_found", True)
        assert (flags.health.unknown, flags.health.unknown_overflow) == ((), 3)


@pytest.mark.usefixtures("opened")
async def test_a_name_that_was_unknown_is_found_when_the_flag_is_made(make: Make, store: Faulty, clock: FakeClock):
    async with make() as flags:
        assert flags.peek("f", ANNA) is False
        assert flags.peek("f", ANNA) is False

        await put(store, "f", **ON)
        await clock.advance(0)

        assert flags.peek("f", ANNA) is True
