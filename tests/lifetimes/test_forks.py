"""Forks of a process with a live client on a real store; `forking.py` is the program."""

import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("when", ["inside", "between", "thread", "multiprocessing"])
@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_a_child_answers_from_memory_and_its_parent_is_unharmed(
    when: str, kind: str, redis_url: str, tmp_path: Path
) -> None:
    url = redis_url if kind == "redis" else f"sqlite:///{tmp_path}/flags.db"
    command = [sys.executable, "-m", "tests.lifetimes.forking", when, url, f"t-{uuid4().hex[:12]}"]

    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)

    assert (found.returncode, found.stdout) == (0, "done\n"), found.stdout + found.stderr
    assert found.stderr.count("Start the client after the fork") == 1
    assert "Warning" not in found.stderr
