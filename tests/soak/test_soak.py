"""A few seconds of the soak: that it runs, and that it finds what is wrong. `nox -s soak` is the long one."""

import pytest

from tests.soak.play import Plan, soak

pytestmark = [pytest.mark.anyio, pytest.mark.redis, pytest.mark.timeout(200)]


async def test_a_short_soak_ends_equal():
    found = await soak(Plan(seed=3, rounds=1, round_s=4.0, crews=2, clients=2, mortal=0), print)

    assert found.broken == []
    assert found.edits
    assert found.troubles
