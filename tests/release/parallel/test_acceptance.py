"""
What a parallel run must never do to its caller, on virtual time: nothing here depends on how fast a machine is.

Of what RELEASE §9.2 asks to be shown, `test_run.py` has the arguments that a control changes (`TestArguments`), every
hook that raises (`TestHooks`) and `raise_on_mismatch` (`TestRaising`); what it costs is in `benchmarks/`.
"""

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as some

from grayflow import Client, ShadowWriteError, SystemClock
from grayflow.release import ParallelOutcome, ParallelRun, in_shadow, writes
from grayflow.testing import VirtualClock, VirtualLoop
from tests.lifetimes.steps import Cancelled, Steps, each
from tests.release.parallel.kit import FLAG, answers, outcomes

MODES = ["detached", "concurrent", "sequential"]


def play(main: Callable[[Client], Coroutine[Any, Any, None]]) -> None:
    """Run on virtual time, with a client of that time; nothing may be left behind."""

    async def played() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        flags = Client("memory://", clock=VirtualClock(loop))
        with flags.override({FLAG: True}):
            await main(flags)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(played())


def after(seconds: float, value: Any) -> Callable[..., Any]:
    """Return a function that takes so long, and returns that value or raises that exception."""

    async def answer(*_: Any) -> Any:
        await SystemClock().sleep(seconds)
        if isinstance(value, Exception):
            raise value
        return value

    return answer


# 1. A candidate sleeping 10 s


def test_a_candidate_that_sleeps_for_10_s_adds_nothing_to_the_callers_time_and_is_bounded_and_counted() -> None:
    calls, limit, alive, most = 1000, 64, 0, 0

    async def sleeps() -> int:
        nonlocal alive, most
        alive, most = alive + 1, max(most, alive + 1)
        await SystemClock().sleep(10)
        alive -= 1
        return 1

    async def main(flags: Client) -> None:
        run = ParallelRun[int]("users", flag=FLAG, max_in_flight=limit, timeout=60)
        took: list[float] = []
        async with run.running(flags):
            for _ in range(calls):
                began = flags.clock.monotonic()
                assert await run(control=after(0.001, 1), candidates={"new": sleeps}) == 1
                took.append(flags.clock.monotonic() - began)
            assert run.counts.in_flight == limit
            await run.idle()

        assert sorted(took)[calls * 99 // 100] == pytest.approx(0.001)
        assert max(took) == pytest.approx(0.001)
        assert most == limit
        assert outcomes(run) == {ParallelOutcome.MATCH: limit, ParallelOutcome.DROPPED: calls - limit}

    play(main)


@pytest.mark.parametrize("hook", ["normalise", "compare", "ignore", "clean", "about", "publish"])
def test_a_function_that_hangs_is_given_up(hook: str) -> None:
    async def hangs(*_: Any) -> None:
        await anyio.sleep_forever()

    async def main(flags: Client) -> None:
        options: dict[str, Any] = {"publish": answers(None), hook: [hangs] if hook == "ignore" else hangs}
        run = ParallelRun[int]("users", flag=FLAG, timeout=1, **options)
        async with run.running(flags):
            assert await run(control=answers(1), candidates={"new": answers(2)}) == 1
            await run.idle()

        assert flags.clock.monotonic() == pytest.approx(1)
        assert run.counts.harness_errors == {hook: 1}

    play(main)


# 4. Cancellation


@pytest.mark.parametrize("mode", MODES)
def test_a_caller_that_is_cancelled_at_100_random_points_leaves_no_task_and_no_false_mismatch(mode: str) -> None:
    random = Random(9)

    async def main(flags: Client) -> None:
        run = ParallelRun[int]("users", flag=FLAG, mode=mode, timeout=60)  # type: ignore[arg-type]
        cancelled = 0
        async with run.running(flags):
            for _ in range(100):
                control, candidates = after(random.random(), 1), {name: after(random.random(), 1) for name in "ab"}
                with anyio.move_on_after(random.random()) as limit:
                    assert await run(control=control, candidates=candidates) == 1
                cancelled += limit.cancelled_caught
            await run.idle()

        counts, reasons = run.counts, (ParallelOutcome.MATCH, ParallelOutcome.CANCELLED)
        assert cancelled > 20
        assert counts.total(*reasons) == counts.total(*ParallelOutcome) == 200
        assert counts.total(ParallelOutcome.CANCELLED) >= cancelled
        assert counts.harness_errors == {}

    play(main)


@pytest.mark.anyio
@pytest.mark.parametrize("mode", MODES)
async def test_a_caller_that_is_cancelled_at_every_await_point_in_turn(mode: str, cancel: Cancelled) -> None:
    flags = Client("memory://")
    run = ParallelRun[int]("users", flag=FLAG, mode=mode, timeout=60)  # type: ignore[arg-type]

    async def call() -> None:
        with flags.override({FLAG: True}):
            await run(control=answers(1, turns=5), candidates={"a": answers(1, turns=3), "b": answers(1, turns=9)})

    async def attempt(steps: Steps, at: int) -> bool:
        ended = await cancel(steps, at, call)
        await run.idle()
        return ended

    async with run.running(flags):
        points, ended = await each(attempt)

    assert ended > 3
    assert run.counts.total(ParallelOutcome.MATCH, ParallelOutcome.CANCELLED) == 2 * (points + 1)
    assert run.counts.harness_errors == {}


async def in_the_block(flags: Client, mode: str) -> None:
    run = ParallelRun[int]("users", flag=FLAG, mode=mode, timeout=60, publish=answers(None))  # type: ignore[arg-type]
    async with run.running(flags):
        with flags.override({FLAG: True}):
            await run(control=answers(1, turns=5), candidates={"a": answers(2, turns=3), "b": answers(1, turns=9)})


@pytest.mark.anyio
@pytest.mark.parametrize("mode", MODES)
async def test_a_block_that_is_cancelled_at_every_await_point_in_turn_leaves_nothing(
    mode: str, cancel: Cancelled
) -> None:
    flags = Client("memory://")

    points, ended = await each(lambda steps, at: cancel(steps, at, lambda: in_the_block(flags, mode)))

    assert points > 5
    assert ended > 3


# 5. Side effects


@writes
async def save(value: int) -> int:
    return value


@pytest.mark.anyio
@pytest.mark.parametrize("mode", MODES)
async def test_a_candidate_that_writes_is_refused_and_the_same_call_elsewhere_works(mode: str) -> None:
    errors: list[Exception] = []
    flags = Client("memory://")
    run = ParallelRun[int](
        "users",
        flag=FLAG,
        mode=mode,  # type: ignore[arg-type]
        clean_error=errors.append,
        publish=answers(None),
        timeout=60,
    )

    async def in_a_task(value: int) -> int:
        found: list[int] = []

        async def task() -> None:
            found.append(await save(value))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(task)
        return found[0]

    async def in_a_thread(value: int) -> int:
        return int(await anyio.to_thread.run_sync(in_shadow))

    async with run.running(flags):
        with flags.override({FLAG: True}):
            candidates = {"plain": save, "task": in_a_task, "thread": in_a_thread}
            assert await run(control=save, candidates=candidates, args=(1,)) == 1
            await run.idle()

    assert outcomes(run, "plain") == outcomes(run, "task") == {ParallelOutcome.CANDIDATE_RAISED: 1}
    assert outcomes(run, "thread") == {ParallelOutcome.MATCH: 1}
    refused = next(error for error in errors if isinstance(error, ShadowWriteError))
    assert (refused.what, refused.run) == ("save", "users")
    assert await save(1) == 1


# Any calls at all

delays = some.integers(0, 30)
results = some.sampled_from([1, 2, KeyError("k"), OSError("o")])
calls = some.fixed_dictionaries(
    {
        "begins": delays,
        "control": some.tuples(delays, results),
        "candidates": some.dictionaries(some.sampled_from("abc"), some.tuples(delays, results)),
        "cancelled": some.none() | delays,
    }
)


class Game:
    """Calls at their times, and what has to hold for each."""

    def __init__(self, flags: Client, run: ParallelRun[Any], mode: str) -> None:
        self.flags, self.run, self.mode = flags, run, mode
        self.most = 0

    async def play(self, plan: list[dict[str, Any]], leaves: int | None) -> None:
        async with anyio.create_task_group() as tasks:
            async with self.run.running(self.flags):
                for call in plan:
                    tasks.start_soon(self._call, call)
                await SystemClock().sleep(100 if leaves is None else leaves)
                if leaves is None:
                    await self.run.idle()
            assert self.run.counts.in_flight == 0

    async def _call(self, call: dict[str, Any]) -> None:
        await SystemClock().sleep(call["begins"])
        with anyio.CancelScope() as scope:
            if call["cancelled"] is not None:
                scope.deadline = anyio.current_time() + call["cancelled"] + 0.25
            await self._ask(call)
        if scope.cancelled_caught and self.mode == "detached":
            assert call["cancelled"] < call["control"][0]
        self.most = max(self.most, self.run.counts.in_flight)

    async def _ask(self, call: dict[str, Any]) -> None:
        waits, expected = call["control"]
        candidates = {name: after(*answer) for name, answer in call["candidates"].items()}
        began = self.flags.clock.monotonic()
        try:
            found: Any = await self.run(control=after(waits, expected), candidates=candidates)
        except (KeyError, OSError) as error:
            found = error
        assert found is expected
        if self.mode == "detached":
            assert self.flags.clock.monotonic() - began == pytest.approx(waits)


@given(
    some.lists(calls, max_size=8),
    some.sampled_from(MODES),
    some.integers(1, 4),
    some.integers(1, 40),
    some.none() | some.integers(0, 60),
)
def test_whatever_is_called_the_caller_gets_the_controls_answer_and_every_candidate_is_counted_once(
    plan: list[dict[str, Any]], mode: str, limit: int, timeout: int, leaves: int | None
) -> None:
    asked = sum(len(call["candidates"]) for call in plan)
    same = all(answer == call["control"][1] for call in plan for _, answer in call["candidates"].values())

    async def main(flags: Client) -> None:
        run = ParallelRun[Any]("users", flag=FLAG, mode=mode, max_in_flight=limit, timeout=timeout + 0.5)  # type: ignore[arg-type]
        game = Game(flags, run, mode)
        await game.play(plan, leaves)

        counts = run.counts
        assert game.most <= limit
        assert counts.total(*ParallelOutcome) <= asked
        if leaves is None:
            assert counts.total(*ParallelOutcome) == asked
        assert counts.harness_errors == counts.skipped == {}
        if same:
            assert counts.total(ParallelOutcome.MISMATCH, ParallelOutcome.CANDIDATE_RAISED) == 0

    play(main)
