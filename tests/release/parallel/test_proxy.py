"""Comparing behind an interface: what is compared, with what, and what never happens twice."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import anyio
import pytest
from anyio.lowlevel import checkpoint

from grayflow import Client, ConfigurationError, LifetimeError, ShadowWriteError
from grayflow.release import FallbackGuard, ImplementationSwitch, ParallelOutcome, ParallelRun, safe
from tests.release.kit import PATIENCE_S, Sides, until
from tests.release.parallel.kit import FLAG

pytestmark = pytest.mark.anyio


class Shelf(Protocol):
    name: str

    @safe
    async def get(self, key: str) -> str: ...

    async def find(self, key: str) -> str: ...

    async def put(self, key: str, value: str) -> None: ...

    @safe
    def scan(self, prefix: str) -> AsyncIterator[str]: ...


class Side:
    def __init__(self, name: str, misuses: list[str]):
        self.name, self.open, self._misuses = name, True, misuses
        self.kept: dict[str, str] = {}
        self.calls: list[str] = []
        self.error: Exception | None = None

    async def get(self, key: str) -> str:
        self.calls.append("get")
        await checkpoint()
        if not self.open:
            self._misuses.append(self.name)
        if self.error is not None:
            raise self.error
        return self.kept.get(key, "")

    async def find(self, key: str) -> str:
        self.calls.append("find")
        return self.kept.get(key, "")

    async def put(self, key: str, value: str) -> None:
        self.calls.append("put")
        self.kept[key] = value

    async def scan(self, prefix: str) -> AsyncIterator[str]:
        for key in self.kept:
            yield key


class World:
    """A switch with an old and a new side, and a run that compares them."""

    def __init__(self, **options: Any) -> None:
        self.flags, self.sides = Client("memory://"), Sides(Side)
        variants = {"off": self.sides.factory("off"), "on": self.sides.factory("on")}
        self.switch = ImplementationSwitch(Shelf, flag="shelf", variants=variants, default="off")
        self.run = ParallelRun[Any]("shelf", flag=FLAG, **{"timeout": PATIENCE_S, **options})

    @asynccontextmanager
    async def serving(self, *, new: bool = False, **options: Any) -> AsyncIterator[Shelf]:
        async with self.switch.running(self.flags), self.run.running(self.flags):
            with self.flags.override({"shelf": new, FLAG: True}):
                yield self.run.proxy(self.switch, **{"candidates": ["on"], **options})

    def side(self, name: str) -> Any:
        return next(side for side in self.sides.opened if side.name == name)

    @property
    def counted(self) -> dict[str, int]:
        return {str(outcome): times for outcome, times in self.run.counts.outcomes.get("on", {}).items()}


async def test_what_reads_is_compared_and_the_control_answers():
    world = World()
    async with world.serving() as shelf:
        await shelf.put("k", "old")
        assert await shelf.get("k") == "old"
        await world.run.idle()
        assert (world.side("off").calls, world.side("on").calls) == (["put", "get"], ["get"])

    assert world.counted == {"mismatch": 1}
    assert world.sides.misuses == []
    assert world.sides.still_open() == []


async def test_what_is_not_marked_is_called_once_and_not_compared():
    world = World()
    async with world.serving() as shelf:
        await shelf.put("k", "old")
        assert await shelf.find("k") == "old"
        assert [key async for key in shelf.scan("")] == ["k"]
        assert shelf.name == "off"
        await world.run.idle()

    assert world.run.counts.calls == 0
    assert [side.name for side in world.sides.opened] == ["off"]


async def test_more_members_can_be_named_as_reading():
    world = World()
    async with world.serving(safe=["find"]) as shelf:
        await shelf.find("k")
        await world.run.idle()

    assert world.counted == {"match": 1}


async def test_whoever_is_served_the_candidate_is_not_compared_with_it():
    world = World()
    async with world.serving(new=True) as shelf:
        await shelf.get("k")
        with world.flags.scope({"user_id": "anna"}):
            await shelf.get("k")
        await world.run.idle()
        assert world.side("on").calls == ["get", "get"]

    assert world.run.counts.skipped == {"serves": 2}


async def test_the_old_side_is_compared_for_those_who_are_served_the_new_one():
    world = World()
    async with world.serving(new=True, candidates=["off"]) as shelf:
        await shelf.get("k")
        await world.run.idle()

    assert world.run.counts.outcomes == {"off": {"match": 1}}


async def test_a_candidate_that_cannot_be_opened_is_not_compared_with_the_default_in_its_place():
    world = World()
    world.sides.failing["on"] = OSError("away")
    async with world.serving() as shelf:
        assert await shelf.get("k") == ""
        await world.run.idle()

    assert world.run.counts.skipped == {"not_open": 1}
    assert world.counted == {"skipped": 1}


async def test_a_candidate_that_fails_is_counted_and_the_caller_gets_its_answer():
    world = World()
    async with world.serving() as shelf:
        await shelf.get("k")
        await world.run.idle()
        world.side("on").error = OSError("away")
        assert await shelf.get("k") == ""
        await world.run.idle()

    assert world.counted == {"match": 1, "candidate_raised": 1}


async def test_a_guard_may_be_what_answers():
    world = World()
    guard = FallbackGuard(world.switch, new="on", old="off")
    async with world.serving(new=True, control=guard.proxy(), candidates=["off"]) as shelf:
        assert await shelf.get("k") == ""
        world.side("on").error = OSError("away")
        assert await shelf.get("k") == ""
        await world.run.idle()

    assert world.run.counts.outcomes == {"off": {"match": 2}}
    assert guard.status.fallbacks == 1


async def test_a_candidate_that_writes_through_the_same_object_is_refused():
    world, errors = World(), list[Exception]()
    made: list[Shelf] = []

    class Tidies(Side):
        async def get(self, key: str) -> str:
            if self.name == "on":
                try:
                    await made[0].put(key, "tidied")
                except Exception as error:
                    errors.append(error)
                    raise
            return await super().get(key)

    world.sides._kind = Tidies
    async with world.serving() as shelf:
        made.append(shelf)
        await shelf.get("k")
        await world.run.idle()
        assert world.side("off").kept == {}

    assert [(type(error), str(error).split(" ")[0]) for error in errors] == [(ShadowWriteError, "Shelf.put")]
    assert world.counted == {"candidate_raised": 1}


async def test_a_call_that_is_cancelled_lets_go_of_both_sides():
    world = World(timeout=3600)
    async with world.serving() as shelf:
        await shelf.get("k")
        await world.run.idle()

        async def hangs(_: str) -> str:
            await anyio.sleep_forever()
            return ""

        for name in ("off", "on"):
            world.side(name).get = hangs
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(shelf.get, "k")
            await until(lambda: world.run.counts.in_flight == 1 and world.switch.status.variants["on"].calls == 1)
            tasks.cancel_scope.cancel()
        await world.run.idle()
        assert {name: status.calls for name, status in world.switch.status.variants.items()} == {"off": 0, "on": 0}

    assert world.run.counts.total(ParallelOutcome.CANCELLED) == 1


async def test_it_is_an_object_of_the_interface_and_says_what_it_is():
    world = World()

    assert "compared by parallel run 'shelf'" in repr(world.run.proxy(world.switch, candidates=["on"]))


async def test_outside_of_the_switchs_block_it_raises_as_the_switch_does():
    world = World()
    async with world.run.running(world.flags):
        with world.flags.override({FLAG: True}), pytest.raises(LifetimeError, match="not running"):
            await world.run.proxy(world.switch, candidates=["on"]).get("k")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"candidates": ["on", "gone"]}, "one of candidates is 'gone'; name some of 'off', 'on' in a list"),
        ({"candidates": []}, "candidates is empty; name some of 'off', 'on' in a list"),
        ({"candidates": "on"}, "candidates is 'on'; name some of"),
        ({"candidates": None}, "candidates is None; name some of"),
        ({"safe": ["gone"]}, "'gone'"),
        ({"control": 3}, "control is 3; give an object of Shelf, or leave it out for the switch's proxy"),
        ({"control": Side}, "control is the class Side; give an object of Shelf"),
    ],
)
def test_what_does_not_exist_is_refused(options: dict[str, Any], told: str):
    world = World()

    with pytest.raises(ConfigurationError) as caught:
        world.run.proxy(world.switch, **{"candidates": ["on"], **options})

    assert told in str(caught.value)


def test_only_a_switch_has_variants():
    with pytest.raises(ConfigurationError, match="switch is 3"):
        World().run.proxy(3, candidates=["on"])  # type: ignore[type-var]
