"""
The exports of `tests/spec/moving`, and what the other systems' own clients answered for them.

Each is translated, written as text, read again, and asked by the compiler and by the interpreter.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from grayflow.core.calendar import as_instant
from grayflow.core.context import as_context
from grayflow.core.foreign import foreign_context
from grayflow.core.outcomes import finish
from grayflow.core.reference import Reference
from tests.admin.moving.kit import NOW, World

FOLDER = Path(__file__).parents[2] / "spec" / "moving"
SPECS = {name: json.loads((FOLDER / f"{name}.json").read_text()) for name in ("launchdarkly", "growthbook", "flagd")}
UNLEASH = json.loads((FOLDER / "unleash.json").read_text())
WORLDS = {name: World(name, spec["export"]) for name, spec in {**SPECS, "unleash": UNLEASH}.items()}
FLAGS = [pytest.param(name, key, id=f"{name}-{key}") for name, spec in SPECS.items() for key in spec["answers"]]


@pytest.mark.parametrize(("system", "key"), FLAGS)
def test_a_flag_has_the_value_that_it_had_on_the_other_system(system: str, key: str):
    spec = SPECS[system]

    found = [WORLDS[system].value(key, context) for context in spec["contexts"]]

    assert found == spec["answers"][key]
    assert [isinstance(one, bool) for one in found] == [isinstance(one, bool) for one in spec["answers"][key]]


@pytest.mark.parametrize(("system", "key"), FLAGS)
def test_the_interpreter_agrees(system: str, key: str):
    spec, snapshot = SPECS[system], WORLDS[system].snapshot

    def asked(context: dict[str, Any]) -> Any:
        mine = as_context(foreign_context(system, context), snapshot.context_type)
        held, found = snapshot.flag(key), Reference(snapshot, mine, as_instant(NOW)).decide(key)
        assert held is not None
        assert found is not None
        return finish(found, held[0].kind, None).value

    assert [asked(context) for context in spec["contexts"]] == spec["answers"][key]


@pytest.mark.parametrize("key", UNLEASH["answers"])
def test_a_feature_of_unleash_is_on_or_off_as_it_was_and_names_the_same_variant(key: str):
    for context, expected in zip(UNLEASH["contexts"], UNLEASH["answers"][key], strict=True):
        if expected == "skip":
            continue
        on, variant, payload = expected if isinstance(expected, list) else (expected, None, None)

        found = WORLDS["unleash"].ask(key, context, default=False)

        assert found.value is on, context
        assert found.variant == (variant or ("on" if on else "off"))
        if payload is not None:
            assert WORLDS["unleash"].value(f"{key}.payload", context) == payload


def test_what_is_not_the_same_is_told():
    """The cases hold a strategy and a segment that nobody knows, and parents that are not there."""
    heavy = {name: [str(one) for one in world.moved.remarks if one.weight != "note"] for name, world in WORLDS.items()}

    assert [len(found) for found in heavy.values()] == [2, 1, 1, 3]
    assert all(remark.instead for world in WORLDS.values() for remark in world.moved.remarks)
