"""A few seconds of the soak: that it runs, and that it finds what is wrong. `nox -s soak` is the long one."""

import pytest

from grayflow.core.codec import to_bytes
from tests.faults.fill import ROCK
from tests.faults.places import NAMESPACE
from tests.soak.play import Plan, soak
from tests.soak.troubles import Troubles

pytestmark = [pytest.mark.anyio, pytest.mark.redis, pytest.mark.timeout(200)]

SHORT = Plan(seed=3, rounds=1, round_s=4.0, crews=2, clients=2, mortal=0)


async def test_a_short_soak_ends_equal():
    found = await soak(SHORT, print)

    assert found.broken == []
    assert found.edits
    assert found.troubles


async def test_a_client_that_differs_from_the_server_is_found(monkeypatch: pytest.MonkeyPatch):
    async def behind_the_back(self: Troubles, seconds: float) -> None:
        await self._ask("HSET", f"{{gf:{NAMESPACE}}}:flags", ROCK, b"99:" + to_bytes({"key": ROCK}))

    monkeypatch.setattr(Troubles, "run", behind_the_back)

    found = await soak(SHORT, print)

    assert any("rock is revision 1 here and revision 99 in the store" in line for line in found.broken), found.broken
