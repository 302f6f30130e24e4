"""The blocks of all parts that run beside a client: cancelled at every await point, nothing is left behind."""

from collections.abc import Awaitable, Callable

import anyio
import pytest

from grayflow import Client, MemoryStore
from grayflow.release import ImplementationSwitch, ParallelRun
from tests.lifetimes.census import Census, as_before
from tests.lifetimes.steps import CANCELLATIONS, Steps, counted
from tests.release.kit import Notes, Sides
from tests.release.parallel.kit import answers

pytestmark = pytest.mark.anyio

Cancelled = Callable[[Steps, int, Callable[[], Awaitable[object]]], Awaitable[bool]]

MOST = 500


@pytest.fixture(params=["asyncio", ("asyncio", {"use_uvloop": True})], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


@pytest.fixture(params=CANCELLATIONS)
def cancel(request: pytest.FixtureRequest) -> Cancelled:
    return CANCELLATIONS[request.param]


async def use_switch(flags: Client, sides: Sides) -> None:
    """Enter it, open one side, leave a stream halfway, and leave the block."""
    variants = {"off": sides.factory("old")}
    switch = ImplementationSwitch(Notes, flag="notes", variants=variants, default="off", drain_timeout=0.01)
    async with switch.running(flags):
        await switch.proxy().get("k")
        stream = switch.proxy().stream(3)
        await anext(stream)
        await switch.proxy().get("k")


async def use_parallel_run(flags: Client, _: Sides) -> None:
    """Enter it, compare one call and leave another one's candidate behind, and leave the block."""
    run = ParallelRun[int]("notes", flag="compare", timeout=60, publish=answers(None))
    async with run.running(flags):
        with flags.override(compare=True):
            await run(control=answers(1), candidates={"new": answers(2)})
            await run.idle()
            await run(control=answers(1), candidates={"new": anyio.sleep_forever})


USES = {"switch": use_switch, "parallel run": use_parallel_run}


@pytest.mark.parametrize("use", USES)
async def test_a_block_that_is_cancelled_anywhere(cancel: Cancelled, use: str) -> None:
    async with MemoryStore() as store:
        flags = Client(store)  # not started: its own tasks come and go, and would be counted
        before, ended = Census(), 0
        for at in range(1, MOST):
            sides = Sides()
            async with counted() as steps:
                ended += await cancel(steps, at, lambda sides=sides: USES[use](flags, sides))
                await as_before(before)
            assert sides.still_open() == []
            assert sides.misuses == []
            if not steps.reached:
                break
        else:
            raise AssertionError("there is no end of await points")

    assert at > 5
    assert ended >= at / 3
