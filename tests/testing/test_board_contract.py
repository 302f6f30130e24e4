"""The contract of boards is worth what it finds: no known fault passes it."""

import re

from tests.testing.board_mutants import FOUND_BY
from tests.testing.test_contract import ROOT, run

STRANGER = """
import pytest
from grayflow.store.memory import MemoryStore
from grayflow.testing import BoardContract, FakeClock


class TestMyBoard(BoardContract):
    @pytest.fixture
    def clock(self):
        return FakeClock()

    @pytest.fixture
    def open_store(self, clock):
        store = MemoryStore(clock=clock)
        return lambda: store

    @pytest.fixture
    def pass_time(self, clock):
        return clock.advance
"""


def test_two_fixtures_are_enough_for_a_stranger(tmp_path):
    (tmp_path / "test_mine.py").write_text(STRANGER)

    told = run("test_mine.py", folder=tmp_path)

    assert re.search(r"^2\d\d passed", told, re.MULTILINE), told
    assert "trio" not in told


def test_every_fault_is_found():
    asked = {f"Test{fault.__name__}::{test}" for fault, test in FOUND_BY.items()}

    told = run("-rf", "--timeout=10", *(f"tests/testing/board_mutants.py::{name}" for name in asked), folder=ROOT)

    failed = set(re.findall(r"^FAILED \S+::(Test\w+::\w+)", told, re.MULTILINE))
    assert asked - failed == set(), told
