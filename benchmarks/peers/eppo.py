"""Eppo: a Rust core behind PyO3. Its configuration is given at start; nothing is fetched, nothing is logged."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import eppo_client

from benchmarks.peers.work import BOOLEANS, COUNTRIES, LISTED, MODELS, PLANS
from benchmarks.peers.worker import Column

__all__ = ["peer"]

SHARDS = 10_000


class _Silent(eppo_client.AssignmentLogger):  # type: ignore[misc] # no stubs for the base
    def log_assignment(self, event: dict[str, Any]) -> None:
        """Drop it."""


def _allocation(name: str, variation: str, *conditions: dict[str, Any], share: float = 1.0) -> dict[str, Any]:
    return {
        "key": name,
        "rules": [{"conditions": list(conditions)}] if conditions else [],
        "splits": [{"variationKey": variation, "shards": [_shard(0, share)] if share < 1 else []}],
        "doLog": False,
    }


def _shard(start: float, end: float) -> dict[str, Any]:
    return {"salt": "s", "ranges": [{"start": int(start * SHARDS), "end": int(end * SHARDS)}]}


def _flag(key: str, *allocations: dict[str, Any]) -> dict[str, Any]:
    variations = {name: {"key": name, "value": name == "on"} for name in ("on", "off")}
    return _typed(key, "BOOLEAN", variations, allocations)


def _typed(key: str, kind: str, variations: dict[str, Any], allocations: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "key": key, "enabled": True, "variationType": kind, "variations": variations, "allocations": allocations,
        "totalShards": SHARDS,
    }  # fmt: skip


def _one_of(attribute: str, *values: str) -> dict[str, Any]:
    return {"attribute": attribute, "operator": "ONE_OF", "value": values}


def _flags() -> list[dict[str, Any]]:
    adult = {"attribute": "age", "operator": "GTE", "value": 18}
    splits = [
        {"variationKey": name, "shards": [_shard(number / 4, (number + 1) / 4)]} for number, name in enumerate(MODELS)
    ]
    models = {name: {"key": name, "value": json.dumps(value)} for name, value in MODELS.items()}
    return [
        _flag("plain", _allocation("all", "on")),
        _flag("half", _allocation("half", "on", share=0.5)),
        _flag("three", _allocation("some", "on", _one_of("country", *COUNTRIES), _one_of("plan", *PLANS), adult,
                                   share=0.5)),
        _flag("list", _allocation("listed", "on", _one_of("id", *LISTED))),
        _flag("twenty", *(_allocation(f"r{n}", "off", _one_of("country", f"X{n}")) for n in range(19)),
              _allocation("last", "on", _one_of("country", "DE"))),
        _typed("json", "JSON", models, [{"key": "all", "rules": [], "splits": splits, "doLog": False}]),
    ]  # fmt: skip


@asynccontextmanager
async def peer() -> AsyncIterator[tuple[str, Sequence[Column]]]:
    """Yield its client."""
    document = {
        "createdAt": "2026-01-01T00:00:00.000Z", "format": "SERVER", "environment": {"name": "test"},
        "flags": {flag["key"]: flag for flag in _flags()},
    }  # fmt: skip
    client = eppo_client.init(
        eppo_client.ClientConfig(
            api_key="offline", assignment_logger=_Silent(), poll_interval_seconds=None,
            initial_configuration=eppo_client.Configuration(flags_configuration=json.dumps(document).encode()),
        )
    )  # fmt: skip
    asks = {work: f"answer = boolean({work!r}, user, {{context}}, False)" for work in BOOLEANS}
    asks["json"] = "answer = json('json', user, {context}, None)"
    names = {"boolean": client.get_boolean_assignment, "json": client.get_json_assignment}
    context = "{'country': country, 'plan': plan, 'age': age}"
    yield "eppo-server-sdk", (Column("Eppo", asks, context, names),)
    client.shutdown()
