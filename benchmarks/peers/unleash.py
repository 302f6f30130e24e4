"""Unleash: a Rust engine behind Python, started from a cache and without its server."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from UnleashClient import UnleashClient
from UnleashClient.cache import FileCache

from benchmarks.peers.work import BOOLEANS, COUNTRIES, LISTED, MODELS, PLANS
from benchmarks.peers.worker import Column

__all__ = ["peer"]

Json = dict[str, Any]


def _one_of(name: str, *values: str) -> Json:
    return {"contextName": name, "operator": "IN", "values": list(values), "inverted": False, "caseInsensitive": False}


def _strategy(name: str, *constraints: Json, **parameters: str) -> Json:
    return {"name": name, "constraints": list(constraints), "parameters": parameters}


def _share(*constraints: Json, percent: int = 50) -> Json:
    return _strategy("flexibleRollout", *constraints, rollout=str(percent), stickiness="userId", groupId="g")


def _feature(name: str, *strategies: Json, **more: Any) -> Json:
    return {"name": name, "type": "release", "enabled": True, "strategies": list(strategies), **more}


def _features() -> list[Json]:
    adult = {"contextName": "age", "operator": "NUM_GTE", "value": "18", "values": [], "inverted": False}
    variants = [
        {"name": name, "weight": 250, "weightType": "variable", "stickiness": "userId",
         "payload": {"type": "json", "value": json.dumps(value)}}
        for name, value in MODELS.items()
    ]  # fmt: skip
    return [
        _feature("plain", _strategy("default")),
        _feature("half", _share()),
        _feature("three", _share(_one_of("country", *COUNTRIES), _one_of("plan", *PLANS), adult)),
        _feature("list", _strategy("userWithId", userIds=",".join(LISTED))),
        _feature("twenty", *(_strategy("default", _one_of("country", f"X{n}"), _one_of("plan", "none"))
                             for n in range(19)), _strategy("default", _one_of("country", "DE"))),
        _feature("json", _strategy("default"), variants=variants),
    ]  # fmt: skip


@asynccontextmanager
async def peer() -> AsyncIterator[tuple[str, Sequence[Column]]]:
    """Yield its client. Its JSON payloads are text, so reading one is part of the work."""
    cache = FileCache("grayflow-peers")
    cache.bootstrap_from_dict({"version": 2, "features": _features()})
    client = UnleashClient(
        "http://127.0.0.1:9", "peers", disable_metrics=True, disable_registration=True, cache=cache,
        refresh_interval=3600,
    )  # fmt: skip
    client.initialize_client(fetch_toggles=False)
    asks = {work: f"answer = is_enabled({work!r}, {{context}})" for work in BOOLEANS}
    asks["json"] = "answer = loads(variant('json', {context})['payload']['value'])"
    context = "{'userId': user, 'properties': {'country': country, 'plan': plan, 'age': str(age)}}"
    names = {"is_enabled": client.is_enabled, "variant": client.get_variant, "loads": json.loads}
    yield "UnleashClient", (Column("Unleash", asks, context, names),)
    client.destroy()
