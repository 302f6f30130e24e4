"""Statsig: a Rust core behind PyO3. Its specs come from a data store of ours; the network and its log are off."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import statsig_python_core as statsig
from statsig_python_core import DataStore, DataStoreResponse

from benchmarks.peers.work import BOOLEANS, COUNTRIES, LISTED, MODELS, PLANS
from benchmarks.peers.worker import Column

__all__ = ["peer"]

Json = dict[str, Any]


class _Specs:
    """Gates and configs; conditions stand in a map of their own, under their names."""

    def __init__(self) -> None:
        self.gates: Json = {}
        self.configs: Json = {}
        self.conditions: Json = {}

    def condition(self, kind: str, operator: str | None, field: str | None, target: Any, **more: str) -> str:
        name = str(len(self.conditions) + 1)
        self.conditions[name] = {
            "type": kind, "operator": operator, "field": field, "targetValue": target, "additionalValues": more,
            "idType": "userID",
        }  # fmt: skip
        return name

    def any_of(self, field: str, *values: str) -> str:
        return self.condition("user_field", "any", field, values)

    def public(self) -> str:
        return self.condition("public", None, None, None)

    def gate(self, key: str, *rules: Json) -> None:
        self.gates[key] = _spec(key, "feature_gate", False, rules)

    def config(self, key: str, *rules: Json) -> None:
        self.configs[key] = _spec(key, "dynamic_config", {}, rules)

    def encoded(self) -> str:
        return json.dumps({
            "has_updates": True, "time": 1_700_000_000_000, "response_format": "dcs-v2", "feature_gates": self.gates,
            "dynamic_configs": self.configs, "layer_configs": {}, "condition_map": self.conditions,
            "experiment_to_layer": {}, "sdk_keys_to_app_ids": {}, "id_lists": {}, "diagnostics": {},
        })  # fmt: skip


def _spec(key: str, entity: str, default: Any, rules: Sequence[Json]) -> Json:
    return {
        "type": entity, "entity": entity, "salt": key, "enabled": True, "defaultValue": default, "rules": rules,
        "idType": "userID", "version": 1,
    }  # fmt: skip


def _rule(name: str, value: Any, *conditions: str, percent: int = 100) -> Json:
    return {
        "name": name, "id": name, "salt": name, "passPercentage": percent, "conditions": conditions,
        "returnValue": value, "idType": "userID",
    }  # fmt: skip


def _specs() -> str:
    specs = _Specs()
    public = specs.public()
    specs.gate("plain", _rule("all", True, public))
    specs.gate("half", _rule("half", True, public, percent=50))
    adult = specs.condition("user_field", "gte", "age", 18)
    where, which = specs.any_of("country", *COUNTRIES), specs.any_of("plan", *PLANS)
    specs.gate("three", _rule("some", True, where, which, adult, percent=50))
    specs.gate("list", _rule("listed", True, specs.condition("unit_id", "any", "userID", LISTED)))
    specs.gate(
        "twenty",
        *(_rule(f"r{number}", False, specs.any_of("country", f"X{number}")) for number in range(19)),
        _rule("last", True, specs.any_of("country", "DE")),
    )
    shares = [specs.condition("user_bucket", "lt", None, 250 * number, salt="json") for number in (1, 2, 3, 4)]
    specs.config("json", *(_rule(name, MODELS[name], share) for name, share in zip(MODELS, shares, strict=True)))
    return specs.encoded()


class _Given(DataStore):  # type: ignore[misc] # no stubs for the base
    def get(self, _: str) -> DataStoreResponse:
        return DataStoreResponse(result=_specs(), time=1_700_000_000_000)


@asynccontextmanager
async def peer() -> AsyncIterator[tuple[str, Sequence[Column]]]:
    """Yield its client."""
    client = statsig.Statsig(
        "secret-offline",
        statsig.StatsigOptions(
            data_store=_Given(), disable_network=True, disable_all_logging=True, disable_country_lookup=True,
            output_log_level="none",
        ),
    )  # fmt: skip
    client.initialize().wait()
    asks = {work: f"answer = gate({{context}}, {work!r}, unlogged)" for work in BOOLEANS}
    asks["json"] = "answer = config({context}, 'json', unlogged_config).value"
    names = {
        "gate": client.check_gate, "config": client.get_dynamic_config, "User": statsig.StatsigUser,
        "unlogged": statsig.FeatureGateEvaluationOptions(disable_exposure_logging=True),
        "unlogged_config": statsig.DynamicConfigEvaluationOptions(disable_exposure_logging=True),
    }  # fmt: skip
    context = "User(user, country=country, custom={'plan': plan, 'age': age})"
    yield "statsig-python-core", (Column("Statsig", asks, context, names),)
    client.shutdown().wait()
