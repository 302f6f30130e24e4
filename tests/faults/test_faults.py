"""Every fault ends well: nothing is lost, nothing is done twice, and somebody who has to act is told what to do."""

import pytest

from tests.faults.cable import why_no_cable
from tests.faults.catalog import FAULTS
from tests.faults.fault import Fault
from tests.faults.play import play
from tests.faults.stage import Setting

pytestmark = [pytest.mark.anyio, pytest.mark.redis, pytest.mark.timeout(200)]

QUICK = Setting(flags=300, ttl_s=0.5, brief=True)
ON_UVLOOP = {"killed, back with its data", "ETIMEDOUT on the link", "half-open TCP (proxy)"}


def played(*, quick: set[str]) -> list[object]:
    """Return all faults, those that are not in `quick` marked as long."""
    return [pytest.param(kind, id=kind.name, marks=() if kind.name in quick else pytest.mark.faults) for kind in FAULTS]


async def ends_well(kind: type[Fault]) -> None:
    if kind.route == "cable" and (why := why_no_cable()):
        pytest.skip(why)

    assert (await play(kind, QUICK)).broken == ()


@pytest.mark.parametrize("kind", played(quick={kind.name for kind in FAULTS if kind.quick}))
async def test_every_fault_ends_well(kind: type[Fault]):
    await ends_well(kind)


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": True})], ids=["uvloop"])
@pytest.mark.parametrize("kind", played(quick=ON_UVLOOP))
async def test_every_fault_ends_well_under_uvloop(kind: type[Fault]):
    await ends_well(kind)


def test_faults_have_different_names():
    assert len({kind.name for kind in FAULTS}) == len(FAULTS)
