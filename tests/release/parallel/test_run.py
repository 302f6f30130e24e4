"""What a caller gets, and what is counted beside it."""

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from grayflow import Admin, Client, ConfigurationError, LifetimeError, MismatchError
from grayflow.clock import SystemClock
from grayflow.release import Counters, ParallelOutcome, ParallelRun, in_shadow
from tests.release.kit import PATIENCE_S, until
from tests.release.parallel.kit import FLAG, Bench, answers, fails, outcomes

pytestmark = pytest.mark.anyio


async def identity(value: Any) -> Any:
    await checkpoint()
    return value


class TestTheCaller:
    async def test_gets_the_very_value_of_the_control(self):
        value = object()
        async with Bench().running(snapshot=None) as run:
            assert await run(control=answers(value), candidates={"new": answers(1)}) is value

    async def test_gets_the_very_error_of_the_control(self):
        error = KeyError("k")
        async with Bench().running() as run:
            with pytest.raises(KeyError) as caught:
                await run(control=fails(error), candidates={"new": answers(1)})

        assert caught.value is error
        assert error.__cause__ is None
        assert error.__context__ is None

    @pytest.mark.parametrize("mode", ["detached", "concurrent", "sequential"])
    @pytest.mark.parametrize(
        "candidate", [answers(1), answers(2), fails(OSError()), fails(SystemExit(3)), fails(asyncio.CancelledError())]
    )
    async def test_notices_nothing_of_a_candidate(self, mode: str, candidate: Callable[..., Any]):
        async with Bench().running(mode=mode) as run:
            assert [await run(control=answers(1), candidates={"new": candidate}) for _ in range(3)] == [1, 1, 1]
            await run.idle()
            assert sum(outcomes(run).values()) == 3

    async def test_passes_arguments_to_both(self):
        async def add(left: int, *, right: int) -> int:
            return left + right

        async with Bench().running() as run:
            found = await run(control=add, candidates={"new": add}, args=(1,), kwargs={"right": 2})
            await run.idle()

        assert found == 3
        assert outcomes(run) == {ParallelOutcome.MATCH: 1}

    async def test_may_have_functions_that_are_not_async(self):
        async with Bench().running() as run:
            assert await run(control=lambda: 1, candidates={"new": lambda: 2}) == 1
            await run.idle()

        assert outcomes(run) == {ParallelOutcome.MISMATCH: 1}

    async def test_does_not_wait_for_candidates_that_never_answer(self):
        async with Bench().running(timeout=3600) as run:
            with anyio.fail_after(PATIENCE_S):
                assert await run(control=answers(1), candidates={"new": anyio.sleep_forever}) == 1
            assert run.counts.in_flight == 1

        assert outcomes(run) == {ParallelOutcome.ABANDONED: 1}

    @pytest.mark.parametrize(
        "candidates", [None, 3, [1], {"new": 3}, {"new": None}], ids=["none", "number", "list", "no function", "null"]
    )
    async def test_notices_nothing_of_candidates_that_are_none(self, candidates: Any):
        async with Bench().running() as run:
            assert await run(control=answers(1), candidates=candidates) == 1
            await run.idle()
            assert run.counts.in_flight == 0

    @pytest.mark.parametrize(
        ("candidates", "why"),
        [
            ([1], "they are of type list; give {name: function}"),
            (None, "they are of type NoneType; give {name: function}"),
            ({"old": answers(1), "new": 3}, "'new' is of type int; give a function"),
        ],
    )
    async def test_is_not_told_what_is_wrong_with_candidates_but_the_log_is(
        self, candidates: Any, why: str, caplog: pytest.LogCaptureFixture
    ):
        with caplog.at_level(logging.WARNING, "grayflow.release"):
            async with Bench().running() as run:
                assert [await run(control=answers(1), candidates=candidates) for _ in range(2)] == [1, 1]

        (record,) = caplog.records
        assert f"candidates of parallel run 'users' cannot be used: {why}; callers notice nothing" in record.message
        assert run.counts.harness_errors == {"candidates": 2}

    async def test_may_change_what_it_got(self):
        gate = anyio.Event()

        async def late() -> list[int]:
            await gate.wait()
            return [1]

        async with Bench().running() as run:
            (await run(control=answers([1]), candidates={"new": late})).append(2)
            gate.set()
            await run.idle()

        assert outcomes(run) == {ParallelOutcome.MATCH: 1}


class TestArguments:
    async def test_a_candidate_sees_the_original_of_a_list_that_the_control_changes(self):
        seen: list[list[int]] = []

        async def pops(items: list[int]) -> int:
            return items.pop()

        async def looks(items: list[int]) -> int:
            seen.append(items[:])
            return items.pop()

        items = [1, 2, 3]
        async with Bench().running() as run:
            assert await run(control=pops, candidates={"a": looks, "b": looks}, args=(items,)) == 3
            await run.idle()

        assert seen == [[1, 2, 3], [1, 2, 3]]
        assert items == [1, 2]
        assert run.counts.total(ParallelOutcome.MATCH) == 2

    async def test_that_cannot_be_copied_are_for_the_control_only(self):
        class Single:
            def __deepcopy__(self, _: Any) -> Any:
                raise RuntimeError("there is one")

        async with Bench().running() as run:
            one = Single()
            assert await run(control=identity, candidates={"new": identity}, args=(one,)) is one
            await run.idle()

        assert outcomes(run) == {ParallelOutcome.SKIPPED: 1}
        assert run.counts.skipped == {"snapshot": 1}

    async def test_a_result_that_cannot_be_copied_is_not_compared(self):
        async with Bench().running() as run:
            assert isinstance(
                await run(control=threading.Lock, candidates={"new": threading.Lock}), type(threading.Lock())
            )
            await run.idle()

        assert run.counts.skipped == {"snapshot": 1}


class TestOutcomes:
    @pytest.mark.parametrize("mode", ["detached", "concurrent", "sequential"])
    @pytest.mark.parametrize(
        ("control", "candidate", "outcome"),
        [
            (answers(1), answers(1), "match"),
            (answers(1), answers(2), "mismatch"),
            (answers("staff"), answers(2), "ignored"),
            (fails(KeyError()), answers(1), "control_raised"),
            (answers(1), fails(KeyError()), "candidate_raised"),
            (answers(1), fails(SystemExit(3)), "candidate_raised"),
            (answers(1), fails(ConnectionError()), "ignored"),
            (fails(KeyError("a")), fails(KeyError("b")), "both_raised_match"),
            (fails(KeyError()), fails(ValueError()), "both_raised_mismatch"),
            (fails(ConnectionError()), fails(ConnectionError()), "both_raised_match"),
            (answers(1), fails(asyncio.CancelledError()), "cancelled"),
        ],
    )
    async def test_each_has_its_word(
        self, mode: str, control: Callable[..., Any], candidate: Callable[..., Any], outcome: str
    ):
        options = {"ignore": [lambda left, _: left == "staff"], "ignore_errors": ConnectionError}
        async with Bench().running(mode=mode, **options) as run:
            with suppress(LookupError, ConnectionError):
                await run(control=control, candidates={"new": candidate})
            await run.idle()

        assert outcomes(run) == {outcome: 1}

    @pytest.mark.parametrize("mode", ["detached", "concurrent", "sequential"])
    async def test_one_that_does_not_answer_in_time(self, mode: str):
        async with Bench().running(timeout=0.01, mode=mode) as run:
            assert await run(control=answers(1), candidates={"new": anyio.sleep_forever}) == 1
            await run.idle()

        assert outcomes(run) == {ParallelOutcome.TIMEOUT: 1}

    async def test_one_that_takes_no_notice_of_its_time_limit_is_late_all_the_same(self):
        gate = anyio.Event()

        async def stubborn() -> int:
            with anyio.CancelScope(shield=True):
                await gate.wait()
            return 1

        async with Bench().running(timeout=0.001, max_in_flight=1) as run:
            await run(control=answers(1), candidates={"new": stubborn})
            await SystemClock().sleep(0.01)
            await run(control=answers(1), candidates={"new": stubborn})
            gate.set()
            await run.idle()

        assert outcomes(run) == {ParallelOutcome.TIMEOUT: 1, ParallelOutcome.DROPPED: 1}

    async def test_all_errors_of_one_candidate_leave_the_others_alone(self):
        async with Bench().running() as run:
            await run(control=answers(1), candidates={"a": fails(OSError()), "b": answers(1), "c": answers(2)})
            await run.idle()

        assert run.counts.outcomes == {"a": {"candidate_raised": 1}, "b": {"match": 1}, "c": {"mismatch": 1}}

    async def test_a_value_whose_comparison_has_no_truth_is_an_error_of_compare(self):
        class Vague:
            def __bool__(self) -> bool:
                raise ValueError("neither")

        async with Bench().running(compare=lambda *_: Vague()) as run:
            await run(control=answers(1), candidates={"new": answers(1)})
            await run.idle()

        assert run.counts.harness_errors == {"compare": 1}


class TestSampling:
    async def test_nothing_is_run_where_the_flag_is_off(self):
        async with Bench().running(on=False) as run:
            assert await run(control=answers(1), candidates={"new": fails(OSError())}) == 1

        assert (run.counts.calls, run.counts.sampled, run.counts.outcomes) == (1, 0, {})

    async def test_a_percentage_keeps_to_the_same_units_and_widening_drops_none(self, admin: Admin, flags: Client):
        run, seen = ParallelRun[int]("users", flag=FLAG), dict[int, set[str]]()
        async with run.running(flags):
            for percent in (10, 10, 20):
                saved = await admin.put(
                    {"key": FLAG, "enabled": True, "rules": [{"percent": percent}], "otherwise": "off"}
                )
                await flags.wait_for(saved.token, timeout=PATIENCE_S)
                chosen = set()
                for number in range(2000):
                    user = f"u-{number}"
                    before = run.counts.sampled
                    await run(control=lambda: 1, candidates={}, context={"user_id": user})
                    if run.counts.sampled > before:
                        chosen.add(user)
                assert chosen >= seen.setdefault(percent, chosen)
                assert seen[percent] >= chosen

        assert 100 < len(seen[10]) < 300
        assert seen[10] < seen[20]

    async def test_the_context_is_that_of_the_scope_if_none_is_given(self, admin: Admin, flags: Client):
        saved = await admin.put({"key": FLAG, "enabled": True, "targets": {"on": ["anna"]}, "otherwise": "off"})
        await flags.wait_for(saved.token, timeout=PATIENCE_S)
        run = ParallelRun[int]("users", flag=FLAG)
        async with run.running(flags):
            for user in ("anna", "ben"):
                with flags.scope({"user_id": user}):
                    await run(control=lambda: 1, candidates={"new": lambda: 1})

        assert (run.counts.calls, run.counts.sampled) == (2, 1)

    async def test_enabled_sees_the_arguments_and_may_refuse(self):
        async with Bench().running(enabled=lambda number: number > 1) as run:
            for number in range(4):
                await run(control=identity, candidates={"new": identity}, args=(number,))
            await run.idle()

        assert outcomes(run) == {ParallelOutcome.MATCH: 2}

    async def test_a_run_that_a_candidate_makes_compares_nothing(self):
        bench = Bench()
        async with bench.running() as inner, bench.running() as outer:
            await outer(
                control=answers(1),
                candidates={"new": lambda: inner(control=answers(1), candidates={"inner": answers(1)})},
            )
            await outer.idle()

        assert outcomes(outer) == {ParallelOutcome.MATCH: 1}
        assert inner.counts.skipped == {"shadow": 1}


class TestBounds:
    async def test_no_more_candidates_are_alive_than_may_be_and_the_others_are_dropped(self):
        alive, most, gate = 0, 0, anyio.Event()

        async def candidate() -> int:
            nonlocal alive, most
            alive += 1
            most = max(most, alive)
            try:
                await gate.wait()
            finally:
                alive -= 1
            return 1

        async with Bench().running(max_in_flight=7, timeout=3600) as run:
            for _ in range(50):
                await run(control=answers(1, turns=2), candidates={"new": candidate})
            assert run.counts.in_flight == 7
            gate.set()
            await run.idle()

        assert most == 7
        assert outcomes(run) == {ParallelOutcome.MATCH: 7, ParallelOutcome.DROPPED: 43}

    async def test_a_sink_that_hangs_costs_observations_and_nothing_else(self):
        gate = anyio.Event()

        async def sink(_: Any) -> None:
            await gate.wait()

        async with Bench().running(publish=sink, max_unpublished=5, timeout=3600) as run:
            for _ in range(20):
                assert await run(control=answers(1), candidates={"new": answers(2)}) == 1
            await until(lambda: run.counts.in_flight == 0)
            counts = run.counts
            gate.set()
            await run.idle()

        assert counts.total(ParallelOutcome.MISMATCH) == 20
        assert (run.counts.published, run.counts.lost) == (6, 14)

    async def test_leaving_the_block_publishes_what_waits(self):
        bench = Bench()
        async with bench.running() as run:
            for _ in range(20):
                await run(control=answers(1, turns=9), candidates={"new": answers(2)})

        assert len(bench.published) == run.counts.total(ParallelOutcome.MISMATCH) == run.counts.published


class TestTheSequentialMode:
    async def test_asks_one_after_the_other_in_random_order(self):
        alive, order, draws = set[str](), list[list[str]](), iter([0.1, 0.2, 0.3, 0.9, 0.1, 0.5])

        def member(name: str) -> Callable[..., Any]:
            async def answer() -> int:
                assert alive == set()
                alive.add(name)
                for _ in range(5):
                    await checkpoint()
                alive.discard(name)
                order[-1].append(name)
                return 1

            return answer

        async with Bench().running(mode="sequential", random=lambda: next(draws)) as run:
            for _ in range(2):
                order.append([])
                assert await run(control=member("old"), candidates={"a": member("a"), "b": member("b")}) == 1
            await run.idle()

        assert order == [["old", "a", "b"], ["a", "b", "old"]]
        assert run.counts.total(ParallelOutcome.MATCH) == 4

    async def test_measures_both(self):
        bench = Bench()
        async with bench.running(mode="sequential", publish_all=True) as run:
            await run(control=answers(1), candidates={"new": answers(1, turns=50)})
            await run.idle()

        (seen,) = bench.published
        assert 0 < seen.control_s < PATIENCE_S
        assert 0 < seen.candidate_s < PATIENCE_S


class TestRaising:
    async def test_a_mismatch_shows_both_cleaned_values_and_was_published_once(self):
        bench = Bench()
        async with bench.running(raise_on_mismatch=True, clean=lambda user: user["login"]) as run:
            with pytest.raises(MismatchError) as caught:
                await run(
                    control=answers({"login": "anna", "password": "s3cret"}),
                    candidates={"new": answers({"login": "ben", "password": "s3cret"})},
                )
            assert len(bench.published) == 1

        assert "'anna'" in str(caught.value)
        assert "'ben'" in str(caught.value)
        assert "s3cret" not in str(caught.value)
        assert caught.value.outcomes == (("new", "mismatch", "'ben'"),)
        assert len(bench.published) == 1

    async def test_what_the_control_raised_is_the_cause(self):
        error = KeyError("k")
        async with Bench().running(raise_on_mismatch=True) as run:
            with pytest.raises(MismatchError) as caught:
                await run(control=fails(error), candidates={"new": answers(1)})

        assert caught.value.__cause__ is error

    async def test_what_agrees_is_returned_or_raised(self):
        async with Bench().running(raise_on_mismatch=True) as run:
            assert await run(control=answers(1), candidates={"new": answers(1)}) == 1
            with pytest.raises(KeyError):
                await run(control=fails(KeyError()), candidates={"new": fails(KeyError())})


HOOKS: dict[str, dict[str, Any]] = {
    "enabled": {},
    "normalise": {},
    "compare": {},
    "compare_errors": {"control": fails(KeyError()), "candidate": fails(KeyError())},
    "ignore": {},
    "clean": {},
    "clean_error": {"candidate": fails(KeyError())},
    "about": {},
}


class TestHooks:
    @pytest.mark.parametrize("mode", ["detached", "concurrent", "sequential"])
    @pytest.mark.parametrize("hook", HOOKS)
    @pytest.mark.parametrize("error", [RuntimeError("bug"), SystemExit(3)], ids=["error", "exit"])
    async def test_one_that_raises_changes_nothing_for_the_caller_and_is_named(
        self, hook: str, mode: str, error: BaseException
    ):
        if hook == "enabled" and not isinstance(error, Exception):
            return  # it runs in the caller's own task, and what ends that is the caller's business

        def broken(*_: Any) -> Any:
            raise error

        bench, case = Bench(), HOOKS[hook]
        options: dict[str, Any] = {hook: [broken] if hook == "ignore" else broken}
        async with bench.running(mode=mode, **options) as run:
            call = run(control=case.get("control", answers(1)), candidates={"new": case.get("candidate", answers(2))})
            if "control" in case:
                with pytest.raises(KeyError):
                    await call
            else:
                assert await call == 1
            await run.idle()

        assert outcomes(run) == {ParallelOutcome.HARNESS_ERROR: 1}
        assert run.counts.harness_errors == {hook: 1}
        assert bench.published == []

    async def test_snapshot_that_raises_skips_the_candidate(self):
        def broken(_: Any) -> Any:
            raise RuntimeError("bug")

        async with Bench().running(snapshot=broken) as run:
            assert await run(control=identity, candidates={"new": identity}, args=(1,)) == 1
            await run.idle()

        assert outcomes(run) == {ParallelOutcome.SKIPPED: 1}
        assert run.counts.skipped == {"snapshot": 1}
        assert run.counts.harness_errors == {"snapshot": 1}

    async def test_publish_that_raises_is_named_and_the_mismatch_stays_one(self):
        def broken(_: Any) -> None:
            raise RuntimeError("bug")

        async with Bench().running(publish=broken) as run:
            assert await run(control=answers(1), candidates={"new": answers(2)}) == 1
            await run.idle()

        assert outcomes(run) == {ParallelOutcome.MISMATCH: 1}
        assert run.counts.harness_errors == {"publish": 1}
        assert run.counts.published == 0

    async def test_all_that_are_awaited_may_be_async(self):
        async def lower(text: str) -> str:
            await checkpoint()
            return text.lower()

        async def same(left: str, right: str) -> bool:
            await checkpoint()
            return left == right

        bench = Bench()

        async def sink(seen: Any) -> None:
            await checkpoint()
            bench.published.append(seen)

        options = {"normalise": lower, "compare": same, "clean": lower, "about": answers("who"), "publish": sink}
        async with bench.running(**options) as run:
            await run(control=answers("A"), candidates={"new": answers("a")})
            await run(control=answers("A"), candidates={"new": answers("B")})
            await run.idle()

        assert outcomes(run) == {ParallelOutcome.MATCH: 1, ParallelOutcome.MISMATCH: 1}
        (seen,) = bench.published
        assert (seen.control.clean, seen.answer.clean, seen.about) == ("a", "b", "who")


class TestSecrets:
    async def test_values_are_neither_published_nor_logged_without_being_cleaned(
        self, caplog: pytest.LogCaptureFixture
    ):
        caplog.set_level(logging.DEBUG)
        bench = Bench()

        def broken(*_: Any) -> Any:
            raise RuntimeError("it was s3cret")

        async with bench.running() as run, bench.running(compare=broken) as bad:
            for made in (run, bad):
                await made(control=identity, candidates={"new": fails(OSError("s3cret"))}, args=("s3cret",))
                await made(control=identity, candidates={"new": answers("s3cret too")}, args=("s3cret",))
                await made.idle()

        assert run.counts.total(ParallelOutcome.MISMATCH, ParallelOutcome.CANDIDATE_RAISED) == 2
        assert "s3cret" not in repr(bench.published)
        assert "s3cret" not in caplog.text
        assert "compare of parallel run 'users' raised RuntimeError" in caplog.text

    async def test_errors_are_told_as_clean_error_says(self):
        bench = Bench()
        async with bench.running(clean_error=lambda error: error.args[0]) as run:
            await run(control=answers(1), candidates={"new": fails(OSError(7, "s3cret"))})
            await run.idle()

        (seen,) = bench.published
        assert (seen.answer.type, seen.answer.raised, seen.answer.clean) == ("OSError", True, 7)
        assert (seen.control.type, seen.control.clean) == ("int", None)


current: ContextVar[str] = ContextVar("current", default="nobody")


class TestContexts:
    async def test_a_candidate_sees_the_callers_and_keeps_its_own(self):
        seen: list[Any] = []

        async def candidate() -> int:
            seen.append((current.get(), in_shadow()))
            current.set("candidate")
            return 1

        async with Bench().running() as run:
            token = current.set("anna")
            await run(control=answers(1), candidates={"new": candidate})
            await run.idle()
            assert (current.get(), in_shadow()) == ("anna", False)
            current.reset(token)

        assert seen == [("anna", True)]

    async def test_flags_of_the_scope_decide_in_candidates_too(self):
        bench = Bench()

        async def asks() -> bool:
            return await bench.flags.is_enabled("payment_v2")

        async with bench.running() as run:
            with bench.flags.override(payment_v2=True):
                await run(control=asks, candidates={"new": asks})
                await run.idle()

        assert outcomes(run) == {ParallelOutcome.MATCH: 1}


class TestLifetimes:
    async def test_outside_of_the_block_only_the_control_runs_and_that_is_said_once(
        self, caplog: pytest.LogCaptureFixture
    ):
        run = ParallelRun[int]("users", flag=FLAG)
        with Client("memory://").override({FLAG: True}):
            assert [await run(control=answers(1), candidates={"new": fails(OSError())}) for _ in range(3)] == [1, 1, 1]

        assert len([record for record in caplog.records if "compares nothing" in record.message]) == 1
        assert (run.counts.calls, run.counts.outcomes) == (3, {})

    async def test_it_runs_in_one_block_at_a_time_and_in_another_afterwards(self):
        flags = Client("memory://")
        run = ParallelRun[int]("users", flag=FLAG, timeout=PATIENCE_S)
        async with run.running(flags):
            with pytest.raises(LifetimeError, match="running already"):
                async with run.running(flags):
                    pass
            with flags.override({FLAG: True}):
                await run(control=answers(1), candidates={"new": answers(1)})
        async with run.running(flags):
            with flags.override({FLAG: True}):
                await run(control=answers(1), candidates={"new": answers(1)})
                await run.idle()

        assert outcomes(run)[ParallelOutcome.MATCH] >= 1
        assert sum(outcomes(run).values()) == 2

    async def test_a_call_that_outlives_the_block_gets_its_answer_and_the_candidate_is_abandoned(self):
        gate = anyio.Event()
        found: list[int] = []

        async def slow() -> int:
            await gate.wait()
            return 1

        bench = Bench()
        async with anyio.create_task_group() as tasks:
            async with bench.running() as run:

                async def call() -> None:
                    found.append(await run(control=slow, candidates={"new": answers(1)}))

                tasks.start_soon(call)
                await until(lambda: run.counts.in_flight == 1)
            assert run.counts.in_flight == 0
            gate.set()

        assert found == [1]
        assert outcomes(run) == {ParallelOutcome.ABANDONED: 1}

    async def test_a_call_in_another_loop_runs_the_control_only(self):
        bench = Bench()
        async with bench.running() as run:

            async def elsewhere() -> int:
                with bench.flags.override({FLAG: True}):
                    return await run(control=answers(1), candidates={"new": answers(2)})

            assert await anyio.to_thread.run_sync(lambda: asyncio.run(elsewhere())) == 1

        assert run.counts.skipped == {"other_loop": 1}

    async def test_a_defect_of_the_run_itself_is_counted_and_ends_nothing(self, caplog: pytest.LogCaptureFixture):
        async def broken(_: Any) -> Any:
            raise RuntimeError("ours")

        async with Bench().running() as run:
            assert run._stage is not None
            run._stage.judge.judge = broken
            assert [await run(control=answers(1), candidates={"new": answers(1)}) for _ in range(2)] == [1, 1]
            await run.idle()

        assert outcomes(run) == {ParallelOutcome.HARNESS_ERROR: 2}
        assert "a defect of grayflow" in caplog.text

    async def test_a_sink_that_hangs_does_not_keep_the_block_open(self):
        async with Bench().running(publish=lambda _: anyio.sleep_forever(), timeout=3600) as run:
            for _ in range(3):
                await run(control=answers(1), candidates={"new": answers(2)})
            await until(lambda: run.counts.in_flight == 0)

        assert run.counts.lost == 2


class TestCounters:
    async def test_the_fleet_counts_outcomes_under_the_runs_flag_by_candidate(self, admin: Admin, flags: Client):
        saved = await admin.put({"key": FLAG, "enabled": True})
        await flags.wait_for(saved.token, timeout=PATIENCE_S)
        counters = Counters()
        run = ParallelRun[int]("users", flag=FLAG, counters=counters, timeout=PATIENCE_S, max_in_flight=2)
        async with counters.running(flags), run.running(flags):
            for _ in range(3):
                await run(control=lambda: 1, candidates={"a": lambda: 1, "b": lambda: 2, "c": lambda: 3})
                await run.idle()
            await counters.flush()
            stats = await admin.stats(FLAG)

        assert stats.total("a").marks == {"match": 3}
        assert stats.total("b").marks == {"mismatch": 3}
        assert stats.total("c").marks == {"dropped": 3}
        assert counters.status.trouble is None

    async def test_what_is_skipped_or_broken_counts_too(self, admin: Admin, flags: Client):
        saved = await admin.put({"key": FLAG, "enabled": True})
        await flags.wait_for(saved.token, timeout=PATIENCE_S)
        counters = Counters()

        def broken(*_: Any) -> Any:
            raise RuntimeError("bug")

        broken_run = ParallelRun[int]("a", flag=FLAG, counters=counters, enabled=broken)
        single = ParallelRun[int]("b", flag=FLAG, counters=counters, snapshot=broken)
        async with counters.running(flags), broken_run.running(flags), single.running(flags):
            await broken_run(control=answers(1), candidates={"a": answers(1)})
            await single(control=identity, candidates={"b": identity}, args=(1,))
            await counters.flush()
            stats = await admin.stats(FLAG)

        assert stats.total("a").marks == {"harness_error": 1}
        assert stats.total("b").marks == {"skipped": 1}


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ({"flag": "no key"}, "flag is 'no key'"),
            ({"mode": "later"}, "mode is 'later'"),
            ({"timeout": 0}, "timeout is 0.0 s"),
            ({"max_in_flight": 0}, "max_in_flight is 0"),
            ({"max_unpublished": True}, "max_unpublished is True"),
            ({"compare": None}, "compare is None"),
            ({"counters": 3}, "counters is 3"),
            ({"publish": 3}, "publish is 3"),
            ({"ignore": len}, "ignore is "),
            ({"ignore": [3]}, "one of ignore is 3"),
            ({"ignore_errors": (int,)}, "ignore_errors is "),
            ({"raise_on_mismatch": 1}, "raise_on_mismatch is 1"),
            ({"enabled": identity}, "the caller would wait for it"),
            ({"snapshot": identity}, "the caller would wait for it"),
        ],
    )
    def test_one_that_cannot_be_used_is_refused(self, options: dict[str, Any], told: str):
        with pytest.raises(ConfigurationError) as caught:
            ParallelRun("users", **{"flag": FLAG, **options})

        assert told in str(caught.value)

    def test_a_run_without_a_name_is_refused(self):
        with pytest.raises(ConfigurationError, match="name is ''"):
            ParallelRun("", flag=FLAG)

    def test_only_a_client_decides(self):
        with pytest.raises(ConfigurationError, match="flags is 3"):
            ParallelRun("users", flag=FLAG).running(3)  # type: ignore[arg-type]
