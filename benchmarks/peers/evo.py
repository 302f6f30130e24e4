"""evo featureflags: closures in Python behind an asyncio manager; its server's answer is given by a manager of ours."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from featureflags_client.http.client import FeatureFlagsClient
from featureflags_client.http.managers.base import AsyncBaseManager
from featureflags_client.http.types import Operator, VariableType

from benchmarks.peers.work import BOOLEANS, COUNTRIES, LISTED, MODELS, PLANS
from benchmarks.peers.worker import Column

__all__ = ["peer"]

Json = dict[str, Any]


def _check(operator: Operator, variable: str, kind: VariableType, value: Any) -> Json:
    return {"operator": operator.value, "variable": {"name": variable, "type": kind.value}, "value": value}


def _is(variable: str, value: str) -> Json:
    return _check(Operator.EQUAL, variable, VariableType.STRING, value)


def _one_of(variable: str, values: Sequence[str]) -> Json:
    # There is no "one of" for texts; an expression costs less than a set, which is built anew for each check.
    return _check(Operator.REGEXP, variable, VariableType.STRING, f"^({'|'.join(values)})$")


def _percent(value: float) -> Json:
    return _check(Operator.PERCENT, "user_id", VariableType.STRING, value)


def _flag(name: str, *conditions: list[Json]) -> Json:
    return {
        "name": name, "enabled": True, "overridden": True, "conditions": [{"checks": checks} for checks in conditions]
    }  # fmt: skip


def _state() -> Json:
    adult = _check(Operator.GREATER_OR_EQUAL, "age", VariableType.NUMBER, 18.0)
    *first, last = MODELS
    model = {
        "name": "json", "enabled": True, "overridden": True, "value_default": "",
        "value_override": json.dumps(MODELS[last]),
        "conditions": [
            {"checks": [_percent(25.0 * number)], "value_override": json.dumps(MODELS[name])}
            for number, name in enumerate(first, 1)
        ],
    }  # fmt: skip
    return {"version": 1, "values": [model], "flags": [
        _flag("plain"),
        _flag("half", [_percent(50.0)]),
        _flag("three", [_one_of("country", COUNTRIES), _one_of("plan", PLANS), adult, _percent(50.0)]),
        _flag("list", [_check(Operator.SUBSET, "user_ids", VariableType.SET, list(LISTED))]),
        _flag("twenty", *([_is("country", f"X{number}"), _is("plan", "none")] for number in range(19)),
              [_is("country", "DE")]),
    ]}  # fmt: skip


class _Given(AsyncBaseManager):  # type: ignore[misc] # no stubs for the base
    async def _post(self, **_: Any) -> Json:
        return _state()

    async def close(self) -> None:
        """Nothing is open."""


@asynccontextmanager
async def peer() -> AsyncIterator[tuple[str, Sequence[Column]]]:
    """Yield its client. An unknown flag is one that the program declares and the server does not have."""
    manager = _Given("", "test", [], dict.fromkeys(BOOLEANS, False), {"json": ""})
    client = FeatureFlagsClient(manager)
    await client.preload_async()
    asks = {work: f"with flags({{context}}) as found: answer = found.{work}" for work in BOOLEANS}
    asks["json"] = "with values({context}) as found: answer = loads(found.json)"
    context = "{'user_id': user, 'user_ids': (user,), 'country': country, 'plan': plan, 'age': age}"
    names = {"flags": client.flags, "values": client.values, "loads": json.loads}
    yield "evo-featureflags-client", (Column("evo featureflags", asks, context, names),)
