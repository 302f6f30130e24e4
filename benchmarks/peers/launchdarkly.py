"""LaunchDarkly: its asyncio client as a daemon's reader, over a store in memory that holds the flags; no events."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from ldclient import Context
from ldclient.async_client import AsyncLDClient
from ldclient.async_config import AsyncConfig
from ldclient.async_feature_store import AsyncInMemoryFeatureStore
from ldclient.versioned_data_kind import FEATURES, SEGMENTS

from benchmarks.peers.work import COUNTRIES, LISTED, MODELS, PLANS
from benchmarks.peers.worker import Column

__all__ = ["peer"]

Json = dict[str, Any]
HALF: Json = {"rollout": {"variations": [{"variation": 1, "weight": 50_000}, {"variation": 0, "weight": 50_000}]}}


def _flag(key: str, *rules: Json, values: Sequence[Any] = (False, True), **more: Any) -> Json:
    return {
        "key": key, "version": 1, "on": True, "salt": key, "variations": list(values), "offVariation": 0,
        "fallthrough": {"variation": 0}, "rules": list(rules), "targets": [], "prerequisites": [], **more,
    }  # fmt: skip


def _rule(name: str, *clauses: Json, **served: Any) -> Json:
    return {"id": name, "clauses": list(clauses), **served}


def _clause(attribute: str, operator: str, *values: Any) -> Json:
    return {"contextKind": "user", "attribute": attribute, "op": operator, "values": list(values), "negate": False}


def _flags() -> list[Json]:
    quarters = [{"variation": number, "weight": 25_000} for number in range(4)]
    return [
        _flag("plain", fallthrough={"variation": 1}),
        _flag("half", fallthrough=HALF),
        _flag("three", _rule("some", _clause("country", "in", *COUNTRIES), _clause("plan", "in", *PLANS),
                             _clause("age", "greaterThanOrEqual", 18), **HALF)),
        _flag("list", targets=[{"variation": 1, "values": list(LISTED)}]),
        _flag("twenty", *(_rule(f"r{n}", _clause("country", "in", f"X{n}"), variation=0) for n in range(19)),
              _rule("last", _clause("country", "in", "DE"), variation=1)),
        _flag("json", values=tuple(MODELS.values()), fallthrough={"rollout": {"variations": quarters}}),
    ]  # fmt: skip


@asynccontextmanager
async def peer() -> AsyncIterator[tuple[str, Sequence[Column]]]:
    """Yield its client."""
    store = AsyncInMemoryFeatureStore()
    await store.init({FEATURES: {flag["key"]: flag for flag in _flags()}, SEGMENTS: {}})
    config = AsyncConfig("offline", use_ldd=True, feature_store=store, send_events=False, diagnostic_opt_out=True)
    async with AsyncLDClient(config) as client:
        asks = {
            work: f"answer = await variation({work!r}, {{context}}, False)"
            for work in ("plain", "unknown", "half", "three", "list", "twenty", "json")
        }
        context = "Context.builder(user).set('country', country).set('plan', plan).set('age', age).build()"
        names = {"variation": client.variation, "Context": Context}
        yield "launchdarkly-server-sdk", (Column("LaunchDarkly async", asks, context, names),)
