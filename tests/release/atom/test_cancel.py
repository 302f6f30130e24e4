"""Callers that are cancelled: once or more often, natively or by a scope, at a step or anywhere at all."""

import asyncio
from typing import Any

import anyio
import pytest

from grayflow import MemoryStore
from grayflow.release.atom.atoms import Atoms
from grayflow.release.atom.desk import Desk
from grayflow.release.atom.errors import AtomRolledBack
from grayflow.release.atom.journal import BoardJournal
from grayflow.release.atom.model import StepCall
from grayflow.testing import FakeClock
from tests.lifetimes.steps import Cancelled, Steps, each
from tests.release.atom.bench import Bench, opened
from tests.release.atom.world import NAMES

pytestmark = pytest.mark.anyio

PATIENCE_S = 20


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def until_over(atoms: Atoms, run_id: str = "r") -> str:
    """Return the outcome of a run whose caller is gone."""
    with anyio.fail_after(PATIENCE_S):
        while True:
            (one,) = [one for one in await atoms.runs() if one.run.run_id == run_id]
            if one.run.outcome is not None:
                return one.run.outcome
            await anyio.lowlevel.checkpoint()


async def cancelled_natively(atoms: Atoms, bench: Bench, atom: Any, at: str, times: int) -> bool:
    """Cancel the task that runs an atom when a function is reached; return whether it ended so."""
    gate = bench.gate(at)
    task = asyncio.get_running_loop().create_task(atoms.run(atom, run_id="r"))
    await gate.reached.wait()
    for _ in range(times):
        task.cancel()
        await anyio.wait_all_tasks_blocked() if times > 1 else None
    await asyncio.wait({task})
    return task.cancelled()


async def cancelled_by_scope(atoms: Atoms, bench: Bench, atom: Any, at: str, times: int) -> bool:
    """Do the same with cancel scopes, one around the other, cancelled one after the other from within."""
    gate = bench.gate(at)
    scopes = [anyio.CancelScope() for _ in range(times)]
    ended = anyio.Event()

    async def run(left: list[anyio.CancelScope]) -> None:
        if left:
            with left[0]:
                await run(left[1:])
        else:
            await atoms.run(atom, run_id="r")

    async def call() -> None:
        await run(scopes)
        ended.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await gate.reached.wait()
        for scope in reversed(scopes):
            scope.cancel()
            await anyio.lowlevel.checkpoint()
        await ended.wait()
    return any(scope.cancelled_caught for scope in scopes)


WAYS = {"natively": cancelled_natively, "by scopes": cancelled_by_scope}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("way", WAYS)
async def test_cancelled_during_any_step_so_often_everything_is_undone(
    bench: Bench, name: str, times: int, way: str
) -> None:
    async with opened() as atoms:
        assert await WAYS[way](atoms, bench, bench.atom(), f"do {name}", times)
        assert await until_over(atoms) == "rolled_back"
        (one,) = await atoms.runs()

    assert bench.state == "before"
    assert one.run.cancel is not None
    assert one.run.cancel.reason == "its caller was cancelled"
    assert one.run.error is not None
    assert one.run.error.kind == "Cancelled"
    assert [entry for entry in bench.log if entry.startswith("undo")] == [
        f"undo {done}" for done in reversed(NAMES[: NAMES.index(name) + 1])
    ]


@pytest.mark.parametrize("way", WAYS)
async def test_a_caller_that_is_cancelled_once_is_told_when_everything_is_undone(bench: Bench, way: str) -> None:
    async with opened() as atoms:
        await WAYS[way](atoms, bench, bench.atom(), "do link", 1)

        assert bench.state == "before"


async def test_a_caller_that_is_cancelled_again_leaves_at_once_and_the_undo_goes_on(bench: Bench) -> None:
    undo = bench.gate("undo link")
    async with opened() as atoms:
        gate = bench.gate("do link")
        task = asyncio.get_running_loop().create_task(atoms.run(bench.atom(), run_id="r"))
        await gate.reached.wait()
        task.cancel()
        await undo.reached.wait()
        assert not task.done()

        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        assert bench.state != "before"
        undo.open.set()

        assert await until_over(atoms) == "rolled_back"
    assert bench.state == "before"


async def test_a_step_that_may_not_be_interrupted_comes_to_its_end_and_is_undone_then(bench: Bench) -> None:
    async with opened() as atoms:
        gate = bench.gate("do link")
        atom = bench.atom(steps={"link": {"cancellable": False}})
        task = asyncio.get_running_loop().create_task(atoms.run(atom, run_id="r"))
        await gate.reached.wait()
        task.cancel()
        while (await atoms.runs())[0].run.cancel is None:  # recorded before the step has ended
            await anyio.lowlevel.checkpoint()
        assert bench.count("undo link") == 0
        gate.open.set()
        await asyncio.wait({task})

    assert task.cancelled()
    assert bench.state == "before"
    assert next(call for call in bench.calls if call.undoing and call.step == "link").done


async def test_a_run_that_is_to_be_finished_is_finished_before_its_caller_is_told(bench: Bench) -> None:
    async with opened() as atoms:
        gate = bench.gate("do link")
        task = asyncio.get_running_loop().create_task(atoms.run(bench.atom(on_cancel="finish"), run_id="r"))
        await gate.reached.wait()
        task.cancel()
        await anyio.wait_all_tasks_blocked()
        gate.open.set()
        await asyncio.wait({task})
        (one,) = await atoms.runs()

    assert (task.cancelled(), one.run.outcome, bench.state) == (True, "succeeded", "after")


async def test_a_wait_between_attempts_ends_when_the_run_is_cancelled(bench: Bench) -> None:
    from grayflow.cleanup.retry import Retry

    slow = Retry(attempts=3, base=3600, cap=3600)
    bench.always["do link"] = ValueError("boom")
    async with opened(random=lambda: 0.9) as atoms:
        task = asyncio.get_running_loop().create_task(
            atoms.run(bench.atom(steps={"link": {"retry": slow}}), run_id="r")
        )
        while bench.count("do link") == 0:
            await anyio.lowlevel.checkpoint()
        await anyio.wait_all_tasks_blocked()
        task.cancel()
        with anyio.fail_after(PATIENCE_S):
            await asyncio.wait({task})

    assert bench.state == "before"


async def test_a_timeout_around_a_run_undoes_it(bench: Bench) -> None:
    bench.gate("do link")
    async with opened() as atoms:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await atoms.run(bench.atom(), run_id="r")

    assert bench.state == "before"


async def test_who_is_cancelled_already_begins_nothing(bench: Bench) -> None:
    async with opened() as atoms:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await atoms.run(bench.atom())

        assert await atoms.runs() == []
    assert bench.log == []


async def test_who_only_waits_for_a_run_of_somebody_else_cancels_nothing(bench: Bench) -> None:
    atom = bench.atom()
    async with opened() as atoms, anyio.create_task_group() as tasks:
        gate = bench.gate("do link")
        tasks.start_soon(lambda: atoms.run(atom, run_id="r"))
        await gate.reached.wait()
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as others:
                others.start_soon(lambda: atoms.run(atom, run_id="r"))
                await anyio.wait_all_tasks_blocked()
                scope.cancel()
        gate.open.set()

    assert bench.state == "after"


async def test_who_waits_for_a_run_of_another_process_leaves_at_once_when_cancelled(bench: Bench) -> None:
    store, atom = MemoryStore(), bench.atom()
    async with opened(store) as one, opened(store) as other, anyio.create_task_group() as tasks:
        gate = bench.gate("do link")
        tasks.start_soon(lambda: one.run(atom, run_id="r"))
        await gate.reached.wait()
        with anyio.move_on_after(0.05) as scope, anyio.fail_after(PATIENCE_S):
            await other.run(atom, run_id="r")
        assert scope.cancelled_caught
        gate.open.set()

    assert bench.state == "after"


async def test_somebody_elsewhere_cancels_a_run(bench: Bench) -> None:
    store = MemoryStore()
    async with opened(store, lease=0.3) as one, opened(store, actor="eve") as other:
        gate = bench.gate("do link")
        task = asyncio.get_running_loop().create_task(one.run(bench.atom(), run_id="r"))
        await gate.reached.wait()
        await other.cancel("r", reason="wrong branch")
        with pytest.raises(AtomRolledBack, match="by eve: wrong branch"), anyio.fail_after(PATIENCE_S):
            await task

    assert bench.state == "before"


async def test_who_is_cancelled_while_the_lease_is_renewed_before_a_step_does_not_begin_it(bench: Bench) -> None:
    clock = FakeClock()

    class Slow(BoardJournal):
        """Time passes before each step, and a lease is renewed when it is told to be."""

        asked, open = anyio.Event(), anyio.Event()

        async def put(self, run_id: str, value: bytes, **options: Any) -> Any:
            written = await super().put(run_id, value, **options)
            if b'"state":"intent"' in value:
                clock._move_to(clock._monotonic + 14_000_000_000)
            return written

        async def renew(self, run_id: str, **options: Any) -> bool:
            self.asked.set()
            await self.open.wait()
            return await super().renew(run_id, **options)

    async with Atoms(Slow(MemoryStore(clock=clock)), recover_every=None, lease=15, clock=clock) as atoms:
        task = asyncio.get_running_loop().create_task(atoms.run(bench.atom("link"), run_id="r"))
        await Slow.asked.wait()
        task.cancel()
        await anyio.wait_all_tasks_blocked()
        Slow.open.set()
        await asyncio.wait({task})

    assert task.cancelled()
    assert (bench.count("do link"), bench.states["link"]) == (0, "old")


@pytest.mark.parametrize("policy", ["undo", "finish"])
async def test_a_run_that_is_cancelled_while_its_success_is_recorded_is_undone(bench: Bench, policy: str) -> None:
    class Cancelled(BoardJournal):
        async def put(self, run_id: str, value: bytes, **options: Any) -> Any:
            if b'"outcome":"succeeded"' in value and b'"cancel"' not in value:
                await Desk(self, actor="ben").cancel(run_id)
            return await super().put(run_id, value, **options)

    async with Atoms(Cancelled(MemoryStore()), recover_every=None) as atoms:
        result = await atoms.run(bench.atom("link", "open", on_cancel=policy), raise_=False)

    assert (result.outcome, bench.state) == (("rolled_back", "before") if policy == "undo" else ("succeeded", "after"))


async def test_the_undo_is_not_interrupted_by_a_cancellation_that_comes_later(bench: Bench) -> None:
    bench.failures["do open"] = [ValueError("boom")]
    async with opened() as atoms:
        gate = bench.gate("undo link")
        task = asyncio.get_running_loop().create_task(atoms.run(bench.atom(), run_id="r"))
        await gate.reached.wait()
        task.cancel()
        await anyio.wait_all_tasks_blocked()
        gate.open.set()
        await asyncio.wait({task})

    assert task.cancelled()
    assert bench.count("undo link") == 1
    assert bench.state == "before"


# Every await point


@pytest.mark.parametrize("fail", ["", "do open"])
async def test_cancelled_at_every_await_point_everything_is_done_or_undone(cancel: Cancelled, fail: str) -> None:
    """The await points are those of the caller, of the engine, of the steps and of the journal, one after the other."""

    found = set()

    async def attempt(steps: Steps, at: int) -> bool:
        bench = Bench()
        if fail:
            bench.failures[fail] = [ValueError("boom")]

        async def run() -> None:
            try:
                await atoms.run(bench.atom(step={"check": bench.check}), run_id="r")
            except AtomRolledBack:
                assert fail

        async with opened() as atoms:
            ended = await cancel(steps, at, run)
            outcomes = [one.run.outcome for one in await atoms.runs()]
        assert outcomes in ([], ["succeeded"], ["rolled_back"])
        assert bench.state == ("after" if outcomes == ["succeeded"] else "before"), f"cancelled at await point {at}"
        assert ended or outcomes
        found.add((ended, bench.state))
        return ended

    points, _ = await each(attempt)

    assert points > 50
    assert (True, "before") in found


async def test_an_undo_that_waits_is_shielded_from_every_cancellation_of_its_caller() -> None:
    """What an `AsyncExitStack` loses: three cancellations, and two undos that await."""
    undone = []

    async def undo(call: StepCall) -> None:
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        undone.append(call.step)

    bench = Bench()
    async with opened() as atoms:
        gate = bench.gate("do open")
        task = asyncio.get_running_loop().create_task(
            atoms.run(bench.atom("link", "open", step={"undo": undo, "capture": None}), run_id="r")
        )
        await gate.reached.wait()
        for _ in range(3):
            task.cancel()
            await anyio.lowlevel.checkpoint()
        assert await until_over(atoms) == "rolled_back"

    assert undone == ["open", "link"]
