"""The contract is worth what it finds: strangers can run it, and no known fault passes it."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.testing.mutants import FOUND_BY

ROOT = Path(__file__).parents[2]

STRANGER = """
import pytest
from grayflow.store.memory import MemoryStore
from grayflow.testing import StoreContract


class TestMyStore(StoreContract):
    @pytest.fixture
    def open_store(self):
        store = MemoryStore()
        return lambda: store
"""


def run(*arguments: str, folder: Path) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-p", "no:cacheprovider", *arguments]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=50).stdout


def test_three_lines_are_enough_for_a_stranger(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(STRANGER)

    told = run("test_mine.py", folder=tmp_path)

    assert re.search(r"^1\d\d passed", told, re.MULTILINE), told
    assert "trio" not in told


def test_every_fault_is_found() -> None:
    asked = {f"Test{fault.__name__}::{test}" for fault, test in FOUND_BY.items()}

    told = run("-rf", "--timeout=10", *(f"tests/testing/mutants.py::{name}" for name in asked), folder=ROOT)

    failed = set(re.findall(r"^FAILED \S+::(Test\w+::\w+)", told, re.MULTILINE))
    assert asked - failed == set(), told
