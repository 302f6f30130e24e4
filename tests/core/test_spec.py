"""The language-neutral cases of `tests/spec/evaluation.json`, put to the compiler and to the interpreter."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from grayflow.core.calendar import as_instant
from grayflow.core.context import as_context
from grayflow.core.needs import NO_INSTANT, NowNeeded
from grayflow.core.outcomes import finish
from grayflow.core.reference import Reference
from grayflow.core.snapshot import Snapshot

SPEC = json.loads((Path(__file__).parent.parent / "spec" / "evaluation.json").read_text())
SNAPSHOTS = {group["name"]: Snapshot.build(group["flags"], group.get("segments", ())) for group in SPEC["groups"]}
CASES = [
    pytest.param(group["name"], case, id=f"{group['name']}-{number}-{case['ask']}")
    for group in SPEC["groups"]
    for number, case in enumerate(group["cases"])
]
LOOKED_AT = ("value", "variant", "reason", "rule", "error")


@pytest.mark.parametrize(("group", "case"), CASES)
def test_the_compiled_flag_answers_as_written(group: str, case: dict[str, Any]) -> None:
    now = datetime.fromisoformat(case["now"]) if "now" in case else None

    found = SNAPSHOTS[group].evaluate(case["ask"], case.get("context"), default=case.get("default"), now=now)

    expected = {name: case[name] for name in LOOKED_AT if name in case}
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(("group", "case"), CASES)
def test_the_interpreter_answers_as_written(group: str, case: dict[str, Any]) -> None:
    snapshot = SNAPSHOTS[group]
    now = as_instant(datetime.fromisoformat(case["now"])) if "now" in case else NO_INSTANT
    reference = Reference(snapshot, as_context(case.get("context"), snapshot.context_type), now)
    if case.get("error") == "now_missing":
        with pytest.raises(NowNeeded):
            reference.decide(case["ask"])
        return

    found = reference.decide(case["ask"])

    if case.get("error") == "flag_not_found":
        assert found is None
        return
    held = snapshot.flag(case["ask"])
    assert found is not None
    assert held is not None
    answer = finish(found, held[0].kind, case.get("default"))
    expected = {name: case[name] for name in LOOKED_AT if name in case}
    assert {name: getattr(answer, name) for name in expected} == expected
