"""Bucketing is a wire contract: golden vectors, and the statistics that it was chosen for."""

import json
from itertools import combinations
from math import sqrt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grayflow.core.bucketing import CHOICE, EXPOSURE, lane_seed, point, slot, threshold

VECTORS = json.loads((Path(__file__).parent.parent / "spec" / "bucketing.json").read_text())

IDS = 333_334
SALTS = [f"flag-{number}" for number in range(20)]
SHAPES = {
    "counted": [str(number) for number in range(IDS)],
    "prefixed": [f"user-{number * 7919 + 1_000_000}" for number in range(IDS)],
    "hex": [f"{(number * 0x9E3779B97F4A7C15) % 2**64:016x}-{number % 97:02x}" for number in range(IDS)],
}


@pytest.mark.parametrize("vector", VECTORS["points"], ids=lambda vector: f"{vector['salt']}-{vector['id']}")
def test_a_changed_vector_would_move_users_on_upgrade(vector: dict[str, str | int]) -> None:
    seed = lane_seed(str(vector["salt"]), str(vector["lane"]))
    found = point(str(vector["id"]), seed)

    assert (seed, found, slot(found)) == (vector["seed"], vector["point"], vector["slot"])


@pytest.mark.parametrize("vector", VECTORS["points"], ids=lambda vector: f"{vector['salt']}-{vector['id']}")
def test_the_vectors_are_murmur3_as_published(vector: dict[str, str | int]) -> None:
    seed = _murmur3(f"{vector['salt']}\0{vector['lane']}".encode(), 0)

    assert (seed, _murmur3(str(vector["id"]).encode(), seed)) == (vector["seed"], vector["point"])


def _murmur3(data: bytes, seed: int) -> int:
    """MurmurHash3_x86_32 after its published description, one byte at a time."""
    blocks = [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)]
    for index, block in enumerate(blocks):
        seed ^= _rotated(block * 0xCC9E2D51 & 0xFFFFFFFF, 15) * 0x1B873593 & 0xFFFFFFFF
        if 4 * index + 4 <= len(data):
            seed = (_rotated(seed, 13) * 5 + 0xE6546B64) & 0xFFFFFFFF
    seed ^= len(data)
    seed = (seed ^ seed >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    seed = (seed ^ seed >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return seed ^ seed >> 16


def _rotated(number: int, by: int) -> int:
    return (number << by | number >> (32 - by)) & 0xFFFFFFFF


@given(st.text(), st.text(), st.text().filter(lambda text: text.isascii()))
def test_a_point_is_an_unsigned_32_bit_number(salt: str, lane: str, unit: str) -> None:
    salt, lane = (text.encode(errors="ignore").decode() for text in (salt, lane))

    assert 0 <= point(unit, lane_seed(salt, lane)) < 2**32


@given(st.integers(0, 2**32 - 1), st.integers(0, 100_000))
def test_comparing_a_point_with_a_threshold_is_comparing_its_slot(at: int, bound: int) -> None:
    assert (slot(at) >= bound) == (at >= threshold(bound))


@given(st.text(alphabet="abcdefghijklmnop0123456789-", max_size=40), st.integers(0, 100_000), st.integers(0, 100_000))
def test_widening_a_rollout_never_drops_anybody(unit: str, low: int, high: int) -> None:
    low, high = sorted((low, high))
    at = slot(point(unit, lane_seed("checkout", EXPOSURE)))

    # Contract: this is what lets an operator raise 5 % to 6 % without touching the first 5 %.
    assert (at < low) <= (at < high)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.timeout(180)
def test_salts_and_lanes_are_uniform_and_independent(shape: str) -> None:
    """A million fixed ids, so that it cannot flake: every share and every joint share lies within 4.5 sigma."""
    units = SHAPES[shape]
    tenths = []
    for salt in SALTS:
        for lane in (EXPOSURE, CHOICE):
            seed = lane_seed(salt, lane)
            points = [point(unit, seed) for unit in units]
            for share in (0.001, 0.01, 0.1, 0.5):
                inside = _mask(points, threshold(round(share * 100_000)))
                assert abs(_z(inside.bit_count(), share)) < 4.5, (salt, lane, share)
            tenths.append(_mask(points, threshold(10_000)))

    for one, other in combinations(tenths, 2):
        assert abs(_z((one & other).bit_count(), 0.01)) < 4.5


def _mask(points: list[int], bound: int) -> int:
    return int("".join(["1" if at < bound else "0" for at in points]), 2)


def _z(count: int, share: float) -> float:
    return (count - IDS * share) / sqrt(IDS * share * (1 - share))
