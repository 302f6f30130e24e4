"""The example of a cache that is replaced, with real processes under load, tells what it promises."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE_S = 150


@pytest.mark.timeout(PATIENCE_S + 10)
def test_a_cache_is_replaced_breaks_and_is_taken_back_and_users_see_nothing(redis_url: str):
    ran = subprocess.run(
        [sys.executable, "-m", "tests.examples.cache_switch"],
        cwd=ROOT,
        env={**os.environ, "GRAYFLOW_URL": redis_url},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    *told, end = ran.stdout.splitlines()
    counted = told.pop(6)
    assert [line.partition(".")[0] for line in told] == [str(number) for number in range(1, 10)]
    numbers = [[int(each) for each in re.findall(r"\b\d+\b", line)] for line in told]
    assert numbers[0][-1] == 0  # nobody is served from Redis
    assert min(numbers[1][-2:]) > 0
    equal, different, _ = numbers[2][-3:]
    assert equal >= 200
    assert different == 0
    assert min(numbers[3][-2:]) > 0
    assert told[4].endswith("users saw 0 errors.")
    assert re.search(r"the flag is off, by 'breaker': open in [23] of 3 processes", told[5])
    calls, failed = [int(each) for each in re.findall(r"\d+", counted)]
    assert calls >= failed > 0
    kept, left = numbers[6][-2:]
    assert kept > 0
    assert left == 0
    assert numbers[7][-1] == 0
    assert told[8].endswith(" from Redis, 0 answers of the old one.")
    assert re.fullmatch(r"Users saw 0 errors in \d+ pages\.", end)
    assert "Traceback" not in ran.stderr
