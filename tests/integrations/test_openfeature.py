"""The OpenFeature SDK with grayflow behind it: its evaluation scenarios, events and context."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import EventDetails, ProviderEvent
from openfeature.exception import ErrorCode
from openfeature.provider import ProviderStatus

from grayflow import Admin, Client, MemoryStore
from grayflow.integrations.openfeature import GrayflowProvider
from grayflow.testing import FakeClock, Faulty
from tests.replica.kit import until

pytestmark = pytest.mark.anyio

ANNA = EvaluationContext("anna")
FLAGS: list[dict[str, Any]] = [
    {"key": "boolean-flag", "enabled": True},
    {"key": "off-flag"},
    {
        "key": "string-flag",
        "kind": "string",
        "enabled": True,
        "variants": {"hi": "hi", "bye": "bye"},
        "otherwise": "hi",
    },
    {"key": "integer-flag", "kind": "integer", "enabled": True, "variants": {"ten": 10}, "otherwise": "ten"},
    {"key": "float-flag", "kind": "float", "enabled": True, "variants": {"half": 0.5, "one": 1}, "otherwise": "half"},
    {"key": "whole-float", "kind": "float", "enabled": True, "variants": {"one": 1}, "otherwise": "one"},
    {
        "key": "object-flag",
        "kind": "json",
        "enabled": True,
        "variants": {"template": {"showImages": True, "title": "Check out", "imagesPerPage": 100}},
        "otherwise": "template",
        "metadata": {"ticket": "PAY-7"},
    },
    {
        "key": "context-aware",
        "kind": "string",
        "enabled": True,
        "variants": {"internal": "INTERNAL", "external": "EXTERNAL"},
        "rules": [
            {
                "name": "staff",
                "when": [
                    {"type": "attribute", "name": "fn", "op": "in", "values": ["Sulisław"]},
                    {"type": "attribute", "name": "age", "op": "in", "values": [29]},
                    {"type": "attribute", "name": "customer", "op": "in", "values": [False]},
                ],
                "serve": "internal",
            }
        ],
        "otherwise": "external",
    },
    {
        "key": "targeted",
        "enabled": True,
        "otherwise": "off",
        "targets": {"on": ["anna"]},
    },
    {
        "key": "split",
        "enabled": True,
        "otherwise": {"weights": [["on", 50_000], ["off", 50_000]]},
    },
    {
        "key": "since",
        "enabled": True,
        "otherwise": "off",
        "rules": [
            {
                "when": [{"type": "attribute", "name": "born", "op": "before", "values": ["2000-01-01T00:00:00Z"]}],
                "serve": "on",
            }
        ],
    },
    {
        "key": "fetched",
        "enabled": True,
        "otherwise": "off",
        "rules": [{"when": [{"type": "attribute", "name": "plan", "op": "in", "values": ["gold"]}], "serve": "on"}],
    },
]


async def plan(_: object) -> str:
    return "gold"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(clock: FakeClock) -> AsyncIterator[Faulty]:
    faulty = Faulty(MemoryStore(), clock=clock)
    async with Admin(faulty, actor="test", clock=clock) as admin:
        for flag in FLAGS:
            await admin.put(flag)
        yield faulty


@pytest.fixture
async def flags(store: Faulty, clock: FakeClock) -> AsyncIterator[Client]:
    async with Client(store, clock=clock, resolvers={"plan": plan}) as opened:
        yield opened


@pytest.fixture
def client(flags: Client) -> Iterator[OpenFeatureClient]:
    api.set_provider(GrayflowProvider(flags))
    yield api.get_client()
    api.clear_providers()
    api.clear_hooks()


async def test_each_type_is_resolved_with_its_variant_and_reason(client: OpenFeatureClient):
    assert client.get_boolean_value("boolean-flag", False) is True
    assert client.get_string_value("string-flag", "bye") == "hi"
    assert client.get_integer_value("integer-flag", 1) == 10
    assert client.get_float_value("float-flag", 0.1) == 0.5
    template = client.get_object_value("object-flag", {})
    assert template == {"showImages": True, "title": "Check out", "imagesPerPage": 100}

    details = client.get_boolean_details("boolean-flag", False)
    assert (details.value, details.variant, details.reason, details.error_code) == (True, "on", "STATIC", None)


async def test_the_async_getters_answer_the_same(client: OpenFeatureClient):
    assert await client.get_boolean_value_async("boolean-flag", False) is True
    assert await client.get_string_value_async("string-flag", "bye") == "hi"
    assert await client.get_integer_value_async("integer-flag", 1) == 10
    assert await client.get_float_value_async("float-flag", 0.1) == 0.5
    assert (await client.get_object_value_async("object-flag", {}))["imagesPerPage"] == 100


async def test_a_whole_number_is_a_float_where_a_float_is_asked_for(client: OpenFeatureClient):
    value = client.get_float_value("whole-float", 0)

    assert (value, type(value)) == (1.0, float)


async def test_the_context_decides(client: OpenFeatureClient):
    attributes = {"fn": "Sulisław", "ln": "Świętopełk", "age": 29, "customer": False}

    assert client.get_string_value("context-aware", "EXTERNAL", EvaluationContext(None, attributes)) == "INTERNAL"
    assert client.get_string_value("context-aware", "?", EvaluationContext()) == "EXTERNAL"


async def test_the_targeting_key_is_the_user_id(client: OpenFeatureClient):
    assert client.get_boolean_details("targeted", False, ANNA).reason == "TARGETING_MATCH"
    assert client.get_boolean_value("targeted", False, EvaluationContext("ben")) is False
    assert client.get_boolean_value("targeted", False, EvaluationContext("ben", {"user_id": "anna"})) is False
    assert client.get_boolean_value("targeted", False, EvaluationContext(None, {"user_id": "anna"})) is True


async def test_without_a_context_the_scopes_counts(client: OpenFeatureClient, flags: Client):
    with flags.scope({"user_id": "anna"}):
        assert client.get_boolean_value("targeted", False) is True
    assert client.get_boolean_value("targeted", False) is False


async def test_an_instant_is_compared_as_one(client: OpenFeatureClient):
    born = {"born": datetime(1999, 12, 31, tzinfo=UTC)}

    assert client.get_boolean_value("since", False, EvaluationContext("anna", born)) is True


async def test_a_missing_flag_answers_with_the_default_and_says_so(client: OpenFeatureClient):
    details = client.get_string_details("missing-flag", "fallback")

    assert (details.value, details.reason, details.error_code) == ("fallback", "ERROR", ErrorCode.FLAG_NOT_FOUND)


async def test_another_type_answers_with_the_default_and_says_so(client: OpenFeatureClient):
    details = client.get_integer_details("string-flag", 13)

    assert (details.value, details.reason, details.error_code) == (13, "ERROR", ErrorCode.TYPE_MISMATCH)


async def test_a_split_without_a_targeting_key_says_so(client: OpenFeatureClient):
    details = client.get_boolean_details("split", True, EvaluationContext(None, {"x": 1}))

    assert (details.value, details.error_code) == (True, ErrorCode.TARGETING_KEY_MISSING)


async def test_a_disabled_flag_says_so(client: OpenFeatureClient):
    details = client.get_boolean_details("off-flag", True)

    assert (details.value, details.reason, details.variant) == (False, "DISABLED", "off")


async def test_metadata_is_handed_out(client: OpenFeatureClient):
    details = client.get_object_details("object-flag", {})

    assert details.flag_metadata["ticket"] == "PAY-7"
    assert details.flag_metadata["grayflow.revision"] == 7
    assert details.flag_metadata["grayflow.stale"] is False
    assert (
        client.get_string_details(
            "context-aware", "", EvaluationContext(None, {"fn": "Sulisław", "age": 29, "customer": False})
        ).flag_metadata["grayflow.rule"]
        == "staff"
    )


async def test_the_async_getters_await_resolvers_and_the_others_do_not(client: OpenFeatureClient):
    assert await client.get_boolean_value_async("fetched", False, ANNA) is True

    details = client.get_boolean_details("fetched", True, ANNA)
    assert (details.value, details.error_code) == (False, None)
    assert "plan" in (details.error_message or "")


async def test_the_provider_is_ready_once_there_are_flags(client: OpenFeatureClient):
    assert client.get_provider_status() is ProviderStatus.READY
    assert api.get_provider_metadata().name == "grayflow"


async def test_a_client_without_flags_is_not_ready(clock: FakeClock):
    api.set_provider(GrayflowProvider(Client(MemoryStore(), clock=clock)))
    client = api.get_client()

    details = client.get_boolean_details("boolean-flag", True)
    assert (details.value, details.error_code) == (True, ErrorCode.PROVIDER_NOT_READY)
    api.clear_providers()


async def test_events_follow_the_flags(client: OpenFeatureClient, flags: Client, store: Faulty, clock: FakeClock):
    seen: list[tuple[str, Any]] = []
    for event in ProviderEvent:

        def handler(details: EventDetails, event: ProviderEvent = event) -> None:
            seen.append((event.name, details.flags_changed))

        client.add_handler(event, handler)
    # The SDK calls handlers in threads of its own, and tells READY to whoever asks late.
    await until(lambda: seen == [("PROVIDER_READY", None)])

    async with Admin(store, actor="test", clock=clock) as admin:
        await admin.switch_on("off-flag")
    await clock.advance(1)
    await until(lambda: seen[1:] == [("PROVIDER_CONFIGURATION_CHANGED", ["off-flag"])])

    store.down = True
    await clock.advance(40)
    await until(lambda: seen[2:] == [("PROVIDER_STALE", None)])
    assert client.get_provider_status() is ProviderStatus.STALE
    assert client.get_boolean_details("boolean-flag", False).flag_metadata["grayflow.stale"] is True

    await clock.advance(400)
    await until(lambda: seen[3:] == [("PROVIDER_ERROR", None)])

    store.heal()
    await clock.advance(30)
    await until(lambda: seen[4:] == [("PROVIDER_READY", None)])
    assert client.get_provider_status() is ProviderStatus.READY


async def test_an_expired_flag_answers_by_its_policy(client: OpenFeatureClient, store: Faulty, clock: FakeClock):
    async with Admin(store, actor="test", clock=clock) as admin:
        await admin.put({"key": "kept", "enabled": True, "on_failure": "last_known"})
    await clock.advance(1)
    store.down = True
    await clock.advance(400)

    details = client.get_boolean_details("kept", False)
    assert (details.value, details.error_code) == (True, None)
    assert client.get_boolean_details("boolean-flag", False).reason == "STALE"


async def test_the_example_decides_for_each_user(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'flags.db'}"
    async with Admin(url, actor="test") as admin:
        await admin.put({"key": "payment_v2", "enabled": True, "otherwise": "off", "targets": {"on": ["anna"]}})
    done = subprocess.run(  # noqa: ASYNC221 - there is nothing else to do
        [sys.executable, "-m", "tests.examples.openfeature_app", "anna", "ben"],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "GRAYFLOW_URL": url},
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )

    assert done.stdout.splitlines() == ["anna: new (TARGETING_MATCH)", "ben: old (DEFAULT)"]
