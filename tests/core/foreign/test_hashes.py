"""The slots of `tests/spec/moving/hashes.json`, which other systems' own clients gave."""

import json
from pathlib import Path

import pytest

from grayflow.core.foreign import foreign_extensions
from grayflow.core.foreign.sized import SizedHashes

SLOTS = json.loads((Path(__file__).parents[2] / "spec" / "moving" / "hashes.json").read_text())["slots"]
EXTENSIONS = foreign_extensions()


@pytest.mark.parametrize("name", sorted({name for name, *_ in SLOTS}))
def test_an_id_has_the_slot_that_the_other_system_gives_it(name: str):
    mine = [row for row in SLOTS if row[0] == name]

    assert [[name, salt, unit, EXTENSIONS.slot(name, salt, unit)] for _, salt, unit, _ in mine] == mine


@pytest.mark.parametrize("system", ["unleash", "launchdarkly", "growthbook", "flagd"])
def test_slots_stay_within_their_size(system: str):
    hashes = foreign_extensions(system).hashes
    sized = [f"{name}/{size}" for name in getattr(hashes, "families", {}) for size in (1, 3, 100, 2**31 - 1)]

    for name in (*hashes, *sized):
        slots = {hashes[name].fn("salt", f"user-{number}") for number in range(300)}
        assert 0 <= min(slots) <= max(slots) < hashes[name].size
        assert len(slots) > 1 or hashes[name].size == 1


def test_every_size_of_a_family_is_there_and_nothing_else_is():
    hashes = foreign_extensions("flagd").hashes

    assert isinstance(hashes, SizedHashes)
    assert hashes["flagd3:pair/300"].size == 300
    assert hashes["flagd3:pair/300"] is hashes["flagd3:pair/300"]
    assert "flagd3:pair/1" in hashes
    for name in ("flagd3:pair", "flagd3:pair/0", "flagd3:pair/007", "flagd3:pair/", "flagd4:pair/3", "flagd3:pair/x"):
        assert name not in hashes
        assert hashes.get(name) is None
