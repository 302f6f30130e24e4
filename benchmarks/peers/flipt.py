"""Flipt: a Rust engine behind ctypes, with a state that it fetched once, from this process."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from flipt_client import FliptClient
from flipt_client.errors import EvaluationError
from flipt_client.models import ClientOptions

from benchmarks.peers.served import served
from benchmarks.peers.work import COUNTRIES, LISTED, MODELS, PLANS
from benchmarks.peers.worker import Column

__all__ = ["peer"]

Json = dict[str, Any]
MOMENT = "2026-01-01T00:00:00Z"


def _constraint(kind: str, name: str, operator: str, value: str) -> Json:
    return {"type": f"{kind}_CONSTRAINT_COMPARISON_TYPE", "property": name, "operator": operator, "value": value}


def _one_of(name: str, *values: str, kind: str = "STRING") -> Json:
    return _constraint(kind, name, "isoneof", json.dumps(values))


def _segments(*constraints: Json) -> Json:
    segment = {"key": "segment", "matchType": "ALL_SEGMENT_MATCH_TYPE", "constraints": list(constraints)}
    return {"segmentOperator": "OR_SEGMENT_OPERATOR", "segments": [segment]}


def _boolean(key: str, *rollouts: Json, enabled: bool = False) -> Json:
    ranked = [{**rollout, "rank": rank} for rank, rollout in enumerate(rollouts, 1)]
    return _flag(key, "BOOLEAN", enabled=enabled, rollouts=ranked)


def _flag(key: str, kind: str, **more: Any) -> Json:
    return {
        "key": key, "name": key, "description": "", "enabled": True, "type": f"{kind}_FLAG_TYPE", "rules": [],
        "rollouts": [], "createdAt": MOMENT, "updatedAt": MOMENT, **more,
    }  # fmt: skip


def _where(value: bool, *constraints: Json) -> Json:  # noqa: FBT001 - a flag's value
    return {"type": "SEGMENT_ROLLOUT_TYPE", "segment": {"value": value, **_segments(*constraints)}}


def _variants(key: str, shares: dict[str, str], *constraints: Json) -> Json:
    distributions = [
        {"ruleId": key, "variantId": name, "variantKey": name, "variantAttachment": attachment,
         "rollout": 100 / len(shares)}
        for name, attachment in shares.items()
    ]  # fmt: skip
    rule = {"id": key, "rank": 1, **_segments(*constraints), "distributions": distributions}
    return _flag(key, "VARIANT", rules=[rule])


def _flags() -> list[Json]:
    adult = _constraint("NUMBER", "age", "gte", "18")
    half = {"type": "THRESHOLD_ROLLOUT_TYPE", "threshold": {"percentage": 50.0, "value": True}}
    models = {name: json.dumps(value) for name, value in MODELS.items()}
    return [
        _boolean("plain", enabled=True),
        _boolean("half", half),
        _variants("three", {"on": "", "off": ""}, _one_of("country", *COUNTRIES), _one_of("plan", *PLANS), adult),
        _boolean("list", _where(True, _one_of("entity", *LISTED, kind="ENTITY_ID"))),
        _boolean("twenty", *(_where(False, _one_of("country", f"X{number}")) for number in range(19)),
                 _where(True, _one_of("country", "DE"))),
        _variants("json", models),
    ]  # fmt: skip


@asynccontextmanager
async def peer() -> AsyncIterator[tuple[str, Sequence[Column]]]:
    """Yield its client. A segment with a share needs a flag with variants; JSON attachments are text."""
    document = {"namespace": {"key": "default"}, "flags": _flags()}
    with served(json.dumps(document).encode()) as url:
        client = FliptClient(ClientOptions(url=url, update_interval=timedelta(hours=1)))
        asks = {
            work: f"answer = boolean({work!r}, user, {{context}}).enabled"
            for work in ("plain", "half", "list", "twenty")
        }
        asks["unknown"] = (
            "try:\n    answer = boolean('unknown', user, {context}).enabled\nexcept Unknown:\n    answer = False"
        )
        asks["three"] = "answer = variant('three', user, {context}).variant_key == 'on'"
        asks["json"] = "answer = loads(variant('json', user, {context}).variant_attachment)"
        context = "{'country': country, 'plan': plan, 'age': str(age)}"
        names = {
            "boolean": client.evaluate_boolean, "variant": client.evaluate_variant, "Unknown": EvaluationError,
            "loads": json.loads,
        }  # fmt: skip
        yield "flipt-client", (Column("Flipt", asks, context, names),)
        client.close()
