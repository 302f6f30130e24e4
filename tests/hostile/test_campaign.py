"""A fixed share of the hostile inputs in every run of the suite; `nox -s fuzz` tries the million."""

import logging
from collections.abc import Iterator

import pytest

from grayflow.replica.trail import Trail
from tests.hostile.campaign import TARGETS, BrokenError, run

pytestmark = pytest.mark.anyio

SHARE = 20
"""One in so many of the million."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """One line for each broken document would fill the report."""
    log = logging.getLogger("grayflow")
    before = log.level
    log.setLevel(logging.CRITICAL)
    yield
    log.setLevel(before)


@pytest.mark.parametrize("name", TARGETS)
async def test_no_input_breaks_a_promise(name: str) -> None:
    inputs = TARGETS[name].share // SHARE

    report = await run(name, inputs, seed=1)

    assert inputs / 50 < report.valid < inputs / 2  # nearly right is what hurts
    assert report.grown_bytes < 16 << 20


async def test_the_same_seed_makes_the_same_inputs() -> None:
    assert (await run("flag", 300, seed=5)).valid == (await run("flag", 300, seed=5)).valid
    assert (await run("flag", 300, seed=5)).valid != (await run("flag", 300, seed=6)).valid


async def test_a_broken_promise_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica that takes any change for the next one has to be noticed."""
    monkeypatch.setattr(Trail, "judge", lambda self, change: "next")

    with pytest.raises(BrokenError, match="--replay message:") as caught:
        await run("message", 2_000, seed=1)
    caught.value.kept.unlink()


def test_a_million_is_a_million() -> None:
    assert sum(target.share for target in TARGETS.values()) == 1_000_000
