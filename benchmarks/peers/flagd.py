"""OpenFeature with flagd's provider in-process: JsonLogic over a file of flags."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from openfeature import api
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.evaluation_context import EvaluationContext

from benchmarks.peers.work import BOOLEANS, COUNTRIES, LISTED, MODELS, PLANS
from benchmarks.peers.worker import Column

__all__ = ["peer"]

HALF = {"fractional": [["on", 50], ["off", 50]]}


def _in(attribute: str, *values: str) -> dict[str, Any]:
    return {"in": [{"var": attribute}, list(values)]}


def _flag(targeting: Any = None, default: str = "off") -> dict[str, Any]:
    flag = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": default}
    return flag if targeting is None else {**flag, "targeting": targeting}


def _flags() -> dict[str, Any]:
    adult = {">=": [{"var": "age"}, 18]}
    rules: list[Any] = [part for number in range(19) for part in (_in("country", f"X{number}"), "off")]
    return {
        "plain": _flag(default="on"),
        "half": _flag(HALF),
        "three": _flag({"if": [{"and": [_in("country", *COUNTRIES), _in("plan", *PLANS), adult]}, HALF, "off"]}),
        "list": _flag({"if": [_in("targetingKey", *LISTED), "on", "off"]}),
        "twenty": _flag({"if": [*rules, _in("country", "DE"), "on", "off"]}),
        "json": {"state": "ENABLED", "variants": dict(MODELS), "defaultVariant": "a",
                 "targeting": {"fractional": [[name, 25] for name in MODELS]}},
    }  # fmt: skip


@asynccontextmanager
async def peer() -> AsyncIterator[tuple[str, Sequence[Column]]]:
    """Yield its client."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "flags.json"
        path.write_text(json.dumps({"flags": _flags()}))
        api.set_provider_and_wait(
            FlagdProvider(resolver_type=ResolverType.FILE, offline_flag_source_path=str(path), deadline_ms=5000)
        )
        client = api.get_client()
        asks = {work: f"answer = boolean({work!r}, False, {{context}})" for work in BOOLEANS}
        asks["json"] = "answer = json('json', {}, {context})"
        context = "Context(user, {'country': country, 'plan': plan, 'age': age})"
        names = {"boolean": client.get_boolean_value, "json": client.get_object_value, "Context": EvaluationContext}
        yield "openfeature-provider-flagd", (Column("OpenFeature flagd", asks, context, names),)
        api.shutdown()
