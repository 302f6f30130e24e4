"""The blocks of all parts that run beside a client: cancelled at every await point, nothing is left behind."""

import anyio
import pytest
from anyio.lowlevel import checkpoint

from grayflow import Client, MemoryStore
from grayflow.release import ImplementationSwitch, ParallelRun
from tests.lifetimes.steps import Cancelled, Steps, each
from tests.release.kit import Notes, Sides
from tests.release.parallel.kit import answers

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", ("asyncio", {"use_uvloop": True})], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


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
        tried: list[Sides] = []

        async def attempt(steps: Steps, at: int) -> bool:
            tried.append(Sides())
            return await cancel(steps, at, lambda: USES[use](flags, tried[-1]))

        async def look() -> None:
            await checkpoint()
            assert tried[-1].still_open() == []
            assert tried[-1].misuses == []

        points, ended = await each(attempt, look)

    assert points > 5
    assert ended >= points / 3
