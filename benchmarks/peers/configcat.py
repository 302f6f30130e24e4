"""ConfigCat: its client with a configuration that it fetched once, from this process."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from configcatclient import ConfigCatClient
from configcatclient.configcatoptions import ConfigCatOptions
from configcatclient.pollingmode import PollingMode
from configcatclient.user import User

from benchmarks.peers.served import served
from benchmarks.peers.work import BOOLEANS, COUNTRIES, LISTED, MODELS, PLANS
from benchmarks.peers.worker import Column

__all__ = ["peer"]

Json = dict[str, Any]
BOOLEAN, TEXT = 0, 1
ONE_OF, AT_LEAST = 0, 15
"""Of the user comparators: is one of (plain text), and greater than or equal."""


def _value(value: bool) -> Json:  # noqa: FBT001 - a flag's value
    return {"v": {"b": value}}


def _one_of(attribute: str, *values: str) -> Json:
    return {"u": {"a": attribute, "c": ONE_OF, "l": list(values)}}


def _rule(conditions: list[Json], served: Json) -> Json:
    return {"c": conditions, "s": served}


def _setting(*rules: Json, value: bool = False, **more: Any) -> Json:
    return {"t": BOOLEAN, **_value(value), "r": list(rules), **more}


def _settings() -> Json:
    half = [{"p": 50, **_value(True)}, {"p": 50, **_value(False)}]
    adult = {"u": {"a": "age", "c": AT_LEAST, "d": 18.0}}
    some = [_one_of("Country", *COUNTRIES), _one_of("plan", *PLANS), adult]
    models = [{"p": 25, "v": {"s": json.dumps(value)}} for value in MODELS.values()]
    return {
        "plain": _setting(value=True),
        "half": _setting(p=half),
        "three": _setting({"c": some, "p": half}),
        "list": _setting(_rule([_one_of("Identifier", *LISTED)], _value(True))),
        "twenty": _setting(
            *(_rule([_one_of("Country", f"X{number}")], _value(False)) for number in range(19)),
            _rule([_one_of("Country", "DE")], _value(True)),
        ),
        "json": {"t": TEXT, "v": {"s": ""}, "r": [], "p": models},
    }


@asynccontextmanager
async def peer() -> AsyncIterator[tuple[str, Sequence[Column]]]:
    """Yield its client. JSON is a text setting, so reading it is part of the work."""
    document = {"p": {"u": "http://127.0.0.1", "r": 0, "s": "salt"}, "f": _settings(), "s": []}
    with served(json.dumps(document).encode()) as url:
        client = ConfigCatClient.get(
            "configcat-sdk-1/aaaaaaaaaaaaaaaaaaaaaa/aaaaaaaaaaaaaaaaaaaaaa",
            ConfigCatOptions(base_url=url, polling_mode=PollingMode.auto_poll(poll_interval_seconds=3600)),
        )
        asks = {work: f"answer = value({work!r}, False, {{context}})" for work in BOOLEANS}
        asks["json"] = "answer = loads(value('json', '', {context}))"
        context = "User(user, country=country, custom={'plan': plan, 'age': age})"
        names = {"value": client.get_value, "User": User, "loads": json.loads}
        yield "configcat-client", (Column("ConfigCat", asks, context, names),)
        client.close()
