"""GrowthBook: its asyncio client, with features that are given and not fetched."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from growthbook import GrowthBookClient, Options, UserContext

from benchmarks.peers.work import BOOLEANS, COUNTRIES, LISTED, MODELS, PLANS
from benchmarks.peers.worker import Column

__all__ = ["peer"]


def _feature(*rules: dict[str, Any], default: Any = False) -> dict[str, Any]:
    return {"defaultValue": default, "rules": list(rules)}


def _features() -> dict[str, Any]:
    half = {"force": True, "coverage": 0.5, "hashAttribute": "id"}
    conditions = {"country": {"$in": list(COUNTRIES)}, "plan": {"$in": list(PLANS)}, "age": {"$gte": 18}}
    return {
        "plain": {"defaultValue": True},
        "half": _feature(half),
        "three": _feature({**half, "condition": conditions}),
        "list": _feature({"condition": {"id": {"$in": list(LISTED)}}, "force": True}),
        "twenty": _feature(
            *({"condition": {"country": {"$in": [f"X{number}"]}}, "force": False} for number in range(19)),
            {"condition": {"country": {"$in": ["DE"]}}, "force": True},
        ),
        "json": _feature(
            {"key": "json", "variations": list(MODELS.values()), "weights": [0.25] * 4, "hashAttribute": "id"},
            default={},
        ),
    }


@asynccontextmanager
async def peer() -> AsyncIterator[tuple[str, Sequence[Column]]]:
    """Yield its client."""
    client = GrowthBookClient(Options())
    await client.set_features(_features())
    asks = {work: f"answer = await is_on({work!r}, {{context}})" for work in BOOLEANS}
    asks["json"] = "answer = await value('json', {}, {context})"
    context = "User(attributes={'id': user, 'country': country, 'plan': plan, 'age': age})"
    names = {"is_on": client.is_on, "value": client.get_feature_value, "User": UserContext}
    yield "growthbook", (Column("GrowthBook async", asks, context, names),)
    await client.close()
