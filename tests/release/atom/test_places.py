"""The whole way of a run on every kind of journal: done, undone, parked and resumed, cancelled, taken over."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from grayflow import LifetimeError
from grayflow.release.atom.atoms import Atoms
from grayflow.release.atom.errors import AtomRefusedError, AtomRollbackFailed, AtomRolledBack
from grayflow.release.atom.files import FileJournal
from grayflow.store.sqlite import SQLiteStore
from grayflow.store.urls import open_store
from tests.release.atom.bench import Bench
from tests.release.atom.world import NAMES

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["files", "sqlite", pytest.param("redis", marks=pytest.mark.redis)])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    """Return where runs are recorded; it can be opened more often than once."""
    if request.param == "files":
        yield lambda: FileJournal(tmp_path / "journal")
    elif request.param == "sqlite":
        async with SQLiteStore(tmp_path / "flags.db") as store:
            await store.init()
        yield lambda: SQLiteStore(tmp_path / "flags.db")
    else:
        url, namespace = request.getfixturevalue("redis_url"), f"t-{uuid4().hex[:12]}"
        yield lambda: open_store(url, namespace=namespace)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def opened(place: Any, *atoms: Any) -> Atoms:
    return Atoms(place(), atoms, recover_every=None, lease=60)


async def test_all_steps_are_done_and_the_result_is_there_for_whoever_asks_again(place: Any, bench: Bench) -> None:
    async with opened(place) as atoms:
        result = await atoms.run(bench.atom(), {"version": "v2"}, run_id="r")
    async with opened(place) as others:
        assert await others.run(bench.atom(), {"version": "v2"}, run_id="r") == result

    assert (result.outcome, bench.state, bench.count("do link")) == ("succeeded", "after", 1)


async def test_what_fails_is_undone(place: Any, bench: Bench) -> None:
    bench.failures["do open"] = [OSError("no route")]

    async with opened(place) as atoms:
        with pytest.raises(AtomRolledBack, match="no route"):
            await atoms.run(bench.atom(), run_id="r")

    assert bench.state == "before"


@pytest.mark.parametrize(
    ("policy", "left"),
    [("halt", ("link", "stop", "unpack", "drain")), ("continue", ("link",))],
    ids=["halt", "continue"],
)
async def test_an_undo_that_fails_parks_the_run_until_somebody_else_resumes_it(
    place: Any, bench: Bench, policy: str, left: tuple[str, ...]
) -> None:
    atom = bench.atom(undo_failure=policy, step={"independent": policy == "continue"})
    bench.failures["do open"] = [OSError("no route")]
    bench.always["undo link"] = OSError("disk is gone")
    async with opened(place) as atoms:
        with pytest.raises(AtomRollbackFailed) as caught:
            await atoms.run(atom, run_id="r")
    assert caught.value.result.remaining == left
    assert {name for name, state in bench.states.items() if state == "new"} == set(left)

    bench.always.clear()
    async with opened(place, atom) as others:
        result = await others.resume_undo("r")

    assert (result.outcome, bench.state) == ("rolled_back", "before")


async def test_a_caller_that_is_cancelled_finds_everything_undone(place: Any, bench: Bench) -> None:
    gate = bench.gate("do link")
    async with opened(place) as atoms:
        task = asyncio.get_running_loop().create_task(atoms.run(bench.atom(), run_id="r"))
        await gate.reached.wait()
        task.cancel()
        await asyncio.wait({task})

    assert task.cancelled()
    assert bench.state == "before"


@pytest.mark.parametrize(("policy", "ends"), [("undo", "before"), ("continue", "after")])
async def test_a_run_that_was_left_is_gone_on_with_by_whoever_has_its_code(
    place: Any, bench: Bench, policy: str, ends: str
) -> None:
    atom, gate = bench.atom(on_recover=policy), bench.gate("do link")
    async with opened(place) as atoms:
        task = asyncio.get_running_loop().create_task(atoms.run(atom, run_id="r"))
        await gate.reached.wait()
        leaving = asyncio.get_running_loop().create_task(_until_closed(atoms))
        leaving.add_done_callback(lambda _: gate.open.set())
    with pytest.raises(LifetimeError):
        await task
    assert {name for name, state in bench.states.items() if state == "new"} == set(NAMES[: NAMES.index("link") + 1])

    async with opened(place, atom) as others:
        await others.recover(wait=True)

    assert (bench.state, bench.count("do link")) == (ends, 1)


async def _until_closed(atoms: Atoms) -> None:
    while True:
        try:
            await atoms.skip("nobody", "x", reason="to see whether they are closed")
        except AtomRefusedError:  # there is no such run
            continue
        except LifetimeError:
            return
